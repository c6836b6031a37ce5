// Input planes of the net: the only place (with features.cpp) that states their order.
// Self-play leaves, replay and `gocore.encode` all go through encode().
//
//   0       ones: the points of the board (tells the net where the edge is after zero padding)
//   1       stones of the side to move
//   2       stones of the opponent
//   3..5    stones, either colour, of chains with exactly 1, 2, 3 liberties
//   6       empty points where only the ko or superko rule forbids a move
//   7..11   the last move, the one before it, ... five moves back; a pass leaves its plane empty
//   12      ones when a pass now would end the game
//   13      komi from the side to move's view (White's is positive) / 20
//   14..16  ones when the rules are simple ko; situational superko; allow suicide
#pragma once
#include <array>
#include <cstdint>
#include <vector>

#include "game.h"

namespace go {

constexpr int kNumPlanes = 17;
constexpr int kNumRecentMoves = 5;
constexpr float kKomiScale = 20.0f;

// The eight symmetries of the square. map(s)[p] is where point p lands; pass maps to itself.
// s = 4 * transpose + 2 * flip columns + flip rows, the transposition first.
class Symmetries {
 public:
  explicit Symmetries(int size);
  const Move* map(int symmetry) const { return maps_[symmetry].data(); }
  static const Symmetries& of(int size);  // shared table, thread-safe

 private:
  std::array<std::vector<Move>, 8> maps_;
};

// Writes all planes of the position to out[kNumPlanes * area], turned by map = Symmetries::map(s).
// `legal` is game.legal_mask(): callers have it anyway.
void encode(const Game& game, const uint8_t* legal, const Move* map, float* out);

}  // namespace go
