#include "objectives/goals.hpp"

#include <fmt/format.h>

#include <cassert>
#include <utility>

#include "core/error.hpp"

namespace espalier {
namespace {

std::size_t search_metric(const MetricTable& table, const std::string& name) {
  const std::size_t index = table.index(name);
  if (table[index].report_only) {
    throw ConfigError("", fmt::format("the metric \"{}\" is for reports only: no objective and no "
                                      "constraint may use it",
                                      name));
  }
  return index;
}

}  // namespace

Goals::Goals(const MetricTable& table, std::vector<Objective> objectives,
             std::vector<Constraint> constraints)
    : objectives_(std::move(objectives)), constraints_(std::move(constraints)) {
  if (objectives_.empty()) throw ConfigError("", "there is no objective; expected 1 or more");
  for (std::size_t i = 0; i < objectives_.size(); ++i) {
    const auto& [metric, direction] = objectives_[i];
    objective_index_.push_back(search_metric(table, metric));
    signs_.push_back(direction == Direction::minimize ? 1.0 : -1.0);
    for (std::size_t j = 0; j < i; ++j) {
      if (objectives_[j].metric == metric) {
        throw ConfigError("", fmt::format("the metric \"{}\" is an objective twice", metric));
      }
    }
  }
  for (const auto& [metric, lower, upper] : constraints_) {
    constraint_index_.push_back(search_metric(table, metric));
    if (!(lower <= upper)) {
      throw ConfigError("", fmt::format("the lower bound {} of \"{}\" is above its upper bound {}",
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

}  // namespace espalier
