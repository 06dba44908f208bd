#include "strategies/bayesian.hpp"

#include <algorithm>
#include <cassert>
#include <cmath>
#include <limits>
#include <numbers>
#include <numeric>
#include <unordered_set>
#include <utility>

#include "core/stats.hpp"
#include "objectives/dominance.hpp"
#include "objectives/hypervolume.hpp"
#include "predictors/normal_scores.hpp"
#include "search_spaces/sampling.hpp"

namespace espalier {
namespace {

constexpr std::size_t parents = 10;  // the best told, of which mutations are looked at
constexpr std::size_t climbers = 5;  // that go on to better neighbours at the same time
constexpr int most_climbs = 30;
constexpr double infinity = std::numeric_limits<double>::infinity();

double normal_density(double x) { return std::exp(-0.5 * x * x) / std::sqrt(2 * std::numbers::pi); }

double cost_of(const Individual& individual, std::size_t objective) {
  return individual.costs.empty() ? individual.cost : individual.costs[objective];
}

// The cost whose normal score is `score`, between those of the told ones on a straight line, beyond
// them on one through the first and the last.
double cost_at(const std::vector<std::pair<double, double>>& knots, double score) {
  const auto& [first_score, first_cost] = knots.front();
  const auto& [last_score, last_cost] = knots.back();
  if (first_score == last_score) return first_cost;
  const double slope = (last_cost - first_cost) / (last_score - first_score);
  if (score <= first_score) return first_cost + slope * (score - first_score);
  if (score >= last_score) return last_cost + slope * (score - last_score);
  const auto right = std::ranges::upper_bound(knots, score, {}, &std::pair<double, double>::first);
  const auto left = std::prev(right);
  const double share = (score - left->first) / (right->first - left->first);
  return left->second + share * (right->second - left->second);
}

double expected_improvement(const Prediction& prediction, double best) {
  const double deviation = std::sqrt(prediction.variance);
  if (deviation < 1e-300) return std::max(0.0, best - prediction.mean);
  const double u = (best - prediction.mean) / deviation;
  return deviation * (u * normal_probability(u) + normal_density(u));
}

double probability_within(const Prediction& prediction, const Constraint& constraint) {
  const double deviation = std::sqrt(prediction.variance);
  if (deviation < 1e-300) return violation(constraint, prediction.mean) == 0 ? 1 : 0;
  const double low = (constraint.lower - prediction.mean) / deviation;
  const double high = (constraint.upper - prediction.mean) / deviation;
  // Equal bounds: the density, of which a constant factor does not matter.
  if (low == high) return normal_density(low);
  // In the tail that has digits left.
  return low > 0 ? normal_probability(-low) - normal_probability(-high)
                 : normal_probability(high) - normal_probability(low);
}

}  // namespace

OptionTable<BayesianOptions> bayesian_option_table() {
  using Options = BayesianOptions;
  OptionTable<Options> table("Bayesian optimization: Gaussian processes, expected improvement");
  table.add("samples", &Options::samples, "random architectures at first", at_least(2))
      .add("candidates", &Options::candidates,
           "architectures for which improvement is predicted, before the best of them climb",
           at_least(2))
      .add("features", &Options::features, "what the models compare networks by",
           encoding_option_table());
  return add_start_options(table);
}

Bayesian::Bayesian(const RunContext& context, const BayesianOptions& options)
    : space_(context.space),
      goals_(context.goals),
      rng_(context.rng),
      start_(context, options),
      options_(options),
      asked_(space_),
      encoder_(space_, options.features),
      first_count_(std::max(static_cast<std::size_t>(options.samples), start_.known_count())) {
  for (std::size_t i = 0; i < goals_.size() + goals_.constraints().size(); ++i) {
    models_.push_back(std::make_unique<GaussianProcess>());
  }
}

std::vector<Candidate> Bayesian::ask(std::size_t max_count) {
  std::vector<Candidate> candidates;
  while (candidates.size() < max_count && !finished_) {
    const bool can_fit = told_.size() >= 2;
    if (next_id_ >= first_count_ && !can_fit && !in_flight_.empty()) break;
    std::optional<Candidate> candidate =
        next_id_ < first_count_ || !can_fit ? start_.next_new(asked_, rng_) : proposal();
    if (!candidate) {
      finished_ = true;
      break;
    }
    asked_.insert(candidate->architecture);
    in_flight_.push_back(candidate->architecture);
    candidate->trial_id = next_id_++;
    candidates.push_back(*std::move(candidate));
  }
  return candidates;
}

void Bayesian::tell(const Trial& trial) {
  assert(trial.candidate.trial_id == told_count_);
  ++told_count_;
  in_flight_.pop_front();
  if (trial.state == TrialState::failed) return;
  Told& told = told_.emplace_back();
  told.individual = Individual::of(trial, goals_);
  for (const Constraint& constraint : goals_.constraints()) {
    told.bounded.push_back(trial.metrics.at(constraint.metric));
  }
}

// Fits the models, and notes what there is to improve on.
void Bayesian::fit() {
  std::vector<Architecture> architectures;
  for (const Told& told : told_) architectures.push_back(told.individual.architecture);
  const std::vector<Features> known = encoder_.encode(architectures);
  const std::vector<Features> pending =
      encoder_.encode(std::vector<Architecture>(in_flight_.begin(), in_flight_.end()));
  std::vector<Features> all = known;
  all.insert(all.end(), pending.begin(), pending.end());
  std::vector<std::vector<double>> values(models_.size());
  for (std::size_t m = 0; m < models_.size(); ++m) {
    for (const Told& told : told_) {
      values[m].push_back(m < goals_.size() ? cost_of(told.individual, m)
                                            : told.bounded[m - goals_.size()]);
    }
    if (m < goals_.size()) values[m] = normal_scores(values[m]);
    models_[m]->fit(known, values[m]);
    if (pending.empty()) continue;
    for (const Prediction& prediction : models_[m]->predict(pending)) {
      values[m].push_back(prediction.mean);
    }
    models_[m]->fit_again(all, values[m]);
  }
  best_cost_.reset();
  front_.clear();
  const std::size_t objectives = goals_.size();
  std::vector<double> points;
  for (std::size_t i = 0; i < told_.size(); ++i) {
    if (told_[i].individual.violation > 0) continue;
    if (objectives == 1) best_cost_ = std::min(best_cost_.value_or(infinity), values[0][i]);
    for (std::size_t m = 0; m < objectives; ++m) points.push_back(cost_of(told_[i].individual, m));
  }
  if (objectives == 1) return;
  knots_.assign(objectives, {});
  for (std::size_t m = 0; m < objectives; ++m) {
    for (std::size_t i = 0; i < told_.size(); ++i) {
      knots_[m].emplace_back(values[m][i], told_[i].individual.costs[m]);
    }
    std::ranges::sort(knots_[m]);
    const auto same = std::ranges::unique(knots_[m], {}, &std::pair<double, double>::first);
    knots_[m].erase(same.begin(), same.end());
  }
  if (points.empty()) return;
  const PointsView view{points, objectives};
  const std::vector<std::uint32_t> ranks = non_dominated_ranks(view);
  std::vector<double> low(objectives, infinity), high(objectives, -infinity);
  for (std::size_t i = 0; i < view.size(); ++i) {
    if (ranks[i] > 0) continue;
    front_.insert(front_.end(), view[i].begin(), view[i].end());
    for (std::size_t m = 0; m < objectives; ++m) {
      low[m] = std::min(low[m], view[i][m]);
      high[m] = std::max(high[m], view[i][m]);
    }
  }
  reference_.clear();
  for (std::size_t m = 0; m < objectives; ++m) {
    // Of a front of one point, the range of all.
    double range = high[m] - low[m];
    if (range == 0) range = knots_[m].back().second - knots_[m].front().second;
    reference_.push_back(high[m] + (range > 0 ? 0.1 * range : 1));
  }
}

// What each candidate promises, the more the better.
std::vector<double> Bayesian::improvement(const std::vector<Architecture>& candidates) {
  std::vector<std::vector<Prediction>> predictions;
  const std::vector<Features> networks = encoder_.encode(candidates);
  for (const auto& model : models_) predictions.push_back(model->predict(networks));
  const std::size_t objectives = goals_.size();
  const bool anything_keeps = objectives == 1 ? best_cost_.has_value() : !front_.empty();
  const double volume = front_.empty() ? 0 : hypervolume({front_, objectives}, reference_);
  std::vector<double> promises;
  for (std::size_t i = 0; i < candidates.size(); ++i) {
    double probability = 1;
    for (std::size_t c = 0; c < goals_.constraints().size(); ++c) {
      probability *= probability_within(predictions[objectives + c][i], goals_.constraints()[c]);
    }
    if (!anything_keeps) {
      promises.push_back(probability);
    } else if (objectives == 1) {
      promises.push_back(probability * expected_improvement(predictions[0][i], *best_cost_));
    } else {
      // Equal draws for equal candidates, so that a climb sees one function.
      Rng draw = draws_.fork(ArchitectureHash()(candidates[i]));
      std::vector<double> with = front_;
      for (std::size_t m = 0; m < objectives; ++m) {
        const Prediction& p = predictions[m][i];
        with.push_back(cost_at(knots_[m], p.mean + std::sqrt(p.variance) * draw.normal()));
      }
      promises.push_back(probability * (hypervolume({with, objectives}, reference_) - volume));
    }
  }
  return promises;
}

// The best told, the best first.
std::vector<Individual> Bayesian::best_told() const {
  std::vector<const Individual*> all;
  for (const Told& told : told_) all.push_back(&told.individual);
  const auto keys = rank_and_crowding(all);
  std::vector<std::size_t> order(all.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::ranges::stable_sort(order, {}, [&](std::size_t i) { return keys[i]; });
  order.resize(std::min(order.size(), parents));
  std::vector<Individual> best;
  for (const std::size_t i : order) best.push_back(*all[i]);
  return best;
}

std::vector<Architecture> Bayesian::pool() {
  std::vector<Architecture> candidates;
  std::unordered_set<Architecture, ArchitectureHash> seen;
  const auto add = [&](Architecture a) {
    if (!asked_.contains(a) && seen.insert(a).second) candidates.push_back(std::move(a));
  };
  const int half = options_.candidates / 2;
  for (int i = 0; i < half; ++i) {
    std::optional<Architecture> a = asked_.draw_other(rng_);
    if (!a) break;
    add(*std::move(a));
  }
  const std::vector<Individual> best = best_told();
  for (int i = half; i < options_.candidates; ++i) {
    Architecture a = mutate(*space_, best[rng_.below(best.size())].architecture, rng_);
    if (rng_.below(2) == 0) a = mutate(*space_, a, rng_);
    add(std::move(a));
  }
  return candidates;
}

std::optional<Candidate> Bayesian::proposal() {
  fit();
  draws_ = rng_.fork("draws").fork(next_id_);
  std::vector<Architecture> candidates = pool();
  if (candidates.empty()) return std::nullopt;
  std::vector<double> promises = improvement(candidates);
  std::unordered_set<Architecture, ArchitectureHash> seen(candidates.begin(), candidates.end());
  std::unordered_set<Architecture, ArchitectureHash> climbed;
  std::size_t best = 0;
  for (int climb = 0; climb < most_climbs; ++climb) {
    std::vector<std::size_t> order(candidates.size());
    std::iota(order.begin(), order.end(), std::size_t{0});
    std::ranges::stable_sort(order, std::greater(), [&](std::size_t i) { return promises[i]; });
    best = order[0];
    order.resize(std::min(order.size(), climbers));
    std::vector<Architecture> next;
    for (const std::size_t i : order) {
      if (!climbed.insert(candidates[i]).second) continue;
      for (Architecture& a : neighbours(*space_, candidates[i])) {
        if (!asked_.contains(a) && seen.insert(a).second) next.push_back(std::move(a));
      }
    }
    if (next.empty() || climb + 1 == most_climbs) break;
    const std::vector<double> its = improvement(next);
    candidates.insert(candidates.end(), next.begin(), next.end());
    promises.insert(promises.end(), its.begin(), its.end());
  }
  return Candidate{.architecture = candidates[best]};
}

}  // namespace espalier
