// Who owns what: area as it stands, Benson's pass-alive map, and area with pass-dead stones removed.
// score_area(…, Dead::kPassDeadRemoved) is THE scoring function: tree terminals, value targets, matches and notes.
#pragma once
#include <cstdint>

#include "board.h"

namespace go {

enum class Dead : uint8_t {
  kAsIs,             // every stone on the board counts (Tromp-Taylor)
  kPassDeadRemoved,  // stones inside the opponent's pass-alive territory count as captured
};

// owner [area]: +1 black, -1 white, 0 neither (a region touching both colours, or the empty board).
// Returns black minus white, without komi. `suicide`: the rules allow multi-stone suicide (Benson depends on it).
int score_area(const Board& board, Dead dead, bool suicide, int8_t* owner = nullptr);

// owner [area]: +1 / -1 for pass-alive stones and the territory they enclose in which the opponent cannot live, else 0.
// A region is vital to a chain if each of its empty points is a liberty of that chain; under
// multi-stone suicide each of its points must be next to that chain. Territory: at most one of the region's points
// has no neighbour of the enclosing colour.
void pass_alive(const Board& board, bool suicide, int8_t* owner);

// Number of legal positions (every chain has a liberty) on size x size, size 1 to 4 (5x5 has 4e11).
uint64_t count_legal_positions(int size);

}  // namespace go
