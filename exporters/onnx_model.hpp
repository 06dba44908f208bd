// The ONNX model of a network, and a reading of it that shares no code with the writing. Only
// sources that are built with libonnx include this.
#pragma once

#include <ATen/core/Tensor.h>
#include <onnx/onnx_pb.h>

#include <filesystem>
#include <functional>
#include <string>

#include "exporters/inference_net.hpp"

namespace espalier {

/// The model. The value of node "x" is named "x"; what is written for it besides is named "x/...",
/// its weights "x.weight" and so on. Throws UnsupportedError for a deformable convolution, and for
/// weights of more than 2 GB.
onnx::ModelProto make_onnx_model(const InferenceNet& net);

/// Throws IoError where the file cannot be read or is no ONNX model.
onnx::ModelProto read_onnx_model(const std::filesystem::path& path);

/// libonnx's checker, and its shape inference: the shape of every node's value must be the graph's,
/// with an open batch axis. Throws NumericalError saying what is wrong.
void check_onnx_model(const onnx::ModelProto& model, const Graph& graph);

/// Runs a model that make_onnx_model wrote on a batch, operator by operator, with padding and
/// quantization spelled out. `visit` sees each value as it is computed and may replace it. Throws
/// NumericalError for an operator that it does not know.
using ValueVisitor = std::function<void(const std::string& name, at::Tensor& value)>;
at::Tensor run_onnx_model(const onnx::ModelProto& model, const at::Tensor& x,
                          const ValueVisitor& visit = {});

}  // namespace espalier
