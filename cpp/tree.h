// One player's search tree: PUCT over a flat arena; indices, never pointers.
//
// Values are expected results in 0..1 (draw 0.5). Constants are in the literature's -1..1 scale:
//   score(child) = Q + c_puct / 2 * P * sqrt(N(parent) + 0.01) / (1 + N(child))
//   an unopened child has Q = V(parent) - fpu_reduction / 2 * sqrt(prior mass already opened)
// A node is created when it is first visited. Until then a move is an Edge; the edge with the highest prior is
// kept at the front of its node's list, and as all unopened children share one Q it is the only one to compare.
//
// Passes. A pass is an ordinary move with the net's prior: there is no "no pass before move N" gate. A pass that
// ends the game leads to a terminal node with the exact value under the one scoring function (score.h). That value
// costs no evaluation, so where a game-ending pass is worth more than the net's value of the position it is opened
// first (`pass_first`): passing while behind is refuted on the second visit. A pass that would lose is NOT forced:
// visits spent on it would flatter the pass before it, and whoever leads would learn to pass early.
#pragma once
#include <bit>
#include <cstdint>
#include <vector>

#include "board.h"
#include "rng.h"

namespace go {

struct SearchParams {
  float c_puct = 1.1f;
  float fpu_reduction = 0.2f;
  float root_fpu_reduction = 0.1f;
};

// A move that has no node yet, as one number: keys order by prior, then by lower move, so that the best of a list
// does not depend on its order and one vectorised maximum finds it.
class Edge {
 public:
  Edge() = default;
  Edge(float prior, Move move) : key_(uint64_t{std::bit_cast<uint32_t>(prior)} << 32 | static_cast<uint16_t>(~move)) {}
  float prior() const { return std::bit_cast<float>(static_cast<uint32_t>(key_ >> 32)); }
  Move move() const { return static_cast<Move>(~static_cast<uint16_t>(key_)); }
  uint64_t key() const { return key_; }

 private:
  uint64_t key_;  // priors are not negative, so their bits order as they do
};

struct Node {
  double value_sum = 0;        // expected result for the player who moved here
  uint32_t visits = 0;
  float prior = 0;
  float opened_prior = 0;      // prior mass of the opened children
  float child_value = 0;       // value_sum / visits, kept at each back-up: selection reads it once per sibling
  float urgency = 0;           // prior / (1 + visits), likewise
  uint32_t first_child = 0;    // 0: none (the root is nobody's child)
  uint32_t next_sibling = 0;
  uint32_t edges_begin = 0;
  uint16_t num_edges = 0;      // unopened moves
  Move move = kNoMove;
  bool expanded = false;
  bool terminal = false;

  double mean() const { return value_sum / visits; }
};

class Tree {
 public:
  static constexpr uint32_t kRoot = 0;

  void clear();
  bool has_root() const { return !nodes_.empty() && nodes_[kRoot].expanded; }
  const Node& node(uint32_t index) const { return nodes_[index]; }
  const Node& root() const { return nodes_[kRoot]; }
  uint32_t root_visits() const { return has_root() ? nodes_[kRoot].visits : 0; }
  // Expected result for the side to move at the root; needs a visit.
  double root_value() const { return 1.0 - nodes_[kRoot].mean(); }
  size_t num_nodes() const { return nodes_.size(); }

  // The child of an expanded node to visit next; opens it if need be.
  uint32_t select(uint32_t parent, const SearchParams& params);
  void set_terminal(uint32_t index) { nodes_[index].terminal = true; }
  // Give a node its moves. Priors are positive and sum to 1; `pass` goes first if `pass_first`.
  void expand(uint32_t index, const float* priors, const Move* moves, int count, Move pass, bool pass_first);
  // Add one visit along the path (root first). `value`: expected result for the player who moved into the last node.
  void back_up(const std::vector<uint32_t>& path, double value);

  // Make the child by `move` the root and drop the rest; an unknown child empties the tree.
  void reroot(Move move, Tree& scratch);
  // Forget all below the root but its priors and its own evaluation.
  void reset_root(Move pass, bool pass_first);
  // Mix Dirichlet noise (total concentration `total_alpha`) into the priors of a root without children.
  void add_noise(float weight, float total_alpha, Move pass, bool pass_first, Rng rng);
  // Drop the root's moves with banned[move] != 0, with their visits; remaining priors are scaled back to 1.
  void ban_root_moves(const uint8_t* banned, Move pass, bool pass_first);

  const Edge* root_edges() const { return edges_.data() + nodes_[kRoot].edges_begin; }

 private:
  void bring_best_forward(Node& node, Move first);
  static void refresh(Node& node);

  std::vector<Node> nodes_;
  std::vector<Edge> edges_;
};

}  // namespace go
