#include "score.h"

#include <vector>

#include "bits.h"

namespace go {

namespace {

template <int W>
int area_as_it_stands(const Board& board, int8_t* owner) {
  const Geometry& geo = board.geometry();
  const auto empty = Bits<W>::load(board.empty_bits());
  const auto black = Bits<W>::load(board.stone_bits(Color::kBlack)).flood(empty, geo);
  const auto white = Bits<W>::load(board.stone_bits(Color::kWhite)).flood(empty, geo);
  const auto black_only = black.without(white), white_only = white.without(black);
  if (owner) {
    for (int p = 0; p < geo.area; ++p) {
      owner[p] = static_cast<int8_t>((black_only.word[p >> 6] >> (p & 63) & 1) - (white_only.word[p >> 6] >> (p & 63) & 1));
    }
  }
  return black_only.count() - white_only.count();
}

// Benson's algorithm for one colour; writes `mark` for its pass-alive stones and territory.
class Benson {
 public:
  Benson(const Board& board, Color own, bool suicide) : board_(board), geo_(board.geometry()), own_(own), suicide_(suicide) {}

  void run(int8_t mark, int8_t* owner) {
    for (int p = 0; p < geo_.area; ++p) region_of_[p] = -1;
    for (int p = 0; p < geo_.area; ++p) {
      // Every region holds an empty point: the opponent's chains have liberties.
      if (board_.at(static_cast<Move>(p)) == Color::kEmpty && region_of_[p] < 0) trace(p);
      if (board_.at(static_cast<Move>(p)) == own_ && board_.chain_at(static_cast<Move>(p)) == p) heads_[num_heads_++] = p;
    }
    if (num_heads_ == 0) return;
    while (drop_one_round()) {
    }
    for (int i = 0; i < num_heads_; ++i) {
      for_each_stone(heads_[i], [&](int p) { owner[p] = mark; });
    }
    for (int r = 0; r < num_regions_; ++r) {
      if (regions_[r].internal > 1 || regions_[r].open) continue;
      for (int i = regions_[r].begin; i < regions_[r].end; ++i) owner[points_[i]] = mark;
    }
  }

 private:
  struct Region {
    int begin, end;     // in points_
    int internal;       // points without a neighbour of the own colour (counted up to 2)
    int num_vital;
    int vital[4];       // heads of the chains to which it is vital
    bool open;          // touches a chain that is not pass-alive
  };

  bool next_to_chain(int p, int head) const {
    for (const uint16_t q : geo_.neighbours[p]) {
      if (board_.at(static_cast<Move>(q)) == own_ && board_.chain_at(static_cast<Move>(q)) == head) return true;
    }
    return false;
  }

  template <class F>
  void for_each_stone(int head, F f) const {
    int p = head;
    do {
      f(p);
      p = board_.next_in_chain(static_cast<Move>(p));
    } while (p != head);
  }

  void trace(int start) {
    const int index = num_regions_++;
    Region& region = regions_[index];
    region.internal = region.num_vital = 0;
    region.open = false;
    region.begin = region.end = num_points_;
    for (const uint16_t q : geo_.neighbours[start]) {
      if (board_.at(static_cast<Move>(q)) != own_) continue;
      const int head = board_.chain_at(static_cast<Move>(q));
      bool seen = false;
      for (int i = 0; i < region.num_vital; ++i) seen |= region.vital[i] == head;
      if (!seen) region.vital[region.num_vital++] = head;
    }
    region_of_[start] = static_cast<int16_t>(index);
    points_[region.end++] = static_cast<uint16_t>(start);
    for (int i = region.begin; i < region.end; ++i) {
      const int p = points_[i];
      if (suicide_ || board_.at(static_cast<Move>(p)) == Color::kEmpty) {
        int kept = 0;
        for (int k = 0; k < region.num_vital; ++k) {
          if (next_to_chain(p, region.vital[k])) region.vital[kept++] = region.vital[k];
        }
        region.num_vital = kept;
      }
      bool internal = true;
      for (const uint16_t q : geo_.neighbours[p]) {
        const Color c = board_.at(static_cast<Move>(q));
        internal &= c != own_;
        if (c == Color::kEdge || c == own_ || region_of_[q] >= 0) continue;
        region_of_[q] = static_cast<int16_t>(index);
        points_[region.end++] = q;
      }
      region.internal += internal;
    }
    num_points_ = region.end;
  }

