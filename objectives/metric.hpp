// Metrics: named numbers that an evaluation produces.
#pragma once

#include <cstddef>
#include <limits>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace espalier {

/// Which values of a metric are better.
enum class Direction { minimize, maximize };

/// "minimize" or "maximize".
constexpr std::string_view direction_name(Direction direction) {
  return direction == Direction::maximize ? "maximize" : "minimize";
}

/// What is known of a metric before a run: its name, with its unit where it has one ("latency_ms",
/// "latency_ms@pixel1"), the unit alone for axes ("ms", "%"; "" for counts and scores), which
/// values are better where that goes without saying, and whether it is for reports only: then no
/// objective and no constraint may name it, and no strategy is told of it (the accuracy on test
/// images).
struct MetricInfo {
  std::string name;
  std::string unit = "";
  std::optional<Direction> direction = std::nullopt;
  bool report_only = false;

  friend bool operator==(const MetricInfo&, const MetricInfo&) = default;
};

/// The metrics of a run, in the order in which their values are stored. Immutable.
class MetricTable {
 public:
  /// Throws ConfigError when a name occurs twice or is empty.
  explicit MetricTable(std::vector<MetricInfo> metrics);

  std::size_t size() const { return metrics_.size(); }
  const MetricInfo& operator[](std::size_t index) const { return metrics_[index]; }
  const std::vector<MetricInfo>& metrics() const { return metrics_; }

  std::optional<std::size_t> find(std::string_view name) const;
  /// The position of a metric. Throws ConfigError naming the nearest metric.
  std::size_t index(std::string_view name) const;

 private:
  std::vector<MetricInfo> metrics_;
};

/// The values of one trial: a vector by declared name. A value that was not measured is NaN. The
/// names are shared, so a copy costs one allocation.
class Metrics {
 public:
  /// No metrics at all.
  Metrics() = default;
  /// Nothing measured yet.
  explicit Metrics(std::shared_ptr<const MetricTable> table)
      : table_(std::move(table)),
        values_(table_->size(), std::numeric_limits<double>::quiet_NaN()) {}
  /// The values of the table's metrics, in its order; the last ones may be left out and are then
  /// not measured. Throws Error for more values than metrics.
  Metrics(std::shared_ptr<const MetricTable> table, std::vector<double> values);

  std::size_t size() const { return values_.size(); }
  double operator[](std::size_t index) const { return values_[index]; }
  double& operator[](std::size_t index) { return values_[index]; }
  std::span<const double> values() const { return values_; }
  const std::shared_ptr<const MetricTable>& table() const { return table_; }

  /// The value of a metric, or nothing when it is not declared or not measured.
  std::optional<double> find(std::string_view name) const;
  /// Throws ConfigError for a name that is not declared.
  double at(std::string_view name) const;
  void set(std::string_view name, double value);

  /// Equal names and equal values; values that are not measured are equal.
  friend bool operator==(const Metrics& a, const Metrics& b);

 private:
  std::size_t index(std::string_view name) const;

  std::shared_ptr<const MetricTable> table_;
  std::vector<double> values_;
};

}  // namespace espalier
