#include "nets/compute.hpp"

#include <gtest/gtest.h>
#include <torch/torch.h>

#include "nets/graph_module.hpp"
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
