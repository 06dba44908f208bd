#include "hw_models/parts.hpp"

#include <algorithm>
#include <map>
#include <type_traits>
#include <utility>

#include "graph/cost.hpp"
#include "hw_models/fused_kernels.hpp"

namespace espalier {

namespace {

std::string text(Dim d) { return std::to_string(d.value()); }
std::string text(bool b) { return b ? "1" : "0"; }
std::string text(Extent e) { return e.h == e.w ? text(e.h) : text(e.h) + "x" + text(e.w); }

std::string joined(const std::vector<std::string>& values) {
  std::string all;
  for (const std::string& value : values) all += (all.empty() ? "" : "+") + value;
  return all;
}

/// One value when all are equal.
std::string summary(const std::vector<std::string>& values) {
  return std::ranges::adjacent_find(values, std::ranges::not_equal_to()) == values.end()
             ? values.front()
             : joined(values);
}

/// Appends weight_bits and activation_bits of those nodes that multiply; 32 where none does.
void add_bits(const Graph& graph, const std::vector<NodeId>& nodes,
              std::vector<Feature>& features) {
  std::vector<std::string> weights, activations;
  for (NodeId id : nodes) {
    const Node& node = graph.node(id);
    if (!std::holds_alternative<op::Conv2d>(node.op) &&
        !std::holds_alternative<op::Linear>(node.op)) {
      continue;
    }
    const Quantization bits = node.compression.quantization.value_or(Quantization{});
    weights.push_back(text(bits.weight_bits));
    activations.push_back(text(bits.activation_bits));
  }
  if (weights.empty()) weights = activations = {"32"};
  features.push_back({"weight_bits", summary(weights), "32"});
  features.push_back({"activation_bits", summary(activations), "32"});
}

std::vector<Feature> operator_features(const Graph& graph, const Part& part) {
  const NodeId main = *part.node;
  const Node& node = graph.node(main);
  const auto inputs = graph.inputs(main);
  const Shape& in = graph.node(inputs[0]).shape;
  std::vector<Feature> features;
  const auto add = [&](std::string name, std::string value,
                       std::optional<std::string> default_value = {}) {
    features.push_back({std::move(name), std::move(value), std::move(default_value)});
  };
  const auto add_optional = [&](std::string name, std::string value) {
    features.push_back({std::move(name), std::move(value), {}, true});
  };
  const auto add_fused_activation = [&] {
    add("activation", part.activation ? std::string(activation_name(*part.activation)) : "none",
        "none");
  };
  const auto usual_padding = [](Extent kernel, Extent dilation) {
    const auto same = [](std::int64_t k, std::int64_t d) { return d * (k - 1) / 2; };
    return Extent(map(same, kernel.h, dilation.h), map(same, kernel.w, dilation.w));
  };
  // What runs on {C,H,W} and on features has the columns of both in a table.
  const bool any_rank =
      std::holds_alternative<op::Activation>(node.op) || std::holds_alternative<op::Add>(node.op) ||
      std::holds_alternative<op::Multiply>(node.op) || std::holds_alternative<op::Zero>(node.op) ||
      std::holds_alternative<op::LayerNorm>(node.op) ||
      std::holds_alternative<op::Scale>(node.op) || std::holds_alternative<op::Slice>(node.op);
  if (in.rank == 3) {
    std::string channels = text(in[0]);
    if (std::holds_alternative<op::Concat>(node.op)) {
      std::vector<std::string> all;
      for (NodeId input : inputs) all.push_back(text(graph.node(input).shape[0]));
      channels = joined(all);
    }
    add("in_channels", channels);
    add("in_height", text(in[1]));
    add("in_width", text(in[2]));
    if (any_rank) {
      add("in_features", "0", "0");
      add("tokens", "1", "1");
    }
  } else {
    if (any_rank) {
      for (const char* name : {"in_channels", "in_height", "in_width"}) add(name, "0", "0");
    }
    add("in_features", text(in[in.rank - 1]));
    add("tokens", in.rank == 2 ? text(in[0]) : "1", "1");
  }
  std::visit(
      [&](const auto& o) {
        using T = std::remove_cvref_t<decltype(o)>;
        if constexpr (std::is_same_v<T, op::Conv2d> || std::is_same_v<T, op::DeformConv2d>) {
          add("out_channels", text(node.shape[0]));
          add("kernel", text(o.kernel));
          add("stride", text(o.stride));
          add("dilation", text(o.dilation), "1");
          add("padding", text(o.padding), text(usual_padding(o.kernel, o.dilation)));
          add("group_width", text(o.group_width), "0");
          const bool folded_batch_norm = std::ranges::any_of(part.nodes, [&](NodeId id) {
            return std::holds_alternative<op::BatchNorm2d>(graph.node(id).op);
          });
          add_optional("bias", text(o.bias || folded_batch_norm));
          add_fused_activation();
          add_bits(graph, {main}, features);
        } else if constexpr (std::is_same_v<T, op::Linear>) {
          add("out_features", text(o.out_features));
          add_optional("bias", text(o.bias));
          add_fused_activation();
          add_bits(graph, {main}, features);
        } else if constexpr (std::is_same_v<T, op::BatchNorm2d>) {
          add_fused_activation();
        } else if constexpr (std::is_same_v<T, op::Activation>) {
          add("activation", std::string(activation_name(o.kind)));
        } else if constexpr (std::is_same_v<T, op::Pool2d>) {
          add("pool", std::string(pool_name(o.kind)));
          add("kernel", text(o.kernel));
          add("stride", text(o.stride));
          add("padding", text(o.padding), text(usual_padding(o.kernel, 1)));
          add("ceil_mode", text(o.ceil_mode), "0");
        } else if constexpr (std::is_same_v<T, op::Add> || std::is_same_v<T, op::Multiply>) {
          add("inputs", std::to_string(inputs.size()), "2");
          add("broadcast", text(graph.node(inputs.back()).shape != in), "0");
          add_fused_activation();
        } else if constexpr (std::is_same_v<T, op::Zero>) {
          add("stride", text(o.stride));
        } else if constexpr (std::is_same_v<T, op::Slice>) {
          add("axis", text(o.axis));
          add("out_size", text(node.shape[static_cast<std::size_t>(o.axis.value())]));
        } else if constexpr (std::is_same_v<T, op::ChannelShuffle>) {
          add("groups", text(o.groups));
        } else if constexpr (std::is_same_v<T, op::Attention>) {
          add("head_width", text(o.head_width));
        } else {
          // The others are told by their inputs, or are never the main operator of a kernel.
          static_assert(std::is_same_v<T, op::GlobalAvgPool> || std::is_same_v<T, op::Concat> ||
                        std::is_same_v<T, op::Input> || std::is_same_v<T, op::Flatten> ||
                        std::is_same_v<T, op::Dropout> || std::is_same_v<T, op::Choice> ||
                        std::is_same_v<T, op::LayerNorm> || std::is_same_v<T, op::Scale> ||
                        std::is_same_v<T, op::Tokens> || std::is_same_v<T, op::ClassToken> ||
                        std::is_same_v<T, op::PositionEmbedding> || std::is_same_v<T, op::Output>);
        }
      },
      node.op);
  return features;
}

std::vector<Feature> scope_features(const Graph& graph, const Part& part) {
  std::vector<Feature> features;
  for (const auto& [name, value] : graph.scope_attributes(part.scope)) {
    features.push_back({name, std::to_string(value)});
  }
  std::vector<Feature> derived;
  std::int64_t macs = 0;
  for (NodeId id : part.nodes) macs += node_macs(graph, id);
  derived.push_back({"macs", std::to_string(macs), {}, true});
  add_bits(graph, part.nodes, derived);
  for (Feature& feature : derived) {
    if (std::ranges::find(features, feature.name, &Feature::name) == features.end()) {
      features.push_back(std::move(feature));
    }
  }
  return features;
}

}  // namespace

std::vector<Part> split_into_parts(const Graph& graph,
                                   const std::vector<std::string>& scope_kinds) {
  const auto scopes = graph.scopes();
  // The outermost scope of a listed kind around each scope; parents come before their children.
  std::vector<ScopeId> whole(scopes.size(), no_scope);
  for (ScopeId s = 1; s < scopes.size(); ++s) {
    const bool listed = std::ranges::find(scope_kinds, scopes[s].kind) != scope_kinds.end();
    whole[s] = whole[scopes[s].parent] != no_scope ? whole[scopes[s].parent]
               : listed                            ? s
                                                   : no_scope;
  }
  std::map<ScopeId, Part> scope_parts;
  std::vector<bool> covered(graph.size(), false);
  for (NodeId i = 0; i < graph.size(); ++i) {
    const ScopeId scope = whole[graph.node(i).scope];
    if (scope == no_scope) continue;
    covered[i] = true;
    Part& part = scope_parts[scope];
    part.scope = scope;
    part.nodes.push_back(i);
  }
  std::vector<Part> parts;
  for (auto& [scope, part] : scope_parts) parts.push_back(std::move(part));
  for (Kernel& kernel : fuse_kernels(graph, covered)) {
    parts.push_back({.scope = graph.node(kernel.main).scope,
                     .node = kernel.main,
                     .nodes = std::move(kernel.nodes),
                     .activation = kernel.activation});
  }
  std::ranges::sort(parts, {}, [](const Part& part) { return part.nodes.front(); });
  return parts;
}

std::string part_family(const Part& part) { return part.node ? "op" : "scope"; }

std::string part_kind(const Graph& graph, const Part& part) {
  return part.node ? std::string(op_name(graph.node(*part.node).op)) : graph.scope(part.scope).kind;
}

std::vector<Feature> part_features(const Graph& graph, const Part& part, int batch_size) {
  std::vector<Feature> features =
      part.node ? operator_features(graph, part) : scope_features(graph, part);
  features.push_back({"batch_size", std::to_string(batch_size), "1"});
  return features;
}

}  // namespace espalier
