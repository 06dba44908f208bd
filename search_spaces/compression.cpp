#include "search_spaces/compression.hpp"

#include <algorithm>
#include <array>
#include <map>
#include <numeric>
#include <optional>

#include <fmt/format.h>

#include "core/error.hpp"
#include "graph/blocks.hpp"
#include "search_spaces/stages.hpp"
#include "search_spaces/width_groups.hpp"

namespace espalier {

const OptionTable<CompressionOptions>& compression_options() {
  static const auto table =
      OptionTable<CompressionOptions>(
          "pruning and quantization as decisions of the search, on any space with a supergraph")
          .add("channels", &CompressionOptions::channels,
               "shares of the channels that may be kept; none: widths stay",
               Range{.low = 0, .high = 1, .low_open = true})
          .add("divisor", &CompressionOptions::divisor,
               "kept channels are rounded to a multiple of this", at_least(1))
          .add("weight_bits", &CompressionOptions::weight_bits,
               "bits of the weights: 2 to 8, or 32 for float; none: 32", between(2, 32))
          .add("activation_bits", &CompressionOptions::activation_bits,
               "bits of the activations: 2 to 8, or 32 for float; none: 32", between(2, 32))
          .add("granularity", &CompressionOptions::granularity,
               "operators that share one decision on bits",
               named<BitsGranularity>({{"layer", BitsGranularity::layer},
                                       {"block", BitsGranularity::block},
                                       {"network", BitsGranularity::network}}))
          .check([](const CompressionOptions& o) {
            const auto check_bits = [](const std::vector<std::int64_t>& bits, const char* key) {
              for (std::size_t i = 0; i < bits.size(); ++i) {
                if (bits[i] > 8 && bits[i] != 32) {
                  throw ConfigError(fmt::format("/{}/{}", key, i),
                                    fmt::format("{} bits are not supported; write 2 to 8, or 32 "
                                                "for float",
                                                bits[i]));
                }
              }
              check_distinct(fmt::format("/{}", key), bits);
            };
            check_bits(o.weight_bits, "weight_bits");
            check_bits(o.activation_bits, "activation_bits");
            check_distinct("/channels", o.channels);
          });
  return table;
}

namespace {

struct Widths {
  WidthGroups groups;
  std::map<NodeId, std::size_t> group_of;  // of the width that a convolution or linear layer makes
};

Dim width_of(const Node& node) {
  return node.shape[node.shape.rank == 3 ? 0 : node.shape.rank - 1];
}

/// What the channels of a node consist of.
struct Channels {
  struct Part {
    std::size_t group;
    Dim width;
  };
  std::vector<Part> parts;  ///< more than one after a concat
  std::int64_t inner = 1;   ///< values per channel: H*W after a flatten
};

/// Whether the two still fit together when the widths of each pair of parts change alike. Single
/// parts always do: where their widths differ, a pick-1 choice joins them.
bool change_alike(const Channels& a, const Channels& b) {
  if (a.parts.size() != b.parts.size() || a.inner != b.inner) return false;
  if (a.parts.size() == 1 && a.inner == 1) return true;
  return std::ranges::equal(a.parts, b.parts, {}, &Channels::Part::width, &Channels::Part::width);
}

Widths find_ties(const Graph& graph) {
  Widths result;
  WidthGroups& groups = result.groups;
  std::vector<Channels> channels(graph.size());
  const auto fix = [&](const Channels& all) {
    for (const Channels::Part& part : all.parts) groups.fix(part.group);
  };
  const auto tie_inputs = [&](NodeId id) {
    const auto inputs = graph.inputs(id);
    Channels tied = channels[inputs[0]];
    for (NodeId input : inputs) {
      const Channels& other = channels[input];
      if (change_alike(tied, other)) {
        for (std::size_t i = 0; i < tied.parts.size(); ++i) {
          groups.tie(tied.parts[i].group, other.parts[i].group);
        }
      } else {
        fix(tied);
        fix(other);
      }
    }
    if (tied.parts.size() == 1 && tied.inner == 1) tied.parts[0].width = width_of(graph.node(id));
    return tied;
  };
  std::vector<bool> spatial;  // of a group's convolutions, does one see more than a 1x1 map
  for (NodeId id = 0; id < graph.size(); ++id) {
    const Node& node = graph.node(id);
    const auto inputs = graph.inputs(id);
    const auto fresh = [&](bool is_spatial) {
      const std::size_t g = groups.add();
      result.group_of[id] = g;
      spatial.push_back(is_spatial);
      return Channels{{{g, width_of(node)}}};
    };
    // For operators that move channels or give them a place: a new width that stays.
    const auto kept = [&] {
      for (NodeId input : inputs) fix(channels[input]);
      const std::size_t g = groups.add();
      spatial.push_back(false);
      groups.fix(g);
      return Channels{{{g, width_of(node)}}};
    };
    channels[id] = std::visit(
        [&](const auto& o) -> Channels {
          using T = std::remove_cvref_t<decltype(o)>;
          if constexpr (std::is_same_v<T, op::Input>) {
            const std::size_t g = groups.add();
            spatial.push_back(false);
            groups.fix(g);
            return {{{g, width_of(node)}}};
          } else if constexpr (std::is_same_v<T, op::Conv2d>) {
            if (o.group_width == Dim(1)) return channels[inputs[0]];
            const bool seen = node.shape[1].max() * node.shape[2].max() > 1;
            const Channels made = fresh(seen);
            if (o.group_width != Dim(0)) {
              fix(made);
              fix(channels[inputs[0]]);
            }
            return made;
          } else if constexpr (std::is_same_v<T, op::DeformConv2d> ||
                               std::is_same_v<T, op::ChannelShuffle> ||
                               std::is_same_v<T, op::Attention>) {
            return kept();
          } else if constexpr (std::is_same_v<T, op::Slice>) {
            const bool cuts_channels = o.axis == Dim(node.shape.rank == 2 ? 1 : 0);
            return cuts_channels ? kept() : channels[inputs[0]];
          } else if constexpr (std::is_same_v<T, op::Linear>) {
            return fresh(node.shape.rank == 2);
          } else if constexpr (std::is_same_v<T, op::Add> || std::is_same_v<T, op::Multiply> ||
                               std::is_same_v<T, op::Choice>) {
            return tie_inputs(id);
          } else if constexpr (std::is_same_v<T, op::Concat>) {
            Channels joined;
            for (NodeId input : inputs) {
              const auto& parts = channels[input].parts;
              joined.parts.insert(joined.parts.end(), parts.begin(), parts.end());
            }
            return joined;
          } else if constexpr (std::is_same_v<T, op::Flatten>) {
            const Shape& shape = graph.node(inputs[0]).shape;  // a Supergraph's H and W are closed
            if (shape.rank == 2) return shape[0] == Dim(1) ? channels[inputs[0]] : kept();
            Channels flat = channels[inputs[0]];
            flat.inner = shape[1].value() * shape[2].value();
            return flat;
          } else if constexpr (std::is_same_v<T, op::Output>) {
            fix(channels[inputs[0]]);
            return channels[inputs[0]];
          } else {
            static_assert(std::is_same_v<T, op::BatchNorm2d> || std::is_same_v<T, op::Activation> ||
                          std::is_same_v<T, op::Pool2d> || std::is_same_v<T, op::GlobalAvgPool> ||
                          std::is_same_v<T, op::Dropout> || std::is_same_v<T, op::Zero> ||
                          std::is_same_v<T, op::LayerNorm> || std::is_same_v<T, op::Scale> ||
                          std::is_same_v<T, op::Tokens> || std::is_same_v<T, op::ClassToken> ||
                          std::is_same_v<T, op::PositionEmbedding>);
            return channels[inputs[0]];
          }
        },
        node.op);
  }
  std::vector<bool> any_spatial(spatial.size(), false);
  for (std::size_t g = 0; g < spatial.size(); ++g) {
    if (spatial[g]) any_spatial[groups.find(g)] = true;
  }
  for (std::size_t g = 0; g < spatial.size(); ++g) {
    if (!any_spatial[groups.find(g)]) groups.fix(g);
  }
  return result;
}

/// The name that keys the bits of a node: its own, or the outermost block it lies in (a stage is a
/// row of blocks, not a block).
std::string bits_unit(const Graph& graph, NodeId id, BitsGranularity granularity) {
  if (granularity == BitsGranularity::network) return "";
  if (granularity == BitsGranularity::block) {
    std::string name;
    for (ScopeId s = graph.node(id).scope; s != no_scope; s = graph.scope(s).parent) {
      const Scope& scope = graph.scope(s);
      if (!scope.kind.empty() && scope.kind != "stage") name = scope.name;
    }
    if (!name.empty()) return "." + name;
  }
  return "." + graph.name(id);
}

/// Block attributes that name a width, in terms of the rewritten nodes: what goes in, what comes
/// out, and by the old value what the first convolution, product or concatenation of it has now.
using ScopeWidths = std::map<std::string, Dim>;

ScopeWidths scope_widths(const Graph& old, const Graph& graph, ScopeId scope) {
  ScopeWidths widths;
  const auto inside = [&](NodeId id) {
    for (ScopeId s = graph.node(id).scope; s != no_scope; s = graph.scope(s).parent) {
      if (s == scope) return true;
    }
    return false;
  };
  for (NodeId id = 0; id < graph.size(); ++id) {
    if (!inside(id)) continue;
    const Node& node = graph.node(id);
    for (NodeId input : graph.inputs(id)) {
      if (!inside(input)) widths.try_emplace("in_channels", graph.node(input).shape[0]);
    }
    widths["out_channels"] = node.shape[0];
    const bool sets_a_width = std::holds_alternative<op::Conv2d>(node.op) ||
                              std::holds_alternative<op::Linear>(node.op) ||
                              std::holds_alternative<op::Concat>(node.op);
    for (const auto& [name, value] : old.scope(scope).attributes) {
      if (!sets_a_width || !name.ends_with("_channels") || old.node(id).shape[0] != value) continue;
      widths.try_emplace(name, node.shape[0]);
    }
  }
  return widths;
}

}  // namespace

Supergraph open_compression(const Supergraph& supergraph, const CompressionOptions& options) {
  compression_options().validate(options);
  const Graph& old = supergraph.graph();
  std::vector<Decision> decisions = supergraph.decisions();
  std::map<std::string, DecisionId> opened;
  const auto decide = [&](const std::string& name, const std::vector<std::string>& labels) {
    const auto [it, inserted] = opened.try_emplace(name, static_cast<DecisionId>(decisions.size()));
    if (inserted) decisions.push_back({.name = name, .options = labels, .ordinal = true});
    return it->second;
  };
  const Widths widths = find_ties(old);
  std::vector<std::string> ratio_labels;
  for (double r : options.channels) ratio_labels.push_back(fmt::format("{}", r));

  const auto kept = [&](std::int64_t width, std::int64_t k) {
    const double share = options.channels[static_cast<std::size_t>(k)];
    if (share == 1) return width;
    return std::min(width, make_divisible(static_cast<double>(width) * share, options.divisor));
  };
  const auto ratio = [&](DecisionId d) {
    std::vector<Dim> index;
    for (std::size_t k = 0; k < options.channels.size(); ++k) {
      index.emplace_back(static_cast<std::int64_t>(k));
    }
    return Dim::select(d, index);
  };
  // Which groups change at all: one whose rounded widths are all equal opens no decision.
  std::map<std::size_t, NodeId> first_node;
  std::map<std::size_t, bool> changes;
  for (const auto& [id, g] : widths.group_of) {
    const std::size_t root = widths.groups.find(g);
    first_node.try_emplace(root, id);
    const Dim width = width_of(old.node(id));
    for (std::size_t k = 1; k < options.channels.size(); ++k) {
      const Dim a = map([&](std::int64_t c) { return kept(c, 0); }, width);
      const Dim b =
          map([&](std::int64_t c) { return kept(c, static_cast<std::int64_t>(k)); }, width);
      if (a != b) changes[root] = true;
    }
    if (options.channels.size() == 1) changes[root] = true;
  }
  const auto opened_width = [&](NodeId id, Dim width) {
    if (options.channels.empty()) return width;
    const std::size_t root = widths.groups.find(widths.group_of.at(id));
    if (widths.groups.fixed(root) || !changes[root]) return width;
    if (options.channels.size() == 1) {
      return map([&](std::int64_t c) { return kept(c, 0); }, width);
    }
    const DecisionId d = decide("channels." + old.name(first_node.at(root)), ratio_labels);
    return map(kept, width, ratio(d));
  };
  const auto bits = [&](const char* what, const std::vector<std::int64_t>& values,
                        NodeId id) -> Dim {
    if (values.empty()) return 32;
    if (values.size() == 1) return values[0];
    std::vector<std::string> labels;
    for (std::int64_t b : values) labels.push_back(std::to_string(b));
    const DecisionId d = decide(what + bits_unit(old, id, options.granularity), labels);
    return Dim::select(d, std::vector<Dim>(values.begin(), values.end()));
  };

  const auto rewrite = [&](const std::vector<ScopeWidths>& known) {
    Graph graph;
    std::vector<std::string> names;
    for (const Decision& d : decisions) names.push_back(d.name);
    graph.set_decision_names(std::move(names));
    for (ScopeId s = 1; s < old.scopes().size(); ++s) {
      const Scope& scope = old.scope(s);
      const std::string& above = old.scope(scope.parent).name;
      auto attributes = scope.attributes;
      for (auto& [name, value] : attributes) {
        if (known.empty()) break;
        if (const auto now = known[s].find(name); now != known[s].end()) value = now->second;
      }
      graph.add_scope(above.empty() ? scope.name : scope.name.substr(above.size() + 1), scope.kind,
                      scope.parent, std::move(attributes));
    }
    for (NodeId id = 0; id < old.size(); ++id) {
      Node node = old.node(id);
      const bool quantizable = std::holds_alternative<op::Conv2d>(node.op) ||
                               std::holds_alternative<op::Linear>(node.op);
      if (auto* conv = std::get_if<op::Conv2d>(&node.op)) {
        if (widths.group_of.contains(id)) {
          conv->out_channels = opened_width(id, conv->out_channels);
        }
      } else if (auto* linear = std::get_if<op::Linear>(&node.op)) {
        linear->out_features = opened_width(id, linear->out_features);
      }
      if (quantizable && (!options.weight_bits.empty() || !options.activation_bits.empty())) {
        const Quantization q{bits("weight_bits", options.weight_bits, id),
                             bits("activation_bits", options.activation_bits, id)};
        if (q != Quantization{}) node.compression.quantization = q;
      }
      graph.add(node.op, old.inputs(id), old.name(id), node.scope, node.compression);
    }
    return graph;
  };
  // Block attributes repeat widths that are known only once the nodes are rewritten.
  const Graph first = rewrite({});
  std::vector<ScopeWidths> known(first.scopes().size());
  for (ScopeId s = 1; s < first.scopes().size(); ++s) {
    if (!first.scope(s).attributes.empty()) known[s] = scope_widths(old, first, s);
  }
  return Supergraph(rewrite(known), decisions);
}

Supergraph open_compression(Supergraph supergraph,
                            const std::optional<CompressionOptions>& options) {
  return options ? open_compression(supergraph, *options) : std::move(supergraph);
}

}  // namespace espalier
