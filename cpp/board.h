// Stones, chains, liberties, captures, simple ko and the Zobrist hash; sizes 1..19.
// PUBLIC SURFACE (contract); internals are the implementer's.
#pragma once
#include <cstdint>
#include <stdexcept>
#include <string>

namespace go {

constexpr int kMaxSize = 19;
constexpr int kMaxArea = kMaxSize * kMaxSize;

// Row-major from the top left: 0 .. size*size-1; size*size is a pass.
using Move = int16_t;
constexpr Move kNoMove = -1;

enum class Color : uint8_t { kEmpty = 0, kBlack = 1, kWhite = 2 };
inline Color other(Color c) { return static_cast<Color>(3 - static_cast<uint8_t>(c)); }

// The one exception that leaves the core.
struct Error : std::runtime_error {
  using std::runtime_error::runtime_error;
};

}  // namespace go
