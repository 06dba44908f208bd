#include "study/metric_layout.hpp"

#include <algorithm>
#include <string>

#include "core/error.hpp"
#include "core/json.hpp"

namespace espalier::detail {

MetricLayout::MetricLayout(const std::vector<MetricInfo>& measured,
                           const std::vector<NetworkMetric>& network,
                           const std::vector<Objective>& objectives,
                           const std::vector<Constraint>& constraints) {
  std::vector<MetricInfo> search, report;
  for (const MetricInfo& info : measured) {
    std::vector<MetricInfo>& group = info.report_only ? report : search;
    group.push_back(info);
  }
  network_at_ = search.size();
  const auto named = [&](const std::string& metric) {
    return std::ranges::any_of(objectives, [&](const auto& o) { return o.metric == metric; }) ||
           std::ranges::any_of(constraints, [&](const auto& c) { return c.metric == metric; });
  };
  const auto is_measured = [&](const std::string& metric) {
    return std::ranges::any_of(measured, [&](const auto& m) { return m.name == metric; });
  };
  std::vector<std::string> known;
  for (const MetricInfo& info : search) known.push_back(info.name);
  for (const NetworkMetric& metric : network) {
    known.push_back(metric.info.name);
    if (!named(metric.info.name) || is_measured(metric.info.name)) continue;
    network_.push_back(metric);
    search.push_back(metric.info);
  }
  search_table_ = std::make_shared<const MetricTable>(search);
  std::vector<MetricInfo> all = search;
  all.insert(all.end(), report.begin(), report.end());
  table_ = report.empty() ? search_table_ : std::make_shared<const MetricTable>(all);
  // The table only has the metrics that are used; the nearest name may be one that is not.
  for (const MetricInfo& info : report) known.push_back(info.name);
  const auto check = [&](const std::string& metric, const std::string& pointer) {
    if (std::ranges::find(known, metric) == known.end()) {
      throw ConfigError(pointer + "/metric",
                        "unknown metric \"" + metric + "\"" + suggestion(metric, known));
    }
  };
  for (std::size_t i = 0; i < objectives.size(); ++i) {
    check(objectives[i].metric, pointer_to("/objectives", i));
  }
  for (std::size_t i = 0; i < constraints.size(); ++i) {
    check(constraints[i].metric, pointer_to("/constraints", i));
  }
  goals_ = std::make_shared<const Goals>(*table_, objectives, constraints);
  for (const MetricInfo& info : measured) measured_at_.push_back(table_->index(info.name));
}

std::vector<double> MetricLayout::arrange(std::vector<double> measured,
                                          const std::vector<double>& network) const {
  if (!has_report_only()) {
    measured.insert(measured.end(), network.begin(), network.end());
    return measured;
  }
  std::vector<double> values(table_->size());
  for (std::size_t i = 0; i < measured.size(); ++i) values[measured_at_[i]] = measured[i];
  std::ranges::copy(network, values.begin() + static_cast<std::ptrdiff_t>(network_at_));
  return values;
}

}  // namespace espalier::detail
