// Uniformly random play: the "random player" that others use, and whole playouts for benchmarks.
#pragma once
#include <cstdint>

#include "game.h"
#include "rng.h"

namespace go {

// A uniformly random legal move that does not fill an own one-point eye; a pass when there is none.
// Draws points without replacement, so it is exact. Precondition: the game is not over.
Move random_move(const Game& game, Rng& rng);

struct PlayoutStats {
  int64_t playouts = 0;
  int64_t moves = 0;  // passes included
  int64_t black_wins = 0, draws = 0;
  int64_t cut = 0;          // stopped by the move cap (simple ko can cycle for ever) or ended without result
  double black_score = 0;   // sum of black minus white minus komi, area as it stands
};

// Plays `count` random games from the empty board; the i-th is keyed by (seed, first + i).
PlayoutStats random_playouts(int size, const Rules& rules, int64_t count, uint64_t seed, int64_t first = 0);

}  // namespace go
