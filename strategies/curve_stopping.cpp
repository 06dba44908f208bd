#include "strategies/curve_stopping.hpp"

#include <algorithm>
#include <string>

#include "core/error.hpp"
#include "core/json.hpp"
#include "strategies/snapshot_file.hpp"

namespace espalier {
namespace {

std::vector<double> equal_parts(int parts) {
  std::vector<double> fidelities;
  for (int i = 1; i <= parts; ++i) fidelities.push_back(static_cast<double>(i) / parts);
  return fidelities;
}

}  // namespace

OptionTable<CurveStoppingOptions> curve_stopping_option_table() {
  using Options = CurveStoppingOptions;
  OptionTable<Options> table(
      "random search that stops evaluations whose learning curves lead nowhere");
  table.add("parts", &Options::parts, "equal ones, of a full evaluation", between(3, 10'000))
      .add("min_parts", &Options::min_parts, "before an evaluation is stopped", at_least(2))
      .add("threshold", &Options::threshold,
           "probability to become the best below which an evaluation is stopped",
           Range{.low = 0, .high = 1, .low_open = true, .high_open = true})
      .add("scale", &Options::scale, "what no value of the objective exceeds", greater_than(0))
      .add("curve", &Options::curve, "how curves are extrapolated", curve_model_option_table())
      .check([](const Options& options) {
        if (options.min_parts < options.parts) return;
        throw ConfigError("/min_parts", "must be less than \"parts\"");
      });
  return add_start_options(table);
}

CurveStopping::CurveStopping(const RunContext& context, const CurveStoppingOptions& options)
    : EarlyStopping(context, options, equal_parts(options.parts)),
      options_(options),
      direction_(context.goals.objectives()[0].direction),
      rng_(context.rng.fork("curves")) {}

// More is better.
double CurveStopping::share(const Individual& one) const {
  return direction_ == Direction::maximize ? -one.cost / options_.scale
                                           : 1 - one.cost / options_.scale;
}

bool CurveStopping::behind(const Curve& curve) {
  if (full_.empty() || curve.size() < static_cast<std::size_t>(options_.min_parts)) return false;
  const Individual& last = curve.back();
  const bool constant = std::ranges::all_of(
      curve, [&](const Individual& one) { return one.violation == last.violation; });
  const Individual* best = nullptr;
  for (const Individual& full : full_) {
    if (constant && full.violation < last.violation) return true;
    bool rival = full.violation <= last.violation;
    for (std::size_t k = 1; k < full.costs.size(); ++k) rival &= full.costs[k] <= last.costs[k];
    if (rival && (best == nullptr || full.cost < best->cost)) best = &full;
  }
  if (best == nullptr) return false;
  std::vector<CurvePoint> points;
  for (std::size_t i = 0; i < curve.size(); ++i) {
    points.push_back({.fidelity = fidelities()[i], .value = share(curve[i])});
    if (points[i].value < 0 || points[i].value > 1) return false;
  }
  const CurveForecast forecast = forecast_curve(points, options_.curve, rng_.fork(last.trial_id));
  return forecast.probability_above(share(*best)) < options_.threshold;
}

bool CurveStopping::save(const std::filesystem::path& directory) const {
  Json full = Json::array();
  for (const Individual& one : full_) full.push_back(to_json(one));
  write_snapshot(directory, {{"curves", save_curves()}, {"full", full}});
  return true;
}

void CurveStopping::load(const std::filesystem::path& directory) {
  read_snapshot(directory, [&](const Json& json) {
    load_curves(json.at("curves"));
    full_.clear();
    for (const Json& one : json.at("full")) full_.push_back(individual_from_json(one));
  });
}

}  // namespace espalier
