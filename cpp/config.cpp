// Range checks of a pool's configuration.
#include "config.h"

#include <algorithm>
#include <cmath>
#include <string>

namespace go {

namespace {

void require(bool good, const std::string& key, const char* what) {
  if (!good) throw Error(key + ": must be " + what);
}

bool within(double value, double low, double high) { return std::isfinite(value) && value >= low && value <= high; }

}  // namespace

void PoolConfig::check() const {
  require(size >= 1 && size <= kMaxSize, "size", "1 to 19");
  require(within(rules.komi, -kMaxKomi, kMaxKomi), "komi", "a number within +-361");
  require(games >= 1 && games <= 1'000'000'000'000, "games", "1 to 10^12");
  require(first_game >= 0 && first_game <= 1'000'000'000'000, "first_game", "0 to 10^12");
  require(slots >= 1 && slots <= 1'000'000, "slots", "1 to 1000000");
  require(groups >= 1 && groups <= slots, "groups", "1 to slots");
  require(threads >= 1 && threads <= 1024, "threads", "1 to 1024");
  require(move_cap >= 0 && move_cap <= 10'000, "move_cap", "1 to 10000, or None");
  require(within(komi_stdev, 0, 100), "komi_stdev", "0 to 100");
  require(opening_moves >= 0 && opening_moves <= size * size && opening_moves < cap(), "opening_moves",
          "0 to size * size and below move_cap");
  require(temperature_moves >= 0 && temperature_moves <= 1'000'000, "temperature_moves", "0 to 1000000");
  require(within(temperature, 0, 100), "temperature", "0 to 100");
  require(within(final_temperature, 0, 100), "final_temperature", "0 to 100");
  require(players.size() == (match ? 2u : 1u), "players", "a list of 1 (self-play) or 2 with match: true");
  require(!match || games % 2 == 0, "games", "even in a match: colours are swapped within pairs");
  require(!match || first_game % 2 == 0, "first_game", "even in a match: pairs are not cut");
  for (const PlayerConfig& p : players) {
    const std::string at = "players[" + std::to_string(&p - players.data()) + "].";
    require(p.net >= 0 && p.net < 64, at + "net", "0 to 63");
    // 10^7 nodes with all their moves still fit the arena's 32-bit indices.
    require(p.visits >= 1 && p.visits <= 10'000'000, at + "visits", "1 to 10^7");
    require(p.cheap_visits >= 0 && p.cheap_visits <= p.visits, at + "cheap_visits", "0 to visits");
    require(within(p.full_probability, 0, 1), at + "full_probability", "0 to 1");
    require(p.full_probability == 1 || p.cheap_visits >= 1, at + "cheap_visits",
            "at least 1 when full_probability is below 1");
    require(within(p.search.c_puct, 0, 100), at + "c_puct", "0 to 100");
    require(within(p.search.fpu_reduction, -10, 10), at + "fpu_reduction", "-10 to 10");
    require(within(p.search.root_fpu_reduction, -10, 10), at + "root_fpu_reduction", "-10 to 10");
    require(within(p.noise_weight, 0, 1), at + "noise_weight", "0 to 1");
    require(within(p.noise_total_alpha, 1e-3, 1e4), at + "noise_total_alpha", "0.001 to 10000");
  }
}

int PoolConfig::num_nets() const {
  int nets = 0;
  for (const PlayerConfig& p : players) {
    if (!p.random) nets = std::max(nets, p.net + 1);
  }
  return nets;
}

}  // namespace go
