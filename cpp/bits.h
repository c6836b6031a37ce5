// Whole-board operations on bit sets of W words (one bit a point, row-major).
#pragma once
#include <cstdint>

#include "board.h"

namespace go {

template <int W>
struct Bits {
  uint64_t word[W];

  static Bits load(const uint64_t* from) {
    Bits b;
    for (int w = 0; w < W; ++w) b.word[w] = from[w];
    return b;
  }
  Bits operator&(const Bits& o) const {
    Bits b;
    for (int w = 0; w < W; ++w) b.word[w] = word[w] & o.word[w];
    return b;
  }
  Bits operator|(const Bits& o) const {
    Bits b;
    for (int w = 0; w < W; ++w) b.word[w] = word[w] | o.word[w];
    return b;
  }
  Bits without(const Bits& o) const {
    Bits b;
    for (int w = 0; w < W; ++w) b.word[w] = word[w] & ~o.word[w];
    return b;
  }
  bool operator==(const Bits& o) const {
    uint64_t differ = 0;
    for (int w = 0; w < W; ++w) differ |= word[w] ^ o.word[w];
    return !differ;
  }
  bool any() const {
    uint64_t all = 0;
    for (int w = 0; w < W; ++w) all |= word[w];
    return all != 0;
  }
  int count() const {
    int n = 0;
    for (int w = 0; w < W; ++w) n += __builtin_popcountll(word[w]);
    return n;
  }
  // Towards higher points (down, right); 1 <= by <= 63.
  Bits up_by(int by) const {
    Bits b;
    b.word[0] = word[0] << by;
    for (int w = 1; w < W; ++w) b.word[w] = word[w] << by | word[w - 1] >> (64 - by);
    return b;
  }
  // Towards lower points (up, left).
  Bits down_by(int by) const {
    Bits b;
    for (int w = 0; w + 1 < W; ++w) b.word[w] = word[w] >> by | word[w + 1] << (64 - by);
    b.word[W - 1] = word[W - 1] >> by;
    return b;
  }
  // The neighbours of the set's points (bits past the board may come up: mask the result).
  Bits neighbours(const Geometry& geo) const {
    return up_by(geo.size) | down_by(geo.size) | without(load(geo.last_column)).up_by(1) |
           without(load(geo.first_column)).down_by(1);
  }
  // The points all of whose neighbours are in the set or off the board (points of the set among them).
  Bits enclosed(const Geometry& geo) const {
    return (up_by(geo.size) | load(geo.first_row)) & (down_by(geo.size) | load(geo.last_row)) &
           (up_by(1) | load(geo.first_column)) & (down_by(1) | load(geo.last_column));
  }
  // The points with at least two diagonal neighbours in the set, one being enough at the border.
  Bits on_diagonals(const Geometry& geo) const {
    if (geo.size == 1) return Bits{};
    const Bits from_left = without(load(geo.last_column)), from_right = without(load(geo.first_column));
    const Bits a = from_left.up_by(geo.size + 1), b = from_right.up_by(geo.size - 1);
    const Bits c = from_left.down_by(geo.size - 1), d = from_right.down_by(geo.size + 1);
    return (a & b) | (c & d) | ((a | b) & (c | d)) | ((a | b | c | d) & load(geo.border));
  }
  // The points of `through` joined to the set by paths inside `through`; the set itself included.
  Bits flood(const Bits& through, const Geometry& geo) const {
    Bits now = *this;
    for (;;) {
      const Bits next = now | (now.neighbours(geo) & through);
      if (next == now) return now;
      now = next;
    }
  }
};

}  // namespace go
