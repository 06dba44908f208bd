// What was found, as one JSON document: the network, and where in which search space it lies.
#pragma once

#include <filesystem>
#include <optional>
#include <string>

#include "core/json.hpp"
#include "graph/graph.hpp"

namespace espalier {

/// {"format": 1, "space"?, "architecture"?, "graph"}.
struct ArchitectureFile {
  std::optional<Json> space = {};         ///< the resolved config of its search space
  std::optional<Json> architecture = {};  ///< {decision: label}
  Graph graph = {};                       ///< concrete
};

/// Throws UnsupportedError on an open graph.
Json to_json(const ArchitectureFile& file);

/// Inverse of to_json. `pointer` is where `json` stands in its document. Throws ConfigError for an
/// unknown key, another format and anything that graph_from_json refuses.
ArchitectureFile architecture_file_from_json(const Json& json, const std::string& pointer = "");

/// Reads such a file, or the network of an ONNX model (.onnx), see import_onnx(). Throws IoError,
/// ConfigError, UnsupportedError.
ArchitectureFile read_architecture_file(const std::filesystem::path& path);

}  // namespace espalier
