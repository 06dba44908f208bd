#include "nets/compute.hpp"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <array>

#include "graph/builder.hpp"
#include "nets/graph_module.hpp"
#include "nets/op_to_torch.hpp"
#include "search_spaces/catalogue.hpp"
#include "search_spaces/sampling.hpp"
#include "tests/nets/networks.hpp"

namespace espalier {
namespace {

Graph small_cells() {
  const auto space = space_registry().create({{"type", "nasbench201"},
                                              {"input", {3, 16, 16}},
                                              {"classes", 4},
                                              {"channels", 16},
                                              {"cells", 1}},
                                             "");
  return space->build(largest_architecture(*space));
}

TEST(ComputeTest, AutocastEndsWithItsScope) {
  const at::Tensor a = at::ones({4, 4}), b = at::ones({4, 4});
  {
    const Autocast on(Precision::bfloat16, Autocast::Place::cpu);
    EXPECT_EQ(at::matmul(a, b).scalar_type(), at::kBFloat16);
    {
      const Autocast off(Precision::float32, Autocast::Place::cpu);
      EXPECT_EQ(at::matmul(a, b).scalar_type(), at::kFloat);
    }
    EXPECT_EQ(at::matmul(a, b).scalar_type(), at::kBFloat16);
  }
  EXPECT_EQ(at::matmul(a, b).scalar_type(), at::kFloat);
}

TEST(ComputeTest, Bfloat16ComputesInTrainingAloneAndKeepsTheFormatOfOutputsAndGradients) {
  const Graph graph = small_cells();
  GraphModule module(graph);
  module.reset_parameters(Rng(1));
  const at::Tensor x = random_batch(graph, 8, Rng(2)).to(at::kFloat);
  const auto outputs = [&](Precision precision) {
    module.set_precision(precision);
    return module.forward(x);
  };
  module.train();
  const at::Tensor exact = outputs(Precision::float32), rounded = outputs(Precision::bfloat16);
  EXPECT_EQ(rounded.scalar_type(), at::kFloat);
  EXPECT_FALSE(rounded.equal(exact));
  EXPECT_LT(difference(rounded, exact), 0.1);  // 8 bits of mantissa through a dozen layers
  rounded.square().sum().backward();
  for (const auto& [name, value] : module.parameters()) {
    if (!value.grad().defined()) continue;
    EXPECT_EQ(value.grad().scalar_type(), at::kFloat) << name;
  }
  module.eval();
  EXPECT_TRUE(outputs(Precision::bfloat16).equal(outputs(Precision::float32)));
}

TEST(ComputeTest, Bfloat16GoesWithQuantizedAndDeformedConvolutions) {
  GraphBuilder b;
  const Quantization eight{.weight_bits = 8, .activation_bits = 8};
  NodeId x = b.conv(b.input(3, 8, 8), 8, {.kernel = 3});
  x = b.append(op::Conv2d{.out_channels = 8, .kernel = 1}, std::array{x}, "quantized", {eight});
  const NodeId offsets = b.conv(x, 18, {.kernel = 3});
  x = b.append(op::DeformConv2d{.out_channels = 8, .kernel = 3, .padding = 1},
               std::array{x, offsets}, "deformed");
  b.output(b.linear(b.flatten(b.global_avg_pool(x)), 4));
  GraphModule module(b.build());
  module.reset_parameters(Rng(1));
  const at::Tensor image = at::rand({4, 3, 8, 8}, at::make_generator<at::CPUGeneratorImpl>(2));
  const at::Tensor exact = module.forward(image);
  module.set_precision(Precision::bfloat16);
  const at::Tensor rounded = module.forward(image);
  EXPECT_LT(difference(rounded, exact), 0.1 * (1 + exact.abs().max().item<double>()));
  rounded.square().sum().backward();
  for (const auto& [name, value] : module.parameters()) {
    EXPECT_TRUE(value.grad().defined() && value.grad().isfinite().all().item<bool>()) << name;
  }
}

TEST(ComputeTest, ASumHasTheWiderFormatInAnyOrder) {
  const at::Tensor wide = at::full({1, 1, 1, 1}, 0x1p-10f);
  const at::Tensor narrow = at::ones({1, 1, 1, 1}, at::kBFloat16);
  const Node node{.op = op::Add{}, .compression = {}, .shape = {}};
  const std::array first{wide, narrow, narrow}, last{narrow, narrow, wide};
  const at::Tensor a = run_op(node, first, {}, {}), b = run_op(node, last, {}, {});
  EXPECT_EQ(b.scalar_type(), at::kFloat);
  EXPECT_TRUE(a.equal(b));
}

TEST(ComputeTest, Bfloat16IsRecomputedInBfloat16) {
  const Graph graph = small_cells();
  const at::Tensor x = random_batch(graph, 8, Rng(2)).to(at::kFloat);
  const auto gradient = [&](Activations activations) {
    GraphModule module(graph);
    module.reset_parameters(Rng(1));
    module.set_precision(Precision::bfloat16);
    module.set_activations(activations);
    module.forward(x).square().sum().backward();
    return module.parameters()[0].second.grad();
  };
  const at::Tensor kept = gradient(Activations::kept);
  EXPECT_LT(difference(gradient(Activations::recomputed), kept), 0.02);
}

}  // namespace
}  // namespace espalier
