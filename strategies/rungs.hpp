// What strategies that evaluate at lower fidelities first have in common.
#pragma once

#include <concepts>
#include <vector>

#include "strategies/individual.hpp"
#include "strategies/start.hpp"

namespace espalier {

/// The rungs of fidelity: 1, 1/eta, 1/eta^2, ... down to `min_fidelity`.
struct FidelityOptions : StartOptions {
  double min_fidelity = 0.1;  ///< no rung is below it, in [0.0001, 1]
  int eta = 3;                ///< factor between two rungs, in [2, 10000]
};

/// Adds the options of the rungs and those of all strategies to a strategy's table.
template <std::derived_from<FidelityOptions> T>
OptionTable<T>& add_fidelity_options(OptionTable<T>& table) {
  table
      .add("min_fidelity", static_cast<double T::*>(&FidelityOptions::min_fidelity),
           "share of a full evaluation that the first rung is not below", between(0.0001, 1))
      .add("eta", static_cast<int T::*>(&FidelityOptions::eta),
           "factor between the fidelities of two rungs; one in eta goes on", between(2, 10000));
  return add_start_options(table);
}

/// The fidelities of the rungs, the lowest first; the last is 1.
std::vector<double> rung_fidelities(const FidelityOptions& options);

}  // namespace espalier
