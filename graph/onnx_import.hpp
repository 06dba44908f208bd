#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "graph/graph.hpp"

namespace espalier {

/// A weight, its last axis the innermost.
struct ImportedTensor {
  std::vector<std::int64_t> sizes;
  std::vector<float> values;
};

/// A network from a file. The weights are named and shaped as those of nets/module_base.hpp:
/// "<node>.weight", ".bias", ".running_mean", ".running_var".
struct ImportedNetwork {
  Graph graph;
  std::map<std::string, ImportedTensor> weights;
};

/// Reads an ONNX model of one image input {N,C,H,W} and one output into a graph. It knows what
/// Espalier exports and what torchvision's classification models export to: besides the operators
/// that have a counterpart here, it finds the groups of ONNX operators that stand for GELU, swish,
/// layer norm, channel shuffle, attention, class tokens and layers on channels-last images, and it
/// computes the shapes that a model computes. A convolution into which an exporter has folded a
/// batch norm stays one.
///
/// Nodes are named after their weights where these have names like "layer1.0.conv1.weight", else
/// after the ONNX nodes.
///
/// Throws IoError for a file that is no ONNX model, UnsupportedError for an operator or a use of
/// one that has no counterpart (naming the ONNX node), and where Espalier was built without
/// libonnx; ShapeError for a model whose shapes do not fit together.
/// Source: ONNX operator schemas, opsets 9 to 17, https://onnx.ai/onnx/operators.
/// Test: OnnxImport.ExportsComeBack.
ImportedNetwork import_onnx(const std::filesystem::path& path);

}  // namespace espalier
