// Drives a pool with a constant evaluator.
#include "search_bench.h"

#include <chrono>
#include <vector>

#include "pool.h"

namespace go {

SearchBench search_benchmark(int size, int threads, int slots, int visits, int64_t games, uint64_t seed) {
  PoolConfig config;
  config.size = size;
  config.threads = threads;
  config.slots = slots;
  config.groups = 1;
  config.games = games;
  config.seed = seed;
  config.players.resize(1);
  config.players[0].visits = visits;
  Pool pool(config);
  const std::vector<float> logits(static_cast<size_t>(slots) * (size * size + 1), 0.0f);
  const std::vector<float> values(slots, 0.5f);
  const auto start = std::chrono::steady_clock::now();
  for (;;) {
    const int rows = pool.collect(0)[0];
    if (rows == 0) break;
    pool.supply(0, 0, logits.data(), values.data(), rows);
    pool.take_records();
  }
  SearchBench result;
  result.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  const PoolStats stats = pool.stats();
  result.visits = stats.visits;
  result.evals = stats.evals;
  result.moves = stats.moves;
  result.games = stats.games_finished;
  return result;
}

}  // namespace go
