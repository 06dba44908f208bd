// Graphs for the tests of this directory.
#pragma once

#include <algorithm>
#include <array>
#include <string>
#include <vector>

#include "core/error.hpp"
#include "core/rng.hpp"
#include "graph/graph.hpp"

namespace espalier {

/// The graph with every Dim replaced by its value for an architecture. No Choices.
inline Graph closed(const Graph& graph, std::span<const std::uint32_t> choices) {
  Graph result;
  for (NodeId i = 0; i < graph.size(); ++i) {
    Op op = graph.node(i).op;
    for_each_dim(op, [&](std::string_view, Dim& d) { d = d.at(choices); });
    Compression compression = graph.node(i).compression;
    if (auto& q = compression.quantization) {
      q->weight_bits = q->weight_bits.at(choices);
      q->activation_bits = q->activation_bits.at(choices);
    }
    result.add(op, graph.inputs(i), graph.name(i), no_scope, compression);
  }
  return result;
}

/// True where two graphs agree node by node: operators, bits, shapes, names, scopes and inputs.
inline bool same(const Graph& a, const Graph& b) {
  if (a.size() != b.size()) return false;
  for (NodeId i = 0; i < a.size(); ++i) {
    const Node& x = a.node(i);
    const Node& y = b.node(i);
    const Scope& s = a.scope(x.scope);
    const Scope& t = b.scope(y.scope);
    if (x.op != y.op || x.compression != y.compression || x.shape != y.shape ||
        a.name(i) != b.name(i) || !std::ranges::equal(a.inputs(i), b.inputs(i)) ||
        s.name != t.name || s.kind != t.kind ||
        a.scope_attributes(x.scope) != b.scope_attributes(y.scope)) {
      return false;
    }
  }
  return true;
}

/// An operator with its number of inputs.
struct Candidate {
  Op op;
  std::size_t inputs;
};

/// Operators of which every random graph can be made; most keep the shape.
inline std::vector<Candidate> all_operators() {
  const auto act = [](ActivationKind kind) { return Candidate{op::Activation{kind}, 1}; };
  return {
      {op::Conv2d{.out_channels = 4, .kernel = 3, .padding = 1}, 1},
      {op::Conv2d{.out_channels = 4, .kernel = 3, .padding = 1, .bias = true}, 1},
      {op::Conv2d{.kernel = 3, .padding = 1, .group_width = 1}, 1},
      {op::Conv2d{.out_channels = 4, .kernel = 3, .padding = 1, .group_width = 2}, 1},
      {op::BatchNorm2d{}, 1},
      {op::BatchNorm2d{.eps = 1e-3f, .affine = false}, 1},
      act(ActivationKind::relu),
      act(ActivationKind::relu6),
      act(ActivationKind::hard_swish),
      act(ActivationKind::hard_sigmoid),
      act(ActivationKind::sigmoid),
      act(ActivationKind::swish),
      act(ActivationKind::gelu),
      act(ActivationKind::tanh),
      {op::Pool2d{.kind = PoolKind::max, .kernel = 3, .padding = 1}, 1},
      {op::Pool2d{.kind = PoolKind::average, .kernel = 3, .padding = 1}, 1},
      {op::Pool2d{.kind = PoolKind::average, .kernel = 2, .stride = 2, .ceil_mode = true}, 1},
      {op::GlobalAvgPool{}, 1},
      {op::Flatten{}, 1},
      {op::Linear{.out_features = 5}, 1},
      {op::Linear{.out_features = 5, .bias = false}, 1},
      {op::Add{}, 1},
      {op::Add{}, 2},
      {op::Add{}, 3},
      {op::Multiply{}, 2},
      {op::Concat{}, 2},
      {op::Dropout{0.25f}, 1},
      {op::Zero{}, 1},
      {op::Zero{2}, 1},
      {op::Slice{0, 1, 3}, 1},
      {op::Slice{1, 1, 0}, 1},
      {op::ChannelShuffle{2}, 1},
      {op::LayerNorm{}, 1},
      {op::LayerNorm{.eps = 1e-3f, .affine = false}, 1},
      {op::Scale{0.5f}, 1},
      {op::Tokens{}, 1},
      {op::ClassToken{}, 1},
      {op::PositionEmbedding{}, 1},
      {op::Attention{2}, 3},
  };
}

/// A graph of an input {4, 6, 6}, `size` - 2 operators drawn from `candidates`, and an output that
/// reads the last of them. Some nodes may be dead; some convolutions are quantized where asked.
inline Graph random_graph(Rng& rng, std::size_t size, const std::vector<Candidate>& candidates,
                          bool quantized = false) {
  Graph graph;
  graph.add(op::Input{4, 6, 6}, {}, "input");
  const ScopeId scope = graph.add_scope("block", "random", no_scope, {{"size", size}});
  while (graph.size() + 1 < size) {
    const Candidate& candidate = candidates[rng.below(candidates.size())];
    std::vector<NodeId> inputs;
    for (std::size_t k = 0; k < candidate.inputs; ++k) {
      inputs.push_back(static_cast<NodeId>(rng.below(graph.size())));
    }
    Compression compression;
    if (quantized && rng.bernoulli(0.5) &&
        (std::holds_alternative<op::Conv2d>(candidate.op) ||
         std::holds_alternative<op::Linear>(candidate.op))) {
      compression.quantization = {rng.uniform_int(2, 8), rng.bernoulli(0.5) ? 8 : 32};
    }
    try {
      graph.add(candidate.op, inputs, op_name(candidate.op), rng.bernoulli(0.5) ? scope : no_scope,
                compression);
    } catch (const ShapeError&) {  // these inputs do not fit: draw again
    }
  }
  graph.add(op::Output{}, std::array{static_cast<NodeId>(graph.size() - 1)}, "output");
  return graph;
}

/// The same network in another order: nodes in a random topological order, inputs of commutative
/// operators shuffled, other names, no scopes.
inline Graph shuffled(const Graph& graph, Rng& rng) {
  Graph result;
  std::vector<NodeId> id_of(graph.size());
  std::vector<bool> done(graph.size());
  while (result.size() < graph.size()) {
    std::vector<NodeId> ready;
    for (NodeId i = 0; i < graph.size(); ++i) {
      const auto inputs = graph.inputs(i);
      const bool last = std::holds_alternative<op::Output>(graph.node(i).op);
      if (!done[i] && (!last || result.size() + 1 == graph.size()) &&
          std::all_of(inputs.begin(), inputs.end(), [&](NodeId input) { return done[input]; })) {
        ready.push_back(i);
      }
    }
    const NodeId next = ready[rng.below(ready.size())];
    std::vector<NodeId> inputs;
    for (NodeId input : graph.inputs(next)) inputs.push_back(id_of[input]);
    const bool scaling = inputs.size() == 2 && graph.node(graph.inputs(next)[0]).shape !=
                                                   graph.node(graph.inputs(next)[1]).shape;
    if (is_commutative(graph.node(next).op) && !scaling) rng.shuffle(inputs);
    id_of[next] = result.add(graph.node(next).op, inputs, "n" + std::to_string(result.size()),
                             no_scope, graph.node(next).compression);
    done[next] = true;
  }
  return result;
}

}  // namespace espalier
