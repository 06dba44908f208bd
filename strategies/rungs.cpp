#include "strategies/rungs.hpp"

#include <algorithm>
#include <array>
#include <numeric>
#include <utility>

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

std::vector<std::size_t> best_first(std::span<const Individual> individuals) {
  std::vector<std::size_t> places;
  std::vector<const Individual*> pool;
  for (std::size_t i = 0; i < individuals.size(); ++i) {
    if (individuals[i].failed) continue;
    places.push_back(i);
    pool.push_back(&individuals[i]);
  }
  const std::vector<std::array<double, 2>> keys = rank_and_crowding(pool);
  std::vector<std::size_t> order(places.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::ranges::stable_sort(order, {}, [&](std::size_t i) { return keys[i]; });
  for (std::size_t& i : order) i = places[i];
  return order;
}

}  // namespace espalier
