#include "strategies/moead.hpp"

#include <algorithm>
#include <cassert>
#include <numeric>
#include <utility>

#include "objectives/reference_directions.hpp"
#include "objectives/scalarization.hpp"

namespace espalier {
namespace {

constexpr int max_known_children = 20;

// The indices of all subproblems, those with the nearest weights first.
std::vector<std::size_t> nearest(const std::vector<std::vector<double>>& weights, std::size_t to) {
  const auto distance = [&](std::size_t i) {
    double sum = 0;
    for (std::size_t d = 0; d < weights[i].size(); ++d) {
      sum += (weights[i][d] - weights[to][d]) * (weights[i][d] - weights[to][d]);
    }
    return sum;
  };
  // Itself first, and of equals, as all are with one objective, those whose places are the nearest
  // in a ring.
  std::vector<std::size_t> order{to};
  for (std::size_t step = 1; order.size() < weights.size(); ++step) {
    order.push_back((to + step) % weights.size());
    if (order.size() == weights.size()) break;
    order.push_back((to + weights.size() - step) % weights.size());
  }
  std::ranges::stable_sort(order, {}, distance);
  return order;
}

}  // namespace

OptionTable<MoeadOptions> moead_option_table() {
  using Options = MoeadOptions;
  OptionTable<Options> table("MOEA/D: evolution of one individual for each weighting of the costs");
  table
      .add("population", &Options::population, "subproblems, as far as weights can be even",
           at_least(1))
      .add("neighbourhood", &Options::neighbourhood, "subproblems that share parents and children",
           at_least(1))
      .add("locality", &Options::locality, "share of children with parents of the neighbourhood",
           between(0, 1))
      .add("replaced", &Options::replaced, "individuals that a child replaces at most",
           at_least(1));
  add_variation_options(table);
  return add_start_options(table);
}

Moead::Moead(const RunContext& context, const MoeadOptions& options)
    : space_(context.space),
      goals_(context.goals),
      rng_(context.rng),
      start_(context, options),
      options_(options),
      asked_(space_) {
  const auto population = static_cast<std::size_t>(options.population);
  weights_ = goals_.size() == 1 ? std::vector(population, std::vector{1.0})
                                : reference_directions(goals_.size(), population);
  for (std::vector<double>& weights : weights_) {
    for (double& weight : weights) weight = std::max(weight, 1e-6);
  }
  const std::size_t neighbours =
      std::min(static_cast<std::size_t>(options.neighbourhood), weights_.size());
  for (std::size_t i = 0; i < weights_.size(); ++i) {
    neighbours_.push_back(nearest(weights_, i));
    neighbours_.back().resize(neighbours);
  }
  first_count_ = std::max(weights_.size(), start_.known_count());
}

std::vector<Candidate> Moead::ask(std::size_t max_count) {
  std::vector<Candidate> candidates;
  while (candidates.size() < max_count && !finished_) {
    if (next_id_ >= first_count_ && individuals_.empty()) break;
    Flight flight{.subproblem = turn_};
    std::optional<Candidate> candidate =
        individuals_.empty() ? start_.next_new(asked_, rng_) : child(flight);
    if (!candidate) {
      finished_ = true;
      break;
    }
    if (!individuals_.empty()) {
      in_flight_.push_back(flight);
      turn_ = (turn_ + 1) % weights_.size();
    }
    asked_.insert(candidate->architecture);
    candidate->trial_id = next_id_++;
    candidates.push_back(*std::move(candidate));
  }
  return candidates;
}

std::optional<Candidate> Moead::child(Flight& flight) {
  for (int i = 0; i < max_known_children; ++i) {
    flight.local = rng_.bernoulli(options_.locality);
    const std::vector<std::size_t>& neighbours = neighbours_[flight.subproblem];
    // A failed one is no parent where another can be had.
    const auto parent = [&]() -> const Individual* {
      for (int draw = 0; draw < max_known_children; ++draw) {
        const Individual& individual =
            individuals_[flight.local ? neighbours[rng_.below(neighbours.size())]
                                      : rng_.below(individuals_.size())];
        if (!individual.failed) return &individual;
      }
      return nullptr;
    };
    const Individual *a = parent(), *b = parent();
    if (a == nullptr || b == nullptr) continue;
    Candidate candidate{
        .architecture =
            vary(*space_, a->architecture, b->architecture,
                 {.crossover = options_.crossover, .mutations = options_.mutations}, rng_),
        .parent = a->trial_id};
    if (!asked_.contains(candidate.architecture)) return candidate;
  }
  flight.local = false;
  return start_.next_new(asked_, rng_);
}

void Moead::tell(const Trial& trial) {
  assert(trial.candidate.trial_id == told_);
  ++told_;
  Individual individual = Individual::of(trial, goals_);
  if (individuals_.empty()) {
    first_.push_back(std::move(individual));
    if (told_ == first_count_) assign();
    return;
  }
  const Flight flight = in_flight_.front();
  in_flight_.pop_front();
  if (!individual.failed) replace(individual, flight);
}

// Gives the first individuals to subproblems, one to each.
void Moead::assign() {
  individuals_ = {first_.begin(), first_.begin() + static_cast<std::ptrdiff_t>(weights_.size())};
  const std::vector<Individual> rest(first_.begin() + static_cast<std::ptrdiff_t>(weights_.size()),
                                     first_.end());
  first_.clear();
  for (const Individual& other : rest) {
    if (!other.failed) replace(other, {.subproblem = 0, .local = false});
  }
}

// While nothing keeps the constraints, by all.
void Moead::measure_scale() {
  std::vector<double> high = ideal_;
  for (const Individual& individual : individuals_) {
    if (individual.failed || (kept_ && individual.violation > 0)) continue;
    const std::vector<double> costs = individual.all_costs();
    for (std::size_t d = 0; d < costs.size(); ++d) high[d] = std::max(high[d], costs[d]);
  }
  range_.clear();
  for (std::size_t d = 0; d < high.size(); ++d) {
    range_.push_back(high[d] > ideal_[d] ? high[d] - ideal_[d] : 1);
  }
}

// The best that anything that keeps the constraints has had, or anything while nothing does.
void Moead::note_ideal(const Individual& individual) {
  if (individual.failed || (kept_ && individual.violation > 0)) return;
  const std::vector<double> costs = individual.all_costs();
  if (ideal_.empty() || (!kept_ && individual.violation == 0)) ideal_ = costs;
  kept_ = kept_ || individual.violation == 0;
  for (std::size_t d = 0; d < costs.size(); ++d) ideal_[d] = std::min(ideal_[d], costs[d]);
}

bool Moead::better_for(std::size_t subproblem, const Individual& a, const Individual& b) const {
  if (a.failed || b.failed) return !a.failed;
  if (a.violation != b.violation) return a.violation < b.violation;
  const auto distance = [&](const Individual& individual) {
    std::vector<double> weights = weights_[subproblem];
    for (std::size_t d = 0; d < weights.size(); ++d) weights[d] /= range_[d];
    // Those that break the constraints may lie beyond the ideal.
    std::vector<double> costs = individual.all_costs();
    for (std::size_t d = 0; d < costs.size(); ++d) costs[d] = std::max(costs[d], ideal_[d]);
    return tchebycheff(costs, weights, ideal_);
  };
  return distance(a) < distance(b);
}

void Moead::replace(const Individual& child, const Flight& flight) {
  if (ideal_.empty()) {
    for (const Individual& individual : individuals_) note_ideal(individual);
  }
  note_ideal(child);
  measure_scale();
  std::vector<std::size_t> others;
  if (flight.local) {
    others = neighbours_[flight.subproblem];
  } else {
    others.resize(weights_.size());
    std::iota(others.begin(), others.end(), std::size_t{0});
  }
  rng_.shuffle(others);
  int replaced = 0;
  for (const std::size_t i : others) {
    if (replaced == options_.replaced) break;
    if (!better_for(i, child, individuals_[i])) continue;
    individuals_[i] = child;
    ++replaced;
  }
}

}  // namespace espalier
