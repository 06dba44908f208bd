#include "hw_models/lookup_table.hpp"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <limits>
#include <set>
#include <utility>

#include <fmt/format.h>

#include "core/error.hpp"

namespace espalier {

namespace {

constexpr const char* any_value = "*";

const Feature* find_feature(const std::vector<Feature>& features, const std::string& name) {
  const auto it = std::ranges::find(features, name, &Feature::name);
  return it == features.end() ? nullptr : &*it;
}

bool contains(const std::vector<std::string>& names, const std::string& name) {
  return std::ranges::find(names, name) != names.end();
}

std::string described(const std::string& kind, const std::vector<std::string>& columns,
                      const std::vector<std::string>& values) {
  std::string text = kind;
  for (std::size_t i = 0; i < columns.size(); ++i) text += ' ' + columns[i] + '=' + values[i];
  return text;
}

std::string where(const Graph& graph, const Part& part) {
  return part.node ? "node '" + graph.name(*part.node) + "'"
                   : "scope '" + graph.scope(part.scope).name + "'";
}

/// Whether two scopes hold the same: operators, shapes and, up to what is outside, inputs.
bool same_content(const Graph& graph, const Part& part, const Graph& other_graph,
                  const Part& other) {
  if (part.nodes.size() != other.nodes.size()) return false;
  const auto place = [](const Part& p, NodeId id) {
    const auto it = std::ranges::lower_bound(p.nodes, id);
    return it != p.nodes.end() && *it == id ? it - p.nodes.begin() : -1;
  };
  for (std::size_t i = 0; i < part.nodes.size(); ++i) {
    const Node& a = graph.node(part.nodes[i]);
    const Node& b = other_graph.node(other.nodes[i]);
    if (a.op != b.op || a.compression != b.compression || a.shape != b.shape ||
        !std::ranges::equal(graph.inputs(part.nodes[i]), other_graph.inputs(other.nodes[i]),
                            [&](NodeId x, NodeId y) {
                              return place(part, x) == place(other, y) &&
                                     graph.node(x).shape == other_graph.node(y).shape;
                            })) {
      return false;
    }
  }
  return true;
}

/// How far two values of a feature are apart: |log(a / b)| for positive numbers, else 1.
double distance(const std::string& a, const std::string& b) {
  if (a == b) return 0;
  double x = 0, y = 0;
  const auto read = [](const std::string& s, double& value) {
    const auto result = std::from_chars(s.data(), s.data() + s.size(), value);
    return result.ec == std::errc() && result.ptr == s.data() + s.size() && value > 0;
  };
  return read(a, x) && read(b, y) ? std::min(1.0, std::abs(std::log(x / y))) : 1.0;
}

}  // namespace

LookupTable::LookupTable(std::string name, const CsvTable& table,
                         std::unique_ptr<const Roofline> fallback)
    : HardwareModel(std::move(name)), file_(table.name()), fallback_(std::move(fallback)) {
  if (!table.has_column("op") && !table.has_column("scope")) {
    throw IoError(file_, "no column \"op\" or \"scope\" says what the rows describe");
  }
  table.column("latency_ms");
  has_energy_ = table.has_column("energy_mj");
  if (table.row_count() == 0) throw IoError(file_, "the table has no rows");
  for (std::size_t row = 0; row < table.row_count(); ++row) add_row(table, row);
  for (const auto& [kind, rows] : scopes_) scope_kinds_.push_back(kind);
}

void LookupTable::add_row(const CsvTable& table, std::size_t row) {
  const auto fail = [&](const std::string& message) {
    throw IoError(file_, fmt::format("line {}: {}", table.line(row), message));
  };
  const auto number = [&](std::string_view column) {
    const std::string_view text = table.text(row, table.column(column));
    double value = 0;
    const auto result = std::from_chars(text.data(), text.data() + text.size(), value);
    if (result.ec != std::errc() || result.ptr != text.data() + text.size() ||
        !(value >= 0 && std::isfinite(value))) {
      fail(fmt::format("{} must be a number of at least 0, got \"{}\"", column, text));
    }
    return value;
  };
  std::string op, scope;
  std::vector<std::string> columns, ignored, values;
  for (std::size_t c = 0; c < table.columns().size(); ++c) {
    const std::string& column = table.columns()[c];
    const std::string value(table.text(row, c));
    if (column == "op") {
      op = value;
    } else if (column == "scope") {
      scope = value;
    } else if (column == "latency_ms" || column == "energy_mj" || value.empty()) {
      continue;
    } else if (value == any_value) {
      ignored.push_back(column);
    } else {
      columns.push_back(column);
      values.push_back(value);
    }
  }
  if (op.empty() == scope.empty()) {
    fail(op.empty() ? "it names no op and no scope"
                    : fmt::format("it names both the op \"{}\" and the scope \"{}\"", op, scope));
  }
  const std::string& name = op.empty() ? scope : op;
  const auto [it, first] = (op.empty() ? scopes_ : ops_).try_emplace(name);
  Kind& kind = it->second;
  if (first) {
    kind.columns = columns;
    kind.ignored = ignored;
  } else if (kind.columns != columns || kind.ignored != ignored) {
    const auto filled = [](std::vector<std::string> some, const std::vector<std::string>& any) {
      for (const std::string& column : any) some.push_back(column + " (*)");
      return fmt::format("{}", fmt::join(some, ", "));
    };
    fail(fmt::format("all rows of {} must fill the same columns: here {}, in line {} {}", name,
                     filled(columns, ignored), kind.rows.front().line,
                     filled(kind.columns, kind.ignored)));
  }
  HardwareCost cost{.latency_ms = number("latency_ms")};
  if (has_energy_) cost.energy_mj = number("energy_mj");
  const auto [place, added] = kind.index.try_emplace(values, kind.rows.size());
  if (!added) {
    fail(fmt::format("it describes the same part as line {}: {}", kind.rows[place->second].line,
                     described(name, columns, values)));
  }
  kind.rows.push_back({table.line(row), std::move(values), cost});
}

const HardwareCost* LookupTable::find(const Graph& graph, const Part& part, int batch_size) const {
  const std::string name = part_kind(graph, part);
  const auto& kinds = part.node ? ops_ : scopes_;
  const auto it = kinds.find(name);
  const std::vector<Feature> features = part_features(graph, part, batch_size);
  const auto missing = [&](const std::string& what) {
    throw UnsupportedError(
        fmt::format("table {} {} ({}); measure it, or set \"on_miss\" to \"roofline\"", file_, what,
                    where(graph, part)));
  };
  if (it == kinds.end()) {
    if (fallback_ != nullptr) return nullptr;
    std::vector<std::string> columns, values;
    for (const Feature& feature : features) {
      if (feature.optional || feature.value == feature.default_value) continue;
      columns.push_back(feature.name);
      values.push_back(feature.value);
    }
    missing(fmt::format("has no row for {}, nor for any other {}", described(name, columns, values),
                        name));
  }
  const Kind& kind = it->second;
  std::vector<std::string> known;
  for (const Feature& feature : features) {
    known.push_back(feature.name);
    if (feature.optional || feature.value == feature.default_value ||
        contains(kind.columns, feature.name) || contains(kind.ignored, feature.name)) {
      continue;
    }
    if (fallback_ != nullptr && feature.default_value) return nullptr;
    throw UnsupportedError(fmt::format(
        "table {} does not say for which {} its rows of {} hold, and that of {} is {}; add the "
        "column, filled with \"*\" if it does not matter",
        file_, feature.name, name, where(graph, part), feature.value));
  }
  std::vector<std::string> values;
  for (const std::string& column : kind.columns) {
    const Feature* feature = find_feature(features, column);
    if (feature == nullptr) {
      throw UnsupportedError(
          fmt::format("table {} tells rows of {} apart by {}, which {} does not "
                      "have{}",
                      file_, name, column, where(graph, part), suggestion(column, known)));
    }
    values.push_back(feature->value);
  }
  if (const auto found = kind.index.find(values); found != kind.index.end()) {
    return &kind.rows[found->second].cost;
  }
  if (fallback_ != nullptr) return nullptr;
  const Row* nearest = nullptr;
  double least = std::numeric_limits<double>::infinity();
  for (const Row& row : kind.rows) {
    double total = 0;
    for (std::size_t i = 0; i < values.size(); ++i) {
      total += row.values[i] == values[i] ? 0 : 1 + distance(row.values[i], values[i]);
    }
    if (total < least) least = total, nearest = &row;
  }
  std::vector<std::string> differences;
  for (std::size_t i = 0; i < values.size(); ++i) {
    if (nearest->values[i] != values[i]) {
      differences.push_back(
          fmt::format("{} {} instead of {}", kind.columns[i], nearest->values[i], values[i]));
    }
  }
  missing(fmt::format("has no row for {}; the nearest, line {}, has {}",
                      described(name, kind.columns, values), nearest->line,
                      fmt::join(differences, ", ")));
  return nullptr;
}

std::vector<HardwareMetric> LookupTable::metrics() const {
  return {hardware_metrics.begin(), hardware_metrics.begin() + (has_energy_ ? 2 : 1)};
}

std::vector<ScopeCost> LookupTable::breakdown(const Graph& graph, int batch_size) const {
  check_estimate_arguments(graph, batch_size);
  std::vector<ScopeCost> estimated;  // by the fallback, of the whole graph
  std::vector<ScopeCost> parts;
  for (const Part& part : split_into_parts(graph, scope_kinds_)) {
    ScopeCost result{.scope = part.scope, .node = part.node, .cost = {}};
    if (const HardwareCost* cost = find(graph, part, batch_size)) {
      result.cost = *cost;
    } else {
      if (estimated.empty()) estimated = fallback_->breakdown(graph, batch_size);
      std::vector<ScopeCost> inside;
      for (const ScopeCost& kernel : estimated) {
        if (std::ranges::binary_search(part.nodes, *kernel.node)) inside.push_back(kernel);
      }
      result.cost = sum(inside, metrics());
    }
    parts.push_back(result);
  }
  return parts;
}

HardwareCost LookupTable::estimate(const Graph& graph, int batch_size) const {
  return sum(breakdown(graph, batch_size), metrics());
}

std::string make_lookup_table(std::span<const Graph> graphs, const TableParts& options,
                              const MeasurePart& measure) {
  struct Measured {
    const Graph* graph;
    Part part;
    std::string family, kind;
    std::vector<Feature> features;
    HardwareCost cost;
  };
  std::vector<Measured> rows;
  std::vector<std::string> columns;
  std::map<std::vector<std::string>, std::size_t> seen;  // features -> row
  std::map<std::string, std::size_t> first_of_kind;      // of scopes
  const auto names = [](const Measured& row) {
    std::set<std::string> result;
    for (const Feature& feature : row.features) result.insert(feature.name);
    return result;
  };
  for (const Graph& graph : graphs) {
    check_estimate_arguments(graph, options.batch_size);
    for (const Part& part : split_into_parts(graph, options.scope_kinds)) {
      Measured row{&graph,
                   part,
                   part_family(part),
                   part_kind(graph, part),
                   part_features(graph, part, options.batch_size),
                   {}};
      std::vector<std::string> key{row.family, row.kind};
      for (const Feature& feature : row.features) {
        key.insert(key.end(), {feature.name, feature.value});
      }
      const auto [place, added] = seen.try_emplace(std::move(key), rows.size());
      if (!added) {
        const Measured& known = rows[place->second];
        // What an operator costs is in its features.
        if (!part.node && !same_content(graph, part, *known.graph, known.part)) {
          throw UnsupportedError(fmt::format(
              "one row of {} would stand for two different parts: give its scopes attributes that "
              "tell {} from {}",
              row.kind, where(graph, part), where(*known.graph, known.part)));
        }
        continue;
      }
      if (!part.node) {
        const Measured& first =
            first_of_kind.contains(row.kind) ? rows[first_of_kind.at(row.kind)] : row;
        if (names(row) != names(first)) {
          throw UnsupportedError(fmt::format(
              "all scopes of the kind {} must have attributes of the same names: {} has {}, and {} "
              "has {}",
              row.kind, where(graph, part), fmt::join(names(row), ", "),
              where(*first.graph, first.part), fmt::join(names(first), ", ")));
        }
        first_of_kind.emplace(row.kind, rows.size());
      }
      row.cost = measure(graph, part);
      if (!row.cost.latency_ms) {
        throw UnsupportedError("no latency was measured for " + where(graph, part));
      }
      if (!rows.empty() && row.cost.energy_mj.has_value() != rows[0].cost.energy_mj.has_value()) {
        throw UnsupportedError("energy was measured for some parts only; " + where(graph, part) +
                               (row.cost.energy_mj ? " has" : " lacks") + " it");
      }
      for (const Feature& feature : row.features) {
        if (!contains(columns, feature.name)) columns.push_back(feature.name);
      }
      rows.push_back(std::move(row));
    }
  }
  const bool energy = !rows.empty() && rows[0].cost.energy_mj.has_value();
  std::vector<std::string> fields{"scope", "op"};
  fields.insert(fields.end(), columns.begin(), columns.end());
  fields.push_back("latency_ms");
  if (energy) fields.push_back("energy_mj");
  std::string text = csv_row(fields);
  for (const Measured& row : rows) {
    fields = {row.family == "scope" ? row.kind : "", row.family == "op" ? row.kind : ""};
    for (const std::string& column : columns) {
      const Feature* feature = find_feature(row.features, column);
      fields.push_back(feature == nullptr ? "" : feature->value);
    }
    fields.push_back(fmt::format("{}", *row.cost.latency_ms));
    if (energy) fields.push_back(fmt::format("{}", *row.cost.energy_mj));
    text += csv_row(fields);
  }
  return text;
}

}  // namespace espalier
