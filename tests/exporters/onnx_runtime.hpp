// Runs exported models in ONNX Runtime, an implementation that shares no code with this project.
#pragma once

#include <ATen/ATen.h>

#include <filesystem>
#include <string>
#include <vector>

namespace espalier {

/// Whether node and the package of tests/onnxruntime are there.
bool has_onnx_runtime();

struct OnnxJob {
  std::filesystem::path model;
  at::Tensor input;
  bool optimize = true;  ///< the runtime may fuse operators
};

/// The outputs, flat. Throws Error with the runtime's message.
std::vector<at::Tensor> run_in_onnx_runtime(const std::vector<OnnxJob>& jobs);

}  // namespace espalier
