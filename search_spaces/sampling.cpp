#include "search_spaces/sampling.hpp"

#include <algorithm>
#include <set>
#include <utility>

#include "core/error.hpp"

namespace espalier {

namespace {
constexpr int max_draws = 100'000;

/// The choices next to `choice` under one exchange: every other option, or for a subset every
/// subset that differs in one member.
std::vector<std::uint32_t> other_choices(const Decision& decision, std::uint32_t count,
                                         std::uint32_t choice) {
  std::vector<std::uint32_t> result;
  if (decision.pick == 1) {
    for (std::uint32_t c = 0; c < count; ++c) {
      if (c != choice) result.push_back(c);
    }
    return result;
  }
  const auto options = static_cast<std::uint32_t>(decision.options.size());
  const auto subset = picked_options(decision, choice);
  for (std::size_t out = 0; out < subset.size(); ++out) {
    for (std::uint32_t in = 0; in < options; ++in) {
      if (std::find(subset.begin(), subset.end(), in) != subset.end()) continue;
      auto changed = subset;
      changed[out] = in;
      std::sort(changed.begin(), changed.end());
      result.push_back(rank_subset(changed));
    }
  }
  std::sort(result.begin(), result.end());
  return result;
}

/// {MACs, params} times `sign`, the more the better.
using Size = std::pair<std::int64_t, std::int64_t>;
Size size_of(const SearchSpace& space, const Architecture& a, std::int64_t sign) {
  const Cost cost = space.quick_cost(a);
  return {sign * cost.macs, sign * cost.params};
}

Architecture extreme_architecture(const SearchSpace& space, std::int64_t sign) {
  Architecture best;
  for (std::uint32_t count : space.choice_counts())
    best.choices.push_back(sign > 0 ? count - 1 : 0);
  Size size;
  if (space.valid(best)) {
    best = space.canonical(best);
    size = size_of(space, best, sign);
  } else {
    Rng rng(0);
    best = sample_uniform(space, rng);
    size = size_of(space, best, sign);
    for (int i = 1; i < 1000; ++i) {
      Architecture other = sample_uniform(space, rng);
      const Size its = size_of(space, other, sign);
      if (its > size) best = std::move(other), size = its;
    }
  }
  for (bool better = true; better;) {
    better = false;
    for (Architecture& other : neighbours(space, best)) {
      const Size its = size_of(space, other, sign);
      if (its <= size) continue;
      best = std::move(other), size = its, better = true;
    }
  }
  return best;
}
}  // namespace

Architecture sample_uniform(const SearchSpace& space, Rng& rng) {
  const auto& counts = space.choice_counts();
  Architecture a;
  a.choices.resize(counts.size());
  for (int draw = 0; draw < max_draws; ++draw) {
    for (std::size_t d = 0; d < counts.size(); ++d) {
      a.choices[d] = static_cast<std::uint32_t>(rng.below(counts[d]));
    }
    if (space.valid(a)) return space.canonical(a);
  }
  throw UnsupportedError("no valid architecture among " + std::to_string(max_draws) +
                         " uniform draws: loosen the space's constraints");
}

Architecture mutate(const SearchSpace& space, const Architecture& a, Rng& rng) {
  // Drawing one decision and one option costs far less than listing all neighbours; the list is
  // the fallback where constraints reject most draws.
  const auto& counts = space.choice_counts();
  if (counts.empty()) return a;
  for (int draw = 0; draw < 100; ++draw) {
    const auto d = static_cast<DecisionId>(rng.below(counts.size()));
    if (counts[d] < 2 || !space.active(a, d)) continue;
    Architecture b = a;
    const Decision& decision = space.decisions()[d];
    if (decision.pick == 1) {
      const auto option = static_cast<std::uint32_t>(rng.below(counts[d] - 1));
      b.choices[d] = option + (option >= a.choices[d]);
    } else {
      const auto others = other_choices(decision, counts[d], a.choices[d]);
      b.choices[d] = others[rng.below(others.size())];
    }
    if (!space.valid(b)) continue;
    b = space.canonical(b);
    if (b != a) return b;
  }
  const auto all = neighbours(space, a);
  return all.empty() ? a : all[rng.below(all.size())];
}

Architecture crossover(const SearchSpace& space, const Architecture& a, const Architecture& b,
                       Rng& rng) {
  for (int draw = 0; draw < 100; ++draw) {
    Architecture child = a;
    for (std::size_t d = 0; d < child.choices.size(); ++d) {
      if (rng.below(2) == 1) child.choices[d] = b.choices[d];
    }
    if (space.valid(child)) return space.canonical(child);
  }
  return a;
}

std::vector<Architecture> neighbours(const SearchSpace& space, const Architecture& a) {
  std::set<Architecture> seen{a};
  std::vector<Architecture> result;
  const auto& counts = space.choice_counts();
  for (DecisionId d = 0; d < counts.size(); ++d) {
    if (!space.active(a, d)) continue;
    for (std::uint32_t c : other_choices(space.decisions()[d], counts[d], a.choices[d])) {
      Architecture b = a;
      b.choices[d] = c;
      if (!space.valid(b)) continue;
      b = space.canonical(b);
      if (seen.insert(b).second) result.push_back(std::move(b));
    }
  }
  return result;
}

void enumerate(const SearchSpace& space, const std::function<bool(const Architecture&)>& visit) {
  const auto& counts = space.choice_counts();
  Architecture a;
  a.choices.assign(counts.size(), 0);
  while (true) {
    if (space.valid(a) && space.canonical(a) == a && !visit(a)) return;
    std::size_t d = counts.size();
    while (d > 0 && ++a.choices[d - 1] == counts[d - 1]) a.choices[--d] = 0;
    if (d == 0) return;
  }
}

Architecture largest_architecture(const SearchSpace& space) {
  return extreme_architecture(space, 1);
}

Architecture smallest_architecture(const SearchSpace& space) {
  return extreme_architecture(space, -1);
}

SampledCosts sample_costs(const SearchSpace& space, int count, Rng& rng) {
  SampledCosts result{.example = sample_uniform(space, rng)};
  const Cost first = space.quick_cost(result.example);
  result.least_params = result.most_params = first.params;
  result.least_macs = result.most_macs = first.macs;
  for (int i = 1; i < count; ++i) {
    const Cost cost = space.quick_cost(sample_uniform(space, rng));
    result.least_params = std::min(result.least_params, cost.params);
    result.most_params = std::max(result.most_params, cost.params);
    result.least_macs = std::min(result.least_macs, cost.macs);
    result.most_macs = std::max(result.most_macs, cost.macs);
  }
  return result;
}

}  // namespace espalier
