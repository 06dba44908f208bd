#include "search_spaces/custom.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <limits>
#include <string>
#include <utility>

#include "core/error.hpp"
#include "search_spaces/custom_network.hpp"

namespace espalier {

namespace {

/// Decisions and, of each, the options that are meant.
using Condition = std::vector<std::pair<DecisionId, std::vector<std::uint32_t>>>;

/// Where all of `when` hold, no active decision of `then` may have another option. `when` alone is
/// forbidden.
struct Rule {
  Condition when;
  std::optional<Condition> then;
};

struct CostBound {
  std::int64_t Cost::*metric = nullptr;
  double min = 0;
  double max = std::numeric_limits<double>::infinity();
};

struct Constraints {
  std::vector<Rule> rules;
  std::vector<CostBound> ranges;
};

class CustomSpace : public SupergraphSpace {
 public:
  CustomSpace(Supergraph supergraph, Constraints constraints)
      : SupergraphSpace(std::move(supergraph)), constraints_(std::move(constraints)) {}

  bool valid(const Architecture& a) const override {
    if (!SupergraphSpace::valid(a)) return false;
    for (const Rule& rule : constraints_.rules) {
      if (holds(rule.when, a, false) && !(rule.then && holds(*rule.then, a, true))) return false;
    }
    if (constraints_.ranges.empty()) return true;
    const Cost cost = quick_cost(a);
    return std::ranges::all_of(constraints_.ranges, [&](const CostBound& range) {
      const auto value = static_cast<double>(cost.*range.metric);
      return value >= range.min && value <= range.max;
    });
  }

  bool constrained() const override {
    return !constraints_.rules.empty() || !constraints_.ranges.empty();
  }

 private:
  /// An inactive decision, which has no influence, counts as `inactive`: so an architecture and its
  /// canonical form are valid together.
  bool holds(const Condition& condition, const Architecture& a, bool inactive) const {
    return std::ranges::all_of(condition, [&](const auto& part) {
      const auto& [decision, options] = part;
      if (!active(a, decision)) return inactive;
      const auto picked = supergraph()->picked(decision, a.choices[decision]);
      return std::ranges::any_of(picked, [&options = options](std::uint32_t option) {
        return std::ranges::find(options, option) != options.end();
      });
    });
  }

