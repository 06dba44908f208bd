// Objectives and constraints, bound to the metrics of a run.
#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <vector>

#include "core/json_fwd.hpp"
#include "objectives/constraint.hpp"
#include "objectives/metric.hpp"
#include "objectives/objective.hpp"
#include "objectives/trial.hpp"

namespace espalier {

/// Reads from metrics what is optimized: costs, all to be minimized, and the violation of the
/// constraints. Immutable; cheap to copy.
class Goals {
 public:
  /// Throws ConfigError, with the place in /objectives or /constraints, when there is no objective,
  /// when two have the same metric, when a metric is not in the table (naming the nearest) or is
  /// for reports only, or when a lower bound is above its upper bound.
  Goals(const MetricTable& table, std::vector<Objective> objectives,
        std::vector<Constraint> constraints = {});

  const std::vector<Objective>& objectives() const { return objectives_; }
  const std::vector<Constraint>& constraints() const { return constraints_; }
  std::size_t size() const { return objectives_.size(); }

  /// One number for each objective, the smaller the better: the metric, or minus a metric that is
  /// maximized. `metrics` are of the table that the goals were made for.
  void costs(const Metrics& metrics, std::span<double> out) const;
  std::vector<double> costs(const Metrics& metrics) const;
  /// The cost of the first objective, which ranks trials where one number has to.
  double first_cost(const Metrics& metrics) const {
    return signs_[0] * metrics[objective_index_[0]];
  }

  /// The sum of the violations of all constraints; 0 when they are all kept.
  double violation(const Metrics& metrics) const;
  /// Complete, and all constraints are kept.
  bool feasible(const Trial& trial) const;

 private:
  std::vector<Objective> objectives_;
  std::vector<Constraint> constraints_;
  std::vector<std::size_t> objective_index_;
  std::vector<std::size_t> constraint_index_;
  std::vector<double> signs_;
};

/// {"objectives": [{"metric", "goal"}], "constraints": [{"metric", "min"?, "max"?}]}.
Json to_json(const Goals& goals);

}  // namespace espalier
