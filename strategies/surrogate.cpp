#include "strategies/surrogate.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numbers>
#include <utility>

#include "core/json.hpp"
#include "core/stats.hpp"
#include "objectives/dominance.hpp"
#include "objectives/hypervolume.hpp"
#include "predictors/normal_scores.hpp"

namespace espalier {
namespace {

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
  if (deviation < 1e-300) return std::max(0.0, prediction.mean - best);
  const double u = (prediction.mean - best) / deviation;
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

// Normal scores of costs, the larger the better.
std::vector<double> scores_of(const std::vector<double>& costs) {
  std::vector<double> scores = normal_scores(costs);
  for (double& score : scores) score = -score;
  return scores;
}

}  // namespace

Surrogate::Surrogate(const RunContext& context, SurrogateOptions options)
    : goals_(context.goals),
      options_(std::move(options)),
      encoder_(context.space, options_.features),
      models_(goals_.size() + goals_.constraints().size()) {
  if (options_.anew || !options_.make) return;
  for (std::size_t m = 0; m < models_.size(); ++m) {
    models_[m] = options_.make(context.rng.fork("model").fork(m));
  }
}

void Surrogate::tell(const Trial& trial) {
  if (trial.state == TrialState::failed) return;
  Told& told = told_.emplace_back();
  told.individual = Individual::of(trial, goals_);
  for (const Constraint& constraint : goals_.constraints()) {
    told.bounded.push_back(trial.metrics.at(constraint.metric));
  }
}

void Surrogate::fit(std::span<const Architecture> in_flight, const Rng& rng) {
  if (!options_.make) return;
  std::vector<Architecture> architectures;
  for (const Told& told : told_) architectures.push_back(told.individual.architecture);
  const std::vector<Features> known = encoder_.encode(architectures);
  const std::vector<Features> pending =
      options_.believes ? encoder_.encode(in_flight) : std::vector<Features>{};
  std::vector<Features> all = known;
  all.insert(all.end(), pending.begin(), pending.end());
  std::vector<std::vector<double>> values(models_.size());
  for (std::size_t m = 0; m < models_.size(); ++m) {
    if (options_.anew) models_[m] = options_.make(rng.fork(m));
    for (const Told& told : told_) {
      values[m].push_back(m < goals_.size() ? cost_of(told.individual, m)
                                            : told.bounded[m - goals_.size()]);
    }
    if (m < goals_.size()) values[m] = scores_of(values[m]);
    models_[m]->fit(known, values[m]);
    if (pending.empty()) continue;
    std::vector<double> believed = values[m];
    for (const Prediction& prediction : models_[m]->predict(pending)) {
      believed.push_back(prediction.mean);
    }
    models_[m]->fit_again(all, believed);
  }
  note_front(values);
}

// What there is to improve on.
void Surrogate::note_front(const std::vector<std::vector<double>>& values) {
  best_value_.reset();
  front_.clear();
  const std::size_t objectives = goals_.size();
  std::vector<double> points;
  for (std::size_t i = 0; i < told_.size(); ++i) {
    if (told_[i].individual.violation > 0) continue;
    if (objectives == 1) best_value_ = std::max(best_value_.value_or(-infinity), values[0][i]);
    for (std::size_t m = 0; m < objectives; ++m) points.push_back(cost_of(told_[i].individual, m));
  }
  if (objectives == 1) return;
  knots_.assign(objectives, {});
  for (std::size_t m = 0; m < objectives; ++m) {
    for (std::size_t i = 0; i < told_.size(); ++i) {
      knots_[m].emplace_back(-values[m][i], told_[i].individual.costs[m]);
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

std::vector<std::vector<Prediction>> Surrogate::predictions(
    const std::vector<Architecture>& architectures) {
  std::vector<std::vector<Prediction>> all;
  const std::vector<Features> networks = encoder_.encode(architectures);
  for (const auto& model : models_) all.push_back(model->predict(networks));
  return all;
}

std::vector<double> Surrogate::expected_improvements(const std::vector<Architecture>& architectures,
                                                     const Rng& draws) {
  const auto predicted = predictions(architectures);
  const std::size_t objectives = goals_.size();
  const bool anything_keeps = objectives == 1 ? best_value_.has_value() : !front_.empty();
  const double volume = front_.empty() ? 0 : hypervolume({front_, objectives}, reference_);
  std::vector<double> promises;
  for (std::size_t i = 0; i < architectures.size(); ++i) {
    double probability = 1;
    for (std::size_t c = 0; c < goals_.constraints().size(); ++c) {
      probability *= probability_within(predicted[objectives + c][i], goals_.constraints()[c]);
    }
    if (!anything_keeps) {
      promises.push_back(probability);
    } else if (objectives == 1) {
      promises.push_back(probability * expected_improvement(predicted[0][i], *best_value_));
    } else {
      Rng draw = draws.fork(ArchitectureHash()(architectures[i]));
      std::vector<double> with = front_;
      for (std::size_t m = 0; m < objectives; ++m) {
        const Prediction& p = predicted[m][i];
        with.push_back(cost_at(knots_[m], -p.mean + std::sqrt(p.variance) * draw.normal()));
      }
      promises.push_back(probability * (hypervolume({with, objectives}, reference_) - volume));
    }
  }
  return promises;
}

std::vector<Individual> Surrogate::individuals(
    const std::vector<Architecture>& architectures,
    const std::function<double(const Prediction&, Rng&)>& value, const Rng& draws) {
  const auto all = predictions(architectures);
  const std::size_t objectives = goals_.size();
  std::vector<Individual> individuals;
  for (std::size_t i = 0; i < architectures.size(); ++i) {
    Rng draw = draws.fork(ArchitectureHash()(architectures[i]));
    Individual& individual = individuals.emplace_back();
    individual.architecture = architectures[i];
    for (std::size_t m = 0; m < objectives; ++m) {
      const double cost = -value(all[m][i], draw);
      if (m == 0) individual.cost = cost;
      if (objectives > 1) individual.costs.push_back(cost);
    }
    for (std::size_t c = 0; c < goals_.constraints().size(); ++c) {
      individual.violation +=
          violation(goals_.constraints()[c], value(all[objectives + c][i], draw));
    }
  }
  return individuals;
}

std::vector<Individual> Surrogate::predicted(const std::vector<Architecture>& architectures) {
  return individuals(
      architectures, [](const Prediction& p, Rng&) { return p.mean; }, Rng(0));
}

std::vector<Individual> Surrogate::drawn(const std::vector<Architecture>& architectures,
                                         const Rng& draws) {
  return individuals(
      architectures,
      [](const Prediction& p, Rng& draw) { return p.mean + std::sqrt(p.variance) * draw.normal(); },
      draws);
}

std::vector<Individual> Surrogate::best(std::size_t count) const {
  std::vector<Individual> all;
  for (const Told& told : told_) all.push_back(told.individual);
  std::vector<Individual> best;
  for (const std::size_t place : best_first(all)) {
    if (best.size() == count) break;
    best.push_back(std::move(all[place]));
  }
  return best;
}

Json Surrogate::save() const {
  Json json = Json::array();
  for (const Told& told : told_) {
    json.push_back(to_json(told.individual));
    json.back().push_back(told.bounded);
  }
  return json;
}

void Surrogate::load(const Json& json) {
  told_.clear();
  for (const Json& entry : json) {
    Told& told = told_.emplace_back();
    told.individual = individual_from_json(entry);
    entry.at(5).get_to(told.bounded);
  }
}

}  // namespace espalier
