// Many games in flight, in groups: walk a group to its next leaves, hand them out as one batch per net, take the
// answers back. While a net works on one group another can be walked.
//
// Rows of a batch are the group's waiting slots in slot order. Game ids are dealt to groups in turn (id - first_game
// modulo groups) and, within a group, to free slots in slot order; a run ends by games started. Nothing depends on
// the number of threads or on the order in which groups are collected.
#pragma once
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "config.h"
#include "slot.h"
#include "workers.h"

namespace go {

struct PoolStats : Stats {
  int64_t games_started = 0, batches = 0, batch_rows = 0;
  int64_t fill[10] = {};  // batches by rows / slots of the group: (0, 0.1], ... (0.9, 1]
};

class Pool {
 public:
  explicit Pool(PoolConfig config);

  const PoolConfig& config() const { return config_; }
  // Walks until every live slot of the group waits for a leaf; rows per net. No rows: the group has no live slot.
  // Throws Error when a batch of the group has not been supplied.
  std::vector<int> collect(int group);
  int rows(int group, int net) const { return batch(group, net).rows; }
  // [rows, kNumPlanes, size, size]; valid until the batch is supplied.
  const float* planes(int group, int net) const { return batch(group, net).planes.data(); }
  // Copies logits [rows, area + 1] and values [rows]; throws Error on a value that is not finite or not in 0..1.
  void supply(int group, int net, const float* logits, const float* values, int rows);

  void set_net_id(int net, int64_t net_id);
  bool done() const;
  // Finished games in order of id: a game waits for all before it.
  std::vector<std::string> take_records();
  PoolStats stats() const;

 private:
  struct Batch {
    int rows = 0;
    bool supplied = true;
    std::vector<float> planes;  // one place per slot while walking; moved together before they are handed out
    std::vector<float> logits, values;
    std::vector<uint32_t> row_of_slot;
  };
  struct Group {
    std::vector<Slot> slots;
    std::vector<Batch> batches;  // by net
    std::vector<uint32_t> live;  // slots with a game, in order
    int64_t next_game = 0;
    PoolStats stats;             // of batches and games started
    mutable std::mutex mutex;
  };

  const Batch& batch(int group, int net) const;
  bool deal_game(Group& group, Slot& slot);
  void gather(Group& group);

  PoolConfig config_;
  std::vector<std::unique_ptr<Group>> groups_;
  std::vector<int64_t> net_ids_;
  std::vector<Scratch> scratch_;  // by thread
  Workers workers_;
  std::mutex walk_mutex_;  // one group is walked at a time
  mutable std::mutex records_mutex_;
  std::map<int64_t, std::string> records_;
  int64_t next_record_;
};

}  // namespace go
