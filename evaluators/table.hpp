#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "core/options.hpp"
#include "evaluators/evaluator.hpp"
#include "search_spaces/mixed_radix.hpp"
#include "search_spaces/restriction.hpp"

namespace espalier {

/// What a table has of evaluations at a fidelity below 1.
struct TableFidelity {
  double fidelity = 0;                         ///< in (0, 1)
  std::map<std::string, std::string> metrics;  ///< metric: column; others have the same column
};

struct TableOptions {
  std::string file;  ///< CSV, also compressed with gzip
  /// The column of the architectures as the space writes them; without it, each decision has a
  /// column of its name with labels.
  std::optional<std::string> key;
  std::map<std::string, std::string> metrics;      ///< metric: column
  std::map<std::string, std::string> report = {};  ///< the same, for reports only
  std::vector<TableFidelity> fidelities = {};      ///< rising; empty: only full evaluations
};
OptionTable<TableOptions> table_option_table();

/// Looks metrics up in a table of evaluated architectures. Immutable and thread-safe; a lookup in a
/// space of up to 2^24 choices takes two array accesses, in others a hash.
///
/// An architecture's own row comes first; if there is none, the first row of the file whose
/// architecture has the same canonical form stands for it. An empty field of a metric is a failed
/// trial, one of a report-only metric is NaN. The table of a restricted space (search_spaces/
/// restriction.hpp) may be that of the whole space.
///
/// A candidate below full fidelity has the columns of the highest listed one that is not above its
/// own. There, metrics for reports only are NaN unless they are listed.
class TableEvaluator : public Evaluator {
 public:
  /// Reads the file. Throws IoError naming line and column for an unreadable, truncated or empty
  /// file, a missing column, a key that is no architecture of the space, a value that is no number,
  /// and two rows of one architecture; ConfigError for a metric named twice.
  TableEvaluator(std::shared_ptr<const SearchSpace> space, const TableOptions& options);

  /// Those of `metrics`, then those of `report`, each in the order of their names.
  const std::vector<MetricInfo>& metrics() const override { return metrics_; }
  /// Throws InvalidArchitecture for an architecture without a row or with an empty field,
  /// UnsupportedError for a fidelity below all listed ones.
  std::vector<double> evaluate(const Candidate& candidate, const Network& network,
                               Rng& rng) override;

  std::size_t row_count() const { return row_count_; }
  /// The canonical architectures of the space that have a row, in ascending order. Enumerates the
  /// space where it is small or restricted.
  std::vector<Architecture> architectures() const;

 private:
  std::uint32_t find(const Architecture& a) const;
  void insert(const Architecture& a, std::uint32_t row);

  std::shared_ptr<const RestrictedSpace> restricted_;  // where candidates are of one
  std::shared_ptr<const SearchSpace> space_;           // of the table, without restriction
  std::string file_;
  // The place of each metric in a row, at a fidelity and above; no_column: it has none.
  struct Level {
    double fidelity;
    std::vector<std::size_t> places;
  };
  const Level& level(double fidelity) const;

  std::vector<MetricInfo> metrics_;
  std::vector<std::string> columns_;  // in the order of a row
  std::size_t searched_ = 0;          // metrics that are not for reports only
  std::vector<Level> levels_;         // rising; the last is that of full evaluations
  std::size_t row_count_ = 0;
  std::vector<double> values_;  // row by row, one per column
  std::optional<MixedRadix> radix_;
  std::vector<std::uint32_t> flat_;  // row by index in small spaces
  std::unordered_map<Architecture, std::uint32_t, ArchitectureHash> rows_;
};

}  // namespace espalier
