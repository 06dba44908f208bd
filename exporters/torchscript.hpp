#pragma once

#include <filesystem>

#include "nets/graph_module.hpp"

namespace espalier {

/// Writes the network as a TorchScript module that torch::jit::load and Python's torch.jit.load
/// read without Espalier: forward(x: {N, C, H, W}) in evaluation mode. Parameters and buffers have
/// the module's names, in float32 on the CPU.
///
/// Batch norms are folded into the convolutions before them, but not where activations are
/// quantized: there the last bits decide what a value is rounded to. Quantized weights are stored
/// as the rounded floats.
///
/// The file is loaded and compared with the module on random samples (export_tolerance); it is at
/// `path` only if they agree. Throws as inference_net does, NumericalError on disagreement,
/// IoError.
void export_torchscript(const GraphModule& module, const std::filesystem::path& path);

}  // namespace espalier
