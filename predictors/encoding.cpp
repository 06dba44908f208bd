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
  const auto joins = [&](NodeId i) {
    const Op& op = graph.node(i).op;
    return std::holds_alternative<op::Add>(op) || std::holds_alternative<op::Concat>(op);
  };
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
        if (!joins(on)) hash = combine(hash, label[on]);
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
      .add("depth", &Options::depth,
           "of the labels: how many operators in a row are seen together, less one",
           between(0, 10));
}

std::vector<Features> Encoder::encode(std::span<const Architecture> architectures) {
  constexpr std::size_t most_known = std::size_t{1} << 17;
  std::vector<Features> features;
  features.reserve(architectures.size());
  for (const Architecture& a : architectures) {
    const auto found = known_.find(a);
    if (found != known_.end()) {
      features.push_back(found->second);
      continue;
    }
    Features its{.decisions = encode_decisions(*space_, a)};
    if (options_.patterns != Patterns::none) {
      const Graph graph = space_->build(a);
      if (options_.patterns == Patterns::paths) its.patterns = cell_paths(graph);
      if (options_.patterns == Patterns::adjacency) its.patterns = cell_adjacency(graph);
      const bool cells = std::ranges::any_of(
          graph.scopes(), [](const Scope& scope) { return scope.kind == "cell"; });
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
