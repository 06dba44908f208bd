#include "search_spaces/hierarchical.hpp"

#include <algorithm>
#include <functional>
#include <string>

#include <fmt/format.h>

#include "graph/blocks.hpp"
#include "search_spaces/cell_blocks.hpp"

namespace espalier {

const OptionTable<HierarchicalOptions>& hierarchical_options() {
  static const auto table =
      OptionTable<HierarchicalOptions>("hierarchical cells: six motifs of 4 nodes in one of 5")
          .add("input", &HierarchicalOptions::input, "channels, height and width of the images",
               at_least(1), Items{3, 3})
          .add("classes", &HierarchicalOptions::classes, "of the task", at_least(2))
          .add("channels", &HierarchicalOptions::channels, "of the first of three groups of cells",
               between(1, 4096))
          .add("cells", &HierarchicalOptions::cells, "in each group", between(1, 100));
  return table;
}

namespace {

const std::vector<std::string> operators{"identity",      "conv_1x1",     "depthwise_3x3",
                                         "separable_3x3", "max_pool_3x3", "avg_pool_3x3"};
constexpr std::size_t motifs = 6;
constexpr std::size_t motif_nodes = 4, cell_nodes = 5;
constexpr std::size_t motif_edges = motif_nodes * (motif_nodes - 1) / 2;
constexpr std::size_t cell_edges = cell_nodes * (cell_nodes - 1) / 2;
constexpr std::size_t cell_begin = motifs * motif_edges;  // the cell's first decision
constexpr std::size_t none = 6;                           // as a value, see value_of()

/// Nodes count from 0; edges are in order of their ends.
std::size_t edge_index(std::size_t from, std::size_t to) { return to * (to - 1) / 2 + from; }

/// The operator or motif of an edge, or `none`, which is the last option of the edges from a
/// graph's first node and the first option of the others.
std::size_t value_of(std::uint32_t choice, std::size_t from) {
  return from == 0 ? choice : choice == 0 ? none : choice - 1;
}

/// A motif or the cell of one architecture: its edges with what is on them.
struct Wiring {
  std::size_t nodes;
  std::vector<std::size_t> values;         // of each edge
  std::vector<bool> reached, reaches_end;  // of each node

  Wiring(const Architecture& a, std::size_t begin, std::size_t node_count,
         const std::function<bool(std::size_t)>& exists)
      : nodes(node_count), reached(node_count), reaches_end(node_count) {
    reached.front() = reaches_end.back() = true;
    for (std::size_t to = 1; to < nodes; ++to) {
      for (std::size_t from = 0; from < to; ++from) {
        const std::size_t value = value_of(a.choices.at(begin + edge_index(from, to)), from);
        values.push_back(value != none && exists(value) ? value : none);
        if (values.back() != none && reached[from]) reached[to] = true;
      }
    }
    for (std::size_t from = nodes - 1; from-- > 0;) {
      for (std::size_t to = from + 1; to < nodes; ++to) {
        if (value(from, to) != none && reaches_end[to]) reaches_end[from] = true;
      }
    }
  }

  std::size_t value(std::size_t from, std::size_t to) const { return values[edge_index(from, to)]; }
  bool connected() const { return reached.back(); }
  /// Whether a node is on a path from the first to the last, which count in any case.
  bool live(std::size_t node) const {
    return node == 0 || node + 1 == nodes || (reached[node] && reaches_end[node]);
  }
  /// Whether the edge, or its absence, tells what the graph computes.
  bool counts(std::size_t from, std::size_t to) const { return live(from) && live(to); }
  /// Whether a change of the edge can change what the graph computes. This is more than counts():
  /// a node that is reached and leads nowhere takes part as soon as an edge leaves it.
  bool active(std::size_t from, std::size_t to) const { return reached[from] && reaches_end[to]; }
};

/// Which motifs bring something.
enum class Motifs { connected, all };

struct Wirings {
  std::vector<Wiring> motif;
  Wiring cell;

  explicit Wirings(const Architecture& a, Motifs bringing = Motifs::connected)
      : motif(motif_wirings(a)), cell(a, cell_begin, cell_nodes, [&](std::size_t m) {
          return bringing == Motifs::all || motif[m].connected();
        }) {}

