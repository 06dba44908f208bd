#include "graph/onnx_import.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <string>

#include "core/error.hpp"
#include "exporters/onnx.hpp"
#include "exporters/verify.hpp"
#include "graph/cost.hpp"
#include "graph/nets.hpp"
#include "tests/core/throws.hpp"
#include "tests/exporters/modules.hpp"

namespace espalier {
namespace {

/// What an export computes, read back.
at::Tensor round_trip(GraphModule& module, const at::Tensor& x) {
  const TemporaryFile file("net.onnx");
  export_onnx(module, file.path());
  return read_onnx(file.path()).forward(x);
}

TEST(OnnxImport, ExportsComeBack) {
  if (!has_onnx()) GTEST_SKIP() << "built without ONNX";
  int read = 0;
  for (const auto& [name, graph] : operator_graphs()) {
    SCOPED_TRACE(name);
    const bool quantized = std::ranges::any_of(
        graph.nodes(), [](const Node& node) { return node.compression.quantization.has_value(); });
    if (quantized || name.starts_with("two_inputs")) continue;
    GraphModule module = random_module(graph);
    const at::Tensor x = random_batch(graph, 2, Rng(3)).to(at::kFloat);
    const at::Tensor y = module.forward(x);
    EXPECT_TRUE(at::allclose(round_trip(module, x), y, 1e-5, 1e-5 * y.abs().max().item<double>()));
    ++read;
  }
  EXPECT_GT(read, 50);
}

TEST(OnnxImport, ReferenceNetworksComeBackWithTheirCountsAndNames) {
  if (!has_onnx()) GTEST_SKIP() << "built without ONNX";
  for (const char* name : {"resnet18", "mobilenet_v3_small", "squeezenet1_1", "efficientnet_b0"}) {
    SCOPED_TRACE(name);
    const Graph graph = build_net(name, {.input = {3, 64, 64}, .classes = 7});
    GraphModule module = random_module(graph);
    const TemporaryFile file("net.onnx");
    export_onnx(module, file.path());
    const ImportedNetwork network = import_onnx(file.path());
    EXPECT_EQ(cost(network.graph).macs, cost(graph).macs);
    const at::Tensor x = random_batch(graph, 2, Rng(3)).to(at::kFloat);
    EXPECT_LT(difference(read_onnx(file.path()).forward(x), module.forward(x)), 1e-4);
    for (NodeId i = 0; i < network.graph.size(); ++i) {
      if (!std::holds_alternative<op::Conv2d>(network.graph.node(i).op)) continue;
      EXPECT_TRUE(network.weights.contains(network.graph.name(i) + ".weight"));
    }
  }
}

TEST(OnnxImport, RefusesWhatHasNoCounterpart) {
  if (!has_onnx()) GTEST_SKIP() << "built without ONNX";
  const TemporaryFile file("net.onnx");
  const auto refused = [&](const std::string& name) {
    for (const auto& [known, graph] : operator_graphs()) {
      if (known != name) continue;
      export_onnx(random_module(graph), file.path());
      return throws<UnsupportedError>([&] { import_onnx(file.path()); });
    }
    return std::string("no graph");
  };
  EXPECT_THAT(refused("token_linear_quantized"), testing::HasSubstr("quantized models"));
  EXPECT_THROW(import_onnx(file.path().parent_path() / "none.onnx"), IoError);
}

}  // namespace
}  // namespace espalier
