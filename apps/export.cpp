#include <algorithm>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "apps/verbs.hpp"
#include "core/error.hpp"
#include "exporters/catalogue.hpp"
#include "exporters/onnx.hpp"
#include "graph/nets.hpp"
#include "nets/graph_module.hpp"
#include "training/tensor_file.hpp"

namespace espalier {
namespace {

struct Arguments {
  std::string source, format, out, weights;
};

int run_export(const Arguments& arguments) {
  std::filesystem::path source = arguments.source;
  std::filesystem::path weights = arguments.weights;
  if (std::filesystem::is_directory(source)) {
    if (weights.empty() && std::filesystem::exists(source / "best" / "weights.safetensors")) {
      weights = source / "best" / "weights.safetensors";
    }
    source = source / "best" / "architecture.json";
    if (!std::filesystem::exists(source)) {
      throw IoError(source.string(), "does not exist: the run has chosen no network yet");
    }
  }
  const ExportFormat& format = find_export_format(arguments.format);
  const std::vector<std::string>& nets = net_names();
  const bool is_net = std::ranges::find(nets, arguments.source) != nets.end();
  const ArchitectureFile network = is_net ? ArchitectureFile{.graph = build_net(arguments.source)}
                                          : read_architecture_file(source);
  std::unique_ptr<GraphModule> module;
  if (format.weights) {
    if (weights.empty() && source.extension() == ".onnx") {
      const GraphModule read = read_onnx(source);
      export_network(format.name, network, &read, arguments.out);
      return exit_ok;
    }
    if (weights.empty()) {
      throw ConfigError("", "the format \"" + format.name +
                                "\" holds weights: give --weights, or "
                                "a run directory with a trained network");
    }
    module = std::make_unique<GraphModule>(network.graph);
    const TensorFile file = read_tensors(weights);
    try {
      module->load_state(file.tensors);
    } catch (const ShapeError& error) {
      throw IoError(weights.string(),
                    std::string("holds the weights of another network: ") + error.what());
    }
    module->eval();
  }
  export_network(format.name, network, module.get(), arguments.out);
  return exit_ok;
}

}  // namespace

Verb add_export(CLI::App& app, const Catalogue&) {
  CLI::App& verb =
      *app.add_subcommand("export", "writes a network in another format, and verifies it");
  const auto arguments = std::make_shared<Arguments>();
  verb.add_option(
          "source", arguments->source,
          "a network's .json or .onnx file, a reference network, or a run's directory, whose best "
          "network it is")
      ->required();
  verb.add_option("--format", arguments->format, "json, dot, onnx or torchscript")->required();
  verb.add_option("--out", arguments->out, "the file to write")->required();
  verb.add_option("--weights", arguments->weights,
                  "weights (.safetensors); by default those of the run's final training");
  return [arguments] { return run_export(*arguments); };
}

}  // namespace espalier
