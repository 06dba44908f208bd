#include "strategies/cars.hpp"

#include <algorithm>
#include <cassert>
#include <cmath>
#include <cstdint>
#include <utility>

#include "core/error.hpp"
#include "core/json.hpp"
#include "objectives/dominance.hpp"
#include "search_spaces/sampling.hpp"
#include "strategies/variation.hpp"

namespace espalier {
namespace {

constexpr int max_known_children = 20;

std::vector<std::uint32_t> fronts(const std::vector<std::vector<double>>& costs,
                                  std::span<const double> violations) {
  std::vector<double> flat;
  for (const std::vector<double>& point : costs)
    flat.insert(flat.end(), point.begin(), point.end());
  return non_dominated_ranks(PointsView{flat, costs[0].size()}, violations);
}

Json to_json(const std::vector<Individual>& individuals) {
  Json list = Json::array();
  for (const Individual& one : individuals) list.push_back(to_json(one));
  return list;
}

std::vector<Individual> individuals_of(const Json& list) {
  std::vector<Individual> result;
  for (const Json& json : list) result.push_back(individual_from_json(json));
  return result;
}

}  // namespace

std::vector<std::size_t> protected_survivors(std::span<const Individual> pool,
                                             std::span<const std::optional<double>> growth,
                                             std::size_t objective, std::size_t count, Rng& rng) {
  assert(growth.size() == pool.size() && count <= pool.size());
  if (count == 0) return {};
  std::vector<std::vector<double>> costs, growing;
  std::vector<double> violations, violations_of_growing;
  std::vector<std::size_t> places;  // of the growing ones
  for (std::size_t i = 0; i < pool.size(); ++i) {
    costs.push_back(pool[i].all_costs());
    violations.push_back(pool[i].violation);
    if (!growth[i] || costs.back().size() == 1) continue;
    growing.push_back(costs.back());
    growing.back()[objective] = -*growth[i];
    violations_of_growing.push_back(pool[i].violation);
    places.push_back(i);
  }
  std::vector<std::uint32_t> first_front = fronts(costs, violations);  // of either sorting
  if (!growing.empty()) {
    const std::vector<std::uint32_t> by_growth = fronts(growing, violations_of_growing);
    for (std::size_t i = 0; i < places.size(); ++i) {
      first_front[places[i]] = std::min(first_front[places[i]], by_growth[i]);
    }
  }
  std::vector<std::size_t> chosen;
  std::vector<bool> taken(pool.size());
  for (std::uint32_t front = 0; chosen.size() < count; ++front) {
    std::vector<std::size_t> next;
    for (std::size_t i = 0; i < pool.size(); ++i) {
      if (!taken[i] && first_front[i] == front) next.push_back(i);
    }
    if (next.size() > count - chosen.size()) {
      rng.shuffle(next);
      next.resize(count - chosen.size());
    }
    for (const std::size_t i : next) {
      taken[i] = true;
      chosen.push_back(i);
    }
  }
  return chosen;
}

OptionTable<CarsOptions> cars_option_table() {
  using Options = CarsOptions;
  OptionTable<Options> table(
      "CARS: a population and the weights of all architectures evolve together");
  table.add("population", &Options::population, "individuals", at_least(2))
      .add("children", &Options::children,
           "children of a generation, as a multiple of the population", greater_than(0))
      .add("warmup", &Options::warmup,
           "epochs with random architectures at first, by default a tenth of all", at_least(1))
      .add("epochs", &Options::epochs, "of a generation, by default a fiftieth of all", at_least(1))
      .add("architectures", &Options::architectures, "that learn in a step", at_least(1))
      .add("crossover", &Options::crossover, "share of children that have two parents",
           between(0, 1))
      .add("mutation", &Options::mutation,
           "share of children that are mutated; what is left is random", between(0, 1))
      .check([](const Options& options) {
        if (options.crossover + options.mutation <= 1) return;
        throw ConfigError("/mutation",
                          "and \"crossover\" are shares of the children; they must "
                          "not be more than 1 together");
      });
  return add_start_options(table);
}

Cars::Cars(const RunContext& context, const CarsOptions& options)
    : WeightSharingSearch(context, options, "cars"), options_(options) {
  begin();
  const auto share = [&](double part) {
    return std::max(1, static_cast<int>(std::lround(part * training().epochs())));
  };
  if (!options_.warmup) options_.warmup = share(0.1);
  if (!options_.epochs) options_.epochs = share(0.02);
}

std::vector<Candidate> Cars::next_round(const Rng& rng) {
  const StepArchitectures step = [this](Rng r) {
    std::vector<Architecture> architectures;
    for (int i = 0; i < options_.architectures; ++i) {
      architectures.push_back(population_.empty()
                                  ? sample_uniform(space(), r)
                                  : population_[r.below(population_.size())].architecture);
    }
    return architectures;
  };
  const bool first = training().trained_epochs() == 0;
  if (!train(first ? *options_.warmup : *options_.epochs, step)) return {};
  std::vector<Candidate> round;
  const auto add = [&](const Architecture& a, std::optional<std::uint64_t> parent = {}) {
    const bool known = std::ranges::find(round, a, &Candidate::architecture) != round.end();
    if (!known) round.push_back({.architecture = a, .parent = parent});
    return !known;
  };
  while (const auto known = start().next_known()) add(*known);
  for (const Individual& one : population_) add(one.architecture, one.trial_id);
  Rng draws = rng.fork("children");
  const auto random = [&]() -> std::optional<Architecture> {
    return sample_uniform(space(), draws);
  };
  const auto size = static_cast<std::size_t>(options_.population);
  for (int i = 0; round.size() < size && i < max_known_children * options_.population; ++i) {
    add(*start().draw_screened(random));
  }
  const std::vector<Candidate> parents = round;
  const std::size_t children = std::max<std::size_t>(
      1, static_cast<std::size_t>(std::lround(options_.children * options_.population)));
  for (std::size_t i = 0; i < children; ++i) {
    for (int j = 0; j < max_known_children; ++j) {
      const double kind = draws.uniform();
      const bool of_parents = kind < options_.crossover + options_.mutation;
      Architecture a;
      if (!of_parents) {
        a = *start().draw_screened(random);
      } else if (kind < options_.crossover) {
        const Candidate& one = parents[draws.below(parents.size())];
        a = crossover(space(), one.architecture, parents[draws.below(parents.size())].architecture,
                      draws);
      } else {
        const Architecture& one = parents[draws.below(parents.size())].architecture;
        a = vary(space(), one, one,
                 {.crossover = 0, .mutations = 0.5 * static_cast<double>(one.choices.size())},
                 draws);
      }
      if (add(a)) break;
    }
  }
  return round;
}

void Cars::learn(const Trial& trial) {
  Individual one = Individual::of(trial, goals());
  if (!one.failed) told_.push_back(std::move(one));
}

void Cars::end_round(const Rng& rng) {
  const std::size_t objective = accuracy_objective();
  std::vector<std::optional<double>> growth;
  for (const Individual& one : told_) {
    const auto before = std::ranges::find(population_, one.architecture, &Individual::architecture);
    std::optional<double>& its = growth.emplace_back();
    if (before == population_.end()) continue;
    its = before->all_costs()[objective] - one.all_costs()[objective];
  }
  const std::size_t count = std::min(static_cast<std::size_t>(options_.population), told_.size());
  Rng draws = rng;
  std::vector<Individual> next;
  for (const std::size_t i : protected_survivors(told_, growth, objective, count, draws)) {
    next.push_back(std::move(told_[i]));
  }
  population_ = std::move(next);
  told_.clear();
}

Json Cars::save_state() const {
  return {{"population", to_json(population_)}, {"told", to_json(told_)}};
}

void Cars::load_state(const Json& state) {
  population_ = individuals_of(state.at("population"));
  told_ = individuals_of(state.at("told"));
}

}  // namespace espalier
