// Which metrics a study's trials have, and in which order.
#pragma once

#include <cstddef>
#include <memory>
#include <vector>

#include "objectives/goals.hpp"
#include "objectives/metric.hpp"
#include "study/network_metrics.hpp"

namespace espalier::detail {

/// The metrics of trials: those that the evaluator measures, then the network metrics that
/// objectives and constraints name and the evaluator does not measure, then the evaluator's that
/// are for reports only. What a strategy is told of is the first part, so positions are the same in
/// both tables.
class MetricLayout {
 public:
  /// Throws ConfigError where Goals does; the nearest name may be of a metric not used so far.
  MetricLayout(const std::vector<MetricInfo>& measured, const std::vector<NetworkMetric>& network,
               const std::vector<Objective>& objectives,
               const std::vector<Constraint>& constraints);

  const std::shared_ptr<const MetricTable>& table() const { return table_; }
  const std::shared_ptr<const MetricTable>& search_table() const { return search_table_; }
  const std::vector<NetworkMetric>& network() const { return network_; }
  const Goals& goals() const { return *goals_; }
  bool has_report_only() const { return table_ != search_table_; }

  /// The values of table(), from what the evaluator measured and the needed network metrics.
  std::vector<double> arrange(std::vector<double> measured,
                              const std::vector<double>& network) const;

 private:
  std::shared_ptr<const MetricTable> table_, search_table_;
  std::vector<NetworkMetric> network_;    // those that are needed
  std::vector<std::size_t> measured_at_;  // position of each measured metric
  std::size_t network_at_ = 0;            // position of the first network metric
  std::shared_ptr<const Goals> goals_;
};

}  // namespace espalier::detail
