#pragma once

#include <cstdint>
#include <vector>

#include "graph/graph.hpp"

namespace espalier {

/// What a concrete network costs at batch 1.
struct Cost {
  std::int64_t params = 0;             ///< trainable values; quantizer scales are not params
  std::int64_t macs = 0;               ///< multiply-accumulates of convolutions and linear layers
  std::int64_t storage_bytes = 0;      ///< of the params, as storage_bytes() counts them
  std::int64_t peak_memory_bytes = 0;  ///< of the activations, as peak_memory_bytes() counts them
  friend bool operator==(const Cost&, const Cost&) = default;
};

/// All costs of a concrete graph. Linear in its size. This and the functions below, node_cost()
/// apart, throw InvalidArchitecture for open Dims and for a Choice.
Cost cost(const Graph& graph);

/// Costs of one operator, which may be open: its output and its inputs' shapes are Dims. A Choice
/// itself costs nothing.
struct NodeCost {
  Dim params, macs, storage_bytes;
};
NodeCost node_cost(const Graph& graph, NodeId id);

/// Multiply-accumulates and params of one node of a concrete graph.
std::int64_t node_macs(const Graph& graph, NodeId id);
std::int64_t node_params(const Graph& graph, NodeId id);
/// Bytes of a concrete node's params: the weights of a convolution or linear layer at their
/// weight_bits (rounded up to whole bytes) with one 4-byte scale per output channel when quantized,
/// everything else at 4 bytes.
std::int64_t node_storage_bytes(const Graph& graph, NodeId id);
/// The largest sum of activations that are alive at once when the nodes run in stored order, 4
/// bytes a value: an output lives until its last reader has run. Activations that only pass a
/// tensor on (batch norm, activation, dropout, flatten, output, and add and multiply into their
/// first input) reuse their input's memory when nothing reads it later. What nothing reads dies at
/// once.
std::int64_t peak_memory_bytes(const Graph& graph);

}  // namespace espalier
