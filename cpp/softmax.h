// Softmax over a short list, written so that the compiler vectorises it without changing the order of the sums.
#pragma once
#include <algorithm>
#include <bit>
#include <cstdint>

namespace go {

// exp(x) for x <= 0 within 2e-6 relative; below -80 it is exp(-80), which keeps priors positive.
inline float exp_negative(float x) {
  // The clamp works on bits (a larger pattern is a more negative number): comparing floats would not vectorise.
  x = std::bit_cast<float>(std::min(std::bit_cast<uint32_t>(x), std::bit_cast<uint32_t>(-80.0f)));
  const float scaled = x * 1.44269504f;
  const float whole = static_cast<float>(static_cast<int32_t>(scaled - 0.5f));  // nearest, as scaled <= 0
  const float f = (scaled - whole) * 0.69314718f;
  const float poly =
      1.0f + f * (1.0f + f * (0.5f + f * (0.16666667f + f * (0.041666668f + f * (0.0083333338f + f * 0.0013888889f)))));
  return poly * std::bit_cast<float>((static_cast<int32_t>(whole) + 127) << 23);
}

// In place; sums run in eight lanes, the same on every machine.
inline void softmax(float* x, int count) {
  float tops[8];
  std::fill(tops, tops + 8, x[0]);
  int done = 0;
  for (; done + 8 <= count; done += 8) {
    for (int lane = 0; lane < 8; ++lane) tops[lane] = tops[lane] < x[done + lane] ? x[done + lane] : tops[lane];
  }
  for (; done < count; ++done) tops[0] = std::max(tops[0], x[done]);
  const float top = *std::max_element(tops, tops + 8);
  for (int i = 0; i < count; ++i) x[i] = exp_negative(x[i] - top);
  float lanes[8] = {};
  int i = 0;
  for (; i + 8 <= count; i += 8) {
    for (int lane = 0; lane < 8; ++lane) lanes[lane] += x[i + lane];
  }
  for (; i < count; ++i) lanes[i & 7] += x[i];
  const float sum =
      ((lanes[0] + lanes[4]) + (lanes[2] + lanes[6])) + ((lanes[1] + lanes[5]) + (lanes[3] + lanes[7]));
  const float scale = 1.0f / sum;
  for (int j = 0; j < count; ++j) x[j] *= scale;
}

}  // namespace go