  static std::vector<Wiring> motif_wirings(const Architecture& a) {
    std::vector<Wiring> result;
    for (std::size_t m = 0; m < motifs; ++m) {
      result.emplace_back(a, m * motif_edges, motif_nodes, [](std::size_t) { return true; });
    }
    return result;
  }
};

/// For each decision, whether `holds` for its edge; those of a motif only where an edge of the cell
/// has it for which `holds`, too.
std::vector<bool> select(const Architecture& a, const Wirings& wirings,
                         bool (Wiring::*holds)(std::size_t, std::size_t) const) {
  std::vector<bool> selected(cell_begin + cell_edges, false);
  std::vector<bool> used(motifs, false);
  for (std::size_t to = 1; to < cell_nodes; ++to) {
    for (std::size_t from = 0; from < to; ++from) {
      if (!(wirings.cell.*holds)(from, to)) continue;
      const std::size_t d = cell_begin + edge_index(from, to);
      selected[d] = true;
      const std::size_t m = value_of(a.choices[d], from);
      if (m != none) used[m] = true;  // an unconnected one, too: a change may connect it
    }
  }
  for (std::size_t m = 0; m < motifs; ++m) {
    for (std::size_t to = 1; used[m] && to < motif_nodes; ++to) {
      for (std::size_t from = 0; from < to; ++from) {
        selected[m * motif_edges + edge_index(from, to)] = (wirings.motif[m].*holds)(from, to);
      }
    }
  }
  return selected;
}

std::vector<Decision> graph_decisions() {
  std::vector<Decision> decisions;
  const auto add_graph = [&](const std::string& graph, std::size_t nodes,
                             const std::vector<std::string>& values) {
    for (std::size_t to = 1; to < nodes; ++to) {
      for (std::size_t from = 0; from < to; ++from) {
        std::vector<std::string> options = values;
        options.insert(from == 0 ? options.end() : options.begin(), "none");
        decisions.push_back({.name = fmt::format("{}.edge{}_{}", graph, from + 1, to + 1),
                             .options = std::move(options)});
      }
    }
  };
  std::vector<std::string> names;
  for (std::size_t m = 1; m <= motifs; ++m) {
    names.push_back("motif" + std::to_string(m));
    add_graph(names.back(), motif_nodes, operators);
  }
  add_graph("cell", cell_nodes, names);
  return decisions;
}

NodeId depthwise_bn_relu(GraphBuilder& builder, NodeId x, std::string_view name) {
  const auto scope =
      builder.scope(name, "depthwise_bn_relu", block_attributes(builder, x, builder.channels(x)));
  x = builder.batch_norm(builder.depthwise(x, {.kernel = 3}));
  return builder.activation(x, ActivationKind::relu);
}

NodeId primitive(GraphBuilder& builder, NodeId x, std::size_t op, std::int64_t channels) {
  const std::string& name = operators[op];
  switch (op) {
    case 0:
      return x;
    case 1:
      return conv_bn_relu(builder, x, channels, 1, 1, name);
    case 2:
      return depthwise_bn_relu(builder, x, name);
    case 3:
      return separable_conv(builder, x, channels, {}, name);
    case 4:
      return builder.max_pool(x, {.kernel = 3, .stride = 1}, name);
    default:
      return builder.avg_pool(x, {.kernel = 3, .stride = 1}, name);
  }
}

/// Joins along the channels what the edges bring, node by node.
NodeId assemble(GraphBuilder& builder, NodeId x, const Wiring& wiring,
                const std::function<NodeId(NodeId, std::size_t)>& apply) {
  std::vector<NodeId> nodes(wiring.nodes, x);
  for (std::size_t to = 1; to < wiring.nodes; ++to) {
    if (!wiring.reached[to] || !wiring.reaches_end[to]) continue;
    std::vector<NodeId> parts;
    for (std::size_t from = 0; from < to; ++from) {
      if (wiring.value(from, to) == none || !wiring.reached[from]) continue;
      const auto scope = builder.scope(fmt::format("edge{}_{}", from + 1, to + 1));
      parts.push_back(apply(nodes[from], wiring.value(from, to)));
    }
    nodes[to] = parts.size() == 1 ? parts[0] : builder.concat(parts);
  }
  return nodes.back();
}

class HierarchicalSpace : public SearchSpace {
 public:
  explicit HierarchicalSpace(const HierarchicalOptions& options)
      : SearchSpace(graph_decisions()), options_(options) {}

  bool valid(const Architecture& a) const override {
    return SearchSpace::valid(a) && Wirings(a).cell.connected();
  }

  Architecture canonical(const Architecture& a) const override {
    const std::vector<bool> counts = select(a, Wirings(a), &Wiring::counts);
    Architecture result = a;
    for (std::size_t d = 0; d < counts.size(); ++d) {
      if (!counts[d]) result.choices[d] = 0;
    }
    return result;
  }

  bool active(const Architecture& a, DecisionId d) const override {
    // A change of one motif may connect it, on several edges of the cell at once.
    return select(a, Wirings(a, Motifs::all), &Wiring::active).at(d);
  }

  Graph build(const Architecture& a) const override {
    require_valid(a);
    const Wirings wirings(a);
    GraphBuilder builder;
    NodeId x = builder.input(options_.input[0], options_.input[1], options_.input[2]);
    {
      const auto scope = builder.scope("stem");
      x = conv_bn_act(builder, x, options_.channels, {.conv = {.kernel = 3}});
    }
    std::int64_t channels = options_.channels;
    for (int group = 1; group <= 3; ++group) {
      for (int c = 1; c <= options_.cells; ++c) {
        const std::string name = fmt::format("group{}_cell{}", group, c);
        {
          const auto scope = builder.scope(name, "cell");
          x = assemble(builder, x, wirings.cell, [&](NodeId in, std::size_t m) {
            const NodeId out = assemble(
                builder, in, wirings.motif[m],
                [&](NodeId y, std::size_t op) { return primitive(builder, y, op, channels); });
            return conv_bn_relu(builder, out, builder.channels(in), 1, 1, "mix");
          });
        }
        const bool widen = c == options_.cells && group < 3;
        if (widen) channels *= 2;
        x = separable_conv(builder, x, channels, {.stride = widen ? 2 : 1}, name + "_after");
      }
    }
    const auto scope = builder.scope("head");
    x = builder.linear(builder.flatten(builder.global_avg_pool(x)), options_.classes);
    builder.output(x);
    return builder.build();
  }

 private:
  HierarchicalOptions options_;
};

}  // namespace

std::unique_ptr<SearchSpace> make_hierarchical(const HierarchicalOptions& options) {
  hierarchical_options().validate(options);
  return std::make_unique<HierarchicalSpace>(options);
}

}  // namespace espalier
