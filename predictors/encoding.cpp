#include "predictors/encoding.hpp"

#include <algorithm>
#include <cmath>
#include <functional>
#include <map>
#include <ranges>
#include <set>
#include <string_view>
#include <variant>

#include "core/hash.hpp"
#include "graph/fingerprint.hpp"

namespace espalier {
namespace {

constexpr std::size_t most_ways = 1000;  // through one cell

bool contracted(const Op& op) {
  return std::holds_alternative<op::Activation>(op) ||
         std::holds_alternative<op::BatchNorm2d>(op) || std::holds_alternative<op::LayerNorm>(op) ||
         std::holds_alternative<op::Dropout>(op);
}

bool has_cells(const Graph& graph) {
  return std::ranges::any_of(graph.scopes(),
                             [](const Scope& scope) { return scope.kind == "cell"; });
}

bool joins(const Op& op) {
  return std::holds_alternative<op::Add>(op) || std::holds_alternative<op::Concat>(op);
}

// Whether the value of an operator is the sum of what it reads, as far as ways go.
bool passes(const Op& op) {
  return contracted(op) || joins(op) || std::holds_alternative<op::Slice>(op) ||
         std::holds_alternative<op::ChannelShuffle>(op) ||
         std::holds_alternative<op::Flatten>(op) || std::holds_alternative<op::Tokens>(op) ||
         std::holds_alternative<op::Output>(op);
}

}  // namespace

std::vector<double> encode_decisions(const SearchSpace& space, const Architecture& a) {
  std::vector<double> encoding;
  for (DecisionId d = 0; d < a.choices.size(); ++d) {
    const Decision& decision = space.decisions()[d];
    const bool place = decision.ordinal && decision.pick == 1;
    const std::size_t begin = encoding.size();
    encoding.resize(begin + (place ? 2 : decision.options.size()), 0.0);
    if (!space.active(a, d)) continue;
    if (place) {
      encoding[begin] = 1;
      if (decision.options.size() > 1) {
        encoding[begin + 1] =
            static_cast<double>(a.choices[d]) / static_cast<double>(decision.options.size() - 1);
      }
      continue;
    }
    for (const std::uint32_t option : picked_options(decision, a.choices[d])) {
      encoding[begin + option] = 1.0 / decision.pick;
    }
  }
  return encoding;
}

namespace {

// A graph without its contracted operators, and without those that the input does not reach or from
// which it does not reach the output.
struct Contracted {
  std::vector<NodeId> source;  // where each node's value comes from
  std::vector<Hash128> label;  // of each node
  std::vector<Hash128> way;    // what its value went through after `source`
  std::vector<NodeId> kept;
  std::vector<bool> reached;  // by the input

