#include "board.h"

#include <array>
#include <memory>
#include <mutex>

namespace go {

namespace {

void set_bit(uint64_t* set, int p) { set[p >> 6] |= 1ull << (p & 63); }
bool test_bit(const uint64_t* set, int p) { return set[p >> 6] >> (p & 63) & 1; }

std::unique_ptr<Geometry> make_geometry(int size) {
  auto geo = std::make_unique<Geometry>();
  std::memset(geo.get(), 0, sizeof(Geometry));
  geo->size = size;
  geo->area = size * size;
  geo->words = geo->area <= 128 ? 2 : kMaxWords;
  const auto point = [size](int row, int col) {
    const bool inside = row >= 0 && row < size && col >= 0 && col < size;
    return static_cast<uint16_t>(inside ? row * size + col : size * size);
  };
  for (int p = 0; p < geo->area; ++p) {
    const int row = p / size, col = p % size;
    const uint16_t around[4] = {point(row - 1, col), point(row, col - 1), point(row, col + 1), point(row + 1, col)};
    const uint16_t across[4] = {point(row - 1, col - 1), point(row - 1, col + 1), point(row + 1, col - 1),
                                point(row + 1, col + 1)};
    for (int i = 0; i < 4; ++i) {
      geo->neighbours[p][i] = around[i];
      geo->diagonals[p][i] = across[i];
      if (around[i] != geo->area) {
        ++geo->num_neighbours[p];
        set_bit(geo->neighbour_bits + p * geo->words, around[i]);
      }
    }
    set_bit(geo->full, p);
    if (col == 0) set_bit(geo->first_column, p);
    if (col == size - 1) set_bit(geo->last_column, p);
    if (row == 0) set_bit(geo->first_row, p);
    if (row == size - 1) set_bit(geo->last_row, p);
    if (col == 0 || col == size - 1 || row == 0 || row == size - 1) set_bit(geo->border, p);
  }
  return geo;
}

}  // namespace

const Geometry& Geometry::of(int size) {
  if (size < 1 || size > kMaxSize) {
    throw Error("board size " + std::to_string(size) + " is out of range: use 1 to " + std::to_string(kMaxSize));
  }
  static std::array<std::once_flag, kMaxSize + 1> made;
  static std::array<std::unique_ptr<Geometry>, kMaxSize + 1> table;
  std::call_once(made[size], [size] { table[size] = make_geometry(size); });
  return *table[size];
}

Board::Board(int size) : geo_(&Geometry::of(size)), hash_(kZobrist.size[size]), ko_(kNoMove) {
  std::memset(color_, 0, geo_->area);
  color_[geo_->area] = static_cast<uint8_t>(Color::kEdge);
  std::memset(bits_, 0, sizeof(bits_));
  std::memcpy(bits_[0], geo_->full, sizeof(bits_[0]));
  std::memset(head_, 0, sizeof(head_));
  std::memset(next_, 0, sizeof(next_));
  std::memset(num_liberties_, 0, sizeof(num_liberties_));
  std::memset(num_stones_, 0, sizeof(num_stones_));
  std::memset(chain_hash_, 0, sizeof(chain_hash_));
  std::memset(liberties_, 0, sizeof(liberties_));
  num_liberties_[geo_->area] = 1;
}

void Board::copy(const Board& b) {
  geo_ = b.geo_;
  hash_ = b.hash_;
  ko_ = b.ko_;
  const size_t area = geo_->area;
  std::memcpy(color_, b.color_, area + 1);
  std::memcpy(bits_, b.bits_, sizeof(bits_));
  std::memcpy(head_, b.head_, (area + 1) * sizeof(head_[0]));
  std::memcpy(next_, b.next_, area * sizeof(next_[0]));
  std::memcpy(num_liberties_, b.num_liberties_, (area + 1) * sizeof(num_liberties_[0]));
  std::memcpy(num_stones_, b.num_stones_, area * sizeof(num_stones_[0]));
  std::memcpy(chain_hash_, b.chain_hash_, area * sizeof(chain_hash_[0]));
  std::memcpy(liberties_, b.liberties_, (area + 1) * geo_->words * sizeof(liberties_[0]));
}

bool Board::is_single_suicide(Move p, Color c) const {
  if (!is_suicide(p, c)) return false;
  for (const uint16_t q : geo_->neighbours[p]) {
    if (at(q) == c) return false;
  }
  return true;
}

int Board::num_captured_by(Move p, Color c) const {
  const Color enemy = other(c);
  int heads[4], n = 0, captured = 0;
  for (const uint16_t q : geo_->neighbours[p]) {
    if (at(q) != enemy || num_liberties_[head_[q]] != 1) continue;
    bool seen = false;
    for (int i = 0; i < n; ++i) seen |= heads[i] == head_[q];
    if (seen) continue;
    heads[n++] = head_[q];
    captured += num_stones_[head_[q]];
  }
  return captured;
}

uint64_t Board::hash_after(Move p, Color c) const {
  const Color enemy = other(c);
  uint64_t hash = hash_ ^ kZobrist.stone[p][static_cast<int>(c) - 1];
  int heads[4], n = 0;
  bool captured = false;
  for (const uint16_t q : geo_->neighbours[p]) {
    if (at(q) != enemy || num_liberties_[head_[q]] != 1) continue;
    bool seen = false;
    for (int i = 0; i < n; ++i) seen |= heads[i] == head_[q];
    if (seen) continue;
    heads[n++] = head_[q];
    hash ^= chain_hash_[head_[q]];
    captured = true;
  }
  if (captured || !is_suicide(p, c)) return hash;
  hash = hash_;  // suicide: the stone played and the chains it joins all leave
  for (const uint16_t q : geo_->neighbours[p]) {
    if (at(q) != c) continue;
    bool seen = false;
    for (int i = 0; i < n; ++i) seen |= heads[i] == head_[q];
    if (seen) continue;
    heads[n++] = head_[q];
    hash ^= chain_hash_[head_[q]];
  }
  return hash;
}

bool Board::is_own_eye(Move p, Color c) const {
  const uint8_t own = static_cast<uint8_t>(c), enemy = 3 - own;
  for (const uint16_t q : geo_->neighbours[p]) {
    if (color_[q] != own && color_[q] != static_cast<uint8_t>(Color::kEdge)) return false;
  }
  int enemies = 0;
  bool at_border = false;
  for (const uint16_t q : geo_->diagonals[p]) {
    enemies += color_[q] == enemy;
    at_border |= color_[q] == static_cast<uint8_t>(Color::kEdge);
  }
  return enemies + at_border < 2;
}

// Relabels `from` as part of `into`; liberties are ORed, the count is left to the caller.
template <int W>
void Board::join(int into, int from) {
  int p = from;
  do {
    head_[p] = static_cast<uint16_t>(into);
    p = next_[p];
  } while (p != from);
  std::swap(next_[into], next_[from]);
  num_stones_[into] = static_cast<uint16_t>(num_stones_[into] + num_stones_[from]);
  chain_hash_[into] ^= chain_hash_[from];
  for (int w = 0; w < W; ++w) liberties_[into * W + w] |= liberties_[from * W + w];
}

// Takes a chain off the board and gives its points to the neighbours of the other colour as liberties.
template <int W>
int Board::remove_chain(int head) {
  const uint8_t color = color_[head], enemy = 3 - color;
  const int stones = num_stones_[head];
  hash_ ^= chain_hash_[head];
  int p = head;
  do {
    const int word = p >> 6;
    const uint64_t bit = 1ull << (p & 63);
    color_[p] = 0;
    bits_[0][word] |= bit;
    bits_[color][word] &= ~bit;
    for (const uint16_t q : geo_->neighbours[p]) {
      if (color_[q] != enemy) continue;
      uint64_t& set = liberties_[head_[q] * W + word];
      num_liberties_[head_[q]] = static_cast<uint16_t>(num_liberties_[head_[q]] + !(set & bit));
      set |= bit;
    }
    p = next_[p];
  } while (p != head);
  return stones;
}

template <int W>
int Board::play_words(Move p, Color c) {
  const uint8_t own = static_cast<uint8_t>(c), enemy = 3 - own;
  const uint16_t* around = geo_->neighbours[p];
  const uint64_t key = kZobrist.stone[p][own - 1];
  const int word = p >> 6;
  const uint64_t bit = 1ull << (p & 63);

  color_[p] = own;
  bits_[0][word] &= ~bit;
  bits_[own][word] |= bit;
  hash_ ^= key;
  ko_ = kNoMove;

  // The new stone as a chain of one ...
  int head = p;
  head_[p] = next_[p] = static_cast<uint16_t>(p);
  num_stones_[p] = 1;
  chain_hash_[p] = key;
  const uint64_t* near = geo_->neighbour_bits + p * W;
  for (int w = 0; w < W; ++w) liberties_[p * W + w] = near[w] & bits_[0][w];
  // ... then joined with its neighbours, the larger chain keeping its head.
  unsigned joins = 0;  // one bit a neighbour: the loop below then branches on their number only
  for (int i = 0; i < 4; ++i) joins |= static_cast<unsigned>(color_[around[i]] == own) << i;
  if (joins) {
    for (; joins; joins &= joins - 1) {
      const int found = head_[around[__builtin_ctz(joins)]];
      if (found == head) continue;
      if (num_stones_[found] >= num_stones_[head]) {
        join<W>(found, head);
        head = found;
      } else {
        join<W>(head, found);
      }
    }
    liberties_[head * W + word] &= ~bit;
  }
  int count = 0;
  for (int w = 0; w < W; ++w) count += __builtin_popcountll(liberties_[head * W + w]);
  num_liberties_[head] = static_cast<uint16_t>(count);

  // The opponent's chains lose the point; an absent one is the chain that is nowhere.
  const int nowhere = geo_->area;
  bool takes = false;
  for (int i = 0; i < 4; ++i) {
    const int q = around[i];
    const int found = color_[q] == enemy ? head_[q] : nowhere;
    uint64_t& liberties = liberties_[found * W + word];
    const int left = num_liberties_[found] - ((liberties & bit) != 0);  // once, however often the chain is met
    liberties &= ~bit;
    num_liberties_[found] = static_cast<uint16_t>(left);
    takes |= left == 0;
  }
  int captured = 0;
  if (takes) {
    int captured_at = 0;
    for (int i = 0; i < 4; ++i) {
      const int q = around[i];
      if (color_[q] != enemy || num_liberties_[head_[q]] != 0) continue;
      captured += remove_chain<W>(head_[q]);
      captured_at = q;
    }
    if (captured == 1 && num_stones_[head] == 1 && num_liberties_[head] == 1) ko_ = static_cast<Move>(captured_at);
  }
  if (num_liberties_[head] == 0) remove_chain<W>(head);
  return captured;
}

int Board::play(Move p, Color c) { return geo_->words == 2 ? play_words<2>(p, c) : play_words<kMaxWords>(p, c); }

std::string Board::check() const {
  const auto where = [](int p) { return " at point " + std::to_string(p); };
  const int n = area(), W = words();
  uint64_t hash = kZobrist.size[size()];
  for (int p = 0; p < n; ++p) {
    for (int k = 0; k < 3; ++k) {
      if (test_bit(bits_[k], p) != (color_[p] == k)) return "bit sets differ from the colours" + where(p);
    }
    if (color_[p]) hash ^= kZobrist.stone[p][color_[p] - 1];
  }
  if (hash != hash_) return "hash differs from the recomputed one";
  if (ko_ != kNoMove && color_[ko_]) return "ko point is occupied" + where(ko_);
  bool seen[kMaxArea] = {};
  for (int start = 0; start < n; ++start) {
    if (!color_[start] || seen[start]) continue;
    uint64_t liberties[kMaxWords] = {}, chain_hash = 0;
    int stack[kMaxArea], top = 0, stones = 0;
    stack[top++] = start;
    seen[start] = true;
    while (top) {
      const int p = stack[--top];
      ++stones;
      chain_hash ^= kZobrist.stone[p][color_[p] - 1];
      if (head_[p] != head_[start]) return "two heads in one chain" + where(p);
      for (const uint16_t q : geo_->neighbours[p]) {
        if (color_[q] == 0) set_bit(liberties, q);
        if (color_[q] == color_[p] && !seen[q]) {
          seen[q] = true;
          stack[top++] = q;
        }
      }
    }
    const int head = head_[start];
    int count = 0, ring = 0;
    for (int w = 0; w < W; ++w) count += __builtin_popcountll(liberties[w]);
    for (int p = head; ring == 0 || p != head; p = next_[p]) {
      if (++ring > n) break;
    }
    if (count == 0) return "chain without a liberty" + where(start);
    if (std::memcmp(liberties, liberties_ + head * W, W * 8) != 0) return "liberty set differs" + where(start);
    if (count != num_liberties_[head]) return "liberty count differs" + where(start);
    if (stones != num_stones_[head] || ring != stones) return "chain size differs" + where(start);
    if (chain_hash != chain_hash_[head]) return "chain hash differs" + where(start);
  }
  return "";
}

}  // namespace go
