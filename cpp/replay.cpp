// The window of games and the batches drawn from it; see replay.h.
#include "replay.h"

#include <algorithm>
#include <string>

#include "rng.h"

namespace go {

Replay::Replay(int size, int64_t max_positions, int threads)
    : size_(size), max_positions_(max_positions), workers_(std::clamp(threads, 1, 1024)) {
  Symmetries::of(size);  // refuses a bad size
  if (max_positions < 0) throw Error("max_positions: must be 0 or more");
}

int Replay::add(std::span<const uint8_t> data) {
  GameRecord record = decode_record(data);
  if (record.size != size_) {
    throw RecordError("record of a " + std::to_string(record.size) + "x" + std::to_string(record.size) +
                      " game in a replay window of size " + std::to_string(size_));
  }
  replay_record(record);
  Entry entry{std::move(record), {}, rows_end_};
  for (size_t i = 0; i < entry.record.moves.size(); ++i) {
    if (entry.record.moves[i].kind != PolicyKind::kNone) entry.targets.push_back(static_cast<uint16_t>(i));
  }
  const int rows = static_cast<int>(entry.targets.size());
  rows_end_ += rows;
  positions_ += static_cast<int64_t>(entry.record.moves.size());
  games_.push_back(std::move(entry));
  while (max_positions_ > 0 && positions_ > max_positions_ && games_.size() > 1) {
    positions_ -= static_cast<int64_t>(games_.front().record.moves.size());
    games_.pop_front();
    rows_begin_ = games_.front().first_row;
  }
  return rows;
}

void Replay::sample(int batch, uint64_t seed, uint64_t step, bool symmetry, const BatchOut& out) {
  if (rows() == 0) throw Error("sample: the window has no position with a policy target");
  workers_.for_each(static_cast<size_t>(batch), [&](size_t i, int) {
    Rng rng(seed, step, 0, i, Purpose::kReplay);
    const int64_t row = rows_begin_ + static_cast<int64_t>(rng.uniform() * static_cast<double>(rows()));
    const int turn = symmetry ? static_cast<int>(rng.below(8)) : 0;
    const auto after = std::upper_bound(games_.begin(), games_.end(), row,
                                        [](int64_t r, const Entry& entry) { return r < entry.first_row; });
    const Entry& entry = *std::prev(after);
    write_row(entry, entry.targets[row - entry.first_row], turn, static_cast<int>(i), out);
  });
}

void Replay::write_row(const Entry& entry, int move, int symmetry, int row, const BatchOut& out) const {
  const GameRecord& record = entry.record;
  const int area = size_ * size_;
  Game game(size_, record.rules);
  for (int i = 0; i < move; ++i) game.play(record.moves[i].move);
  uint8_t legal[kMaxArea + 1];
  game.legal_mask(legal);
  const Move* map = Symmetries::of(size_).map(symmetry);
  encode(game, legal, map, out.planes + static_cast<size_t>(row) * kNumPlanes * area);

  const MoveRecord& target = record.moves[move];
  float turned[kMaxArea + 1];
  expand_policy(record, target, turned);
  float* policy = out.policy + static_cast<size_t>(row) * (area + 1);
  for (int p = 0; p <= area; ++p) policy[map[p]] = turned[p];
  out.policy_weight[row] = 1.0f;

  const float side = game.to_play() == Color::kBlack ? 1.0f : -1.0f;
  const float black = 0.5f * static_cast<float>(record.result_half);
  float* ownership = out.ownership + static_cast<size_t>(row) * area;
  out.value_weight[row] = record.settled ? 1.0f : 0.0f;
  out.value[row] = !record.settled ? 0.5f : side > 0 ? black : 1.0f - black;
  out.score[row] = record.settled ? side * record.score : 0.0f;
  for (int p = 0; p < area; ++p) ownership[map[p]] = record.settled ? side * static_cast<float>(record.ownership[p]) : 0.0f;
}

}  // namespace go
