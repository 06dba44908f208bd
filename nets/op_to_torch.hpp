// The one translation of operators to ATen: modules and supernets run it.
#pragma once

#include <ATen/core/Generator.h>
#include <ATen/core/Tensor.h>

#include <span>
#include <string>

#include "graph/graph.hpp"
#include "nets/compute.hpp"

namespace espalier {

/// "{2, 3, 4}", for messages.
std::string size_text(at::IntArrayRef sizes);

/// The tensors of one operator, undefined where it has none.
struct OpTensors {
  at::Tensor weight = {};  ///< conv2d and deform_conv2d {out, in / groups, kh, kw}; linear {out,
                           ///< in}; norms, scale and class token {C}; position embedding {T, C}
  at::Tensor bias = {};    ///< {out} or {C}
  at::Tensor running_mean = {}, running_var = {};       ///< {C}, of a batch norm
  at::Tensor activation_min = {}, activation_max = {};  ///< 0-d, of a quantized operator's input
};

/// Of quantized activations in training: the batch's range enters the stored one, or the stored one
/// is used as it is.
enum class ActivationRanges { learned, fixed };

struct RunMode {
  bool training = false;    ///< batch statistics, dropout, updates of buffers
  at::Generator generator;  ///< of dropout; on the CPU, read in training only
  // In training only:
  Precision precision = Precision::float32;
  Activations activations = Activations::kept;
  ActivationRanges ranges = ActivationRanges::learned;
  bool dropout = true;  ///< false: none, though all else is as in training
};

/// Runs one operator of a concrete graph on a batch: shapes are {N, ...}. Its input is
/// fake-quantized, then its weights are, where it is quantized. An Input takes one tensor, the
/// batch, and passes it on. Differentiable; in training it updates the running statistics and
/// activation ranges in place.
///
/// Throws InvalidArchitecture on a Choice or an open attribute, and NumericalError where batch
/// statistics would be those of a single value.
at::Tensor run_op(const Node& node, std::span<const at::Tensor> inputs, const OpTensors& tensors,
                  const RunMode& mode);

/// Whether an operator is an activation that can be computed with a batch norm before it.
bool joins_batch_norm(const Op& op);
/// run_op() of a batch norm and then of an activation that joins_batch_norm(), in one pass.
at::Tensor run_batch_norm_then(const Op& activation, const Node& norm,
                               std::span<const at::Tensor> inputs, const OpTensors& tensors,
                               const RunMode& mode);

}  // namespace espalier
