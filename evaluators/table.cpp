#include "evaluators/table.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <iterator>
#include <limits>
#include <string_view>
#include <utility>

#include "core/csv.hpp"
#include "core/error.hpp"
#include "core/json.hpp"
#include "evaluators/cost_metrics.hpp"
#include "search_spaces/sampling.hpp"

namespace espalier {
namespace {

constexpr std::uint64_t flat_limit = std::uint64_t{1} << 24;  // 64 MB of row numbers
constexpr std::uint32_t no_row = std::numeric_limits<std::uint32_t>::max();
constexpr std::size_t no_column = std::numeric_limits<std::size_t>::max();

// The labels of a decision, each looked up by name only once.
class Labels {
 public:
  explicit Labels(const Decision& decision) : decision_(&decision) {}
  std::uint32_t choice(std::string_view label) {
    const auto [found, added] = known_.try_emplace(std::string(label), 0);
    if (added) {
      try {
        found->second = choice_from_label(*decision_, found->first);
      } catch (const InvalidArchitecture&) {
        known_.erase(found);
        throw;
      }
    }
    return found->second;
  }

 private:
  const Decision* decision_;
  std::unordered_map<std::string, std::uint32_t> known_;
};

// The architecture of each row. Throws IoError naming the line.
std::vector<Architecture> read_keys(const CsvTable& csv, const SearchSpace& space,
                                    const std::optional<std::string>& key) {
  std::vector<std::size_t> columns;
  std::vector<Labels> labels;
  if (key) {
    columns.push_back(csv.column(*key));
  } else {
    for (const Decision& decision : space.decisions()) {
      columns.push_back(csv.column(decision.name));
      labels.emplace_back(decision);
    }
  }
  std::vector<Architecture> keys(csv.row_count());
  for (std::size_t row = 0; row < keys.size(); ++row) {
    try {
      if (key) {
        keys[row] = space.parse(csv.text(row, columns[0]));
      } else {
        keys[row].choices.resize(columns.size());
        for (std::size_t d = 0; d < columns.size(); ++d) {
          keys[row].choices[d] = labels[d].choice(csv.text(row, columns[d]));
        }
      }
      if (!space.valid(keys[row])) {
        throw InvalidArchitecture("it breaks a constraint of the space: " +
                                  space.to_string(keys[row]));
      }
    } catch (const InvalidArchitecture& error) {
      throw IoError(csv.name(), fmt::format("line {}: no architecture of the space: {}",
                                            csv.line(row), error.what()));
    }
  }
  return keys;
}

}  // namespace

OptionTable<TableOptions> table_option_table() {
  const auto fidelity =
      OptionTable<TableFidelity>("what the table has of evaluations at a lower fidelity")
          .add("fidelity", &TableFidelity::fidelity, "share of a full evaluation", required(),
               Range{.low = 0, .high = 1, .low_open = true, .high_open = true})
          .add("metrics", &TableFidelity::metrics,
               "the column of each metric that has another one than at full fidelity", required());
  return OptionTable<TableOptions>("metrics from a table of evaluated architectures")
      .add("file", &TableOptions::file, "CSV file, also compressed with gzip", required())
      .add("key", &TableOptions::key,
           "column of the architecture strings; without it, each decision has a column of labels")
      .add("metrics", &TableOptions::metrics, "the column of each metric", required())
      .add("report", &TableOptions::report,
           "the column of each metric that is only reported, never searched on")
      .add("fidelities", &TableOptions::fidelities,
           "lower fidelities, rising: of a candidate, the highest that is not above its own counts",
           fidelity)
      .check([](const TableOptions& options) {
        if (options.metrics.empty()) throw ConfigError("/metrics", "names no metric");
        for (const auto& [name, column] : options.report) {
          if (options.metrics.contains(name)) {
            throw ConfigError(pointer_to("/report", name),
                              fmt::format("the metric \"{}\" is in \"metrics\" too", name));
          }
        }
        for (std::size_t i = 0; i < options.fidelities.size(); ++i) {
          const TableFidelity& level = options.fidelities[i];
          const std::string pointer = pointer_to("/fidelities", i);
          if (i > 0 && options.fidelities[i - 1].fidelity >= level.fidelity) {
            throw ConfigError(pointer + "/fidelity", "the fidelities must rise");
          }
          for (const auto& [name, column] : level.metrics) {
            if (options.metrics.contains(name) || options.report.contains(name)) continue;
            throw ConfigError(
                pointer_to(pointer + "/metrics", name),
                fmt::format("\"metrics\" and \"report\" have no metric \"{}\"", name));
          }
        }
      });
}

TableEvaluator::TableEvaluator(std::shared_ptr<const SearchSpace> space,
                               const TableOptions& options)
    : restricted_(std::dynamic_pointer_cast<const RestrictedSpace>(space)),
      space_(restricted_ ? restricted_->whole() : std::move(space)),
      file_(options.file),
      searched_(options.metrics.size()) {
  const CsvTable csv = CsvTable::read(options.file);
  row_count_ = csv.row_count();
  if (row_count_ == 0) throw IoError(file_, "the table has no rows; expected one per architecture");
  for (const auto* group : {&options.metrics, &options.report}) {
    for (const auto& [name, column] : *group) {
      metrics_.push_back(metric_info(name));
      metrics_.back().report_only = group == &options.report;
      columns_.push_back(column);
    }
  }
  for (const TableFidelity& lower : options.fidelities) {
    Level& level = levels_.emplace_back(Level{.fidelity = lower.fidelity, .places = {}});
    for (std::size_t m = 0; m < metrics_.size(); ++m) {
      const auto column = lower.metrics.find(metrics_[m].name);
      if (column != lower.metrics.end()) {
        level.places.push_back(columns_.size());
        columns_.push_back(column->second);
      } else {
        level.places.push_back(metrics_[m].report_only ? no_column : m);
      }
    }
  }
  Level& full = levels_.emplace_back(Level{.fidelity = 1, .places = {}});
  for (std::size_t m = 0; m < metrics_.size(); ++m) full.places.push_back(m);
  const std::size_t width = columns_.size();
  values_.resize(row_count_ * width);
  for (std::size_t m = 0; m < width; ++m) {
    const std::vector<double> column = csv.numbers(columns_[m]);
    for (std::size_t row = 0; row < row_count_; ++row) values_[row * width + m] = column[row];
  }

  const std::vector<Architecture> keys = read_keys(csv, *space_, options.key);
  radix_ = MixedRadix::of(*space_, flat_limit);
  if (radix_) {
    flat_.assign(radix_->size(), no_row);
  } else {
    rows_.reserve(row_count_);
  }
  for (std::uint32_t row = 0; row < row_count_; ++row) {
    if (const std::uint32_t other = find(keys[row]); other != no_row) {
      throw IoError(file_,
                    fmt::format("line {}: the architecture of line {} again: {}", csv.line(row),
                                csv.line(other), space_->to_string(keys[row])));
    }
    insert(keys[row], row);
  }
  for (std::uint32_t row = 0; row < row_count_; ++row) {
    const Architecture canonical = space_->canonical(keys[row]);
    if (find(canonical) == no_row) insert(canonical, row);
  }
}

std::uint32_t TableEvaluator::find(const Architecture& a) const {
  if (radix_) return flat_[radix_->index(a)];
  const auto found = rows_.find(a);
  return found == rows_.end() ? no_row : found->second;
}

void TableEvaluator::insert(const Architecture& a, std::uint32_t row) {
  if (radix_) {
    flat_[radix_->index(a)] = row;
  } else {
    rows_.emplace(a, row);
  }
}

const TableEvaluator::Level& TableEvaluator::level(double fidelity) const {
  // A fidelity that was written with few digits, such as 0.3333333333 for 1/3, is met.
  const auto above = std::ranges::upper_bound(levels_, fidelity * (1 + 1e-9), {}, &Level::fidelity);
  if (above != levels_.begin()) return *std::prev(above);
  throw UnsupportedError(
      levels_.size() == 1
          ? fmt::format("{} has full evaluations only, not fidelity {}; list its lower fidelities "
                        "in \"fidelities\"",
                        file_, fidelity)
          : fmt::format("{} has no fidelity of {} or below; the lowest is {}", file_, fidelity,
                        levels_[0].fidelity));
}

std::vector<Architecture> TableEvaluator::architectures() const {
  std::vector<Architecture> all;
  if (restricted_ || radix_) {
    const SearchSpace& searched = restricted_ ? *restricted_ : *space_;
    enumerate(searched, [&](const Architecture& a) {
      const Architecture whole = restricted_ ? restricted_->lift(a) : a;
      if (find(whole) != no_row || find(space_->canonical(whole)) != no_row) all.push_back(a);
      return true;
    });
    return all;
  }
  for (const auto& [a, row] : rows_) {
    if (a == space_->canonical(a)) all.push_back(a);
  }
  std::ranges::sort(all);
  return all;
}

std::vector<double> TableEvaluator::evaluate(const Candidate& candidate, const Network&, Rng&) {
  const SearchSpace& searched = restricted_ ? *restricted_ : *space_;
  if (!searched.valid(candidate.architecture)) {
    throw InvalidArchitecture(
        fmt::format("{} knows only architectures of its search space", file_));
  }
  std::optional<Architecture> lifted;
  const Architecture& a = restricted_ ? lifted.emplace(restricted_->lift(candidate.architecture))
                                      : candidate.architecture;
  std::uint32_t row = find(a);
  if (row == no_row) row = find(space_->canonical(a));
  if (row == no_row) {
    throw InvalidArchitecture(fmt::format("{} has no row for {}", file_, space_->to_string(a)));
  }
  const double* const fields = values_.data() + row * columns_.size();
  std::vector<double> values;
  values.reserve(metrics_.size());
  for (const std::size_t place : level(candidate.fidelity).places) {
    values.push_back(place == no_column ? std::numeric_limits<double>::quiet_NaN() : fields[place]);
    if (values.size() <= searched_ && std::isnan(values.back())) {
      throw InvalidArchitecture(fmt::format("{} has no value in the column \"{}\" for {}", file_,
                                            columns_[place], space_->to_string(a)));
    }
  }
  return values;
}

}  // namespace espalier
