// The state machine of one game in flight.
#include "slot.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "draws.h"
#include "playout.h"
#include "score.h"
#include "softmax.h"

namespace go {

namespace {

constexpr float kNone = std::numeric_limits<float>::quiet_NaN();
constexpr uint64_t kPairKey = uint64_t{1} << 63;  // keys of a pair never meet those of a game

// Black's result of a finished game: 1, 0.5 or 0.
double black_result(const Game& game) {
  if (game.no_result()) return 0.5;
  const float score = static_cast<float>(score_area(game.board(), Dead::kPassDeadRemoved, game.rules().suicide)) -
                      game.rules().komi;
  return score > 0 ? 1.0 : score < 0 ? 0.0 : 0.5;
}

// What a pass is worth to the side to move if it ends the game; -1 if it does not.
float ending_pass_value(const Game& game) {
  if (!game.pass_would_end()) return -1;
  const double black = black_result(game);
  return static_cast<float>(game.to_play() == Color::kBlack ? black : 1.0 - black);
}

}  // namespace

void Stats::add(const Stats& o) {
  const bool none_yet = games_finished == 0;
  if (o.games_finished > 0) {
    length_min = none_yet ? o.length_min : std::min(length_min, o.length_min);
    length_max = std::max(length_max, o.length_max);
  }
  games_finished += o.games_finished;
  moves += o.moves;
  evals += o.evals;
  visits += o.visits;
  terminal_visits += o.terminal_visits;
  full_searches += o.full_searches;
  cheap_searches += o.cheap_searches;
  reused_visits += o.reused_visits;
  black_wins += o.black_wins;
  white_wins += o.white_wins;
  draws += o.draws;
  no_results += o.no_results;
  cut_by_cap += o.cut_by_cap;
  for (int colour = 0; colour < 2; ++colour) {
    early_moves[colour] += o.early_moves[colour];
    early_passes[colour] += o.early_passes[colour];
  }
}

void Slot::start(const PoolConfig& config, int64_t game_id) {
  config_ = &config;
  game_id_ = game_id;
  Rules rules = config.rules;
  if (config.komi_stdev > 0) {
    Rng rng(config.seed, pair_id() | kPairKey, 0, 0, Purpose::kKomi);
    const float drawn = rules.komi + static_cast<float>(std::round(config.komi_stdev * draw_normal(rng)));
    rules.komi = std::clamp(drawn, -kMaxKomi, kMaxKomi);
  }
  game_ = Game(config.size, rules);
  for (Tree& tree : trees_) tree.clear();
  record_.clear();
  record_.size = config.size;
  record_.rules = rules;
  record_.game_id = static_cast<uint64_t>(game_id);
  record_.seed = config.seed;
  record_.black_player = config.match ? static_cast<int>(game_id % 2) : 0;
  record_.white_player = config.match ? 1 - record_.black_player : 0;
  record_.opening_moves = 0;
  in_opening_ = config.opening_moves > 0;
  searching_ = false;
  evals_this_move_ = 0;
  legal_.resize(game_.area() + 1);
  state_ = State::kReady;
}

void Slot::advance(const Evaluation& evaluation, const int64_t* net_ids, float* const* planes, Scratch& scratch) {
  if (state_ == State::kWaiting) {
    take_in(evaluation, scratch);
    state_ = State::kReady;
  }
  while (state_ == State::kReady && step(net_ids, planes, scratch)) {
  }
}

bool Slot::step(const int64_t* net_ids, float* const* planes, Scratch& scratch) {
  if (in_opening_) return opening_step(net_ids, planes, scratch);
  const PlayerConfig& mover = player();
  if (mover.random) {
    Rng draws = rng(Purpose::kMoveChoice);
    MoveRecord record;
    record.root_value = kNone;
    play(random_move(game_, draws), -1, record, scratch);
    return state_ == State::kReady;
  }
  if (!searching_) begin_search();
  if (!tree().has_root()) {
    path_.assign(1, Tree::kRoot);
    leaf_tree_ = &tree();
    return request(game_, mover.net, rng(Purpose::kSymmetry, evals_this_move_), planes);
  }
  if (prune_pending_) {
    prune_pending_ = false;
    int8_t owner[kMaxArea];
    uint8_t banned[kMaxArea + 1] = {};
    pass_alive(game_.board(), game_.rules().suicide, owner);
    bool any = false;
    for (int p = 0; p < game_.area(); ++p) any |= banned[p] = owner[p] != 0;
    if (any) tree().ban_root_moves(banned, static_cast<Move>(game_.area()), pass_first_at_root());
  }
  if (noise_pending_) {
    noise_pending_ = false;
    tree().add_noise(mover.noise_weight, mover.noise_total_alpha, static_cast<Move>(game_.area()),
                     pass_first_at_root(), rng(Purpose::kRootNoise));
  }
  if (tree().root_visits() < visit_cap_) return walk(planes, scratch);
  finish_search(net_ids, scratch);
  return state_ == State::kReady;
}

bool Slot::opening_step(const int64_t* net_ids, float* const* planes, Scratch& scratch) {
  const int done = game_.num_moves();
  if (done >= config_->opening_moves) {
    in_opening_ = false;
    return true;
  }
  // Both games of a pair ask the same net in the same orientation, so that they draw the same moves.
  const PlayerConfig* guide = nullptr;
  if (config_->opening_from_policy) {
    for (const PlayerConfig& p : config_->players) {
      if (!p.random && guide == nullptr) guide = &p;
    }
  }
  const uint64_t move_key = static_cast<uint64_t>(done);
  Rng draws(config_->seed, pair_id() | kPairKey, move_key, 0, Purpose::kOpening);
  const Move pass = static_cast<Move>(game_.area());
  Move move = pass;
  int64_t net_id = -1;
  if (guide == nullptr) {
    move = random_move(game_, draws);
  } else {
    leaf_tree_ = &trees_[0];
    if (!leaf_tree_->has_root()) {
      path_.assign(1, Tree::kRoot);
      return request(game_, guide->net, Rng(config_->seed, pair_id() | kPairKey, move_key, 0, Purpose::kSymmetry), planes);
    }
    net_id = net_ids[guide->net];
    const Edge* edges = leaf_tree_->root_edges();
    const int count = leaf_tree_->root().num_edges;
    double left = 0;
    for (int i = 0; i < count; ++i) left += edges[i].move() == pass ? 0.0 : edges[i].prior();
    left *= draws.uniform();
    for (int i = 0; i < count; ++i) {
      if (edges[i].move() == pass) continue;
      move = edges[i].move();
      left -= edges[i].prior();
      if (left < 0) break;
    }
  }
  if (move == pass) {  // nothing to play: the opening ends here
    trees_[0].clear();
    in_opening_ = false;
    return true;
  }
  record_.opening_moves = done + 1;
  MoveRecord record;
  record.root_value = kNone;
  play(move, net_id, record, scratch);
  trees_[0].clear();
  return state_ == State::kReady;
}

bool Slot::request(const Game& leaf, int net, Rng symmetry, float* const* planes) {
  net_ = net;
  leaf_symmetry_ = static_cast<int>(symmetry.below(8));
  leaf_pass_value_ = ending_pass_value(leaf);
  leaf.legal_mask(legal_.data());
  encode(leaf, legal_.data(), Symmetries::of(leaf.size()).map(leaf_symmetry_), planes[net]);
  ++evals_this_move_;
  ++stats_.evals;
  state_ = State::kWaiting;
  return false;
}

void Slot::take_in(const Evaluation& evaluation, Scratch& scratch) {
  const int actions = game_.area() + 1;
  const Move* map = Symmetries::of(game_.size()).map(leaf_symmetry_);
  scratch.priors.resize(actions);
  scratch.moves.resize(actions);
  int count = 0;
  for (int p = 0; p < actions; ++p) {
    scratch.priors[count] = evaluation.logits[map[p]];
    scratch.moves[count] = static_cast<Move>(p);
    count += legal_[p];
  }
  softmax(scratch.priors.data(), count);
  leaf_tree_->expand(path_.back(), scratch.priors.data(), scratch.moves.data(), count,
                     static_cast<Move>(actions - 1), leaf_pass_value_ > evaluation.value);
  leaf_tree_->back_up(path_, 1.0 - static_cast<double>(evaluation.value));
  ++stats_.visits;
}

bool Slot::pass_first_at_root() {
  return ending_pass_value(game_) > tree().root_value();
}

void Slot::begin_search() {
  const PlayerConfig& mover = player();
  searching_ = true;
  full_ = mover.full_probability >= 1.0 || rng(Purpose::kCapCoin).uniform() < mover.full_probability;
  visit_cap_ = static_cast<uint32_t>(full_ ? mover.visits : mover.cheap_visits);
  noise_pending_ = full_ && mover.noise_weight > 0;
  prune_pending_ = mover.prune_pass_alive;
  evals_this_move_ = 0;
  ++(full_ ? stats_.full_searches : stats_.cheap_searches);
  if (tree().has_root() && noise_pending_) tree().reset_root(static_cast<Move>(game_.area()), pass_first_at_root());
  stats_.reused_visits += tree().root_visits();
}

bool Slot::walk(float* const* planes, Scratch& scratch) {
  Tree& search = tree();
  const PlayerConfig& mover = player();
  Game& game = scratch.game;
  game = game_;
  path_.assign(1, Tree::kRoot);
  uint32_t at = Tree::kRoot;
  for (;;) {
    at = search.select(at, mover.search);
    path_.push_back(at);
    const Node& node = search.node(at);
    if (node.terminal) {
      search.back_up(path_, node.mean());
      break;
    }
    const Color side = game.to_play();
    game.play(node.move);
    if (node.expanded) continue;
    if (!game.is_over()) {
      leaf_tree_ = &search;
      return request(game, mover.net, rng(Purpose::kSymmetry, evals_this_move_), planes);
    }
    const double black = black_result(game);
    search.set_terminal(at);
    search.back_up(path_, side == Color::kBlack ? black : 1.0 - black);
    break;
  }
  ++stats_.visits;
  ++stats_.terminal_visits;
  return true;
}

int Slot::choose_root_move(const std::vector<uint32_t>& counts, double temperature) const {
  const uint32_t top = *std::max_element(counts.begin(), counts.end());
  const int actions = static_cast<int>(counts.size());
  if (temperature <= 0) {
    int ties = 0;
    for (const uint32_t n : counts) ties += n == top;
    int chosen = static_cast<int>(rng(Purpose::kTieBreak).below(static_cast<uint32_t>(ties)));
    for (int move = 0; move < actions; ++move) {
      if (counts[move] == top && chosen-- == 0) return move;
    }
  }
  std::vector<double> weights(counts.size());
  double left = 0;
  for (int move = 0; move < actions; ++move) {
    if (counts[move] > 0) weights[move] = std::pow(static_cast<double>(counts[move]) / top, 1.0 / temperature);
    left += weights[move];
  }
  left *= rng(Purpose::kMoveChoice).uniform();
  int chosen = 0;
  for (int move = 0; move < actions; ++move) {
    if (counts[move] == 0) continue;
    chosen = move;
    left -= weights[move];
    if (left < 0) break;
  }
  return chosen;
}

void Slot::finish_search(const int64_t* net_ids, Scratch& scratch) {
  const Tree& search = tree();
  const PlayerConfig& mover = player();
  std::vector<uint32_t> counts(game_.area() + 1, 0);
  uint32_t top = 0;
  for (uint32_t i = search.root().first_child; i != 0; i = search.node(i).next_sibling) {
    counts[search.node(i).move] = search.node(i).visits;
    top = std::max(top, search.node(i).visits);
  }
  MoveRecord record;
  record.full = full_;
  record.visit_cap = visit_cap_;
  record.root_visits = search.root_visits();
  record.root_value = static_cast<float>(std::clamp(search.root_value(), 0.0, 1.0));
  if (top == 0) {  // one visit: play by the raw policy
    for (int i = 0; i < search.root().num_edges; ++i) {
      counts[search.root_edges()[i].move()] = 1 + static_cast<uint32_t>(search.root_edges()[i].prior() * 1e6f);
    }
  } else if (full_) {
    record.kind = PolicyKind::kVisits;
    record.policy_begin = static_cast<uint32_t>(record_.policy.size());
    for (size_t move = 0; move < counts.size(); ++move) {
      const uint64_t n = counts[move];
      const uint64_t weight = top > 65535 ? n * 65535 / top : n;
      if (weight > 0) record_.policy.push_back({static_cast<uint16_t>(move), static_cast<uint16_t>(weight)});
    }
    record.policy_count = static_cast<uint16_t>(record_.policy.size() - record.policy_begin);
  }
  const bool early = game_.num_moves() < record_.opening_moves + config_->temperature_moves;
  const int move = choose_root_move(counts, early ? config_->temperature : config_->final_temperature);
  play(static_cast<Move>(move), net_ids[mover.net], record, scratch);
}

void Slot::play(Move move, int64_t net_id, MoveRecord record, Scratch& scratch) {
  const int colour = game_.to_play() == Color::kBlack ? 0 : 1;
  if (!in_opening_ && game_.num_moves() < config_->size * config_->size / 2) {
    ++stats_.early_moves[colour];
    stats_.early_passes[colour] += move == game_.area();
  }
  record.move = move;
  record_.add_net(net_id);
  record_.moves.push_back(record);
  for (size_t i = 0; i < config_->players.size(); ++i) {
    if (config_->players[i].tree_reuse) {
      trees_[i].reroot(move, scratch.tree);
    } else {
      trees_[i].clear();
    }
  }
  game_.play(move);
  ++stats_.moves;
  searching_ = false;
  evals_this_move_ = 0;
  if (game_.is_over() || game_.num_moves() >= config_->cap()) end_game();
}

void Slot::end_game() {
  record_.finished = game_.no_result() ? Finished::kNoResult : game_.is_over() ? Finished::kTwoPasses : Finished::kMoveCap;
  record_.settled = record_.finished == Finished::kTwoPasses;
  record_.ownership.resize(game_.area());
  const int area = score_area(game_.board(), Dead::kPassDeadRemoved, game_.rules().suicide, record_.ownership.data());
  record_.score = static_cast<float>(area) - game_.rules().komi;
  record_.result_half = static_cast<uint8_t>(2 * black_result(game_));
  record_.hash = game_.hash();
  record_bytes_ = encode_record(record_);
  const int64_t length = game_.num_moves();
  stats_.length_min = stats_.games_finished == 0 ? length : std::min(stats_.length_min, length);
  stats_.length_max = std::max(stats_.length_max, length);
  ++stats_.games_finished;
  stats_.no_results += record_.finished == Finished::kNoResult;
  stats_.cut_by_cap += record_.finished == Finished::kMoveCap;
  if (record_.settled) {
    stats_.black_wins += record_.result_half == 2;
    stats_.white_wins += record_.result_half == 0;
    stats_.draws += record_.result_half == 1;
  }
  state_ = State::kFinished;
}

}  // namespace go
