// Groups of slots, batches and finished games; see pool.h.
#include "pool.h"

#include <algorithm>
#include <cstring>

namespace go {

namespace {

PoolConfig checked(PoolConfig config) {
  config.check();
  return config;
}

}  // namespace

Pool::Pool(PoolConfig config)
    : config_(checked(std::move(config))),
      scratch_(config_.threads),
      workers_(config_.threads),
      next_record_(config_.first_game) {
  const int nets = config_.num_nets();
  const size_t plane_floats = static_cast<size_t>(kNumPlanes) * config_.size * config_.size;
  for (int net = 0; net < nets; ++net) net_ids_.push_back(net);
  for (int g = 0; g < config_.groups; ++g) {
    auto group = std::make_unique<Group>();
    const int slots = config_.slots / config_.groups + (g < config_.slots % config_.groups);
    group->slots = std::vector<Slot>(slots);
    group->batches.resize(nets);
    for (const PlayerConfig& player : config_.players) {
      if (player.random) continue;
      Batch& batch = group->batches[player.net];
      batch.planes.resize(slots * plane_floats);
      batch.row_of_slot.resize(slots);
    }
    group->next_game = config_.first_game + g;
    for (uint32_t s = 0; s < group->slots.size(); ++s) {
      if (deal_game(*group, group->slots[s])) group->live.push_back(s);
    }
    groups_.push_back(std::move(group));
  }
}

bool Pool::deal_game(Group& group, Slot& slot) {
  if (group.next_game >= config_.first_game + config_.games) {
    slot.retire();
    return false;
  }
  slot.start(config_, group.next_game);
  group.next_game += config_.groups;
  ++group.stats.games_started;
  return true;
}

const Pool::Batch& Pool::batch(int group, int net) const {
  if (group < 0 || group >= static_cast<int>(groups_.size())) throw Error("group: there is no group " + std::to_string(group));
  const auto& batches = groups_[group]->batches;
  if (net < 0 || net >= static_cast<int>(batches.size())) throw Error("net: no player uses net " + std::to_string(net));
  return batches[net];
}

std::vector<int> Pool::collect(int index) {
  if (index < 0 || index >= static_cast<int>(groups_.size())) throw Error("group: there is no group " + std::to_string(index));
  Group& group = *groups_[index];
  const std::lock_guard<std::mutex> walk_lock(walk_mutex_);
  const std::lock_guard<std::mutex> group_lock(group.mutex);
  for (const Batch& batch : group.batches) {
    if (batch.rows > 0 && !batch.supplied) {
      throw Error("collect: net " + std::to_string(&batch - group.batches.data()) + " of the group has not been supplied");
    }
  }
  const int actions = config_.size * config_.size + 1;
  const size_t plane_floats = static_cast<size_t>(kNumPlanes) * config_.size * config_.size;
  std::vector<int64_t> net_ids;
  {
    const std::lock_guard<std::mutex> lock(records_mutex_);
    net_ids = net_ids_;
  }
  std::vector<uint32_t> active = group.live;
  while (!active.empty()) {
    workers_.for_each(active.size(), [&](size_t item, int thread) {
      Slot& slot = group.slots[active[item]];
      Evaluation evaluation;
      if (slot.state() == Slot::State::kWaiting) {
        const Batch& batch = group.batches[slot.net()];
        const uint32_t row = batch.row_of_slot[active[item]];
        evaluation = {batch.logits.data() + static_cast<size_t>(row) * actions, batch.values[row]};
      }
      float* planes[64];
      for (size_t net = 0; net < group.batches.size(); ++net) {
        std::vector<float>& to = group.batches[net].planes;  // empty: no player asks this net
        planes[net] = to.empty() ? nullptr : to.data() + active[item] * plane_floats;
      }
      slot.advance(evaluation, net_ids.data(), planes, scratch_[thread]);
    });
    std::vector<uint32_t> refilled;
    for (const uint32_t s : active) {
      Slot& slot = group.slots[s];
      if (slot.state() != Slot::State::kFinished) continue;
      {
        const std::lock_guard<std::mutex> lock(records_mutex_);
        records_.emplace(slot.game_id(), slot.take_record());
      }
      if (deal_game(group, slot)) refilled.push_back(s);
    }
    active = std::move(refilled);
  }
  gather(group);
  std::vector<int> rows;
  for (const Batch& batch : group.batches) rows.push_back(batch.rows);
  return rows;
}

void Pool::gather(Group& group) {
  const size_t plane_floats = static_cast<size_t>(kNumPlanes) * config_.size * config_.size;
  std::erase_if(group.live, [&](uint32_t s) { return group.slots[s].state() == Slot::State::kIdle; });
  for (Batch& batch : group.batches) batch.rows = 0;
  for (const uint32_t s : group.live) {
    Batch& batch = group.batches[group.slots[s].net()];
    const uint32_t row = static_cast<uint32_t>(batch.rows++);
    batch.row_of_slot[s] = row;
    if (row != s) {
      std::memmove(batch.planes.data() + row * plane_floats, batch.planes.data() + s * plane_floats,
                   plane_floats * sizeof(float));
    }
  }
  for (Batch& batch : group.batches) {
    batch.supplied = batch.rows == 0;
    if (batch.rows == 0) continue;
    ++group.stats.batches;
    group.stats.batch_rows += batch.rows;
    ++group.stats.fill[(static_cast<size_t>(batch.rows) * 10 - 1) / group.slots.size()];
  }
}

void Pool::supply(int group_index, int net, const float* logits, const float* values, int rows) {
  batch(group_index, net);
  Group& group = *groups_[group_index];
  const std::lock_guard<std::mutex> lock(group.mutex);
  Batch& to = group.batches[net];
  if (to.supplied) throw Error("supply: nothing is asked of this net now");
  if (rows != to.rows) throw Error("supply: " + std::to_string(to.rows) + " rows are asked for, not " + std::to_string(rows));
  const size_t floats = static_cast<size_t>(rows) * (config_.size * config_.size + 1);
  for (int row = 0; row < rows; ++row) {
    if (!(values[row] >= 0.0f && values[row] <= 1.0f)) {
      throw Error("value: row " + std::to_string(row) + " is not an expected result in 0..1");
    }
  }
  float zero_if_finite = 0.0f;  // x * 0 is NaN for infinities and NaN: one test for all, and it vectorises
  float lanes[16] = {};
  size_t i = 0;
  for (; i + 16 <= floats; i += 16) {
    for (int lane = 0; lane < 16; ++lane) lanes[lane] += logits[i + lane] * 0.0f;
  }
  for (; i < floats; ++i) zero_if_finite += logits[i] * 0.0f;
  for (const float lane : lanes) zero_if_finite += lane;
  if (!(zero_if_finite == 0.0f)) throw Error("policy_logits: not all finite");
  to.logits.assign(logits, logits + floats);
  to.values.assign(values, values + rows);
  to.supplied = true;
}

void Pool::set_net_id(int net, int64_t net_id) {
  const std::lock_guard<std::mutex> lock(records_mutex_);
  if (net < 0 || net >= static_cast<int>(net_ids_.size())) throw Error("net: no player uses net " + std::to_string(net));
  net_ids_[net] = net_id;
}

bool Pool::done() const {
  for (const auto& group : groups_) {
    const std::lock_guard<std::mutex> lock(group->mutex);
    if (!group->live.empty()) return false;
  }
  return true;
}

std::vector<std::string> Pool::take_records() {
  const std::lock_guard<std::mutex> lock(records_mutex_);
  std::vector<std::string> ready;
  for (auto it = records_.begin(); it != records_.end() && it->first == next_record_; it = records_.erase(it)) {
    ready.push_back(std::move(it->second));
    ++next_record_;
  }
  return ready;
}

PoolStats Pool::stats() const {
  PoolStats total;
  for (const auto& group : groups_) {
    const std::lock_guard<std::mutex> lock(group->mutex);
    for (const Slot& slot : group->slots) total.add(slot.stats());
    total.games_started += group->stats.games_started;
    total.batches += group->stats.batches;
    total.batch_rows += group->stats.batch_rows;
    for (int i = 0; i < 10; ++i) total.fill[i] += group->stats.fill[i];
  }
  return total;
}

}  // namespace go
