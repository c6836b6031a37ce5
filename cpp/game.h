// A game: the board plus what the rules need of the past (superko, passes, end of game).
// PUBLIC SURFACE (contract between rules, search and bindings); internals are the implementer's.
#pragma once
#include <cstdint>
#include <stdexcept>
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

  int size() const;
  int area() const;  // size * size; also the Move that means "pass"
  const Rules& rules() const;
  const Board& board() const;
  Color to_play() const;
  int num_moves() const;
  Move move_at(int i) const;          // i-th move played (after set-up stones)
  Move recent_move(int back) const;   // 0 = last move; kNoMove when there is none
  Illegal why_illegal(Move) const;    // kNone when legal
  bool is_legal(Move m) const { return why_illegal(m) == Illegal::kNone; }
  void legal_mask(uint8_t* out) const;  // [area + 1], 1 = legal; pass is legal until the game is over
  void play(Move);                      // precondition: legal
  bool undo();                          // false at the start
  bool is_over() const;                 // two passes in a row, or no result
  bool no_result() const;               // simple ko only: a long cycle repeated the position
  uint64_t hash() const;                // positional (stones only), or situational incl. side to move under Ko::kSituational
};

}  // namespace go
