#include "graph/json.hpp"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <limits>
#include <optional>
#include <unordered_map>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "core/error.hpp"
#include "core/json.hpp"
#include "core/options.hpp"

namespace espalier {

namespace {

constexpr std::int64_t format = 1;
/// With the limits of each operator, keeps all sums over a graph within 64 bits.
constexpr std::size_t max_nodes = 100'000;

/// The shortest number that reads back as this float: 1e-05, not 9.999999747378752e-06.
double shortest(float value) {
  const std::string text = fmt::format("{}", value);
  double number = 0;
  std::from_chars(text.data(), text.data() + text.size(), number);
  return static_cast<float>(number) == value ? number : static_cast<double>(value);
}

Json attributes_of(const Op& op) {
  Json json = Json::object();
  for_each_attribute(op, [&](std::string_view name, const auto& member) {
    using T = std::remove_cvref_t<decltype(member)>;
    Json& value = json[std::string(name)];
    if constexpr (std::is_same_v<T, Dim>) {
      value = member.value();
    } else if constexpr (std::is_same_v<T, Extent>) {
      value = {member.h.value(), member.w.value()};
    } else if constexpr (std::is_same_v<T, float>) {
      value = shortest(member);
    } else if constexpr (std::is_same_v<T, ActivationKind>) {
      value = std::string(activation_name(member));
    } else if constexpr (std::is_same_v<T, PoolKind>) {
      value = std::string(pool_name(member));
    } else {
      static_assert(std::is_same_v<T, bool> || std::is_same_v<T, std::uint32_t>);
      value = member;
    }
  });
  return json;
}

// What a document consists of, as its option tables read it.

struct QuantizationFields {
  std::int64_t weight_bits = 0;
  std::int64_t activation_bits = 0;
};

struct NodeFields {
  std::string name;
  std::string op;
  Json attributes = Json::object();
  std::vector<std::string> inputs;
  std::optional<std::vector<std::int64_t>> shape;
  std::optional<std::string> scope;
  std::optional<QuantizationFields> quantization;
};

struct ScopeFields {
  std::string name;
  std::string kind;
  std::optional<std::string> parent;
  Json attributes = Json::object();
};

struct DocumentFields {
  std::int64_t format = 0;
  std::vector<Json> nodes;
  std::vector<Json> scopes;
};

/// One operator of each kind that a concrete graph has.
template <std::size_t... I>
std::vector<Op> default_operators(std::index_sequence<I...>) {
  std::vector<Op> list;
  const auto add = [&](const Op& op) {
    if (!std::holds_alternative<op::Choice>(op)) list.push_back(op);
  };
  (add(Op(std::in_place_index<I>)), ...);
  return list;
}

const std::vector<Op>& operators() {
  static const std::vector<Op> list =
      default_operators(std::make_index_sequence<std::variant_size_v<Op>>{});
  return list;
}

std::vector<std::string> operator_names() {
  std::vector<std::string> names;
  for (const Op& op : operators()) names.emplace_back(op_name(op));
  return names;
}

const OptionTable<NodeFields>& node_table() {
  static const auto quantization =
      OptionTable<QuantizationFields>("bits of a convolution or linear layer")
          .add("weight_bits", &QuantizationFields::weight_bits, "2 to 8, or 32 for float",
               required(), between(2, 32))
          .add("activation_bits", &QuantizationFields::activation_bits, "2 to 8, or 32 for float",
               required(), between(2, 32));
  static const auto table =
      OptionTable<NodeFields>("one operator of a network")
          .add("name", &NodeFields::name, "unique name", required())
          .add("op", &NodeFields::op, "operator", required(), one_of(operator_names()))
          .add("attributes", &NodeFields::attributes, "attributes of the operator")
          .add("inputs", &NodeFields::inputs, "names of the nodes it reads", required())
          .add("shape", &NodeFields::shape, "output shape without the batch axis")
          .add("scope", &NodeFields::scope, "name of its scope")
          .add("quantization", &NodeFields::quantization, "bits", quantization);
  return table;
}

const OptionTable<ScopeFields>& scope_table() {
  static const auto table =
      OptionTable<ScopeFields>("a named part of a network")
          .add("name", &ScopeFields::name, "full path", required())
          .add("kind", &ScopeFields::kind, "kind of block", required())
          .add("parent", &ScopeFields::parent, "name of the scope around it")
          .add("attributes", &ScopeFields::attributes, "integers that key look-up tables");
  return table;
}

const OptionTable<DocumentFields>& document_table() {
  static const auto table =
      OptionTable<DocumentFields>("a network")
          .add("format", &DocumentFields::format, "version of the format", required())
          .add("nodes", &DocumentFields::nodes, "operators in the order of computation", required())
          .add("scopes", &DocumentFields::scopes, "named parts");
  return table;
}

Dim read_dim(const Json& json, const std::string& pointer) {
  return detail::read_integer(json, pointer, 0, max_attribute);
}

void read_value(const Json& json, const std::string& pointer, Dim& value) {
  value = read_dim(json, pointer);
}

void read_value(const Json& json, const std::string& pointer, Extent& value) {
  if (!json.is_array()) detail::throw_type_error("array", json, pointer);
  if (json.size() != 2) {
    throw ConfigError(pointer, fmt::format("expected [height, width], got {} values", json.size()));
  }
  value.h = read_dim(json[0], pointer_to(pointer, std::size_t{0}));
  value.w = read_dim(json[1], pointer_to(pointer, std::size_t{1}));
}

void read_value(const Json& json, const std::string& pointer, float& value) {
  value = float_from_json(json, pointer);
}

void read_value(const Json& json, const std::string& pointer, bool& value) {
  if (!json.is_boolean()) detail::throw_type_error("boolean", json, pointer);
  value = json.get<bool>();
}

void read_value(const Json& json, const std::string& pointer, ActivationKind& value) {
  value = activation_from_json(json, pointer);
}

void read_value(const Json& json, const std::string& pointer, PoolKind& value) {
  value = pool_from_json(json, pointer);
}

void read_value(const Json& json, const std::string& pointer, std::uint32_t& value) {
  value = static_cast<std::uint32_t>(
      detail::read_integer(json, pointer, 0, std::numeric_limits<std::uint32_t>::max()));
}

void read_attributes(const Json& json, const std::string& pointer, Op& op) {
  if (!json.is_object()) detail::throw_type_error("object", json, pointer);
  std::vector<std::string> known;
  for_each_attribute(op, [&](std::string_view name, auto&) { known.emplace_back(name); });
  for (const auto& [key, value] : json.items()) {
    if (std::find(known.begin(), known.end(), key) != known.end()) continue;
    throw ConfigError(
        pointer_to(pointer, key),
        fmt::format("{} has no attribute \"{}\"{}", op_name(op), key, suggestion(key, known)));
  }
  for_each_attribute(op, [&](std::string_view name, auto& member) {
    const std::string key(name);
    const auto found = json.find(key);
    if (found == json.end()) {
      throw ConfigError(pointer,
                        fmt::format("the attribute \"{}\" of {} is missing", key, op_name(op)));
    }
    read_value(*found, pointer_to(pointer, key), member);
  });
}

/// Runs `f`, turning a ShapeError into a ConfigError at `pointer`.
template <class F>
auto at_pointer(const std::string& pointer, F&& f) {
  try {
    return f();
  } catch (const ShapeError& error) {
    throw ConfigError(pointer, error.what());
  }
}

/// The value of `name` in a map; ConfigError with the nearest key where there is none.
std::uint32_t find_named(const std::unordered_map<std::string, std::uint32_t>& map,
                         const std::string& name, const std::string& what,
                         const std::string& pointer) {
  if (const auto it = map.find(name); it != map.end()) return it->second;
  std::vector<std::string> known;
  for (const auto& [key, value] : map) known.push_back(key);
  std::sort(known.begin(), known.end());
  const std::string best = nearest(name, known);
  throw ConfigError(pointer, fmt::format("there is no {} \"{}\"{}", what, name,
                                         best.empty() ? "" : suggestion(name, {&best, 1})));
}

using ScopeIds = std::unordered_map<std::string, ScopeId>;

ScopeIds read_scopes(const std::vector<Json>& list, const std::string& pointer, Graph& graph) {
  ScopeIds ids;
  for (std::size_t i = 0; i < list.size(); ++i) {
    const std::string here = pointer_to(pointer, i);
    const ScopeFields fields = scope_table().read(list[i], here);
    std::string local = fields.name;
    ScopeId parent = no_scope;
    if (fields.parent) {
      parent = find_named(ids, *fields.parent, "scope", pointer_to(here, "parent"));
      if (!local.starts_with(*fields.parent + ".")) {
        throw ConfigError(pointer_to(here, "name"),
                          fmt::format("expected a name that starts with the parent's, \"{}.\", "
                                      "got \"{}\"",
                                      *fields.parent, fields.name));
      }
      local.erase(0, fields.parent->size() + 1);
    }
    std::vector<std::pair<std::string, Dim>> attributes;
    const std::string inside = pointer_to(here, "attributes");
    if (!fields.attributes.is_object()) {
      detail::throw_type_error("object", fields.attributes, inside);
    }
    for (const auto& [key, value] : fields.attributes.items()) {
      attributes.emplace_back(key, detail::read_integer(value, pointer_to(inside, key),
                                                        std::numeric_limits<std::int64_t>::min(),
                                                        std::numeric_limits<std::int64_t>::max()));
    }
    const ScopeId id = graph.add_scope(local, fields.kind, parent, std::move(attributes));
    if (graph.scope(id).name != fields.name) {
      throw ConfigError(pointer_to(here, "name"),
                        fmt::format("the scope \"{}\" is there already", fields.name));
    }
    ids.emplace(fields.name, id);
  }
  return ids;
}

void read_node(const NodeFields& fields, const std::unordered_map<std::string, NodeId>& nodes,
               const ScopeIds& scopes, const std::string& pointer, Graph& graph) {
  const auto found = std::find_if(operators().begin(), operators().end(), [&](const Op& op) {
    return op_name(op) == fields.op;  // the option table has refused other names
  });
  Op op = *found;
  read_attributes(fields.attributes, pointer_to(pointer, "attributes"), op);
  std::vector<NodeId> inputs;
  for (std::size_t k = 0; k < fields.inputs.size(); ++k) {
    const std::string here = pointer_to(pointer_to(pointer, "inputs"), k);
    const NodeId input = find_named(nodes, fields.inputs[k], "node", here);
    if (input >= graph.size()) {
      throw ConfigError(here, fmt::format("\"{}\" does not come before \"{}\"; list the nodes in "
                                          "the order of computation, without cycles",
                                          fields.inputs[k], fields.name));
    }
    inputs.push_back(input);
  }
  ScopeId scope = no_scope;
  if (fields.scope)
    scope = find_named(scopes, *fields.scope, "scope", pointer_to(pointer, "scope"));
  Compression compression;
  if (const auto& q = fields.quantization) {
    compression.quantization = {q->weight_bits, q->activation_bits};
  }
  const NodeId id =
      at_pointer(pointer, [&] { return graph.add(op, inputs, fields.name, scope, compression); });
  if (!fields.shape) return;
  const Shape& shape = graph.node(id).shape;
  bool equal = fields.shape->size() == shape.rank;
  for (std::size_t axis = 0; equal && axis < shape.rank; ++axis) {
    equal = (*fields.shape)[axis] == shape[axis].value();
  }
  if (!equal) {
    throw ConfigError(
        pointer_to(pointer, "shape"),
        fmt::format("expected {}, got {}", shape.to_string(), Json(*fields.shape).dump()));
  }
}

}  // namespace

float float_from_json(const Json& json, const std::string& pointer) {
  if (!json.is_number()) detail::throw_type_error("number", json, pointer);
  const auto number = json.get<double>();
  if (!(std::abs(number) <= static_cast<double>(std::numeric_limits<float>::max()))) {
    throw ConfigError(pointer, "expected a finite 32-bit number, got " + json.dump());
  }
  return static_cast<float>(number);
}

ActivationKind activation_from_json(const Json& json, const std::string& pointer) {
  if (!json.is_string()) detail::throw_type_error("string", json, pointer);
  try {
    return activation_from_name(json.get_ref<const std::string&>());
  } catch (const ConfigError& error) {
    throw ConfigError(pointer, error.message());
  }
}

PoolKind pool_from_json(const Json& json, const std::string& pointer) {
  if (!json.is_string()) detail::throw_type_error("string", json, pointer);
  const auto& name = json.get_ref<const std::string&>();
  for (const PoolKind kind : {PoolKind::max, PoolKind::average}) {
    if (name == pool_name(kind)) return kind;
  }
  const std::string known[] = {"max", "average"};
  throw ConfigError(pointer,
                    fmt::format("unknown pooling \"{}\"{}", name, suggestion(name, known)));
}

Json to_json(const Graph& graph) {
  if (!graph.concrete()) {
    throw UnsupportedError(
        "a graph with open decisions has no JSON form; close it with an architecture first");
  }
  std::vector<bool> used(graph.scopes().size());
  Json nodes = Json::array();
  for (NodeId i = 0; i < graph.size(); ++i) {
    const Node& node = graph.node(i);
    Json json = {{"name", graph.name(i)}, {"op", std::string(op_name(node.op))}};
    if (Json attributes = attributes_of(node.op); !attributes.empty()) {
      json["attributes"] = std::move(attributes);
    }
    Json inputs = Json::array();
    for (NodeId input : graph.inputs(i)) inputs.push_back(graph.name(input));
    json["inputs"] = std::move(inputs);
    Json shape = Json::array();
    for (Dim d : node.shape.values()) shape.push_back(d.value());
    json["shape"] = std::move(shape);
    if (node.scope != no_scope) json["scope"] = graph.scope(node.scope).name;
    for (ScopeId s = node.scope; s != no_scope && !used[s]; s = graph.scope(s).parent) {
      used[s] = true;
    }
    if (const auto& q = node.compression.quantization) {
      json["quantization"] = {{"weight_bits", q->weight_bits.value()},
                              {"activation_bits", q->activation_bits.value()}};
    }
    nodes.push_back(std::move(json));
  }
  Json scopes = Json::array();
  for (ScopeId s = 1; s < graph.scopes().size(); ++s) {
    if (!used[s]) continue;
    const Scope& scope = graph.scope(s);
    Json json = {{"name", scope.name}, {"kind", scope.kind}};
    if (scope.parent != no_scope) json["parent"] = graph.scope(scope.parent).name;
    for (const auto& [key, value] : graph.scope_attributes(s)) json["attributes"][key] = value;
    scopes.push_back(std::move(json));
  }
  return {{"format", format}, {"nodes", std::move(nodes)}, {"scopes", std::move(scopes)}};
}

Graph graph_from_json(const Json& json, const std::string& pointer) {
  const DocumentFields document = document_table().read(json, pointer);
  if (document.format != format) {
    throw ConfigError(pointer_to(pointer, "format"),
                      fmt::format("this version reads format {}, got {}", format, document.format));
  }
  const std::string at_nodes = pointer_to(pointer, "nodes");
  if (document.nodes.size() > max_nodes) {
    throw ConfigError(at_nodes, fmt::format("expected at most {} nodes, got {}", max_nodes,
                                            document.nodes.size()));
  }
  Graph graph;
  const ScopeIds scopes = read_scopes(document.scopes, pointer_to(pointer, "scopes"), graph);
  std::vector<NodeFields> nodes;
  std::unordered_map<std::string, NodeId> ids;
  for (std::size_t i = 0; i < document.nodes.size(); ++i) {
    const std::string here = pointer_to(at_nodes, i);
    nodes.push_back(node_table().read(document.nodes[i], here));
    const auto [it, inserted] = ids.emplace(nodes.back().name, static_cast<NodeId>(i));
    if (!inserted) {
      throw ConfigError(pointer_to(here, "name"),
                        fmt::format("the name \"{}\" is used already, at {}", it->first,
                                    pointer_to(at_nodes, std::size_t{it->second})));
    }
  }
  for (std::size_t i = 0; i < nodes.size(); ++i) {
    read_node(nodes[i], ids, scopes, pointer_to(at_nodes, i), graph);
  }
  at_pointer(at_nodes, [&] { verify(graph); });
  return graph;
}

}  // namespace espalier
