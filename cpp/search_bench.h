// How fast the search runs when the net costs nothing: self-play with a constant evaluator.
#pragma once
#include <cstdint>

namespace go {

struct SearchBench {
  int64_t visits = 0, evals = 0, moves = 0, games = 0;
  double seconds = 0;
};

// Plays `games` whole games with tree reuse at `visits` a move. Every leaf's features are encoded and gathered into
// a batch; the answer is a flat policy and 0.5.
SearchBench search_benchmark(int size, int threads, int slots, int visits, int64_t games, uint64_t seed);

}  // namespace go
