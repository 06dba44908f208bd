#include "exporters/torchscript.hpp"

#include <ATen/ATen.h>
#include <gmock/gmock.h>
#include <torch/script.h>

#include <set>

#include "core/error.hpp"
#include "core/json.hpp"
#include "exporters/verify.hpp"
#include "graph/nets.hpp"
#include "tests/core/throws.hpp"
#include "tests/exporters/modules.hpp"
#include "tests/graph/test_graphs.hpp"

namespace espalier {
namespace {

using ::testing::HasSubstr;

at::Tensor run(const std::filesystem::path& file, const at::Tensor& x) {
  const at::NoGradGuard no_grad;
  return torch::jit::load(file.string()).forward({x}).toTensor();
}

std::set<std::string> names_of(const torch::jit::Module& module) {
  std::set<std::string> names;
  for (const auto& parameter : module.named_parameters()) names.insert(parameter.name);
  for (const auto& buffer : module.named_buffers()) names.insert(buffer.name);
  return names;
}

TEST(Torchscript, EveryOperatorIsWrittenAndAgrees) {
  const at::NoGradGuard no_grad;
  for (const auto& [name, graph] : operator_graphs()) {
    const TemporaryFile file(name + ".pt");
    const GraphModule module = random_module(graph);
    ASSERT_NO_THROW(export_torchscript(module, file.path())) << name;
    const at::Tensor x = verification_batch(graph, 3);
    EXPECT_LT(relative_difference(verification_copy(module).forward(x), run(file.path(), x)), 1e-5)
        << name;
  }
}

TEST(Torchscript, RandomGraphsAreWrittenAndVerified) {
  Rng rng(7);
  const TemporaryFile file("random.pt");
  for (int i = 0; i < 40; ++i) {
    const GraphModule module = random_module(random_graph(rng, 12, all_operators(), true), i);
    EXPECT_NO_THROW(export_torchscript(module, file.path())) << i;
  }
}

TEST(Torchscript, ReferenceNetworksKeepTheirNames) {
  const at::NoGradGuard no_grad;
  const TemporaryFile file("net.pt");
  for (const char* const name : {"resnet18", "mobilenet_v3_small"}) {
    const GraphModule module =
        random_module(build_net(name, {.input = {3, 64, 64}, .classes = 10}));
    export_torchscript(module, file.path());
    const at::Tensor x = verification_batch(module.graph(), 2);
    EXPECT_LT(relative_difference(verification_copy(module).forward(x), run(file.path(), x)),
              export_tolerance);
    const std::set<std::string> names = names_of(torch::jit::load(file.path().string()));
    if (name == std::string("resnet18")) {
      EXPECT_TRUE(names.contains("layer1.0.conv1.weight"));
      EXPECT_TRUE(names.contains("layer1.0.conv1.bias"));  // of the folded batch norm
      EXPECT_TRUE(names.contains("fc.weight"));
      EXPECT_FALSE(names.contains("layer1.0.bn1.running_mean"));
    }
  }
}

TEST(Torchscript, AQuantizedNetworkIsTheModuleBitForBit) {
  const at::NoGradGuard no_grad;
  GraphBuilder b;
  NodeId x = b.input(3, 16, 16);
  for (int i = 0; i < 4; ++i) {
    x = b.append(op::Conv2d{.out_channels = 16, .kernel = 3, .padding = 1}, std::array{x}, "conv",
                 {.quantization = Quantization{4, 8}});
    x = b.activation(b.batch_norm(x), ActivationKind::relu);
  }
  b.output(x);
  const GraphModule module = random_module(b.build());
  const TemporaryFile file("quantized.pt");
  export_torchscript(module, file.path());
  const at::Tensor batch = verification_batch(module.graph(), 5);
  EXPECT_TRUE(verification_copy(module).forward(batch).equal(run(file.path(), batch)));
  EXPECT_TRUE(names_of(torch::jit::load(file.path().string())).contains("bn.running_mean"));
}

TEST(Torchscript, TheFileIsInEvaluationModeAndNeedsNoGradient) {
  const TemporaryFile file("net.pt");
  export_torchscript(random_module(mobilenet_v3_small({.input = {1, 28, 28}, .classes = 10})),
                     file.path());
  torch::jit::Module script = torch::jit::load(file.path().string());
  EXPECT_FALSE(script.is_training());
  script.eval();
  // What deployment does next: constants are folded in.
  const torch::jit::Module frozen = torch::jit::freeze(script);
  EXPECT_TRUE(names_of(frozen).empty());
}

TEST(Torchscript, NothingIsLeftOfARefusedExport) {
  const TemporaryFile file("refused.pt");
  GraphBuilder b;
  b.output(b.append(op::Conv2d{.out_channels = 4}, std::array{b.input(2, 6, 6)}, "conv",
                    {.quantization = Quantization{8, 8}}));
  GraphModule module(b.build());
  module.reset_parameters(Rng(1));  // no ranges
  throws<UnsupportedError>([&] { export_torchscript(module, file.path()); });
  EXPECT_FALSE(file.exists());
}

TEST(Torchscript, AFullDiskIsAnIoErrorAndLeavesNothing) {
  const TemporaryFile file("full.pt");
  const GraphModule module =
      random_module(mobilenet_v3_small({.input = {1, 28, 28}, .classes = 10}));
  for (const rlim_t bytes : {0, 5000, 1000000}) {
    throws<IoError>([&] {
      const FullDisk full(bytes);
      export_torchscript(module, file.path());
    });
    EXPECT_FALSE(file.exists());
    EXPECT_FALSE(std::filesystem::exists(file.path().string() + ".unverified"));
  }
}

TEST(Torchscript, ADirectoryThatDoesNotExistIsAnIoError) {
  GraphBuilder b;
  b.output(b.input(1, 1, 1));
  const GraphModule module = random_module(b.build());
  EXPECT_THAT(throws<IoError>([&] { export_torchscript(module, "no/such/directory/net.pt"); }),
              HasSubstr("no/such/directory/net.pt"));
}

}  // namespace
}  // namespace espalier
