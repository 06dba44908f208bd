#include "exporters/onnx.hpp"

#include "core/error.hpp"
#include "graph/onnx_import.hpp"

#ifdef ESPALIER_WITH_ONNX
#include <ATen/ATen.h>

#include <unordered_map>

#include "core/json.hpp"
#include "exporters/inference_net.hpp"
#include "exporters/onnx_model.hpp"
#include "exporters/verify.hpp"
#endif

namespace espalier {

#ifdef ESPALIER_WITH_ONNX

bool has_onnx() { return true; }

namespace {

/// Compares each operator of the model with the module's, on the module's own values, so that
/// differences in the last bits do not add up and cannot tip a rounding.
void compare(const onnx::ModelProto& model, const InferenceNet& net, const GraphModule& module) {
  GraphModule reference = verification_copy(module);
  const at::Tensor batch = verification_batch(net.graph, 2);
  std::unordered_map<std::string, at::Tensor> expected;  // by the module's names
  reference.forward(batch, [&](NodeId id, const at::Tensor& value) {
    expected[reference.graph().name(id)] = value;
  });
  std::unordered_map<std::string, const at::Tensor*> wanted;  // by the names in the file
  for (NodeId i = 0; i < net.graph.size(); ++i) {
    if (std::holds_alternative<op::Input>(net.graph.node(i).op)) continue;
    wanted[net.graph.name(i)] = &expected.at(net.module_node[i]);
  }
  run_onnx_model(model, batch, [&](const std::string& name, at::Tensor& value) {
    const auto it = wanted.find(name);
    if (it == wanted.end()) return;
    require_agreement("'" + name + "'", *it->second, value);
    value = *it->second;
  });
}

}  // namespace

void export_onnx(const GraphModule& module, const std::filesystem::path& path) {
  const at::NoGradGuard no_grad;
  const InferenceNet net = inference_net(module, BatchNormFolding::all);
  write_verified(
      path,
      [&](const std::filesystem::path& file) {
        write_file_atomically(file, make_onnx_model(net).SerializeAsString());
      },
      [&](const std::filesystem::path& file) {
        const onnx::ModelProto model = read_onnx_model(file);
        check_onnx_model(model, net.graph);
        compare(model, net, module);
      });
}

#else

bool has_onnx() { return false; }

void export_onnx(const GraphModule&, const std::filesystem::path&) {
  throw UnsupportedError(
      "this build cannot write ONNX models: libonnx was not found when it was "
      "configured (on Debian: apt-get install libonnx-dev)");
}

#endif

GraphModule read_onnx(const std::filesystem::path& path) {
  const ImportedNetwork network = import_onnx(path);
  GraphModule module(network.graph);
  std::map<std::string, at::Tensor> state;
  for (const auto& [name, tensor] : network.weights) {
    state[name] = at::tensor(tensor.values).view(tensor.sizes);
  }
  module.load_state(state);
  module.eval();
  return module;
}

}  // namespace espalier
