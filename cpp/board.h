// Stones, chains, liberties, captures, simple ko and the Zobrist hash; sizes 1..19.
//
// Points are row-major from the top left; nothing is padded. Off-board neighbours point at one extra
// cell (index area) whose colour is kEdge, so that loops over neighbours need no bounds test.
// Each chain keeps the SET of its liberties as bits: joining chains is an OR, losing a liberty is one
// AND, and the exact count is always there (features and Benson read it for nothing).
// A set takes words() 64-bit words: 2 up to 11x11, 6 above; copies move only what the size uses.
#pragma once
#include <cstdint>
#include <cstring>
#include <stdexcept>
#include <string>

#include "rng.h"

namespace go {

constexpr int kMaxSize = 19;
constexpr int kMaxArea = kMaxSize * kMaxSize;
constexpr int kMaxWords = (kMaxArea + 63) / 64;

// Row-major from the top left: 0 .. size*size-1; size*size is a pass.
using Move = int16_t;
constexpr Move kNoMove = -1;

enum class Color : uint8_t { kEmpty = 0, kBlack = 1, kWhite = 2, kEdge = 3 };
inline Color other(Color c) { return static_cast<Color>(3 - static_cast<uint8_t>(c)); }

// The one exception that leaves the core.
struct Error : std::runtime_error {
  using std::runtime_error::runtime_error;
};

// What depends on the size alone; made once per size and shared by all boards and threads.
struct Geometry {
  int size, area, words;
  uint16_t neighbours[kMaxArea][4];  // off-board: area
  uint16_t diagonals[kMaxArea][4];   // off-board: area
  uint8_t num_neighbours[kMaxArea];
  uint64_t neighbour_bits[kMaxArea * kMaxWords];  // [area, words]
  uint64_t full[kMaxWords];                       // every point
  uint64_t first_column[kMaxWords], last_column[kMaxWords], first_row[kMaxWords], last_row[kMaxWords];
  uint64_t border[kMaxWords];

  static const Geometry& of(int size);  // throws Error unless 1 <= size <= 19
};

// Zobrist keys; the same on every machine.
struct Zobrist {
  uint64_t stone[kMaxArea][2];  // [point, 0 = black | 1 = white]
  uint64_t white_to_move;
  uint64_t size[kMaxSize + 1];  // the hash of the empty board of a size

  constexpr Zobrist() : stone(), white_to_move(), size() {
    uint64_t n = 0x676f6c6162ull;  // any constant; changing it changes every stored hash
    for (auto& point : stone) {
      for (uint64_t& key : point) key = mix64(++n);
    }
    white_to_move = mix64(++n);
    for (uint64_t& key : size) key = mix64(++n);
  }
};
inline constexpr Zobrist kZobrist{};

class Board {
 public:
  explicit Board(int size = 9);
  Board(const Board& b) { copy(b); }
  Board& operator=(const Board& b) {
    if (this != &b) copy(b);
    return *this;
  }

  // --- Reading (each O(1)) ---
  int size() const { return geo_->size; }
  int area() const { return geo_->area; }
  int words() const { return geo_->words; }
  const Geometry& geometry() const { return *geo_; }
  Color at(Move p) const { return static_cast<Color>(color_[p]); }  // p may be area: kEdge
  // Exact number of liberties of the chain at p; 0 for an empty point.
  int liberties_at(Move p) const { return at_stone(p) ? num_liberties_[head_[p]] : 0; }
  int chain_size_at(Move p) const { return at_stone(p) ? num_stones_[head_[p]] : 0; }
  // One fixed member of the chain at p (its identity until the next move); p must hold a stone.
  Move chain_at(Move p) const { return static_cast<Move>(head_[p]); }
  // The members of a chain form a ring.
  Move next_in_chain(Move p) const { return static_cast<Move>(next_[p]); }
  // Bit sets of words() words.
  const uint64_t* liberty_bits_at(Move p) const { return liberties_ + head_[p] * words(); }
  const uint64_t* empty_bits() const { return bits_[0]; }
  const uint64_t* stone_bits(Color c) const { return bits_[static_cast<int>(c)]; }
  // The point at which the last move's capture of one stone may not be retaken at once, or kNoMove.
  Move ko_point() const { return ko_; }
  uint64_t hash() const { return hash_; }  // stones (and size) only

  // --- Asking about a move (empty p; no look at ko) ---
  bool has_empty_neighbour(Move p) const {
    const uint16_t* around = geo_->neighbours[p];
    return !color_[around[0]] | !color_[around[1]] | !color_[around[2]] | !color_[around[3]];
  }
  // The move would leave its own chain without a liberty and captures nothing.
  bool is_suicide(Move p, Color c) const { return !has_empty_neighbour(p) && is_enclosed_suicide(p, c); }
  // The same for a point known to have no empty neighbour.
  bool is_enclosed_suicide(Move p, Color c) const {
    const uint8_t own = static_cast<uint8_t>(c), enemy = 3 - own;
    bool lives = false;
    for (const uint16_t q : geo_->neighbours[p]) {
      const int liberties = num_liberties_[head_[q]];
      lives |= (color_[q] == own) & (liberties > 1);
      lives |= (color_[q] == enemy) & (liberties == 1);
    }
    return !lives;
  }
  // A suicide that removes exactly the stone played (never legal).
  bool is_single_suicide(Move p, Color c) const;
  // Stones the move takes from the opponent.
  int num_captured_by(Move p, Color c) const;
  // hash() after the move, captures and suicide included.
  uint64_t hash_after(Move p, Color c) const;
  // A one-point eye that a random player must not fill: all neighbours own, and at most one enemy
  // diagonal (none at the border).
  bool is_own_eye(Move p, Color c) const;

  // --- Changing ---
  // Plays a stone (p empty; legality is the caller's business); returns the stones taken from the opponent.
  int play(Move p, Color c);
  void pass() { ko_ = kNoMove; }
  // Sets a stone up (p empty, not a suicide); captures follow as if played, without a ko.
  void set_up(Move p, Color c) {
    play(p, c);
    ko_ = kNoMove;
  }

  // Recomputes everything from the colours and compares; "" or the first difference. For tests.
  std::string check() const;

 private:
  bool at_stone(Move p) const { return color_[p] == 1 || color_[p] == 2; }
  void copy(const Board& b);
  template <int W>
  int play_words(Move p, Color c);
  template <int W>
  int remove_chain(int head);
  template <int W>
  void join(int into, int from);

  const Geometry* geo_;
  uint64_t hash_;
  Move ko_;
  uint8_t color_[kMaxArea + 1];
  uint64_t bits_[3][kMaxWords];  // empty, black, white
  // Per point.
  uint16_t head_[kMaxArea + 1];
  uint16_t next_[kMaxArea];
  // Per chain, at the index of its head. Index area is a chain that is nowhere: it takes the place of an absent neighbour
  // where a branch would cost more than the work (never a liberty in its set, a count that stays 1).
  uint16_t num_liberties_[kMaxArea + 1];
  uint16_t num_stones_[kMaxArea];
  uint64_t chain_hash_[kMaxArea];                   // XOR of its stones' keys: what a capture changes
  uint64_t liberties_[(kMaxArea + 1) * kMaxWords];  // [area + 1, words]
};

}  // namespace go
