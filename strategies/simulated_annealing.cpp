#include "strategies/simulated_annealing.hpp"

#include <algorithm>
#include <cassert>
#include <cmath>
#include <limits>
#include <utility>

#include "objectives/dominance.hpp"
#include "search_spaces/sampling.hpp"

namespace espalier {
namespace {

constexpr int max_known_steps = 100;

}  // namespace

OptionTable<SimulatedAnnealingOptions> simulated_annealing_option_table() {
  using Options = SimulatedAnnealingOptions;
  OptionTable<Options> table("a walk between neighbours that is allowed ever fewer steps back");
  table.add("samples", &Options::samples, "random architectures at first", at_least(2))
      .add("temperature", &Options::temperature,
           "at first, in standard deviations of the costs of the samples", greater_than(0))
      .add("cooling", &Options::cooling, "what the temperature is multiplied by at each step",
           Range{.low = 0, .high = 1, .low_open = true});
  return add_start_options(table);
}

SimulatedAnnealing::SimulatedAnnealing(const RunContext& context,
                                       const SimulatedAnnealingOptions& options)
    : space_(context.space),
      goals_(context.goals),
      rng_(context.rng),
      start_(context, options),
      asked_(space_),
      first_count_(std::max(static_cast<std::size_t>(options.samples), start_.known_count())),
      temperature_(options.temperature),
      cooling_(options.cooling) {}

std::vector<Candidate> SimulatedAnnealing::ask(std::size_t max_count) {
  std::vector<Candidate> candidates;
  while (candidates.size() < max_count && !finished_) {
    if (next_id_ >= first_count_ && told_.size() < first_count_) break;
    std::optional<Candidate> candidate = current_ ? proposal() : start_.next_new(asked_, rng_);
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

std::optional<Candidate> SimulatedAnnealing::proposal() {
  for (int i = 0; i < max_known_steps; ++i) {
    Architecture a = mutate(*space_, told_[*current_].architecture, rng_);
    if (!asked_.contains(a)) return Candidate{.architecture = std::move(a), .parent = current_};
    if (const auto found = told_ids_.find(a); found != told_ids_.end()) step(found->second);
  }
  return start_.next_new(asked_, rng_);
}

void SimulatedAnnealing::tell(const Trial& trial) {
  const std::uint64_t id = trial.candidate.trial_id;
  assert(id == told_.size());
  told_ids_.emplace(trial.candidate.architecture, id);
  told_.push_back(Individual::of(trial, goals_));
  if (!told_[id].costs.empty()) add_to_front(id);
  if (told_.size() < first_count_) return;
  if (!deviation_) measure_deviation();
  if (current_) {
    step(id);
  } else {
    begin();
  }
}

// Of the costs so far, where two of them differ.
void SimulatedAnnealing::measure_deviation() {
  std::vector<double> costs;
  for (const Individual& individual : told_) {
    if (!individual.failed) costs.push_back(individual.cost);
  }
  double mean = 0, square = 0;
  for (const double cost : costs) mean += cost / static_cast<double>(costs.size());
  for (const double cost : costs) square += (cost - mean) * (cost - mean);
  if (square > 0) deviation_ = std::sqrt(square / static_cast<double>(costs.size()));
}

// Makes the best so far the current one.
void SimulatedAnnealing::begin() {
  for (std::uint64_t id = 0; id < told_.size(); ++id) {
    if (told_[id].failed) continue;
    if (!current_ || better(told_[id], told_[*current_])) current_ = id;
  }
}

void SimulatedAnnealing::step(std::uint64_t id) {
  const double worse = worse_by(told_[id], told_[*current_]);
  if (worse <= 0 || rng_.bernoulli(std::exp(-worse / temperature_))) current_ = id;
  temperature_ *= cooling_;
}

double SimulatedAnnealing::worse_by(const Individual& proposed, const Individual& current) const {
  if (proposed.failed || proposed.violation != current.violation) {
    const bool is_worse = proposed.failed || proposed.violation > current.violation;
    return is_worse ? std::numeric_limits<double>::infinity() : -1;
  }
  if (proposed.costs.empty()) return (proposed.cost - current.cost) / deviation_.value_or(1);
  // The two count where the front does not contain them already.
  double difference = 0, size = static_cast<double>(front_.size());
  for (const std::uint64_t id : front_) {
    difference += dominates(told_[id].costs, proposed.costs);
    difference -= dominates(told_[id].costs, current.costs);
  }
  for (const Individual* one : {&proposed, &current}) {
    if (std::ranges::find(front_, one->trial_id) != front_.end()) continue;
    size += 1;
    difference += dominates(one->costs, proposed.costs);
    difference -= dominates(one->costs, current.costs);
  }
  return difference / size;
}

void SimulatedAnnealing::add_to_front(std::uint64_t id) {
  const Individual& added = told_[id];
  for (const std::uint64_t other : front_) {
    if (better(told_[other], added) || as_good(told_[other], added)) return;
  }
  std::erase_if(front_, [&](std::uint64_t other) { return better(added, told_[other]); });
  front_.push_back(id);
}

}  // namespace espalier
