#include "strategies/regularized_evolution.hpp"

#include <algorithm>
#include <cassert>
#include <tuple>

#include "objectives/crowding.hpp"
#include "objectives/dominance.hpp"
#include "search_spaces/sampling.hpp"

namespace espalier {

OptionTable<RegularizedEvolutionOptions> regularized_evolution_option_table() {
  using Options = RegularizedEvolutionOptions;
  OptionTable<Options> table("evolution by tournaments in which the oldest dies");
  table.add("population", &Options::population, "living individuals", at_least(1))
      .add("sample", &Options::sample, "individuals drawn for a tournament", at_least(1))
      .add("mutations", &Options::mutations, "decisions changed from parent to child", at_least(1));
  return add_start_options(table);
}

RegularizedEvolution::RegularizedEvolution(const RunContext& context,
                                           const RegularizedEvolutionOptions& options)
    : space_(context.space),
      goals_(context.goals),
      rng_(context.rng),
      start_(context, options),
      options_(options),
      first_generation_(
          std::max(static_cast<std::size_t>(options.population), start_.known_count())) {}

std::vector<Candidate> RegularizedEvolution::ask(std::size_t max_count) {
  std::vector<Candidate> candidates;
  candidates.reserve(std::min<std::size_t>(max_count, 1024));
  while (candidates.size() < max_count) {
    Candidate candidate;
    const Individual* parent = nullptr;
    if (next_id_ >= first_generation_) {
      if (told_ < first_generation_) break;
      parent = choose_parent();
    }
    if (parent != nullptr) {
      candidate.parent = parent->trial_id;
      candidate.architecture = mutate(*space_, parent->architecture, rng_);
      for (int i = 1; i < options_.mutations; ++i) {
        candidate.architecture = mutate(*space_, candidate.architecture, rng_);
      }
    } else if (auto known = start_.next_known()) {
      candidate.architecture = *std::move(known);
    } else {
      candidate.architecture =
          *start_.draw_screened([this] { return std::optional(sample_uniform(*space_, rng_)); });
    }
    candidate.trial_id = next_id_++;
    candidates.push_back(std::move(candidate));
  }
  return candidates;
}

void RegularizedEvolution::tell(const Trial& trial) {
  assert(trial.candidate.trial_id < next_id_);
  ++told_;
  ranked_ = false;
  Individual& individual = population_.emplace_back();
  individual.trial_id = trial.candidate.trial_id;
  individual.architecture = trial.candidate.architecture;
  individual.failed = trial.state == TrialState::failed;
  if (!individual.failed) {
    individual.violation = goals_.violation(trial.metrics);
    if (goals_.size() == 1) {
      individual.cost = goals_.first_cost(trial.metrics);
    } else {
      individual.costs = goals_.costs(trial.metrics);
    }
  }
  if (population_.size() > static_cast<std::size_t>(options_.population)) population_.pop_front();
}

bool RegularizedEvolution::better(const Individual& a, const Individual& b) const {
  if (a.failed != b.failed) return b.failed;
  if (goals_.size() == 1) return std::tie(a.violation, a.cost) < std::tie(b.violation, b.cost);
  return a.rank != b.rank ? a.rank < b.rank : a.crowding > b.crowding;
}

// Ranks and crowding distances of all that did not fail.
void RegularizedEvolution::rank_population() {
  ranked_ = true;
  std::vector<double> costs, violations;
  for (const Individual& individual : population_) {
    if (individual.failed) continue;
    costs.insert(costs.end(), individual.costs.begin(), individual.costs.end());
    violations.push_back(individual.violation);
  }
  const PointsView points{costs, goals_.size()};
  const auto ranks = non_dominated_ranks(points, violations);
  const auto crowding = crowding_distances(points, ranks);
  std::size_t next = 0;
  for (Individual& individual : population_) {
    if (individual.failed) continue;
    individual.rank = ranks[next];
    individual.crowding = crowding[next++];
  }
}

const RegularizedEvolution::Individual* RegularizedEvolution::choose_parent() {
  if (goals_.size() > 1 && !ranked_) rank_population();
  const Individual* best = nullptr;
  for (int i = 0; i < options_.sample; ++i) {
    const Individual& drawn = population_[rng_.below(population_.size())];
    if (best == nullptr || better(drawn, *best)) best = &drawn;
  }
  if (!best->failed) return best;
  std::vector<const Individual*> others;
  for (const Individual& individual : population_) {
    if (!individual.failed) others.push_back(&individual);
  }
  return others.empty() ? nullptr : others[rng_.below(others.size())];
}

}  // namespace espalier
