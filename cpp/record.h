// A finished game as bytes: what training, notes and diagnosis need to replay it.
//
// Layout, little-endian, version 1:
//   "GREC" | u16 version | u8 size, ko, suicide, black_player, white_player, finished, settled, result (half points
//   for Black: 0, 1, 2) | f32 komi, score | u64 game_id, seed, hash | u16 opening_moves, moves, ranges
//   ranges x (u16 first move, i64 net id; -1 = no net) | i8 ownership[area]
//   moves  x (u16 move, u8 flags: 1 = full | policy kind << 1, u32 visit cap, u32 root visits, f32 root value
//             [, u16 n, n x (u16 move, u16 weight)] when the kind is not 0)
//   u32 CRC-32 (zlib's) of all bytes before it
#pragma once
#include <cstdint>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "game.h"

namespace go {

constexpr int kRecordVersion = 1;
constexpr float kMaxKomi = kMaxArea;  // no komi beyond a whole board

// The bytes are not a record or shard that this version can read.
struct RecordError : Error {
  using Error::Error;
};

enum class Finished : uint8_t { kTwoPasses, kMoveCap, kNoResult };

// How a policy target was made. Weights are relative: the target is weight / sum.
enum class PolicyKind : uint8_t { kNone, kVisits };

struct PolicyEntry {
  uint16_t move;
  uint16_t weight;
};

struct MoveRecord {
  Move move = kNoMove;
  bool full = false;          // full search: its policy is a training target
  PolicyKind kind = PolicyKind::kNone;
  uint32_t visit_cap = 0;     // 0: no search (opening, random player)
  uint32_t root_visits = 0;   // what the root had in the end, reused ones included
  float root_value = 0.5f;    // expected result for the side to move; NaN without a search
  uint32_t policy_begin = 0;  // into GameRecord::policy
  uint16_t policy_count = 0;
};

struct GameRecord {
  int size = 9;
  Rules rules;
  uint64_t game_id = 0, seed = 0, hash = 0;
  int black_player = 0, white_player = 0;
  int opening_moves = 0;
  Finished finished = Finished::kTwoPasses;
  bool settled = false;       // ended by the rules: result, score and ownership may be trained on
  uint8_t result_half = 1;    // Black's result in half points
  float score = 0;            // black minus white minus komi, pass-dead stones removed
  std::vector<std::pair<uint16_t, int64_t>> net_ranges;
  std::vector<int8_t> ownership;  // [area] 1 black, -1 white, 0 neither
  std::vector<MoveRecord> moves;
  std::vector<PolicyEntry> policy;

  void clear();
  void add_net(int64_t net_id);  // for the move about to be added
};

std::string encode_record(const GameRecord& record);

// Throws RecordError on anything that encode_record would not have written.
GameRecord decode_record(std::span<const uint8_t> data);

// Plays the moves from the empty board; throws RecordError on an illegal move or another final position.
Game replay_record(const GameRecord& record);

// The move's policy target as probabilities, out[area + 1]; the move must have one.
void expand_policy(const GameRecord& record, const MoveRecord& move, float* out);

uint32_t crc32(std::span<const uint8_t> data);

}  // namespace go
