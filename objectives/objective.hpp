// What a search optimizes.
#pragma once

#include <string>

#include "objectives/metric.hpp"

namespace espalier {

/// A metric to be made small or large.
struct Objective {
  std::string metric;
  Direction direction = Direction::minimize;

  friend bool operator==(const Objective&, const Objective&) = default;
};

}  // namespace espalier
