#include "objectives/metric.hpp"

#include <fmt/format.h>

#include <cmath>

#include "core/error.hpp"

namespace espalier {

MetricTable::MetricTable(std::vector<MetricInfo> metrics) : metrics_(std::move(metrics)) {
  for (std::size_t i = 0; i < metrics_.size(); ++i) {
    if (metrics_[i].name.empty()) throw ConfigError("", fmt::format("metric {} has no name", i));
    if (find(metrics_[i].name) != i) {
      throw ConfigError("", fmt::format("the metric \"{}\" is declared twice", metrics_[i].name));
    }
  }
}

std::optional<std::size_t> MetricTable::find(std::string_view name) const {
  for (std::size_t i = 0; i < metrics_.size(); ++i) {
    if (metrics_[i].name == name) return i;
  }
  return std::nullopt;
}

std::size_t MetricTable::index(std::string_view name) const {
  if (const std::optional<std::size_t> found = find(name)) return *found;
  std::vector<std::string> known;
  for (const MetricInfo& metric : metrics_) known.push_back(metric.name);
  throw ConfigError("", fmt::format("unknown metric \"{}\"{}", name, suggestion(name, known)));
}

Metrics::Metrics(std::shared_ptr<const MetricTable> table, std::vector<double> values)
    : table_(std::move(table)), values_(std::move(values)) {
  if (values_.size() > table_->size()) {
    throw Error(fmt::format("{} values for {} metrics", values_.size(), table_->size()));
  }
  values_.resize(table_->size(), std::numeric_limits<double>::quiet_NaN());
}

std::optional<double> Metrics::find(std::string_view name) const {
  if (table_ == nullptr) return std::nullopt;
  const std::optional<std::size_t> index = table_->find(name);
  if (!index || std::isnan(values_[*index])) return std::nullopt;
  return values_[*index];
}

double Metrics::at(std::string_view name) const { return values_[index(name)]; }

void Metrics::set(std::string_view name, double value) { values_[index(name)] = value; }

std::size_t Metrics::index(std::string_view name) const {
  if (table_ == nullptr) throw ConfigError("", fmt::format("unknown metric \"{}\"", name));
  return table_->index(name);
}

bool operator==(const Metrics& a, const Metrics& b) {
  if (a.size() != b.size()) return false;
  for (std::size_t i = 0; i < a.size(); ++i) {
    if ((*a.table_)[i].name != (*b.table_)[i].name) return false;
    if (a[i] != b[i] && !(std::isnan(a[i]) && std::isnan(b[i]))) return false;
  }
  return true;
}

}  // namespace espalier
