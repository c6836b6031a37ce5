// Draws from the distributions that search and games need, from a keyed generator.
#pragma once
#include <cmath>

#include "rng.h"

namespace go {

// Standard normal by Box and Muller; the sine half is not kept, so draws stay a function of their count alone.
inline double draw_normal(Rng& rng) {
  const double radius = std::sqrt(-2.0 * std::log(1.0 - rng.uniform()));
  return radius * std::cos(6.283185307179586 * rng.uniform());
}

// Gamma(shape, 1): Marsaglia and Tsang 2000, with their boost for shapes below 1.
inline double draw_gamma(double shape, Rng& rng) {
  if (shape < 1.0) {
    const double power = std::pow(1.0 - rng.uniform(), 1.0 / shape);
    return draw_gamma(shape + 1.0, rng) * power;
  }
  const double d = shape - 1.0 / 3.0;
  const double c = 1.0 / std::sqrt(9.0 * d);
  for (;;) {
    const double x = draw_normal(rng);
    const double v = (1.0 + c * x) * (1.0 + c * x) * (1.0 + c * x);
    const double u = 1.0 - rng.uniform();
    if (v > 0 && std::log(u) < 0.5 * x * x + d - d * v + d * std::log(v)) return d * v;
  }
}

}  // namespace go
