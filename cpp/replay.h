// Training batches from game records: a window of games, sampled uniformly by row.
//
// A row is a position with a policy target. The game is replayed to it, encoded by the same encoder as in self-play,
// and turned by a random symmetry: planes, policy and ownership alike.
#pragma once
#include <cstdint>
#include <deque>
#include <memory>
#include <span>
#include <vector>

#include "features.h"
#include "record.h"
#include "workers.h"

namespace go {

// Where a batch is written; B rows each.
struct BatchOut {
  float* planes;         // [B, kNumPlanes, size, size]
  float* policy;         // [B, area + 1]
  float* policy_weight;  // [B]
  float* value;          // [B] expected result for the side to move
  float* value_weight;   // [B] 0: value, score and ownership are unknown (the game was cut)
  float* score;          // [B] side to move minus opponent, komi included
  float* ownership;      // [B, area] +1 side to move, -1 opponent
};

class Replay {
 public:
  // max_positions: the oldest games leave when the positions exceed it (never the newest); 0 = no limit.
  Replay(int size, int64_t max_positions, int threads);

  // Returns the rows gained. Throws RecordError on a bad record or one of another board size.
  int add(std::span<const uint8_t> record);
  // Throws Error when there are no rows. Row i depends on (seed, step, i) and the window alone.
  void sample(int batch, uint64_t seed, uint64_t step, bool symmetry, const BatchOut& out);

  int size() const { return size_; }
  int64_t games() const { return static_cast<int64_t>(games_.size()); }
  int64_t positions() const { return positions_; }
  int64_t rows() const { return rows_end_ - rows_begin_; }

 private:
  struct Entry {
    GameRecord record;
    std::vector<uint16_t> targets;  // moves with a policy target
    int64_t first_row;              // counted since the first game ever added
  };

  void write_row(const Entry& entry, int move, int symmetry, int row, const BatchOut& out) const;

  int size_;
  int64_t max_positions_;
  std::deque<Entry> games_;
  int64_t positions_ = 0;
  int64_t rows_begin_ = 0, rows_end_ = 0;
  Workers workers_;
};

}  // namespace go
