#include "playout.h"

#ifdef __BMI2__
#include <immintrin.h>
#endif

#include "bits.h"
#include "score.h"

namespace go {

namespace {

// Index of the n-th set bit (from 0); n < popcount.
inline int select_bit(uint64_t word, int n) {
#ifdef __BMI2__
  return __builtin_ctzll(_pdep_u64(1ull << n, word));
#else
  while (n--) word &= word - 1;
  return __builtin_ctzll(word);
#endif
}

template <int W>
Move draw(const Game& game, Rng& rng) {
  const Board& board = game.board();
  const Geometry& geo = board.geometry();
  const Color color = game.to_play();
  auto rest = Bits<W>::load(board.empty_bits());
  // Few words: drop all own eyes at once, so that no draw is lost to them. Many words: look at the points drawn.
  constexpr bool kAtOnce = W <= 2;
  if (kAtOnce) {
    const auto eyes = rest & Bits<W>::load(board.stone_bits(color)).enclosed(geo);
    if (eyes.any()) rest = rest.without(eyes.without(Bits<W>::load(board.stone_bits(other(color))).on_diagonals(geo)));
  }
  int before[W + 1];  // points in the words before this one
  before[0] = 0;
  for (;;) {
    for (int w = 0; w < W; ++w) before[w + 1] = before[w] + __builtin_popcountll(rest.word[w]);
    if (before[W] == 0) return static_cast<Move>(game.area());
    const int n = static_cast<int>(rng.below(static_cast<uint32_t>(before[W])));
    int w = 0;  // counted, not searched: the branch could not be predicted
    for (int i = 1; i < W; ++i) w += n >= before[i];
    const int bit = select_bit(rest.word[w], n - before[w]);
    const Move m = static_cast<Move>(w * 64 + bit);
    if ((kAtOnce || !board.is_own_eye(m, color)) && game.is_legal_empty(m)) return m;
    rest.word[w] &= ~(1ull << bit);
  }
}

}  // namespace

Move random_move(const Game& game, Rng& rng) {
  return game.board().words() == 2 ? draw<2>(game, rng) : draw<kMaxWords>(game, rng);
}

PlayoutStats random_playouts(int size, const Rules& rules, int64_t count, uint64_t seed, int64_t first) {
  PlayoutStats stats;
  const Game empty(size, rules);
  Game game(size, rules);
  const int cap = 4 * size * size + 16;
  for (int64_t i = 0; i < count; ++i) {
    game = empty;
    Rng rng(seed, static_cast<uint64_t>(first + i));
    while (!game.is_over() && game.num_moves() < cap) game.play(random_move(game, rng));
    ++stats.playouts;
    stats.moves += game.num_moves();
    if (!game.is_over() || game.no_result()) {
      ++stats.cut;
      continue;
    }
    const double score = score_area(game.board(), Dead::kAsIs, rules.suicide) - static_cast<double>(rules.komi);
    stats.black_score += score;
    stats.black_wins += score > 0;
    stats.draws += score == 0;
  }
  return stats;
}

}  // namespace go
