// The search tree's arena: selection, expansion, back-up, re-rooting.
#include "tree.h"

#include <algorithm>
#include <cmath>

#include "draws.h"

namespace go {

namespace {

constexpr float kRootTerm = 0.01f;  // so that priors order the first choices before any child has a visit

}  // namespace

void Tree::clear() {
  nodes_.clear();
  edges_.clear();
}

void Tree::refresh(Node& node) {
  const float visits = static_cast<float>(node.visits);
  node.child_value = static_cast<float>(node.value_sum) / visits;
  node.urgency = node.prior / (1.0f + visits);
}

void Tree::bring_best_forward(Node& node, Move first) {
  if (node.num_edges < 2) return;
  Edge* edges = edges_.data() + node.edges_begin;
  const int count = node.num_edges;
  int best = 0;
  if (first != kNoMove) {
    while (best < count && edges[best].move() != first) ++best;
  }
  if (first == kNoMove || best == count) {
    uint64_t top = 0;
    for (int i = 0; i < count; ++i) top = std::max(top, edges[i].key());
    best = 0;
    while (edges[best].key() != top) ++best;
  }
  std::swap(edges[0], edges[best]);
}

uint32_t Tree::select(uint32_t parent, const SearchParams& params) {
  Node& node = nodes_[parent];
  const float explore = 0.5f * params.c_puct * std::sqrt(static_cast<float>(node.visits - 1) + kRootTerm);
  float best_score = -1e30f;
  uint32_t best = 0;
  for (uint32_t index = node.first_child; index != 0; index = nodes_[index].next_sibling) {
    const Node& child = nodes_[index];
    const float score = child.child_value + explore * child.urgency;
    if (score > best_score) {
      best_score = score;
      best = index;
    }
  }
  if (node.num_edges == 0) return best;
  const Edge edge = edges_[node.edges_begin];
  if (best != 0) {
    const float reduction = parent == kRoot ? params.root_fpu_reduction : params.fpu_reduction;
    const float unopened =
        1.0f - static_cast<float>(node.mean()) - 0.5f * reduction * std::sqrt(node.opened_prior) + explore * edge.prior();
    if (unopened <= best_score) return best;
  }
  Node child;
  child.move = edge.move();
  child.prior = edge.prior();
  child.next_sibling = node.first_child;
  const uint32_t index = static_cast<uint32_t>(nodes_.size());
  node.first_child = index;
  node.opened_prior += edge.prior();
  node.edges_begin += 1;
  node.num_edges -= 1;
  bring_best_forward(node, kNoMove);
  nodes_.push_back(child);  // invalidates `node`
  return index;
}

void Tree::expand(uint32_t index, const float* priors, const Move* moves, int count, Move pass, bool pass_first) {
  if (nodes_.empty()) nodes_.emplace_back();
  Node& node = nodes_[index];
  node.expanded = true;
  node.edges_begin = static_cast<uint32_t>(edges_.size());
  node.num_edges = static_cast<uint16_t>(count);
  edges_.resize(edges_.size() + count);
  Edge* edges = edges_.data() + node.edges_begin;
  for (int i = 0; i < count; ++i) edges[i] = Edge(priors[i], moves[i]);
  bring_best_forward(node, pass_first ? pass : kNoMove);
}

void Tree::back_up(const std::vector<uint32_t>& path, double value) {
  for (size_t i = path.size(); i-- > 0;) {
    Node& node = nodes_[path[i]];
    node.visits += 1;
    node.value_sum += value;
    refresh(node);
    value = 1.0 - value;
  }
}

void Tree::reroot(Move move, Tree& scratch) {
  uint32_t keep = 0;
  if (has_root()) {
    keep = nodes_[kRoot].first_child;
    while (keep != 0 && nodes_[keep].move != move) keep = nodes_[keep].next_sibling;
  }
  if (keep == 0 || !nodes_[keep].expanded) {
    clear();
    return;
  }
  scratch.clear();
  std::vector<Node>& to = scratch.nodes_;
  to.push_back(nodes_[keep]);
  to[0].next_sibling = 0;
  for (uint32_t i = 0; i < to.size(); ++i) {  // breadth first; the new arena is its own queue
    const uint32_t old_edges = to[i].edges_begin;
    to[i].edges_begin = static_cast<uint32_t>(scratch.edges_.size());
    scratch.edges_.insert(scratch.edges_.end(), edges_.begin() + old_edges, edges_.begin() + old_edges + to[i].num_edges);
    uint32_t old_child = to[i].first_child;
    if (old_child == 0) continue;
    to[i].first_child = static_cast<uint32_t>(to.size());
    while (old_child != 0) {
      to.push_back(nodes_[old_child]);
      old_child = to.back().next_sibling;
      to.back().next_sibling = old_child == 0 ? 0 : static_cast<uint32_t>(to.size());
    }
  }
  std::swap(nodes_, scratch.nodes_);
  std::swap(edges_, scratch.edges_);
}

void Tree::reset_root(Move pass, bool pass_first) {
  Node root = nodes_[kRoot];
  double own_value = root.value_sum;
  std::vector<Edge> edges(edges_.begin() + root.edges_begin, edges_.begin() + root.edges_begin + root.num_edges);
  for (uint32_t child = root.first_child; child != 0; child = nodes_[child].next_sibling) {
    own_value -= nodes_[child].visits - nodes_[child].value_sum;
    edges.emplace_back(nodes_[child].prior, nodes_[child].move);
  }
  // The order must not depend on the search that is being forgotten.
  std::sort(edges.begin(), edges.end(), [](const Edge& a, const Edge& b) { return a.move() < b.move(); });
  root.value_sum = std::clamp(own_value, 0.0, 1.0);
  root.visits = 1;
  refresh(root);
  root.first_child = 0;
  root.opened_prior = 0;
  root.edges_begin = 0;
  root.num_edges = static_cast<uint16_t>(edges.size());
  nodes_.assign(1, root);
  edges_ = std::move(edges);
  bring_best_forward(nodes_[kRoot], pass_first ? pass : kNoMove);
}

void Tree::add_noise(float weight, float total_alpha, Move pass, bool pass_first, Rng rng) {
  Node& root = nodes_[kRoot];
  Edge* edges = edges_.data() + root.edges_begin;
  if (root.num_edges == 0) return;
  std::sort(edges, edges + root.num_edges, [](const Edge& a, const Edge& b) { return a.move() < b.move(); });
  double sum = 0;
  std::vector<double> noise(root.num_edges);
  for (double& draw : noise) sum += draw = draw_gamma(static_cast<double>(total_alpha) / root.num_edges, rng);
  if (sum > 0) {
    for (int i = 0; i < root.num_edges; ++i) {
      edges[i] = Edge(static_cast<float>((1.0 - weight) * edges[i].prior() + weight * noise[i] / sum), edges[i].move());
    }
  }
  bring_best_forward(root, pass_first ? pass : kNoMove);
}

void Tree::ban_root_moves(const uint8_t* banned, Move pass, bool pass_first) {
  Node& root = nodes_[kRoot];
  Edge* edges = edges_.data() + root.edges_begin;
  float kept_prior = 0;
  int kept = 0;
  for (int i = 0; i < root.num_edges; ++i) {
    if (banned[edges[i].move()]) continue;
    kept_prior += edges[i].prior();
    edges[kept++] = edges[i];
  }
  root.num_edges = static_cast<uint16_t>(kept);
  root.opened_prior = 0;
  uint32_t* link = &root.first_child;
  while (*link != 0) {
    Node& child = nodes_[*link];
    if (banned[child.move]) {
      root.visits -= child.visits;
      root.value_sum -= child.visits - child.value_sum;
      *link = child.next_sibling;
    } else {
      root.opened_prior += child.prior;
      link = &child.next_sibling;
    }
  }
  const float total = kept_prior + root.opened_prior;
  if (total > 0) {
    for (int i = 0; i < kept; ++i) edges[i] = Edge(edges[i].prior() / total, edges[i].move());
    for (uint32_t child = root.first_child; child != 0; child = nodes_[child].next_sibling) {
      nodes_[child].prior /= total;
      refresh(nodes_[child]);
    }
    root.opened_prior /= total;
  }
  bring_best_forward(root, pass_first ? pass : kNoMove);
}

}  // namespace go
