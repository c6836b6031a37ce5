// Counter-based random numbers: every draw is a pure function of (run seed, game, move, visit, purpose).
// There is no hidden state, so games do not depend on thread scheduling or on the order of other games.
#pragma once
#include <cstdint>

namespace go {

enum class Purpose : uint32_t {
  kPlayout = 1, kMoveChoice, kRootNoise, kSymmetry, kCapCoin, kOpening, kKomi, kReplay, kTieBreak, kColour,
};

// Finaliser of splitmix64 (Steele, Lea, Flood 2014).
constexpr uint64_t mix64(uint64_t z) {
  z += 0x9e3779b97f4a7c15ull;
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
  return z ^ (z >> 31);
}

// A stream of draws for one key. Cheap to make; copy it freely.
class Rng {
 public:
  explicit Rng(uint64_t seed, uint64_t game = 0, uint64_t move = 0, uint64_t visit = 0,
               Purpose purpose = Purpose::kPlayout)
      : key_(mix64(mix64(mix64(mix64(seed) ^ game) ^ (move << 20 | static_cast<uint64_t>(purpose))) ^ visit)) {}

  uint64_t next() { return mix64(key_ + 0x9e3779b97f4a7c15ull * ++count_); }
  // Uniform in [0, n), n >= 1; bias below n / 2^32 (Lemire's multiply-shift).
  uint32_t below(uint32_t n) { return static_cast<uint32_t>((static_cast<uint64_t>(static_cast<uint32_t>(next() >> 32)) * n) >> 32); }
  // Uniform in [0, 1) with 53 bits.
  double uniform() { return static_cast<double>(next() >> 11) * 0x1.0p-53; }

 private:
  uint64_t key_;
  uint64_t count_ = 0;
};

}  // namespace go
