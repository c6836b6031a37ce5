// Many records in one file: "GSHD" | u16 version, u16 0, u32 count | count x (u32 length, u32 CRC-32, bytes) |
// "GEND" | u32 count, u32 CRC-32 of all bytes before it. Little-endian.
#pragma once
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "record.h"

namespace go {

std::string write_shard(const std::vector<std::string_view>& records);

// Views into `data`. Throws RecordError on any damage; the records themselves are not decoded.
std::vector<std::span<const uint8_t>> read_shard(std::span<const uint8_t> data);

}  // namespace go
