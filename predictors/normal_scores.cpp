#include "predictors/normal_scores.hpp"

#include <algorithm>
#include <cmath>
#include <iterator>

#include "core/error.hpp"
#include "core/rng.hpp"
#include "core/stats.hpp"

namespace espalier {
namespace {

using Knot = std::pair<double, double>;

// The place on the line through the knots; `from` and `to` are the members of what is given and of
// what is asked for.
double on_line(const std::vector<Knot>& knots, double x, double Knot::*from, double Knot::*to) {
  const Knot &first = knots.front(), &last = knots.back();
  if (knots.size() == 1) return first.*to;
  const auto between = [&](const Knot& left, const Knot& right) {
    return left.*to + (right.*to - left.*to) * ((x - left.*from) / (right.*from - left.*from));
  };
  // A few that are far off at one end say nothing of what lies beyond the other.
  if (x <= first.*from) return between(first, knots[knots.size() / 2]);
  // From the outermost, so that its own place is exact.
  if (x >= last.*from) return between(last, knots[(knots.size() - 1) / 2]);
  const auto right = std::ranges::upper_bound(knots, x, {}, from);
  return between(*std::prev(right), *right);
}

}  // namespace

std::vector<double> normal_scores(std::span<const double> values) {
  std::vector<double> scores = ranks(values);
  for (double& score : scores) {
    score = normal_quantile((score - 0.5) / static_cast<double>(values.size()));
  }
  return scores;
}

NormalScale::NormalScale(std::span<const double> values) {
  if (values.empty()) return;
  scores_ = normal_scores(values);
  for (std::size_t i = 0; i < values.size(); ++i) knots_.emplace_back(values[i], scores_[i]);
  std::ranges::sort(knots_);
  const auto same = std::ranges::unique(knots_);
  knots_.erase(same.begin(), same.end());
}

double NormalScale::score(double value) const {
  return knots_.empty() ? value : on_line(knots_, value, &Knot::first, &Knot::second);
}

double NormalScale::rank_score(double value) const {
  if (knots_.empty()) return 0;
  return score(std::clamp(value, knots_.front().first, knots_.back().first));
}

double NormalScale::value(double score) const {
  return knots_.empty() ? score : on_line(knots_, score, &Knot::second, &Knot::first);
}

void NormalScored::fit(std::span<const Features> networks, std::span<const double> values) {
  check_fit_arguments(networks, values);
  NormalScale scale(values);
  inner_->fit(networks, scale.scores());
  scale_ = std::move(scale);
}

std::vector<Prediction> NormalScored::predict(std::span<const Features> networks) const {
  std::vector<Prediction> predictions = inner_->predict(networks);
  for (Prediction& p : predictions) {
    const double deviation = std::sqrt(p.variance);
    const double half = (scale_->value(p.mean + deviation) - scale_->value(p.mean - deviation)) / 2;
    p = {.mean = scale_->value(p.mean), .variance = half * half};
  }
  return predictions;
}

}  // namespace espalier
