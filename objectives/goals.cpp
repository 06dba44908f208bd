#include "objectives/goals.hpp"

#include <fmt/format.h>

#include <cassert>
#include <cmath>
#include <utility>

#include "core/error.hpp"
#include "core/json.hpp"

namespace espalier {
namespace {

std::size_t search_metric(const MetricTable& table, const std::string& name,
                          const std::string& pointer) {
  std::size_t index = 0;
  try {
    index = table.index(name);
  } catch (const ConfigError& error) {
    throw ConfigError(pointer + "/metric", error.message());
  }
  if (table[index].report_only) {
    throw ConfigError(pointer + "/metric",
                      fmt::format("the metric \"{}\" is for reports only: no objective and no "
                                  "constraint may use it",
                                  name));
  }
  return index;
}

}  // namespace

Goals::Goals(const MetricTable& table, std::vector<Objective> objectives,
             std::vector<Constraint> constraints)
    : objectives_(std::move(objectives)), constraints_(std::move(constraints)) {
  if (objectives_.empty()) {
    throw ConfigError("/objectives", "there is no objective; expected 1 or more");
  }
  for (std::size_t i = 0; i < objectives_.size(); ++i) {
    const auto& [metric, direction] = objectives_[i];
    const std::string pointer = pointer_to("/objectives", i);
    objective_index_.push_back(search_metric(table, metric, pointer));
    signs_.push_back(direction == Direction::minimize ? 1.0 : -1.0);
    for (std::size_t j = 0; j < i; ++j) {
      if (objectives_[j].metric == metric) {
        throw ConfigError(
            pointer + "/metric",
            fmt::format("the metric \"{}\" is an objective twice; leave one out", metric));
      }
    }
  }
  for (std::size_t i = 0; i < constraints_.size(); ++i) {
    const auto& [metric, lower, upper] = constraints_[i];
    const std::string pointer = pointer_to("/constraints", i);
    constraint_index_.push_back(search_metric(table, metric, pointer));
    if (!(lower <= upper)) {
      throw ConfigError(pointer,
                        fmt::format("the lower bound {} of \"{}\" is above its upper bound "
                                    "{}",
                                    lower, metric, upper));
    }
  }
}

void Goals::costs(const Metrics& metrics, std::span<double> out) const {
  assert(out.size() == size());
  for (std::size_t i = 0; i < out.size(); ++i) out[i] = signs_[i] * metrics[objective_index_[i]];
}

std::vector<double> Goals::costs(const Metrics& metrics) const {
  std::vector<double> values(size());
  costs(metrics, values);
  return values;
}

double Goals::violation(const Metrics& metrics) const {
  double sum = 0;
  for (std::size_t i = 0; i < constraints_.size(); ++i) {
    sum += espalier::violation(constraints_[i], metrics[constraint_index_[i]]);
  }
  return sum;
}

bool Goals::feasible(const Trial& trial) const {
  return trial.state == TrialState::complete && violation(trial.metrics) == 0;
}

Json to_json(const Goals& goals) {
  Json objectives = Json::array(), constraints = Json::array();
  for (const Objective& objective : goals.objectives()) {
    objectives.push_back(
        {{"metric", objective.metric}, {"goal", direction_name(objective.direction)}});
  }
  for (const Constraint& constraint : goals.constraints()) {
    Json json = {{"metric", constraint.metric}};
    if (std::isfinite(constraint.lower)) json["min"] = constraint.lower;
    if (std::isfinite(constraint.upper)) json["max"] = constraint.upper;
    constraints.push_back(std::move(json));
  }
  return {{"objectives", std::move(objectives)}, {"constraints", std::move(constraints)}};
}

}  // namespace espalier
