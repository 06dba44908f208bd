#include "strategies/evolution.hpp"

#include <algorithm>
#include <cassert>
#include <numeric>
#include <utility>

namespace espalier {
namespace {

constexpr int max_known_children = 20;

}  // namespace

Survivors RankAndCrowding::choose(std::span<const Individual> pool, std::size_t count, Rng&) {
  std::vector<const Individual*> all;
  for (const Individual& individual : pool) all.push_back(&individual);
  const auto keys = rank_and_crowding(all);
  std::vector<std::size_t> order(pool.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::ranges::stable_sort(order, {}, [&](std::size_t i) { return keys[i]; });
  order.resize(count);
  Survivors survivors{.places = std::move(order), .keys = {}};
  for (const std::size_t place : survivors.places) survivors.keys.push_back(keys[place]);
  return survivors;
}

Evolution::Evolution(const RunContext& context, const StartOptions& start,
                     const GenerationOptions& generation, std::unique_ptr<Survival> survival)
    : space_(context.space),
      goals_(context.goals),
      rng_(context.rng),
      start_(context, start, Moves::screened),
      generation_(generation),
      survival_(std::move(survival)),
      asked_(space_),
      generation_end_(std::max(generation.population, start_.known_count())) {}

std::vector<Candidate> Evolution::ask(std::size_t max_count) {
  std::vector<Candidate> candidates;
  while (candidates.size() < max_count && next_id_ < generation_end_ && !finished_) {
    std::optional<Candidate> candidate =
        population_.empty() ? start_.next_new(asked_, rng_) : child();
    if (!candidate) {
      finished_ = true;
      break;
    }
    asked_.insert(candidate->architecture);
    candidate->trial_id = next_id_++;
    candidates.push_back(*std::move(candidate));
  }
  return candidates;
}

std::optional<Candidate> Evolution::child() {
  const auto new_child = [this]() -> std::optional<Candidate> {
    for (int i = 0; i < max_known_children; ++i) {
      const Individual& a = population_[winner()];
      const Individual& b = population_[winner()];
      Candidate candidate{.architecture = vary(*space_, a.architecture, b.architecture,
                                               generation_.variation, rng_),
                          .parent = a.trial_id};
      if (!asked_.contains(candidate.architecture)) return candidate;
    }
    return std::nullopt;
  };
  if (auto candidate = start_.draw_move(new_child)) return candidate;
  return start_.next_new(asked_, rng_);
}

std::size_t Evolution::winner() {
  std::size_t best = rng_.below(population_.size());
  for (std::size_t i = 1; i < generation_.tournament; ++i) {
    const std::size_t drawn = rng_.below(population_.size());
    if (keys_[drawn] < keys_[best]) best = drawn;
  }
  return best;
}

void Evolution::tell(const Trial& trial) {
  assert(trial.candidate.trial_id == told_);
  ++told_;
  children_.push_back(Individual::of(trial, goals_));
  if (told_ < generation_end_) return;
  std::vector<Individual> pool = std::move(population_);
  for (Individual& child : children_) {
    if (!child.failed) pool.push_back(std::move(child));
  }
  children_.clear();
  const std::size_t count = std::min(generation_.population, pool.size());
  population_.clear();
  keys_.clear();
  if (count > 0) {
    Survivors survivors = survival_->choose(pool, count, rng_);
    for (const std::size_t place : survivors.places) population_.push_back(std::move(pool[place]));
    keys_ = std::move(survivors.keys);
  }
  generation_end_ += population_.empty() ? generation_.population : generation_.children;
}

OptionTable<MuPlusLambdaOptions> mu_plus_lambda_option_table() {
  using Options = MuPlusLambdaOptions;
  OptionTable<Options> table("(mu + lambda) evolution: the best of parents and children live on");
  table.add("population", &Options::population, "parents, mu", at_least(1))
      .add("children", &Options::children, "children of a generation, lambda", at_least(1))
      .add("tournament", &Options::tournament, "individuals drawn for a parent", at_least(1));
  add_variation_options(table);
  return add_start_options(table);
}

std::unique_ptr<Strategy> mu_plus_lambda(const RunContext& context,
                                         const MuPlusLambdaOptions& options) {
  return std::make_unique<Evolution>(
      context, options,
      GenerationOptions{
          .population = static_cast<std::size_t>(options.population),
          .children = static_cast<std::size_t>(options.children),
          .tournament = static_cast<std::size_t>(options.tournament),
          .variation = {.crossover = options.crossover, .mutations = options.mutations}},
      std::make_unique<RankAndCrowding>());
}

OptionTable<Nsga2Options> nsga2_option_table() {
  using Options = Nsga2Options;
  OptionTable<Options> table("NSGA-II: evolution of a front, by rank and crowding distance");
  table.add("population", &Options::population, "individuals, and children of a generation",
            at_least(2));
  add_variation_options(table);
  return add_start_options(table);
}

std::unique_ptr<Strategy> nsga2(const RunContext& context, const Nsga2Options& options) {
  const auto population = static_cast<std::size_t>(options.population);
  return std::make_unique<Evolution>(
      context, options,
      GenerationOptions{
          .population = population,
          .children = population,
          .variation = {.crossover = options.crossover, .mutations = options.mutations}},
      std::make_unique<RankAndCrowding>());
}

}  // namespace espalier
