#include "game.h"

#include <algorithm>

namespace go {

Game::Game(int size, Rules rules) : board_(size), rules_(rules) { restart(); }

void Game::restart() {
  board_ = Board(board_.size());
  std::fill(&ever_[0][0], &ever_[0][0] + 2 * kMaxWords, 0);
  std::fill(bloom_, bloom_ + kBloomWords, 0);
  for (const auto& [point, color] : setup_) {
    board_.set_up(point, color);
    ever_[static_cast<int>(color) - 1][point >> 6] |= 1ull << (point & 63);
  }
  to_play_ = first_to_play_;
  over_ = no_result_ = false;
  passes_ = 0;
  moves_.clear();
  seen_.clear();
  seen_since_ = 0;
  after_pass_.clear();
  remember(ko_hash(board_.hash(), to_play_));
}

void Game::set_up(const std::vector<std::pair<Move, Color>>& stones, Color to_play) {
  if (!moves_.empty()) throw Error("set-up stones must come before the first move");
  Board trial(board_.size());
  for (const auto& [point, color] : stones) {
    const std::string name = "set-up stone at point " + std::to_string(point);
    if (point < 0 || point >= area()) throw Error(name + " is off the board");
    if (trial.at(point) != Color::kEmpty) throw Error(name + ": the point is occupied");
    if (trial.num_captured_by(point, color) || trial.is_suicide(point, color)) {
      throw Error(name + " leaves a chain without a liberty");
    }
    trial.set_up(point, color);
  }
  setup_ = stones;
  first_to_play_ = to_play;
  restart();
}

bool Game::was_seen_after(Move m) const {
  const uint64_t hash = ko_hash(board_.hash_after(m, to_play_), other(to_play_));
  return maybe_seen(hash) && std::find(seen_.begin(), seen_.end(), hash) != seen_.end();
}

Illegal Game::why_illegal(Move m) const {
  if (m < 0 || m > area()) return Illegal::kOffBoard;
  if (over_) return Illegal::kGameOver;
  if (m == area()) return Illegal::kNone;
  if (board_.at(m) != Color::kEmpty) return Illegal::kOccupied;
  if (m == board_.ko_point()) return Illegal::kKo;
  const bool suicide = board_.is_suicide(m, to_play_);
  if (suicide && (!rules_.suicide || board_.is_single_suicide(m, to_play_))) return Illegal::kSuicide;
  if (rules_.ko != Ko::kSimple && repeats(m, suicide)) return Illegal::kSuperko;
  return Illegal::kNone;
}

void Game::legal_mask(uint8_t* out) const {
  const int n = area();
  std::fill(out, out + n + 1, 0);
  if (over_) return;
  out[n] = 1;
  for (int w = 0; w < board_.words(); ++w) {
    for (uint64_t rest = board_.empty_bits()[w]; rest; rest &= rest - 1) {
      const Move m = static_cast<Move>(w * 64 + __builtin_ctzll(rest));
      out[m] = is_legal_empty(m);
    }
  }
}

bool Game::pass_would_end() const {
  if (over_) return false;
  if (rules_.ko != Ko::kSimple) return passes_ >= 1;
  if (passes_ >= 1 && board_.ko_point() == kNoMove) return true;
  const uint64_t hash = situation(board_.hash(), other(to_play_));
  return std::find(after_pass_.begin(), after_pass_.end(), hash) != after_pass_.end();
}

void Game::play(Move m) {
  const Color color = to_play_, next = other(color);
  const bool simple = rules_.ko == Ko::kSimple;
  moves_.push_back(m);
  to_play_ = next;
  if (m == area()) {
    to_play_ = color;
    over_ = pass_would_end();
    to_play_ = next;
    passes_ = simple && board_.ko_point() != kNoMove ? 0 : passes_ + 1;
    board_.pass();
    const uint64_t hash = ko_hash(board_.hash(), next);
    if (simple) {
      seen_since_ = seen_.size();
      after_pass_.push_back(hash);
    }
    remember(hash);
    return;
  }
  passes_ = 0;
  uint64_t& ever = ever_[static_cast<int>(color) - 1][m >> 6];
  const uint64_t bit = 1ull << (m & 63);
  const bool old = ever & bit;
  ever |= bit;
  board_.play(m, color);
  const uint64_t hash = ko_hash(board_.hash(), next);
  // The third time since the last pass. A cycle returns to points played before, or contains a suicide.
  if (simple && (old || board_.at(m) == Color::kEmpty) && maybe_seen(hash) &&
      std::count(seen_.begin() + static_cast<std::ptrdiff_t>(seen_since_), seen_.end(), hash) >= 2) {
    over_ = no_result_ = true;
  }
  remember(hash);
}

bool Game::undo() {
  if (moves_.empty()) return false;
  std::vector<Move> moves(moves_.begin(), moves_.end() - 1);
  restart();
  for (const Move m : moves) play(m);
  return true;
}

}  // namespace go
