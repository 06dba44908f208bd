#include "exporters/catalogue.hpp"

#include "core/error.hpp"
#include "core/json.hpp"
#include "exporters/onnx.hpp"
#include "exporters/torchscript.hpp"
#include "exporters/verify.hpp"
#include "graph/dot.hpp"

namespace espalier {

const std::vector<ExportFormat>& export_formats() {
  static const std::vector<ExportFormat> formats{
      {"json", ".json", "the network and its architecture", false},
      {"dot", ".dot", "a drawing for Graphviz", false},
      {"onnx", ".onnx", "an ONNX model (opset 14)", true, has_onnx()},
      {"torchscript", ".pt", "a TorchScript module", true},
  };
  return formats;
}

const ExportFormat& find_export_format(const std::string& name) {
  std::vector<std::string> names;
  for (const ExportFormat& format : export_formats()) {
    if (format.name == name) return format;
    names.push_back(format.name);
  }
  throw ConfigError("", "unknown export format \"" + name + "\"" + suggestion(name, names));
}

void export_network(const std::string& format, const ArchitectureFile& network,
                    const GraphModule* module, const std::filesystem::path& path) {
  if (find_export_format(format).weights && module == nullptr) {
    throw ConfigError("", "the format " + format +
                              " holds a network's weights; give them, or "
                              "choose json or dot");
  }
  if (format == "json") {
    const Json json = to_json(network);
    write_verified(
        path, [&](const auto& file) { write_file_atomically(file, json.dump(2) + "\n"); },
        [&](const auto& file) {
          if (to_json(read_architecture_file(file)) != json) {
            throw IoError(path.string(), "what was written reads back differently");
          }
        });
  } else if (format == "dot") {
    write_file_atomically(path, to_dot(network.graph));
  } else if (format == "onnx") {
    export_onnx(*module, path);
  } else {
    export_torchscript(*module, path);
  }
}

}  // namespace espalier
