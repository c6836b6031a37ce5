// One game in flight: plays itself up to the next position that a net must evaluate.
//
// Every draw is keyed by (seed, game, move, visit, purpose), so a game depends on its own evaluations alone: not on
// its slot, its neighbours or the thread that walks it.
// A full search with noise starts afresh (it keeps only the root's evaluation), so that its policy target counts
// noised visits only. Cheap searches get no noise, may reuse the tree, and are no policy targets.
#pragma once
#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "config.h"
#include "features.h"
#include "game.h"
#include "record.h"
#include "tree.h"

namespace go {

// Sums that do not depend on the order in which games are walked.
struct Stats {
  int64_t games_finished = 0, moves = 0, evals = 0, visits = 0, terminal_visits = 0;
  int64_t full_searches = 0, cheap_searches = 0, reused_visits = 0;
  int64_t black_wins = 0, white_wins = 0, draws = 0, no_results = 0, cut_by_cap = 0;
  // Moves after the opening among the first size * size / 2 of a game, and the passes among them, by colour.
  int64_t early_moves[2] = {}, early_passes[2] = {};
  int64_t length_min = 0, length_max = 0;  // of finished games

  void add(const Stats& other);
};

// What one walker needs besides the slot; kept between slots so that a visit allocates nothing.
struct Scratch {
  Game game;
  Tree tree;
  std::vector<float> priors;
  std::vector<Move> moves;
};

// A net's answer for the leaf the slot waits for.
struct Evaluation {
  const float* logits = nullptr;  // [area + 1], still turned by the leaf's symmetry
  float value = 0.5f;             // expected result for the side to move
};

class Slot {
 public:
  enum class State : uint8_t { kIdle, kReady, kWaiting, kFinished };

  Slot() : game_(1) {}
  void start(const PoolConfig& config, int64_t game_id);
  State state() const { return state_; }
  int net() const { return net_; }  // while waiting
  void retire() { state_ = State::kIdle; }

  // Takes in the evaluation (if the slot was waiting) and walks until the next leaf or the end of the game.
  // planes[net]: where to write the leaf's planes if that net is asked.
  void advance(const Evaluation& evaluation, const int64_t* net_ids, float* const* planes, Scratch& scratch);

  std::string take_record() { return std::move(record_bytes_); }  // once finished
  int64_t game_id() const { return game_id_; }
  const Stats& stats() const { return stats_; }

 private:
  int player_index() const { return config_->match ? (game_.to_play() == Color::kBlack) == (game_id_ % 2 != 0) : 0; }
  const PlayerConfig& player() const { return config_->players[player_index()]; }
  Tree& tree() { return trees_[player_index()]; }
  uint64_t pair_id() const { return static_cast<uint64_t>(config_->match ? game_id_ / 2 : game_id_); }
  Rng rng(Purpose purpose, uint64_t visit = 0) const {
    return Rng(config_->seed, static_cast<uint64_t>(game_id_), static_cast<uint64_t>(game_.num_moves()), visit, purpose);
  }

  bool step(const int64_t* net_ids, float* const* planes, Scratch& scratch);
  bool opening_step(const int64_t* net_ids, float* const* planes, Scratch& scratch);
  bool request(const Game& leaf, int net, Rng rng, float* const* planes);
  void take_in(const Evaluation& evaluation, Scratch& scratch);
  bool pass_first_at_root();
  void begin_search();
  bool walk(float* const* planes, Scratch& scratch);
  void finish_search(const int64_t* net_ids, Scratch& scratch);
  int choose_root_move(const std::vector<uint32_t>& counts, double temperature) const;
  void play(Move move, int64_t net_id, MoveRecord record, Scratch& scratch);
  void end_game();

  const PoolConfig* config_ = nullptr;
  int64_t game_id_ = 0;
  State state_ = State::kIdle;
  Game game_;
  std::array<Tree, 2> trees_;
  GameRecord record_;
  std::string record_bytes_;
  Stats stats_;

  bool in_opening_ = false, searching_ = false, full_ = false, noise_pending_ = false, prune_pending_ = false;
  uint32_t visit_cap_ = 0;
  uint32_t evals_this_move_ = 0;

  // The leaf that waits for its evaluation.
  int net_ = 0;
  int leaf_symmetry_ = 0;
  float leaf_pass_value_ = -1;  // exact result, for the side to move, of a pass that ends the game; -1: it does not
  Tree* leaf_tree_ = nullptr;
  std::vector<uint32_t> path_;
  std::vector<uint8_t> legal_;  // [area + 1] at the leaf
};

}  // namespace go
