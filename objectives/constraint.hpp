// What a search has to keep to.
#pragma once

#include <limits>
#include <string>

namespace espalier {

/// Bounds on a metric, both allowed values themselves.
struct Constraint {
  std::string metric;
  double lower = -std::numeric_limits<double>::infinity();
  double upper = std::numeric_limits<double>::infinity();

  friend bool operator==(const Constraint&, const Constraint&) = default;
};

/// How far a value lies outside of the bounds, relative to the bound that it breaks (absolute where
/// that is 0): 0 inside, infinite for NaN.
double violation(const Constraint& constraint, double value);

}  // namespace espalier
