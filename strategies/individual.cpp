#include "strategies/individual.hpp"

#include <algorithm>
#include <numeric>
#include <tuple>

#include "core/json.hpp"
#include "objectives/crowding.hpp"
#include "objectives/dominance.hpp"

namespace espalier {

Individual Individual::of(const Trial& trial, const Goals& goals) {
  Individual individual{.trial_id = trial.candidate.trial_id,
                        .architecture = trial.candidate.architecture,
                        .failed = trial.state == TrialState::failed};
  if (individual.failed) return individual;
  individual.violation = goals.violation(trial.metrics);
  individual.cost = goals.first_cost(trial.metrics);
  if (goals.size() > 1) individual.costs = goals.costs(trial.metrics);
  return individual;
}

Json to_json(const Individual& individual) {
  return {individual.trial_id, individual.architecture.choices, individual.violation,
          individual.cost, individual.costs};
}

Individual individual_from_json(const Json& json) {
  Individual individual;
  json.at(0).get_to(individual.trial_id);
  json.at(1).get_to(individual.architecture.choices);
  json.at(2).get_to(individual.violation);
  json.at(3).get_to(individual.cost);
  json.at(4).get_to(individual.costs);
  return individual;
}

bool better(const Individual& a, const Individual& b) {
  if (a.failed || b.failed) return !a.failed && b.failed;
  if (a.costs.empty()) return std::tie(a.violation, a.cost) < std::tie(b.violation, b.cost);
  return constrained_dominates(a.costs, a.violation, b.costs, b.violation);
}

bool as_good(const Individual& a, const Individual& b) {
  return a.violation == b.violation && a.cost == b.cost && a.costs == b.costs;
}

std::vector<std::array<double, 2>> rank_and_crowding(std::span<const Individual* const> pool) {
  if (!pool.empty() && pool[0]->costs.empty()) {
    std::vector<std::array<double, 2>> order;
    for (const Individual* individual : pool) {
      order.push_back({individual->violation, individual->cost});
    }
    std::ranges::sort(order);
    std::vector<std::array<double, 2>> keys;
    for (const Individual* individual : pool) {
      const std::array place{individual->violation, individual->cost};
      keys.push_back(
          {static_cast<double>(std::ranges::lower_bound(order, place) - order.begin()), 0});
    }
    return keys;
  }
  std::vector<double> costs, violations;
  std::size_t objectives = 1;
  for (const Individual* individual : pool) {
    violations.push_back(individual->violation);
    objectives = individual->costs.size();
    costs.insert(costs.end(), individual->costs.begin(), individual->costs.end());
  }
  const PointsView points{costs, objectives};
  const std::vector<std::uint32_t> ranks = non_dominated_ranks(points, violations);
  const std::vector<double> crowding = crowding_distances(points, ranks);
  std::vector<std::array<double, 2>> keys(pool.size());
  for (std::size_t i = 0; i < pool.size(); ++i) {
    keys[i] = {static_cast<double>(ranks[i]), -crowding[i]};
  }
  return keys;
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
