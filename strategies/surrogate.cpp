#include "strategies/surrogate.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numbers>
#include <ranges>
#include <utility>

#include "core/json.hpp"
#include "core/stats.hpp"
#include "objectives/dominance.hpp"
#include "objectives/hypervolume.hpp"

namespace espalier {
namespace {

constexpr double infinity = std::numeric_limits<double>::infinity();

double normal_density(double x) { return std::exp(-0.5 * x * x) / std::sqrt(2 * std::numbers::pi); }

double cost_of(const Individual& individual, std::size_t objective) {
  return individual.costs.empty() ? individual.cost : individual.costs[objective];
}

double expected_improvement(const Prediction& prediction, double best) {
  const double deviation = std::sqrt(prediction.variance);
  if (deviation < 1e-300) return std::max(0.0, prediction.mean - best);
  const double u = (prediction.mean - best) / deviation;
  return deviation * (u * normal_probability(u) + normal_density(u));
}

// A density where the bounds are equal.
double probability_within(const Prediction& prediction, const Constraint& constraint) {
  const double deviation = std::sqrt(prediction.variance);
  if (constraint.lower == constraint.upper) {
    const double width = std::max(deviation, 1e-9);
    return normal_density((constraint.lower - prediction.mean) / width) / width;
  }
  if (deviation < 1e-300) return violation(constraint, prediction.mean) == 0 ? 1 : 0;
  const double low = (constraint.lower - prediction.mean) / deviation;
  const double high = (constraint.upper - prediction.mean) / deviation;
  // In the tail that has digits left.
  return low > 0 ? normal_probability(-low) - normal_probability(-high)
                 : normal_probability(high) - normal_probability(low);
}

// The constraint on the normal scores of the values that it bounds.
Constraint on_scale(const Constraint& constraint, const NormalScale& scale) {
  Constraint scored = constraint;
  if (std::isfinite(constraint.lower)) scored.lower = scale.score(constraint.lower);
  if (std::isfinite(constraint.upper)) scored.upper = scale.score(constraint.upper);
  return scored;
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
  scales_.clear();
  std::vector<std::vector<double>> believed(models_.size());
  for (std::size_t m = 0; m < models_.size(); ++m) {
    if (options_.anew) models_[m] = options_.make(rng.fork(m));
    std::vector<double> values;
    for (const Told& told : told_) {
      values.push_back(m < goals_.size() ? cost_of(told.individual, m)
                                         : told.bounded[m - goals_.size()]);
    }
    std::vector<double> scores = scales_.emplace_back(values).scores();
    if (m < goals_.size()) {
      for (double& score : scores) score = -score;  // of a cost
    }
    models_[m]->fit(known, scores);
    if (pending.empty()) continue;
    for (const Prediction& prediction : models_[m]->predict(pending)) {
      believed[m].push_back(prediction.mean);
    }
    scores.insert(scores.end(), believed[m].begin(), believed[m].end());
    models_[m]->fit_again(all, scores);
  }
  note_front(believed);
}

// What there is to improve on: by what was told, and once any of it keeps the constraints, by what
// is believed, the models' means for those in flight.
void Surrogate::note_front(const std::vector<std::vector<double>>& believed) {
  best_value_.reset();
  front_.clear();
  const std::size_t objectives = goals_.size();
  std::vector<double> points;
  for (std::size_t i = 0; i < told_.size(); ++i) {
    if (told_[i].individual.violation > 0) continue;
    if (objectives == 1) {
      best_value_ = std::max(best_value_.value_or(-infinity), -scales_[0].scores()[i]);
    }
    for (std::size_t m = 0; m < objectives; ++m) points.push_back(cost_of(told_[i].individual, m));
  }
  if (!best_value_ && points.empty()) return;
  for (std::size_t i = 0; i < believed[0].size(); ++i) {
    double broken = 0;
    for (std::size_t c = 0; c < goals_.constraints().size(); ++c) {
      const std::size_t m = objectives + c;
      broken += violation(goals_.constraints()[c], scales_[m].value(believed[m][i]));
    }
    if (broken > 0) continue;
    if (objectives == 1) {
      best_value_ = std::max(best_value_.value_or(-infinity), believed[0][i]);
    }
    for (std::size_t m = 0; m < objectives; ++m) {
      points.push_back(scales_[m].value(-believed[m][i]));
    }
  }
  if (objectives == 1) return;
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
    double range = high[m] - low[m];
    if (range == 0) {
      // Of a front of one point, the range of all.
      const auto [least, most] =
          std::ranges::minmax(told_ | std::views::transform([&](const Told& told) {
                                return cost_of(told.individual, m);
                              }));
      range = most - least;
    }
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
  std::vector<Constraint> bounds;
  for (std::size_t c = 0; c < goals_.constraints().size(); ++c) {
    bounds.push_back(on_scale(goals_.constraints()[c], scales_[objectives + c]));
  }
  std::vector<double> promises;
  for (std::size_t i = 0; i < architectures.size(); ++i) {
    double probability = 1;
    for (std::size_t c = 0; c < bounds.size(); ++c) {
      probability *= probability_within(predicted[objectives + c][i], bounds[c]);
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
        with.push_back(scales_[m].value(-p.mean + std::sqrt(p.variance) * draw.normal()));
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
      const std::size_t m = objectives + c;
      individual.violation +=
          violation(goals_.constraints()[c], scales_[m].value(value(all[m][i], draw)));
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
