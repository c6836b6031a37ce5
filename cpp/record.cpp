// Game records to bytes and back; the layout is in record.h.
#include "record.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>

#include "bytes.h"

namespace go {

namespace {

constexpr char kMagic[4] = {'G', 'R', 'E', 'C'};

void require(bool good, const char* what) {
  if (!good) throw RecordError(std::string("bad record: ") + what);
}

uint8_t get_at_most(Reader& in, int limit, const char* what) {
  const uint8_t value = in.get<uint8_t>();
  require(value <= limit, what);
  return value;
}

void get_policy(Reader& in, MoveRecord& move, std::vector<PolicyEntry>& policy, int area) {
  const int count = in.get<uint16_t>();
  require(count >= 1 && count <= area + 1, "policy length");
  move.policy_begin = static_cast<uint32_t>(policy.size());
  move.policy_count = static_cast<uint16_t>(count);
  uint32_t sum = 0;
  for (int i = 0; i < count; ++i) {
    const uint16_t point = in.get<uint16_t>();
    const uint16_t weight = in.get<uint16_t>();
    require(point <= area && (i == 0 || point > policy.back().move), "policy moves");
    sum += weight;
    policy.push_back({point, weight});
  }
  require(sum > 0, "policy weights");
}

}  // namespace

void GameRecord::clear() {
  net_ranges.clear();
  ownership.clear();
  moves.clear();
  policy.clear();
}

void GameRecord::add_net(int64_t net_id) {
  if (net_ranges.empty() || net_ranges.back().second != net_id) {
    net_ranges.emplace_back(static_cast<uint16_t>(moves.size()), net_id);
  }
}

uint32_t crc32(std::span<const uint8_t> data) {
  static const std::array<uint32_t, 256> table = [] {
    std::array<uint32_t, 256> t{};
    for (uint32_t i = 0; i < 256; ++i) {
      uint32_t c = i;
      for (int bit = 0; bit < 8; ++bit) c = c & 1 ? 0xedb88320u ^ (c >> 1) : c >> 1;
      t[i] = c;
    }
    return t;
  }();
  uint32_t crc = 0xffffffffu;
  for (const uint8_t byte : data) crc = table[(crc ^ byte) & 0xff] ^ (crc >> 8);
  return crc ^ 0xffffffffu;
}

std::string encode_record(const GameRecord& r) {
  std::string out(kMagic, sizeof kMagic);
  put<uint16_t>(out, kRecordVersion);
  for (const int byte : {r.size, static_cast<int>(r.rules.ko), static_cast<int>(r.rules.suicide), r.black_player,
                         r.white_player, static_cast<int>(r.finished), static_cast<int>(r.settled),
                         static_cast<int>(r.result_half)}) {
    put<uint8_t>(out, static_cast<uint8_t>(byte));
  }
  put<float>(out, r.rules.komi);
  put<float>(out, r.score);
  for (const uint64_t word : {r.game_id, r.seed, r.hash}) put<uint64_t>(out, word);
  for (const size_t count : {static_cast<size_t>(r.opening_moves), r.moves.size(), r.net_ranges.size()}) {
    put<uint16_t>(out, static_cast<uint16_t>(count));
  }
  for (const auto& [first, net_id] : r.net_ranges) {
    put<uint16_t>(out, first);
    put<int64_t>(out, net_id);
  }
  out.append(reinterpret_cast<const char*>(r.ownership.data()), r.ownership.size());
  for (const MoveRecord& m : r.moves) {
    put<uint16_t>(out, static_cast<uint16_t>(m.move));
    put<uint8_t>(out, static_cast<uint8_t>(m.full | static_cast<int>(m.kind) << 1));
    put<uint32_t>(out, m.visit_cap);
    put<uint32_t>(out, m.root_visits);
    put<float>(out, m.root_value);
    if (m.kind == PolicyKind::kNone) continue;
    put<uint16_t>(out, m.policy_count);
    for (int i = 0; i < m.policy_count; ++i) {
      put<uint16_t>(out, r.policy[m.policy_begin + i].move);
      put<uint16_t>(out, r.policy[m.policy_begin + i].weight);
    }
  }
  put<uint32_t>(out, crc32({reinterpret_cast<const uint8_t*>(out.data()), out.size()}));
  return out;
}

GameRecord decode_record(std::span<const uint8_t> data) {
  require(data.size() >= sizeof kMagic + 2 + 4 && std::memcmp(data.data(), kMagic, sizeof kMagic) == 0, "no magic");
  const auto body = data.first(data.size() - 4);
  Reader tail(data.last(4));
  Reader in(body.subspan(sizeof kMagic));
  const int version = in.get<uint16_t>();
  require(tail.get<uint32_t>() == crc32(body), "checksum mismatch");
  if (version != kRecordVersion) throw RecordError("record version " + std::to_string(version) + " is not known");
  GameRecord r;
  r.size = get_at_most(in, kMaxSize, "size");
  require(r.size >= 1, "size");
  const int area = r.size * r.size;
  r.rules.ko = static_cast<Ko>(get_at_most(in, 2, "ko"));
  r.rules.suicide = get_at_most(in, 1, "suicide");
  r.black_player = in.get<uint8_t>();
  r.white_player = in.get<uint8_t>();
  r.finished = static_cast<Finished>(get_at_most(in, 2, "finished"));
  r.settled = get_at_most(in, 1, "settled");
  r.result_half = get_at_most(in, 2, "result");
  r.rules.komi = in.get<float>();
  r.score = in.get<float>();
  require(std::abs(r.rules.komi) <= kMaxKomi && std::isfinite(r.score), "komi or score");
  r.game_id = in.get<uint64_t>();
  r.seed = in.get<uint64_t>();
  r.hash = in.get<uint64_t>();
  r.opening_moves = in.get<uint16_t>();
  const int num_moves = in.get<uint16_t>();
  const int num_ranges = in.get<uint16_t>();
  require(r.opening_moves <= num_moves && num_ranges <= num_moves, "counts");
  for (int i = 0; i < num_ranges; ++i) {
    const uint16_t first = in.get<uint16_t>();
    require(first < num_moves && (i == 0 ? first == 0 : first > r.net_ranges.back().first), "net ranges");
    r.net_ranges.emplace_back(first, in.get<int64_t>());
  }
  for (const uint8_t byte : in.bytes(area)) {
    r.ownership.push_back(static_cast<int8_t>(byte));
    require(r.ownership.back() >= -1 && r.ownership.back() <= 1, "ownership");
  }
  for (int i = 0; i < num_moves; ++i) {
    MoveRecord m;
    const uint16_t move = in.get<uint16_t>();
    require(move <= area, "move");
    m.move = static_cast<Move>(move);
    const uint8_t flags = get_at_most(in, 3, "move flags");
    m.full = flags & 1;
    m.kind = static_cast<PolicyKind>(flags >> 1);
    require(m.full || m.kind == PolicyKind::kNone, "policy target without a full search");
    m.visit_cap = in.get<uint32_t>();
    m.root_visits = in.get<uint32_t>();
    require(m.visit_cap <= INT32_MAX && m.root_visits <= INT32_MAX, "visits");
    m.root_value = in.get<float>();
    require(std::isnan(m.root_value) || (m.root_value >= 0 && m.root_value <= 1), "root value");
    if (m.kind != PolicyKind::kNone) get_policy(in, m, r.policy, area);
    r.moves.push_back(m);
  }
  require(in.left() == 0, "trailing bytes");
  return r;
}

Game replay_record(const GameRecord& record) {
  Game game(record.size, record.rules);
  for (const MoveRecord& m : record.moves) {
    require(game.is_legal(m.move), "illegal move");
    game.play(m.move);
  }
  require(game.hash() == record.hash, "another final position");
  return game;
}

void expand_policy(const GameRecord& record, const MoveRecord& move, float* out) {
  const PolicyEntry* entries = record.policy.data() + move.policy_begin;
  std::fill(out, out + record.size * record.size + 1, 0.0f);
  float sum = 0;
  for (int i = 0; i < move.policy_count; ++i) sum += entries[i].weight;
  for (int i = 0; i < move.policy_count; ++i) out[entries[i].move] = static_cast<float>(entries[i].weight) / sum;
}

}  // namespace go
