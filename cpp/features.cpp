// Writes the input planes; their order is stated in features.h.
#include "features.h"

#include <algorithm>
#include <bit>

namespace go {

Symmetries::Symmetries(int size) {
  for (int s = 0; s < 8; ++s) {
    std::vector<Move>& map = maps_[s];
    map.resize(size * size + 1);
    for (int row = 0; row < size; ++row) {
      for (int col = 0; col < size; ++col) {
        int to_row = s & 4 ? col : row;
        int to_col = s & 4 ? row : col;
        if (s & 1) to_row = size - 1 - to_row;
        if (s & 2) to_col = size - 1 - to_col;
        map[row * size + col] = static_cast<Move>(to_row * size + to_col);
      }
    }
    map[size * size] = static_cast<Move>(size * size);
  }
}

const Symmetries& Symmetries::of(int size) {
  static const std::vector<Symmetries> tables = [] {
    std::vector<Symmetries> all;
    for (int s = 1; s <= kMaxSize; ++s) all.emplace_back(s);
    return all;
  }();
  if (size < 1 || size > kMaxSize) throw Error("size must be between 1 and 19");
  return tables[size - 1];
}

void encode(const Game& game, const uint8_t* legal, const Move* map, float* out) {
  const int area = game.area();
  const Board& board = game.board();
  const Color me = game.to_play();
  std::fill(out, out + area, 1.0f);
  std::fill(out + area, out + kNumPlanes * area, 0.0f);
  for (int word = 0; word < board.words(); ++word) {
    for (const Color side : {me, other(me)}) {
      for (uint64_t left = board.stone_bits(side)[word]; left != 0; left &= left - 1) {
        const Move p = static_cast<Move>(word * 64 + std::countr_zero(left));
        float* at = out + map[p];
        at[(side == me ? 1 : 2) * area] = 1.0f;
        const int liberties = board.liberties_at(p);
        if (liberties <= 3) at[(2 + liberties) * area] = 1.0f;
      }
    }
    for (uint64_t left = board.empty_bits()[word]; left != 0; left &= left - 1) {
      const Move p = static_cast<Move>(word * 64 + std::countr_zero(left));
      if (legal[p]) continue;
      const Illegal why = game.why_illegal(p);
      if (why == Illegal::kKo || why == Illegal::kSuperko) out[6 * area + map[p]] = 1.0f;
    }
  }
  for (int back = 0; back < kNumRecentMoves; ++back) {
    const Move move = game.recent_move(back);
    if (move != kNoMove && move < area) out[(7 + back) * area + map[move]] = 1.0f;
  }
  const auto constant = [&](int plane, float value) { std::fill_n(out + plane * area, area, value); };
  if (game.pass_would_end()) constant(12, 1.0f);
  const float komi = game.rules().komi / kKomiScale;
  constant(13, me == Color::kWhite ? komi : -komi);
  if (game.rules().ko == Ko::kSimple) constant(14, 1.0f);
  if (game.rules().ko == Ko::kSituational) constant(15, 1.0f);
  if (game.rules().suicide) constant(16, 1.0f);
}

}  // namespace go
