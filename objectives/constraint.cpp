#include "objectives/constraint.hpp"

#include <cmath>

namespace espalier {

double violation(const Constraint& constraint, double value) {
  const auto relative = [](double excess, double bound) {
    return bound == 0 ? excess : excess / std::abs(bound);
  };
  if (std::isnan(value)) return std::numeric_limits<double>::infinity();
  if (value < constraint.lower) return relative(constraint.lower - value, constraint.lower);
  if (value > constraint.upper) return relative(value - constraint.upper, constraint.upper);
  return 0;
}

}  // namespace espalier
