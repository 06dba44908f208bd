#include "strategies/proposers.hpp"

#include <algorithm>
#include <functional>
#include <numeric>
#include <optional>
#include <unordered_set>
#include <utility>

#include "search_spaces/mixed_radix.hpp"
#include "search_spaces/sampling.hpp"

namespace espalier {
namespace {

using ArchitectureSet = std::unordered_set<Architecture, ArchitectureHash>;

constexpr std::size_t parents = 10;  // the best told, of which mutations are looked at
constexpr std::size_t climbers = 5;  // that go on to better neighbours at the same time
constexpr int most_climbs = 30;
constexpr std::uint64_t whole_space = 20'000;  // choices of a space that is looked at as a whole

// Places by promise, the largest first, equal ones in their order.
std::vector<std::size_t> by_promise(const std::vector<double>& promises) {
  std::vector<std::size_t> order(promises.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::ranges::stable_sort(order, std::greater(), [&](std::size_t i) { return promises[i]; });
  return order;
}

// New architectures, each once.
class Pool {
 public:
  explicit Pool(const AskedArchitectures& asked) : asked_(asked) {}
  bool add(Architecture a) {
    if (asked_.contains(a) || !seen_.insert(a).second) return false;
    architectures.push_back(std::move(a));
    return true;
  }
  std::vector<Architecture> architectures;

 private:
  const AskedArchitectures& asked_;
  ArchitectureSet seen_;
};

void add_random(Pool& pool, ProposalContext& context, int count) {
  for (int i = 0; i < count; ++i) {
    std::optional<Architecture> a = context.asked.draw_other(context.rng);
    if (!a) return;
    pool.add(*std::move(a));
  }
}

// The first of `ordered` places.
std::vector<Architecture> first_of(const std::vector<Architecture>& architectures,
                                   const std::vector<std::size_t>& ordered, std::size_t count) {
  std::vector<Architecture> result;
  for (const std::size_t place : ordered) {
    if (result.size() == count) break;
    result.push_back(architectures[place]);
  }
  return result;
}

}  // namespace

std::vector<Architecture> climb(ProposalContext& context, int count) {
  const SearchSpace& space = context.space;
  Pool pool(context.asked);
  const int half = count / 2;
  add_random(pool, context, half);
  const std::vector<Individual> best = context.surrogate.best(parents);
  for (int i = half; i < count; ++i) {
    Architecture a = mutate(space, best[context.rng.below(best.size())].architecture, context.rng);
    if (context.rng.below(2) == 0) a = mutate(space, a, context.rng);
    pool.add(std::move(a));
  }
  std::vector<Architecture>& candidates = pool.architectures;
  if (candidates.empty()) return {};
  std::vector<double> promises = context.surrogate.expected_improvements(candidates, context.draws);
  ArchitectureSet climbed;
  std::vector<std::size_t> order;
  for (int i = 0; i < most_climbs; ++i) {
    order = by_promise(promises);
    const std::size_t old_count = candidates.size();
    for (std::size_t c = 0; c < std::min(order.size(), climbers); ++c) {
      const Architecture from = candidates[order[c]];
      if (!climbed.insert(from).second) continue;
      for (Architecture& a : neighbours(space, from)) pool.add(std::move(a));
    }
    if (candidates.size() == old_count || i + 1 == most_climbs) {
      candidates.resize(old_count);
      break;
    }
    const std::vector<Architecture> next(
        candidates.begin() + static_cast<std::ptrdiff_t>(old_count), candidates.end());
    const auto its = context.surrogate.expected_improvements(next, context.draws);
    promises.insert(promises.end(), its.begin(), its.end());
  }
  return first_of(candidates, order, context.count);
}

std::vector<Architecture> local_and_random(ProposalContext& context, int count) {
  const SearchSpace& space = context.space;
  Pool pool(context.asked);
  std::vector<double> promises;  // of the pool
  const auto promises_of = [&](const std::vector<Architecture>& architectures) {
    return context.surrogate.expected_improvements(architectures, context.draws);
  };
  const auto add = [&](const std::vector<Architecture>& architectures,
                       const std::vector<double>& its) {
    for (std::size_t i = 0; i < architectures.size(); ++i) {
      if (pool.add(architectures[i])) promises.push_back(its[i]);
    }
  };
  std::vector<Architecture> told;
  for (Individual& individual : context.surrogate.best(context.surrogate.size())) {
    told.push_back(std::move(individual.architecture));
  }
  const std::vector<double> told_promises = promises_of(told);
  const std::vector<std::size_t> starts = by_promise(told_promises);
  for (std::size_t s = 0; s < std::min(starts.size(), parents); ++s) {
    Architecture at = told[starts[s]];
    double promise = told_promises[starts[s]];
    while (true) {
      const std::vector<Architecture> around = neighbours(space, at);
      if (around.empty()) break;
      const std::vector<double> its = promises_of(around);
      add(around, its);
      const auto best = std::ranges::max_element(its);
      if (*best <= promise) break;
      promise = *best;
      at = around[static_cast<std::size_t>(best - its.begin())];
    }
  }
  std::vector<Architecture> random;
  for (int i = 0; i < count; ++i) {
    std::optional<Architecture> a = context.asked.draw_other(context.rng);
    if (!a) break;
    random.push_back(*std::move(a));
  }
  add(random, promises_of(random));
  // In turn, each once.
  std::vector<Architecture> result;
  ArchitectureSet taken;
  const auto take = [&](const Architecture& a) {
    if (result.size() < context.count && taken.insert(a).second) result.push_back(a);
  };
  for (const std::size_t place : by_promise(promises)) {
    if (result.size() == context.count) break;
    take(pool.architectures[place]);
    if (const auto a = context.asked.draw_other(context.rng)) take(*a);
  }
  return result;
}

std::vector<Architecture> mutations_of_best(ProposalContext& context, int count,
                                            Comparison comparison) {
  const std::vector<Individual> best = context.surrogate.best(parents);
  Pool pool(context.asked);
  const int each = std::max(1, count / static_cast<int>(best.size()));
  for (const Individual& individual : best) {
    for (int i = 0; i < each; ++i) {
      pool.add(mutate(context.space, individual.architecture, context.rng));
    }
  }
  // Where all neighbours were asked for.
  if (pool.architectures.size() < context.count) add_random(pool, context, count);
  const std::vector<Architecture>& candidates = pool.architectures;
  if (candidates.empty()) return {};
  const std::vector<Individual> compared = comparison == Comparison::drawn
                                               ? context.surrogate.drawn(candidates, context.draws)
                                               : context.surrogate.predicted(candidates);
  return first_of(candidates, best_first(compared), context.count);
}

std::vector<Architecture> best_and_random_of_best(ProposalContext& context, int count) {
  Pool pool(context.asked);
  if (MixedRadix::of(context.space, whole_space)) {
    enumerate(context.space, [&](const Architecture& a) {
      pool.add(a);
      return true;
    });
  } else {
    add_random(pool, context, count);
  }
  const std::vector<Architecture>& candidates = pool.architectures;
  if (candidates.empty()) return {};
  std::vector<std::size_t> order = best_first(context.surrogate.predicted(candidates));
  const std::size_t best = (context.count + 1) / 2;
  std::vector<Architecture> result = first_of(candidates, order, best);
  order.erase(order.begin(), order.begin() + static_cast<std::ptrdiff_t>(result.size()));
  const std::size_t half = context.round < 63 ? candidates.size() >> context.round : 0;
  order.resize(std::min(order.size(), std::max(half, context.count) - result.size()));
  context.rng.shuffle(order);
  for (const std::size_t place : order) {
    if (result.size() == context.count) break;
    result.push_back(candidates[place]);
  }
  return result;
}

std::vector<Architecture> evolved(ProposalContext& context, const PredictedEvolution& evolution) {
  std::vector<Architecture> first;
  for (Individual& individual : context.surrogate.best(evolution.population)) {
    first.push_back(std::move(individual.architecture));
  }
  ArchitectureSet seen(first.begin(), first.end());
  std::vector<Individual> population = context.surrogate.predicted(first);
  std::vector<Individual> others;  // new ones, all that were come across
  const auto note = [&](const std::vector<Individual>& individuals) {
    for (const Individual& individual : individuals) {
      if (!context.asked.contains(individual.architecture)) others.push_back(individual);
    }
  };
  for (int generation = 0; generation < evolution.generations; ++generation) {
    // The best are first, so that the smallest place wins a tournament.
    const std::vector<std::size_t> order = best_first(population);
    std::vector<Individual> sorted;
    for (const std::size_t place : order) {
      if (sorted.size() == evolution.population) break;
      sorted.push_back(std::move(population[place]));
    }
    population = std::move(sorted);
    const auto winner = [&]() -> const Architecture& {
      std::size_t place = population.size();
      for (std::size_t i = 0; i < evolution.tournament; ++i) {
        place = std::min<std::size_t>(place, context.rng.below(population.size()));
      }
      return population[place].architecture;
    };
    std::vector<Architecture> children;
    for (std::size_t i = 0; i < evolution.population; ++i) {
      const Architecture& mother = winner();
      const Architecture& father = winner();
      Architecture child = vary(context.space, father, mother, evolution.variation, context.rng);
      if (seen.insert(child).second) children.push_back(std::move(child));
    }
    if (children.empty()) {
      if (auto a = context.asked.draw_other(context.rng); a && seen.insert(*a).second) {
        children.push_back(*std::move(a));
      }
    }
    if (children.empty()) continue;
    std::vector<Individual> rated = context.surrogate.predicted(children);
    note(rated);
    for (Individual& child : rated) population.push_back(std::move(child));
  }
  std::vector<Architecture> candidates;
  for (const Individual& individual : others) candidates.push_back(individual.architecture);
  return first_of(candidates, best_first(others), context.count);
}

}  // namespace espalier