  // What a node reads, once contracted.
  std::vector<NodeId> inputs(const Graph& graph, NodeId i) const {
    std::vector<NodeId> read;
    for (const NodeId input : graph.inputs(i)) {
      if (reached[input]) read.push_back(input);
    }
    return read;
  }
};

Contracted contract(const Graph& graph) {
  Contracted result{.source = std::vector<NodeId>(graph.size()),
                    .label = std::vector<Hash128>(graph.size()),
                    .way = std::vector<Hash128>(graph.size()),
                    .kept = {},
                    .reached = std::vector<bool>(graph.size())};
  std::vector<bool> alive(graph.size());
  alive[graph.output()] = true;
  for (NodeId i = static_cast<NodeId>(graph.size()); i-- > 0;) {
    if (!alive[i] || std::holds_alternative<op::Zero>(graph.node(i).op)) continue;
    for (const NodeId input : graph.inputs(i)) alive[input] = true;
  }
  for (NodeId i = 0; i < graph.size(); ++i) {
    const Node& node = graph.node(i);
    result.label[i] = operator_hash(node);
    result.source[i] = i;
    result.reached[i] = std::holds_alternative<op::Input>(node.op);
    if (!std::holds_alternative<op::Zero>(node.op)) {
      for (const NodeId input : graph.inputs(i)) {
        if (result.reached[input]) result.reached[i] = true;
      }
    }
    if (contracted(node.op)) {
      const NodeId input = graph.inputs(i)[0];
      result.source[i] = result.source[input];
      result.way[i] = combine(result.way[input], result.label[i]);
    } else if (alive[i] && result.reached[i]) {
      result.kept.push_back(i);
    }
  }
  return result;
}

}  // namespace

LabelCounts weisfeiler_lehman(const Graph& graph, int depth) {
  const Contracted contracted_graph = contract(graph);
  const auto& [source, first_label, way, kept, reached] = contracted_graph;
  std::vector<Hash128> label = first_label;
  std::map<std::uint64_t, std::uint32_t> counts;
  for (int iteration = 0;; ++iteration) {
    for (const NodeId i : kept) ++counts[label[i].low];
    if (iteration == depth) break;
    std::vector<Hash128> next = label;
    for (const NodeId i : kept) {
      std::vector<Hash128> read;
      for (const NodeId input : contracted_graph.inputs(graph, i)) {
        read.push_back(combine(way[input], label[source[input]]));
      }
      std::ranges::sort(read);
      for (const Hash128& hash : read) next[i] = combine(next[i], hash);
      next[i] = combine(next[i], static_cast<std::uint64_t>(iteration));
    }
    label = std::move(next);
  }
  return {counts.begin(), counts.end()};
}

namespace {

// The outermost cell of each scope; no_scope where there is none.
std::vector<ScopeId> outermost_cells(const Graph& graph) {
  std::vector<ScopeId> cell_of(graph.scopes().size(), no_scope);
  for (ScopeId s = 1; s < cell_of.size(); ++s) {
    const Scope& scope = graph.scope(s);
    cell_of[s] = cell_of[scope.parent];
    if (cell_of[s] == no_scope && scope.kind == "cell") cell_of[s] = s;
  }
  return cell_of;
}

}  // namespace

LabelCounts cell_adjacency(const Graph& graph) {
  std::vector<ScopeId> cell_of = outermost_cells(graph);
  const bool cells = std::ranges::any_of(cell_of, [](ScopeId s) { return s != no_scope; });
  const Contracted contracted_graph = contract(graph);
  // The operators of each cell, and what it reads from outside, in topological order.
  struct Cell {
    std::vector<NodeId> inputs, operators;
  };
  std::map<ScopeId, Cell> by_scope;
  const auto cell_at = [&](NodeId i) { return cells ? cell_of[graph.node(i).scope] : no_scope; };
  for (const NodeId i : contracted_graph.kept) {
    const ScopeId cell = cell_at(i);
    if (cells && cell == no_scope) continue;
    Cell& its = by_scope[cell];
    its.operators.push_back(i);
    for (const NodeId input : contracted_graph.inputs(graph, i)) {
      const NodeId from = contracted_graph.source[input];
      if (cell_at(from) != cell) its.inputs.push_back(from);
    }
  }
  std::map<std::uint64_t, std::uint32_t> counts;
  for (auto& [scope, cell] : by_scope) {
    std::ranges::sort(cell.inputs);
    cell.inputs.erase(std::ranges::unique(cell.inputs).begin(), cell.inputs.end());
    std::map<NodeId, std::uint64_t> place;
    for (const NodeId i : cell.inputs) place.emplace(i, place.size());
    for (const NodeId i : cell.operators) place.emplace(i, place.size());
    std::set<std::pair<std::uint64_t, std::uint64_t>> edges;
    for (const NodeId i : cell.operators) {
      const Hash128 at = combine(Hash128{}, place[i]);
      ++counts[combine(combine(at, std::string_view("operator")), contracted_graph.label[i]).low];
      for (const NodeId input : contracted_graph.inputs(graph, i)) {
        edges.emplace(place[i], place[contracted_graph.source[input]]);
      }
    }
    for (const auto& [to, from] : edges) {
      const Hash128 at = combine(Hash128{}, to);
      ++counts[combine(combine(at, std::string_view("edge")), from).low];
    }
  }
  return {counts.begin(), counts.end()};
}

LabelCounts cell_paths(const Graph& graph) {
  const std::vector<ScopeId> cell_of = outermost_cells(graph);
  const Contracted contracted_graph = contract(graph);
  const auto& [source, label, way, kept, reached] = contracted_graph;
  // A value leaves its cell where it is read outside of it.
  std::vector<bool> leaves(graph.size());
  for (const NodeId i : kept) {
    for (const NodeId input : contracted_graph.inputs(graph, i)) {
      const NodeId from = source[input];
      if (cell_of[graph.node(i).scope] != cell_of[graph.node(from).scope]) leaves[from] = true;
    }
  }
  std::map<std::uint64_t, std::uint32_t> counts;
  std::map<ScopeId, std::size_t> ways;
  std::vector<NodeId> path;  // from where it leaves, backwards
  const std::function<void(NodeId)> walk = [&](NodeId i) {
    const ScopeId cell = cell_of[graph.node(i).scope];
    path.push_back(i);
    for (const NodeId input : contracted_graph.inputs(graph, i)) {
      if (ways[cell] == most_ways) break;
      const NodeId from = source[input];
      if (cell_of[graph.node(from).scope] == cell) {
        walk(from);
        continue;
      }
      Hash128 hash;
      for (const NodeId on : std::views::reverse(path)) {
        if (!joins(graph.node(on).op)) hash = combine(hash, label[on]);
      }
      ++counts[hash.low];
      ++ways[cell];
    }
    path.pop_back();
  };
  for (const NodeId i : kept) {
    if (leaves[i] && cell_of[graph.node(i).scope] != no_scope) walk(i);
  }
  return {counts.begin(), counts.end()};
}

namespace {

using Vertex = OperatorGraph::Vertex;

// Which operators the input reaches, and which reach the output.
struct Reach {
  explicit Reach(const Graph& graph) : alive(graph.size()), reached(graph.size()) {
    alive[graph.output()] = true;
    for (NodeId i = static_cast<NodeId>(graph.size()); i-- > 0;) {
      if (!alive[i] || std::holds_alternative<op::Zero>(graph.node(i).op)) continue;
      for (const NodeId input : graph.inputs(i)) alive[input] = true;
    }
    for (NodeId i = 0; i < graph.size(); ++i) {
      const Op& op = graph.node(i).op;
      reached[i] = std::holds_alternative<op::Input>(op);
      if (std::holds_alternative<op::Zero>(op)) continue;
      for (const NodeId input : graph.inputs(i)) reached[i] = reached[i] || reached[input];
    }
  }
  bool counts(NodeId i) const { return alive[i] && reached[i]; }
  std::vector<bool> alive, reached;
};

// The part of each scope, and the block of a part: the outermost scope of a kind in it. no_scope
// for those that are in none.
struct Places {
  explicit Places(const Graph& graph)
      : part(graph.scopes().size(), no_scope), block(graph.scopes().size(), no_scope) {
    const bool cells = has_cells(graph);
    for (ScopeId s = 1; s < part.size(); ++s) {
      const Scope& scope = graph.scope(s);
      part[s] = part[scope.parent];
      block[s] = block[scope.parent];
      if (part[s] == no_scope) {
        if (cells ? scope.kind == "cell" : scope.kind != "stage") part[s] = s;
      } else if (block[s] == no_scope && !scope.kind.empty() && scope.kind != "cell" &&
                 scope.kind != "stage") {
        block[s] = s;
      }
    }
  }
  std::vector<ScopeId> part, block;
};

float log_of(std::int64_t value) {
  return std::log2(static_cast<float>(std::max<std::int64_t>(value, 1)));
}

float width_of(const Shape& shape) {
  if (shape.rank == 3) return log_of(shape[0].value()) + log_of(shape[1].value());
  return log_of(shape[shape.rank - 1].value());
}

// What an operator is but for its widths.
Vertex vertex_of(const Node& node) {
  Node narrow = node;
  Vertex vertex{.attributes = {width_of(node.shape), 0, 0}};
  std::visit(
      [&](auto& op) {
        using T = std::remove_cvref_t<decltype(op)>;
        if constexpr (std::is_same_v<T, op::Conv2d> || std::is_same_v<T, op::DeformConv2d> ||
                      std::is_same_v<T, op::Pool2d>) {
          vertex.attributes[1] = log_of(std::max(op.kernel.h.value(), op.kernel.w.value()));
          vertex.attributes[2] = log_of(std::max(op.stride.h.value(), op.stride.w.value()));
        }
        if constexpr (std::is_same_v<T, op::Conv2d> || std::is_same_v<T, op::DeformConv2d>) {
          op.out_channels = 0;
          vertex.role = Vertex::Role::weighted;
        } else if constexpr (std::is_same_v<T, op::Linear>) {
          op.out_features = 0;
          vertex.role = Vertex::Role::weighted;
        } else if constexpr (std::is_same_v<T, op::PositionEmbedding> ||
                             std::is_same_v<T, op::ClassToken> || std::is_same_v<T, op::Scale>) {
          vertex.role = Vertex::Role::weighted;
        }
      },
      narrow.op);
  vertex.kind = operator_hash(narrow).low;
  return vertex;
}

// A part while it is read: what its values are sums of.
struct Part {
  using Flow = std::vector<std::pair<std::uint32_t, float>>;  // vertices, ascending, and ways
  std::vector<Vertex> entrances, operators;
  std::vector<Flow> reads;                            // of each operator
  std::unordered_map<NodeId, std::uint32_t> entered;  // by values of other parts
  std::unordered_map<ScopeId, std::uint32_t> made;    // the operators that blocks are
  Flow exit;
};

// Entrances are counted from 0, operators from here.
constexpr std::uint32_t first_operator = std::uint32_t{1} << 31;

// Adds one to another, or takes the larger ways.
template <class Join>
void join_flow(Part::Flow& sum, const Part::Flow& flow, Join join) {
  Part::Flow result;
  auto a = sum.begin();
  auto b = flow.begin();
  while (a != sum.end() || b != flow.end()) {
    if (b == flow.end() || (a != sum.end() && a->first < b->first)) {
      result.push_back(*a++);
    } else if (a == sum.end() || b->first < a->first) {
      result.push_back(*b++);
    } else {
      result.emplace_back(a->first, join(a->second, b->second));
      ++a, ++b;
    }
  }
  sum = std::move(result);
}
void add_flow(Part::Flow& sum, const Part::Flow& flow) { join_flow(sum, flow, std::plus<float>()); }

// What an operator adds to the block that it is in.
void join_vertex(Vertex& block, const Vertex& vertex) {
  block.kind = combine(Hash128{block.kind, 1}, vertex.kind).low;
  block.attributes[0] = vertex.attributes[0];
  for (std::size_t i = 1; i < 3; ++i) {
    block.attributes[i] = std::max(block.attributes[i], vertex.attributes[i]);
  }
  if (vertex.role == Vertex::Role::weighted) block.role = vertex.role;
}

OperatorGraph graph_of(Part&& part) {
  OperatorGraph graph;
  const auto entrances = static_cast<std::uint32_t>(part.entrances.size());
  const auto add_edges = [&](const Part::Flow& flow, std::uint32_t to) {
    for (const auto& [from, ways] : flow) {
      const std::uint32_t vertex = from < first_operator ? from : from - first_operator + entrances;
      graph.edges.push_back({.from = vertex, .to = to, .ways = ways});
    }
  };
  graph.vertices = std::move(part.entrances);
  for (std::size_t i = 0; i < part.operators.size(); ++i) {
    add_edges(part.reads[i], static_cast<std::uint32_t>(graph.vertices.size()));
    graph.vertices.push_back(part.operators[i]);
  }
  add_edges(part.exit, static_cast<std::uint32_t>(graph.vertices.size()));
  graph.vertices.push_back({.role = Vertex::Role::exit});
  return graph;
}

}  // namespace

std::vector<std::pair<OperatorGraph, std::uint32_t>> operator_graphs(const Graph& graph) {
  const Reach reach(graph);
  const Places places(graph);
  const bool cells = has_cells(graph);
  const auto part_at = [&](NodeId i) { return places.part[graph.node(i).scope]; };

  std::vector<bool> leaves(graph.size());
  for (NodeId i = 0; i < graph.size(); ++i) {
    if (!reach.counts(i)) continue;
    if (std::holds_alternative<op::Output>(graph.node(i).op)) leaves[i] = true;
    for (const NodeId input : graph.inputs(i)) {
      if (part_at(input) != part_at(i)) leaves[input] = true;
    }
  }
  constexpr auto none = static_cast<std::size_t>(-1);
  std::vector<Part> parts;  // in the order of the network
  std::vector<std::size_t> index(graph.scopes().size(), none);
  std::vector<Part::Flow> flows(graph.size());  // what a value is the sum of, in its own part
  std::vector<std::uint64_t> activated(graph.size());  // by which activations since then
  for (NodeId i = 0; i < graph.size(); ++i) {
    const Node& node = graph.node(i);
    const ScopeId its = part_at(i);
    if (!reach.counts(i) || (cells && its == no_scope)) continue;
    if (index[its] == none) {
      index[its] = parts.size();
      parts.emplace_back();
    }
    Part& part = parts[index[its]];
    Part::Flow read;
    std::uint64_t activations = 0;
    if (std::holds_alternative<op::Input>(node.op)) {
      read = {{static_cast<std::uint32_t>(part.entrances.size()), 1.0f}};
      part.entrances.push_back(
          {.attributes = {width_of(node.shape), 0, 0}, .role = Vertex::Role::entrance});
    }
    for (const NodeId input : graph.inputs(i)) {
      if (!reach.reached[input]) continue;
      if (part_at(input) == its) {
        add_flow(read, flows[input]);
        activations += activated[input];
        continue;
      }
      const auto [entrance, added] =
          part.entered.try_emplace(input, static_cast<std::uint32_t>(part.entrances.size()));
      if (added) {
        part.entrances.push_back({.attributes = {width_of(graph.node(input).shape), 0, 0},
                                  .role = Vertex::Role::entrance});
      }
      add_flow(read, {{entrance->second, 1.0f}});
    }
    if (const auto* activation = std::get_if<op::Activation>(&node.op)) {
      activations += mix(static_cast<std::uint64_t>(activation->kind) + 1);
    }
    // The block, if it is an operator already: what it made counts once, whatever joins it.
    const ScopeId block = places.block[node.scope];
    const auto made = block == no_scope ? part.made.end() : part.made.find(block);
    const auto own = made == part.made.end()
                         ? read.end()
                         : std::ranges::find(read, made->second, &Part::Flow::value_type::first);
    if (passes(node.op) || std::holds_alternative<op::Input>(node.op)) {
      if (own != read.end()) own->second = 1;
      flows[i] = std::move(read);
      if (!joins(node.op)) activated[i] = activations;
    } else {
      Vertex vertex = vertex_of(node);
      vertex.kind = combine(Hash128{vertex.kind, activations}, std::uint64_t{1}).low;
      const bool reads_own = own != read.end();
      if (reads_own) read.erase(own);
      // Edges go forwards: a block that reads what read it goes on as another operator.
      const bool goes_on =
          made != part.made.end() && (read.empty() || read.back().first < made->second);
      std::uint32_t its_vertex = first_operator + static_cast<std::uint32_t>(part.operators.size());
      if (goes_on) {
        its_vertex = made->second;
        join_vertex(part.operators[its_vertex - first_operator], vertex);
        join_flow(part.reads[its_vertex - first_operator], read,
                  [](float a, float b) { return std::max(a, b); });
      } else {
        if (reads_own) add_flow(read, {{made->second, 1.0f}});
        part.operators.push_back(vertex);
        part.reads.push_back(std::move(read));
        if (block != no_scope) part.made[block] = its_vertex;
      }
      flows[i] = {{its_vertex, 1.0f}};
    }
    if (leaves[i]) add_flow(part.exit, flows[i]);
  }
  std::vector<std::pair<OperatorGraph, std::uint32_t>> graphs;
  for (Part& part : parts) {
    OperatorGraph next = graph_of(std::move(part));
    const auto known =
        std::ranges::find(graphs, next, &std::pair<OperatorGraph, std::uint32_t>::first);
    if (known == graphs.end()) {
      graphs.emplace_back(std::move(next), 1);
    } else {
      ++known->second;
    }
  }
  if (graphs.empty()) graphs.emplace_back(graph_of({}), 1);
  return graphs;
}

OptionTable<EncodingOptions> encoding_option_table() {
  using Options = EncodingOptions;
  return OptionTable<Options>("what a model compares networks by, beside their decisions")
      .add("patterns", &Options::patterns,
           "what counts of the operators: the ways through its cells (labels where there are no "
           "cells), Weisfeiler-Lehman labels, adjacency matrices of its cells, or nothing",
           named<Patterns>({{"none", Patterns::none},
                            {"paths", Patterns::paths},
                            {"weisfeiler_lehman", Patterns::weisfeiler_lehman},
                            {"adjacency", Patterns::adjacency}}))
      .add("costs", &Options::costs, "whether MACs and params count")
      .add("graphs", &Options::graphs, "whether graphs of its operators are made")
      .add("depth", &Options::depth,
           "of the labels: how many operators in a row are seen together, less one",
           between(0, 10));
}

std::vector<Features> Encoder::encode(std::span<const Architecture> architectures) {
  const std::size_t most_known = std::size_t{1} << (options_.graphs ? 14 : 17);
  std::vector<Features> features;
  features.reserve(architectures.size());
  for (const Architecture& a : architectures) {
    const auto found = known_.find(a);
    if (found != known_.end()) {
      features.push_back(found->second);
      continue;
    }
    Features its{.decisions = encode_decisions(*space_, a)};
    for (DecisionId d = 0; d < a.choices.size(); ++d) {
      its.choices.push_back(space_->active(a, d) ? a.choices[d] + 1 : 0);
    }
    if (options_.patterns != Patterns::none || options_.graphs) {
      const Graph graph = space_->build(a);
      if (options_.graphs) its.graphs = operator_graphs(graph);
      if (options_.patterns == Patterns::paths) its.patterns = cell_paths(graph);
      const bool cells = has_cells(graph);
      if (options_.patterns == Patterns::adjacency) its.patterns = cell_adjacency(graph);
      if (options_.patterns == Patterns::weisfeiler_lehman ||
          (options_.patterns == Patterns::paths && !cells)) {
        its.patterns = weisfeiler_lehman(graph, options_.depth);
      }
    }
    if (options_.costs) {
      const Cost cost = space_->quick_cost(a);
      its.costs = {std::log1p(static_cast<double>(cost.macs)),
                   std::log1p(static_cast<double>(cost.params))};
    }
    if (scores_) its.scores = scores_(a);
    if (known_.size() >= most_known) known_.clear();
    features.push_back(known_.emplace(a, std::move(its)).first->second);
  }
  return features;
}

}  // namespace espalier
