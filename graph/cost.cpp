#include "graph/cost.hpp"

#include <algorithm>
#include <string>
#include <type_traits>

#include "core/error.hpp"

namespace espalier {

namespace {

[[noreturn]] void throw_open(const Graph& graph, NodeId id) {
  throw InvalidArchitecture("choice '" + graph.name(id) +
                            "' is open: close the graph with an architecture to count its costs");
}

// One formula for two number types: std::int64_t on a concrete graph (fast), Dim on an open one.
template <class N>
struct Costs {
  N params{}, macs{}, storage_bytes{};
};

template <class N>
N number(Dim d) {
  if constexpr (std::is_same_v<N, Dim>) {
    return d;
  } else {
    return d.value();
  }
}

template <class N>
N divided(N a, N b) {
  if constexpr (std::is_same_v<N, Dim>) {
    return map([](std::int64_t x, std::int64_t y) { return x / y; }, a, b);
  } else {
    return a / b;
  }
}

/// How many channels an output reads: all where `width` is 0.
template <class N>
N group_channels(N in, N width) {
  const auto read = [](std::int64_t all, std::int64_t part) { return part == 0 ? all : part; };
  if constexpr (std::is_same_v<N, Dim>) {
    return map(read, in, width);
  } else {
    return read(in, width);
  }
}

template <class N>
N stored(N weights, N channels, const Compression& compression) {
  const auto bytes = [](std::int64_t count, std::int64_t scales, std::int64_t bits) {
    return bits == 32 ? count * 4 : (count * bits + 7) / 8 + scales * 4;
  };
  if (!compression.quantization) return weights * N(4);
  const N bits = number<N>(compression.quantization->weight_bits);
  if constexpr (std::is_same_v<N, Dim>) {
    return map(bytes, weights, channels, bits);
  } else {
    return bytes(weights, channels, bits);
  }
}

template <class N>
Costs<N> costs_of(const Graph& graph, NodeId id) {
  const Node& node = graph.node(id);
  const auto input = [&]() -> const Shape& { return graph.node(graph.inputs(id)[0]).shape; };
  Costs<N> c;
  const auto convolution = [&](const auto& conv) {
    const N in = number<N>(input()[0]);
    const N out = number<N>(node.shape[0]);
    const N fan_in = group_channels(in, number<N>(conv.group_width)) * number<N>(conv.kernel.h) *
                     number<N>(conv.kernel.w);
    const N weights = fan_in * out;
    const N bias = conv.bias ? out : N(0);
    c.params = weights + bias;
    c.macs = weights * number<N>(node.shape[1]) * number<N>(node.shape[2]);
    c.storage_bytes = stored(weights, out, node.compression) + bias * N(4);
  };
  const auto plain_params = [&](N params) {
    c.params = params;
    c.storage_bytes = params * N(4);
  };
  const auto channels = [&] {
    return number<N>(node.shape[node.shape.rank == 3 ? 0 : node.shape.rank - 1]);
  };
  if (const auto* conv = std::get_if<op::Conv2d>(&node.op)) {
    convolution(*conv);
  } else if (const auto* deform = std::get_if<op::DeformConv2d>(&node.op)) {
    convolution(*deform);
  } else if (const auto* linear = std::get_if<op::Linear>(&node.op)) {
    const Shape& shape = input();
    const N in = number<N>(shape[shape.rank - 1]);
    const N out = number<N>(linear->out_features);
    const N weights = in * out;
    const N bias = linear->bias ? out : N(0);
    c.params = weights + bias;
    c.macs = shape.rank == 2 ? weights * number<N>(shape[0]) : weights;
    c.storage_bytes = stored(weights, out, node.compression) + bias * N(4);
  } else if (const auto* norm = std::get_if<op::BatchNorm2d>(&node.op)) {
    plain_params(norm->affine ? N(2) * number<N>(node.shape[0]) : N(0));
  } else if (const auto* layer_norm = std::get_if<op::LayerNorm>(&node.op)) {
    plain_params(layer_norm->affine ? N(2) * channels() : N(0));
  } else if (std::holds_alternative<op::Scale>(node.op) ||
             std::holds_alternative<op::ClassToken>(node.op)) {
    plain_params(channels());
  } else if (std::holds_alternative<op::PositionEmbedding>(node.op)) {
    plain_params(number<N>(node.shape[0]) * channels());
  } else if (std::holds_alternative<op::Attention>(node.op)) {
    const N tokens = number<N>(node.shape[0]);
    c.macs = N(2) * tokens * tokens * channels();
  } else if constexpr (!std::is_same_v<N, Dim>) {
    if (std::holds_alternative<op::Choice>(node.op)) throw_open(graph, id);
  }
  return c;
}

/// True for operators that can write their result over their first input.
bool reuses_input(const Op& op) {
  return std::holds_alternative<op::BatchNorm2d>(op) ||
         std::holds_alternative<op::Activation>(op) || std::holds_alternative<op::Dropout>(op) ||
         std::holds_alternative<op::Flatten>(op) || std::holds_alternative<op::Add>(op) ||
         std::holds_alternative<op::Multiply>(op) || std::holds_alternative<op::LayerNorm>(op) ||
         std::holds_alternative<op::Scale>(op) ||
         std::holds_alternative<op::PositionEmbedding>(op) ||
         std::holds_alternative<op::Output>(op);
}

}  // namespace

NodeCost node_cost(const Graph& graph, NodeId id) {
  const Costs<Dim> c = costs_of<Dim>(graph, id);
  return {c.params, c.macs, c.storage_bytes};
}

std::int64_t node_macs(const Graph& graph, NodeId id) {
  return costs_of<std::int64_t>(graph, id).macs;
}
std::int64_t node_params(const Graph& graph, NodeId id) {
  return costs_of<std::int64_t>(graph, id).params;
}
std::int64_t node_storage_bytes(const Graph& graph, NodeId id) {
  return costs_of<std::int64_t>(graph, id).storage_bytes;
}

std::int64_t peak_memory_bytes(const Graph& graph) {
  const std::size_t n = graph.size();
  static thread_local std::vector<NodeId> last_reader;
  static thread_local std::vector<std::int64_t> owned;  // values of the buffer a node holds
  last_reader.resize(n);
  owned.resize(n);
  for (NodeId i = 0; i < n; ++i) {
    last_reader[i] = i;
    for (NodeId input : graph.inputs(i)) last_reader[input] = i;
  }
  std::int64_t alive = 0, peak = 0;
  for (NodeId i = 0; i < n; ++i) {
    if (std::holds_alternative<op::Choice>(graph.node(i).op)) throw_open(graph, i);
    const std::int64_t size = graph.node(i).shape.elements();
    const auto inputs = graph.inputs(i);
    owned[i] = size;
    if (!inputs.empty() && reuses_input(graph.node(i).op) && last_reader[inputs[0]] == i &&
        owned[inputs[0]] == size) {
      owned[inputs[0]] = 0;  // the buffer is handed on
    } else {
      alive += size;
    }
    peak = std::max(peak, alive);
    for (NodeId input : inputs) {
      if (last_reader[input] == i) alive -= owned[input], owned[input] = 0;
    }
    if (last_reader[i] == i) alive -= owned[i];
  }
  return peak * 4;
}

Cost cost(const Graph& graph) {
  Cost total;
  for (NodeId i = 0; i < graph.size(); ++i) {
    const Costs<std::int64_t> c = costs_of<std::int64_t>(graph, i);
    total.params += c.params;
    total.macs += c.macs;
    total.storage_bytes += c.storage_bytes;
  }
  total.peak_memory_bytes = peak_memory_bytes(graph);
  return total;
}

}  // namespace espalier
