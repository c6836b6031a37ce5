// Shards of records to bytes and back; the layout is in shard.h.
#include "shard.h"

#include <cstring>

#include "bytes.h"

namespace go {

namespace {

constexpr char kMagic[4] = {'G', 'S', 'H', 'D'};
constexpr char kEnd[4] = {'G', 'E', 'N', 'D'};
constexpr int kShardVersion = 1;
constexpr size_t kFooterBytes = 12;

std::span<const uint8_t> as_bytes(std::string_view text) {
  return {reinterpret_cast<const uint8_t*>(text.data()), text.size()};
}

}  // namespace

std::string write_shard(const std::vector<std::string_view>& records) {
  std::string out(kMagic, sizeof kMagic);
  put<uint16_t>(out, kShardVersion);
  put<uint16_t>(out, 0);
  put<uint32_t>(out, static_cast<uint32_t>(records.size()));
  for (const std::string_view record : records) {
    if (record.size() > UINT32_MAX) throw RecordError("a record of more than 4 GiB");
    put<uint32_t>(out, static_cast<uint32_t>(record.size()));
    put<uint32_t>(out, crc32(as_bytes(record)));
    out.append(record);
  }
  out.append(kEnd, sizeof kEnd);
  put<uint32_t>(out, static_cast<uint32_t>(records.size()));
  put<uint32_t>(out, crc32(as_bytes(out)));
  return out;
}

std::vector<std::span<const uint8_t>> read_shard(std::span<const uint8_t> data) {
  if (data.size() < 12 + kFooterBytes || std::memcmp(data.data(), kMagic, sizeof kMagic) != 0) {
    throw RecordError("not a shard: no magic, or cut short");
  }
  Reader footer(data.last(kFooterBytes));
  if (std::memcmp(footer.bytes(4).data(), kEnd, sizeof kEnd) != 0) throw RecordError("shard without an end: cut short");
  const uint32_t count_at_end = footer.get<uint32_t>();
  Reader in(data.subspan(sizeof kMagic, data.size() - sizeof kMagic - kFooterBytes));
  const int version = in.get<uint16_t>();
  if (version != kShardVersion) throw RecordError("shard version " + std::to_string(version) + " is not known");
  in.get<uint16_t>();
  const uint32_t count = in.get<uint32_t>();
  if (count != count_at_end) throw RecordError("shard counts differ: damaged");
  std::vector<std::span<const uint8_t>> records;
  for (uint32_t i = 0; i < count; ++i) {
    const uint32_t length = in.get<uint32_t>();
    const uint32_t crc = in.get<uint32_t>();
    const auto record = in.bytes(length);
    if (crc32(record) != crc) throw RecordError("record " + std::to_string(i) + " of the shard: checksum mismatch");
    records.push_back(record);
  }
  if (in.left() != 0) throw RecordError("shard with trailing bytes: damaged");
  if (footer.get<uint32_t>() != crc32(data.first(data.size() - 4))) throw RecordError("shard checksum mismatch");
  return records;
}

}  // namespace go
