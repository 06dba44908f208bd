#pragma once

#include <filesystem>

#include "nets/graph_module.hpp"

namespace espalier {

/// Whether this build can write ONNX models, that is, was configured with libonnx.
bool has_onnx();

/// Writes the network as an ONNX model: opset 14, one input {batch, C, H, W} and one output,
/// float32, the batch open. Both have the names of the graph's nodes, "input" and "output" where a
/// builder made it.
///
/// Batch norms are folded into the convolutions before them. Quantized weights are int8 with one
/// scale per output channel and a DequantizeLinear (fewer than 8 bits use a part of int8's range);
/// quantized activations are a QuantizeLinear and a DequantizeLinear on int8, after a Clip where
/// they have fewer than 8 bits. Values are named after the graph's nodes.
///
/// The file is checked by libonnx (checker, and shape inference against the graph's shapes), then
/// each of its operators is run on the module's own values and compared (export_tolerance); it is
/// at `path` only if all agree. Throws UnsupportedError in a build without libonnx and as
/// inference_net and make_onnx_model do, NumericalError on disagreement, IoError.
void export_onnx(const GraphModule& module, const std::filesystem::path& path);

/// The network of an ONNX model with its weights, in evaluation mode. Throws as import_onnx().
GraphModule read_onnx(const std::filesystem::path& path);

}  // namespace espalier
