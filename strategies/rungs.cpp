#include "strategies/rungs.hpp"

#include <algorithm>

namespace espalier {

std::vector<double> rung_fidelities(const FidelityOptions& options) {
  std::vector<double> fidelities;
  // A bound that was written with few digits, such as 0.3333333333 for 1/3, is met.
  const double lowest = options.min_fidelity * (1 - 1e-9);
  for (double power = 1; 1 / power >= lowest; power *= options.eta) {
    fidelities.push_back(1 / power);
  }
  std::ranges::reverse(fidelities);
  return fidelities;
}

}  // namespace espalier
