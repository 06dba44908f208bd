#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "exporters/architecture_file.hpp"

namespace espalier {

class GraphModule;

struct ExportFormat {
  std::string name;       ///< "onnx"
  std::string extension;  ///< ".onnx"
  std::string doc;
  bool weights = false;   ///< it holds the weights, too
  bool available = true;  ///< in this build
};
/// json, dot, onnx, torchscript.
const std::vector<ExportFormat>& export_formats();
/// Throws ConfigError (pointer "") naming the nearest format.
const ExportFormat& find_export_format(const std::string& name);

/// Writes `network` to `path`. All formats but dot, which only draws, are read again and compared
/// before they take the place of an older file. `module` is the network with weights, which json
/// and dot do not need (null). Throws ConfigError for an unknown format and for a null module where
/// weights are needed, IoError for JSON that reads back differently, and what the exporters throw.
void export_network(const std::string& format, const ArchitectureFile& network,
                    const GraphModule* module, const std::filesystem::path& path);

}  // namespace espalier
