// Little-endian reading and writing with bounds checks, for records and shards.
#pragma once
#include <bit>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <type_traits>

#include "record.h"

namespace go {

static_assert(std::endian::native == std::endian::little, "records are written as they lie in memory");

template <typename T>
void put(std::string& out, T value) {
  static_assert(std::is_trivially_copyable_v<T>);
  out.append(reinterpret_cast<const char*>(&value), sizeof(T));
}

class Reader {
 public:
  explicit Reader(std::span<const uint8_t> data) : data_(data) {}

  template <typename T>
  T get() {
    T value;
    std::memcpy(&value, bytes(sizeof(T)).data(), sizeof(T));
    return value;
  }
  std::span<const uint8_t> bytes(size_t count) {
    if (count > data_.size()) throw RecordError("truncated: " + std::to_string(count - data_.size()) + " bytes missing");
    const auto result = data_.first(count);
    data_ = data_.subspan(count);
    return result;
  }
  size_t left() const { return data_.size(); }

 private:
  std::span<const uint8_t> data_;
};

}  // namespace go
