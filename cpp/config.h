// What a pool is told: rules, games, players. Ranges are checked by check(), which names the offending key.
#pragma once
#include <cstdint>
#include <vector>

#include "game.h"
#include "record.h"
#include "tree.h"

namespace go {

struct PlayerConfig {
  bool random = false;          // else a net with search
  int net = 0;                  // evaluator index
  int visits = 100;             // full search: total root visits, reused ones included
  int cheap_visits = 0;         // 0: every search is full
  double full_probability = 1;  // of a full search; the others stop at cheap_visits
  SearchParams search;
  float noise_weight = 0;       // share of Dirichlet noise in the root priors of full searches
  float noise_total_alpha = 10.83f;  // concentration, spread evenly over the legal moves
  bool tree_reuse = true;
  // At the root, leave out moves inside pass-alive areas (Benson): by the scoring function they cannot gain.
  bool prune_pass_alive = true;
};

struct PoolConfig {
  int size = 9;
  Rules rules;
  int64_t games = 1;            // games this pool starts; ids first_game .. first_game + games - 1
  int64_t first_game = 0;
  int slots = 1;                // games in flight
  int groups = 2;
  int threads = 1;
  uint64_t seed = 0;
  int move_cap = 0;             // 0: 2 * size * size + 100 (small boards have long fights for their size)
  double komi_stdev = 0;        // komi + a rounded normal draw per game (or pair): its fraction stays
  int opening_moves = 0;
  bool opening_from_policy = false;
  int temperature_moves = 0;    // moves after the opening that are drawn at `temperature`
  double temperature = 1;
  double final_temperature = 0; // 0: most visits
  bool match = false;
  std::vector<PlayerConfig> players;

  // Throws Error naming the key whose value is out of range.
  void check() const;
  int num_nets() const;
  int cap() const { return move_cap > 0 ? move_cap : 2 * size * size + 100; }
};

}  // namespace go
