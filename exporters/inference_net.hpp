// What the exporters write: the network in its final form, whatever the file's format.
#pragma once

#include <ATen/core/Tensor.h>

#include <optional>
#include <string>
#include <vector>

#include "graph/graph.hpp"
#include "nets/graph_module.hpp"

namespace espalier {

/// The tensors of one operator in float32 on the CPU, contiguous; undefined where it has none.
struct InferenceTensors {
  at::Tensor weight = {};  ///< on its grid where it is quantized
  at::Tensor bias = {};
  at::Tensor running_mean = {}, running_var = {};  ///< of a batch norm
  /// Of quantized weights: weight = integers * scale, int8 within +-(2^(bits - 1) - 1), one scale
  /// per row.
  at::Tensor integers = {}, scale = {};
  /// Of quantized activations: value = (integer - zero_point) * scale, integers 0 to 2^bits - 1.
  struct Grid {
    float scale;
    int zero_point;
    int bits;
  };
  std::optional<Grid> input_grid = {};
};

struct InferenceNet {
  Graph graph;
  std::vector<InferenceTensors> tensors;  ///< by node
  /// By node, the node of the module that has the same value.
  std::vector<std::string> module_node;
};

enum class BatchNormFolding { all, none };

/// The module's network after simplify(), in evaluation mode. Where batch norms are folded, weights
/// and biases are computed in float64; quantized weights keep their integers (up to sign), and
/// their scales change. Throws UnsupportedError where an operator's input is quantized but no range
/// of it is known yet, and NumericalError where a tensor has values that are not finite.
InferenceNet inference_net(const GraphModule& module, BatchNormFolding folding);

}  // namespace espalier
