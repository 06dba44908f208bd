// The two loops that small networks consist of; sums are the same on every machine.
#pragma once

#include <cstddef>

namespace espalier {

/// The sum of products, in four interleaved parts, which a compiler may keep side by side.
inline double dot(const double* a, const double* b, std::size_t count) {
  double parts[4] = {0, 0, 0, 0};
  std::size_t i = 0;
  for (; i + 4 <= count; i += 4) {
    for (std::size_t part = 0; part < 4; ++part) parts[part] += a[i + part] * b[i + part];
  }
  for (; i < count; ++i) parts[0] += a[i] * b[i];
  return (parts[0] + parts[1]) + (parts[2] + parts[3]);
}

/// Adds `factor` times `from` to `to`.
inline void add_multiple(double factor, const double* from, double* to, std::size_t count) {
  for (std::size_t i = 0; i < count; ++i) to[i] += factor * from[i];
}

}  // namespace espalier
