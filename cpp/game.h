// A game: the board plus what the rules need of the past (superko, passes, end of game).
//
// Conventions, all equal to those of KataGo's rules engine (tests/data/rules_oracle):
// - Suicide: with suicide off every suicide is illegal; with it on, only that of two stones or more is legal.
// - kPositional: the stones may not stand as they stood at any earlier time (the start included); a pass is exempt.
//   kSituational: the same of (stones, side to move); a pass enters the pair it leads to into the history.
//   Passes never clear the history of either. An immediate retake is reported as kKo, other repeats as kSuperko.
// - kSimple: only the immediate retake of a single stone is banned, and a pass lifts that ban. The third time
//   the same (stones, side to move) arises since the last pass, the game ends without result. A pass that leads to the
//   same (stones, side to move) as an earlier pass did ends the game, too (else passing cycles could go on for
//   ever), and a pass that answers a ko capture (a ban was in force) does not count as one of two passes in a row.
// - Otherwise two passes in a row end the game.
#pragma once
#include <cstdint>
#include <utility>
#include <vector>

#include "board.h"

namespace go {

enum class Ko : uint8_t { kPositional, kSituational, kSimple };

struct Rules {
  Ko ko = Ko::kPositional;
  bool suicide = false;  // multi-stone suicide; single-stone suicide is never legal
  float komi = 7.0f;     // added to White's score
};

// Why a move is refused.
enum class Illegal : uint8_t { kNone, kOccupied, kSuicide, kKo, kSuperko, kGameOver, kOffBoard };

class Game {
 public:
  explicit Game(int size = 9, Rules rules = {});
  // Copies reuse the destination's memory: cheap enough to run a search from a copy.

  int size() const { return board_.size(); }
  int area() const { return board_.area(); }  // size * size; also the Move that means "pass"
  const Rules& rules() const { return rules_; }
  const Board& board() const { return board_; }
  Color to_play() const { return to_play_; }
  int num_moves() const { return static_cast<int>(moves_.size()); }
  Move move_at(int i) const { return moves_[i]; }  // i-th move played (after set-up stones)
  // 0 = last move; kNoMove when there is none.
  Move recent_move(int back) const { return back < num_moves() ? moves_[moves_.size() - 1 - back] : kNoMove; }

  // kNone when legal.
  Illegal why_illegal(Move m) const;
  bool is_legal(Move m) const { return why_illegal(m) == Illegal::kNone; }
  // The same for an empty point of a game that is not over, without the reason: what random play asks.
  bool is_legal_empty(Move m) const {
    if (m == board_.ko_point()) return false;
    bool suicide = false;
    if (!board_.has_empty_neighbour(m) && board_.is_enclosed_suicide(m, to_play_)) {
      if (!rules_.suicide || board_.is_single_suicide(m, to_play_)) return false;
      suicide = true;
    }
    return rules_.ko == Ko::kSimple || !repeats(m, suicide);
  }
  void legal_mask(uint8_t* out) const;  // [area + 1], 1 = legal; pass is legal until the game is over

  void play(Move m);  // precondition: legal
  bool undo();        // false at the start; replays the game, so O(moves)

  bool is_over() const { return over_; }  // two passes in a row, or no result
  bool no_result() const { return no_result_; }  // simple ko only: a long cycle repeated the position
  // A pass now would end the game.
  bool pass_would_end() const;
  // Positional (stones only), or situational incl. side to move under Ko::kSituational.
  uint64_t hash() const { return rules_.ko == Ko::kSituational ? situation(board_.hash(), to_play_) : board_.hash(); }

  // Replaces the position by set-up stones before the first move. Throws Error on an occupied or off-board
  // point, on a chain without a liberty, or when moves have been played.
  void set_up(const std::vector<std::pair<Move, Color>>& stones, Color to_play);
  const std::vector<std::pair<Move, Color>>& setup() const { return setup_; }
  Color first_to_play() const { return first_to_play_; }

 private:
  static constexpr int kBloomWords = 16;

  static uint64_t situation(uint64_t stones, Color to_play) {
    return stones ^ (to_play == Color::kWhite ? kZobrist.white_to_move : 0);
  }
  // The hash whose repetition the ko rule looks at, for stones with `next` to move.
  uint64_t ko_hash(uint64_t stones, Color next) const {
    return rules_.ko == Ko::kPositional ? stones : situation(stones, next);
  }
  void remember(uint64_t hash) {
    seen_.push_back(hash);
    bloom_[hash >> 60] |= 1ull << (hash >> 54 & 63);
  }
  bool maybe_seen(uint64_t hash) const { return bloom_[hash >> 60] >> (hash >> 54 & 63) & 1; }
  // Would m, an empty point, make a position that the superko rule forbids?
  bool repeats(Move m, bool suicide) const {
    // With a stone of this colour at m the position can only be an old one if there was such a stone before.
    const uint64_t* ever = ever_[static_cast<int>(to_play_) - 1];
    return (suicide || (ever[m >> 6] >> (m & 63) & 1)) && was_seen_after(m);
  }
  bool was_seen_after(Move m) const;
  void restart();

  Board board_;
  Rules rules_;
  Color to_play_ = Color::kBlack;
  Color first_to_play_ = Color::kBlack;
  bool over_ = false, no_result_ = false;
  int passes_ = 0;  // in a row, as far as they count
  std::vector<Move> moves_;
  std::vector<uint64_t> seen_;         // ko hashes of every position so far, the start included
  size_t seen_since_ = 0;              // simple ko: where the positions since the last pass begin
  std::vector<uint64_t> after_pass_;   // simple ko: situations that a pass led to
  uint64_t bloom_[kBloomWords] = {};   // of seen_: a clear bit says "new"
  uint64_t ever_[2][kMaxWords] = {};   // points at which a colour has ever had a stone
  std::vector<std::pair<Move, Color>> setup_;
};

}  // namespace go