  Constraints constraints_;
};

std::uint32_t read_label(const Json& json, const std::string& pointer, const Decision& decision) {
  std::string label;
  if (json.is_string()) {
    label = json.get<std::string>();
  } else if (json.is_boolean() || json.is_number()) {
    label = option_label(json);
  } else {
    detail::throw_type_error("option, or array of them", json, pointer);
  }
  const auto found = std::ranges::find(decision.options, label);
  if (found == decision.options.end()) {
    throw ConfigError(
        pointer, fmt::format("the decision \"{}\" has no option \"{}\"{}", decision.name, label,
                             suggestion(label, decision.options)));
  }
  return static_cast<std::uint32_t>(found - decision.options.begin());
}

Condition read_condition(const Json& json, const std::string& pointer,
                         const std::vector<Decision>& decisions) {
  if (!json.is_object()) detail::throw_type_error("object", json, pointer);
  if (json.empty()) throw ConfigError(pointer, "expected at least one decision and its option");
  Condition condition;
  for (const auto& [name, labels] : json.items()) {
    const std::string at = pointer_to(pointer, name);
    const auto found = std::ranges::find(decisions, name, &Decision::name);
    if (found == decisions.end()) {
      std::vector<std::string> known;
      for (const Decision& d : decisions) known.push_back(d.name);
      throw ConfigError(
          at, fmt::format("the space has no decision \"{}\"{}", name, suggestion(name, known)));
    }
    std::vector<std::uint32_t> options;
    if (labels.is_array()) {
      for (std::size_t i = 0; i < labels.size(); ++i) {
        options.push_back(read_label(labels[i], pointer_to(at, i), *found));
      }
    } else {
      options.push_back(read_label(labels, at, *found));
    }
    condition.emplace_back(static_cast<DecisionId>(found - decisions.begin()), std::move(options));
  }
  return condition;
}

CostBound read_range(const Json& json, const std::string& pointer) {
  detail::check_keys(json, pointer, std::array<std::string, 3>{"metric", "min", "max"});
  CostBound range;
  const std::string at = pointer_to(pointer, "metric");
  const std::vector<std::pair<std::string, std::int64_t Cost::*>> metrics{{"params", &Cost::params},
                                                                          {"macs", &Cost::macs}};
  for (const auto& [name, member] : metrics) {
    if (json["metric"] == name) range.metric = member;
  }
  if (range.metric == nullptr) {
    throw ConfigError(at, "expected \"params\" or \"macs\", got " + json["metric"].dump());
  }
  for (const char* key : {"min", "max"}) {
    const auto found = json.find(key);
    if (found == json.end()) continue;
    if (!found->is_number()) detail::throw_type_error("number", *found, pointer_to(pointer, key));
    (key == std::string("min") ? range.min : range.max) = found->get<double>();
  }
  if (!json.contains("min") && !json.contains("max")) {
    throw ConfigError(pointer, "expected \"min\", \"max\" or both");
  }
  if (range.min > range.max) {
    throw ConfigError(pointer, fmt::format("min, {}, is above max, {}", range.min, range.max));
  }
  return range;
}

Constraints read_constraints(const Json& json, const std::vector<Decision>& decisions) {
  if (!json.is_array()) detail::throw_type_error("array", json, "/constraints");
  Constraints constraints;
  for (std::size_t i = 0; i < json.size(); ++i) {
    const std::string at = pointer_to("/constraints", i);
    const Json& constraint = json[i];
    if (!constraint.is_object()) detail::throw_type_error("object", constraint, at);
    const auto condition = [&](const char* key) {
      return read_condition(constraint[key], pointer_to(at, key), decisions);
    };
    if (constraint.contains("metric")) {
      constraints.ranges.push_back(read_range(constraint, at));
    } else if (constraint.contains("not")) {
      detail::check_keys(constraint, at, std::array<std::string, 1>{"not"});
      constraints.rules.push_back({.when = condition("not"), .then = std::nullopt});
    } else if (constraint.contains("if") && constraint.contains("then")) {
      detail::check_keys(constraint, at, std::array<std::string, 2>{"if", "then"});
      constraints.rules.push_back({.when = condition("if"), .then = condition("then")});
    } else {
      throw ConfigError(at,
                        "expected {\"metric\", \"min\", \"max\"}, {\"not\"} or {\"if\", "
                        "\"then\"}, got " +
                            constraint.dump());
    }
  }
  return constraints;
}

/// The schema of a part that a reader of its own checks.
Component part(const char* type, const char* description) {
  return {.resolve = [](const Json& json, const std::string&) { return json; },
          .schema = {{"type", type}, {"description", description}}};
}

}  // namespace

Json default_custom_network() {
  return Json::parse(R"([
        {"type": "conv_bn_act", "name": "stem", "out_channels": 16, "kernel": 3},
        {"type": "stage", "depth": {"choose": [1, 2, 3]}, "stride": 2,
         "block": {"type": "basic_block", "out_channels": 32, "kernel": {"choose": [3, 5]},
                   "stride": "stride"}},
        "global_avg_pool",
        "flatten",
        {"type": "linear", "out_features": "classes"}
      ])");
}

const OptionTable<CustomOptions>& custom_options() {
  static const auto table =
      OptionTable<CustomOptions>("your own space, written in JSON (see docs/own_space.md)")
          .add("input", &CustomOptions::input,
               "channels, height and width of the images; each may be a decision",
               part("array", "[channels, height, width]: see docs/own_space.md, Numbers"))
          .add("classes", &CustomOptions::classes, "of the task", between(2, 1 << 20))
          .add("values", &CustomOptions::values, "numbers and decisions by name",
               part("object", "numbers by name: see docs/own_space.md, Numbers"))
          .add("cells", &CustomOptions::cells, "sub-networks by name, which steps can use",
               part("object", "sub-networks by name: see docs/own_space.md, Cells"))
          .add("network", &CustomOptions::network, "the steps, in order",
               part("array", "the steps, in order: see docs/own_space.md, Steps"))
          .add("constraints", &CustomOptions::constraints, "which architectures are valid",
               part("array", "constraints: see docs/own_space.md, Constraints"))
          .add("compression", &CustomOptions::compression, "what else is searched",
               compression_options());
  return table;
}

std::unique_ptr<SupergraphSpace> make_custom(const CustomOptions& options) {
  custom_options().validate(options);
  Supergraph supergraph = open_compression(read_custom_network({.input = options.input,
                                                                .classes = options.classes,
                                                                .values = options.values,
                                                                .cells = options.cells,
                                                                .network = options.network}),
                                           options.compression);
  Constraints constraints = read_constraints(options.constraints, supergraph.decisions());
  return std::make_unique<CustomSpace>(std::move(supergraph), std::move(constraints));
}

}  // namespace espalier
