#pragma once

#include <cstddef>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "core/csv.hpp"
#include "hw_models/hardware_model.hpp"
#include "hw_models/parts.hpp"
#include "hw_models/roofline.hpp"

namespace espalier {

/// Latency and energy as the sum of measured parts, from a CSV table.
///
/// The table has a column "op" or "scope" or both: each row names one operator (conv2d) or one kind
/// of scope (mbconv), which is then looked up as a whole. The other columns are features
/// (part_features), latency_ms and, if it was measured, energy_mj. A field is empty where a row's
/// kind has no such feature, and "*" where the value does not matter. All rows of one kind fill
/// the same columns. A feature without a column counts as its default value.
///
///   scope,op,in_channels,in_height,in_width,out_channels,kernel,stride,activation,latency_ms
///   ,conv2d,3,224,224,32,3,2,relu,4.4
///   ,global_avg_pool,*,*,*,,,,,0
class LookupTable : public HardwareModel {
 public:
  /// Parts that the table lacks are an error, or `fallback` estimates them. Throws IoError, naming
  /// the line, for a table that breaks the rules above, has two rows for the same part, or a
  /// latency or energy that is negative or missing.
  LookupTable(std::string name, const CsvTable& table,
              std::unique_ptr<const Roofline> fallback = nullptr);

  std::vector<HardwareMetric> metrics() const override;
  /// Throws UnsupportedError naming what the table lacks: the row, with the nearest one, or a
  /// column for a feature.
  HardwareCost estimate(const Graph& graph, int batch_size) const override;
  std::vector<ScopeCost> breakdown(const Graph& graph, int batch_size) const override;

 private:
  struct Row {
    std::size_t line;
    std::vector<std::string> values;  // of the kind's columns
    HardwareCost cost;
  };
  struct Kind {
    std::vector<std::string> columns;  // that its rows fill with values
    std::vector<std::string> ignored;  // that its rows fill with "*"
    std::vector<Row> rows;
    std::map<std::vector<std::string>, std::size_t> index;  // values -> row
  };
  void add_row(const CsvTable& table, std::size_t row);
  const HardwareCost* find(const Graph& graph, const Part& part, int batch_size) const;

  std::string file_;  // for messages
  bool has_energy_ = false;
  std::unique_ptr<const Roofline> fallback_;
  std::vector<std::string> scope_kinds_;
  std::map<std::string, Kind> ops_, scopes_;
};

/// What a table is made of.
struct TableParts {
  std::vector<std::string> scope_kinds = {};  ///< measured as a whole, for example mbconv
  int batch_size = 1;                         ///< >= 1
};

/// Measures one part of a network; it gives a latency, and an energy for all parts or for none.
using MeasurePart = std::function<HardwareCost(const Graph& graph, const Part& part)>;

/// The text of a LookupTable that covers all of the networks: every distinct part is measured once,
/// in the order of its first appearance. Throws UnsupportedError for two scopes of one kind with
/// equal features but different operators, inputs or shapes, and for two with attributes of other
/// names; when a part is measured without a latency, or some with and some without an energy; and
/// what `measure` throws.
std::string make_lookup_table(std::span<const Graph> graphs, const TableParts& parts,
                              const MeasurePart& measure);

}  // namespace espalier