  // Drops the chains with fewer than two vital regions, and closes the regions they touch to the others.
  bool drop_one_round() {
    for (int i = 0; i < num_heads_; ++i) vital_count_[heads_[i]] = 0;
    for (int r = 0; r < num_regions_; ++r) {
      if (regions_[r].open) continue;
      for (int k = 0; k < regions_[r].num_vital; ++k) ++vital_count_[regions_[r].vital[k]];
    }
    int kept = 0;
    const int before = num_heads_;
    for (int i = 0; i < before; ++i) {
      const int head = heads_[i];
      if (vital_count_[head] >= 2) {
        heads_[kept++] = head;
        continue;
      }
      for_each_stone(head, [&](int p) {
        for (const uint16_t q : geo_.neighbours[p]) {
          const Color c = board_.at(static_cast<Move>(q));
          if (c != Color::kEdge && c != own_) regions_[region_of_[q]].open = true;
        }
      });
    }
    num_heads_ = kept;
    return kept != before;
  }

  const Board& board_;
  const Geometry& geo_;
  const Color own_;
  const bool suicide_;
  int num_regions_ = 0, num_points_ = 0, num_heads_ = 0;
  Region regions_[kMaxArea];
  uint16_t points_[kMaxArea];
  int16_t region_of_[kMaxArea];
  int heads_[kMaxArea];
  int vital_count_[kMaxArea];
};

}  // namespace

void pass_alive(const Board& board, bool suicide, int8_t* owner) {
  std::memset(owner, 0, board.area());
  Benson(board, Color::kBlack, suicide).run(1, owner);
  Benson(board, Color::kWhite, suicide).run(-1, owner);
}

int score_area(const Board& board, Dead dead, bool suicide, int8_t* owner) {
  if (dead == Dead::kAsIs) {
    return board.words() == 2 ? area_as_it_stands<2>(board, owner) : area_as_it_stands<kMaxWords>(board, owner);
  }
  int8_t own[kMaxArea], alive[kMaxArea];
  score_area(board, Dead::kAsIs, suicide, own);
  pass_alive(board, suicide, alive);
  int score = 0;
  for (int p = 0; p < board.area(); ++p) {
    if (alive[p]) own[p] = alive[p];
    score += own[p];
  }
  if (owner) std::memcpy(owner, own, board.area());
  return score;
}

uint64_t count_legal_positions(int size) {
  if (size < 1 || size > 4) throw Error("legal positions can be counted on sizes 1 to 4, not " + std::to_string(size));
  const int area = size * size;
  const uint32_t full = (1u << area) - 1;
  uint32_t left = 0, right = 0;  // first and last column
  for (int row = 0; row < size; ++row) {
    left |= 1u << (row * size);
    right |= 1u << (row * size + size - 1);
  }
  const auto near = [&](uint32_t set) {
    return (set << size | set >> size | (set & ~right) << 1 | (set & ~left) >> 1) & full;
  };
  uint64_t legal = 0;
  std::vector<uint8_t> alive(full + 1);
  for (uint32_t empty = 0; empty <= full; ++empty) {
    // alive[s]: in the stones s of one colour every chain reaches an empty point.
    const uint32_t occupied = full & ~empty, liberties = near(empty);
    for (uint32_t s = occupied;; s = (s - 1) & occupied) {
      uint32_t reached = s & liberties;
      for (uint32_t last = 0; reached != last;) {
        last = reached;
        reached |= near(reached) & s;
      }
      alive[s] = reached == s;
      if (s == 0) break;
    }
    for (uint32_t s = occupied;; s = (s - 1) & occupied) {
      legal += alive[s] & alive[occupied ^ s];
      if (s == 0) break;
    }
  }
  return legal;
}

}  // namespace go
