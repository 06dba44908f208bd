#include "training/recalibration.hpp"

#include <ATen/ATen.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/error.hpp"
#include "nets/graph_module.hpp"
#include "tests/core/throws.hpp"
#include "tests/training/images.hpp"
#include "training/augmentation.hpp"
#include "training/batch.hpp"

namespace espalier {
namespace {

/// The mean and the unbiased variance of what the first batch norm reads, over all images.
std::pair<at::Tensor, at::Tensor> first_statistics(GraphModule& module, const Dataset& data) {
  const SplitView view = data.view(Split::train);
  Rng unused(0);
  const Batch batch = make_batch(ImageTransform(data, {8, 8}), *view.images, view.indices, unused);
  const Graph& graph = module.graph();
  at::Tensor values;
  module.forward(batch.images, [&](NodeId id, const at::Tensor& x) {
    if (graph.name(id) == "conv") values = x.to(at::kDouble).transpose(0, 1).flatten(1);
  });
  return {values.mean(1), values.var(1, true)};
}

TEST(Recalibration, StatisticsAreThoseOfAllImages) {
  const auto data = small_data(200);
  GraphModule module(small_net());
  module.reset_parameters(Rng(3));
  module.eval();
  const at::NoGradGuard no_grad;
  const auto [mean, variance] = first_statistics(module, *data);
  // 160 images in batches of 40: their variances alone would be too small.
  recalibrate_batch_norms(module, *data, {.batches = 0, .batch_size = 40}, Rng(1));
  EXPECT_FALSE(module.training());
  EXPECT_TRUE(at::allclose(module.tensor("bn.running_mean").to(at::kDouble), mean, 1e-5, 1e-6));
  EXPECT_TRUE(at::allclose(module.tensor("bn.running_var").to(at::kDouble), variance, 1e-5, 1e-6));
}

TEST(Recalibration, DependsOnTheGeneratorAlone) {
  const auto data = small_data(200);
  const auto variance = [&](std::uint64_t seed, int batches) {
    GraphModule module(small_net());
    module.reset_parameters(Rng(3));
    recalibrate_batch_norms(module, *data, {.batches = batches, .batch_size = 16}, Rng(seed));
    return module.tensor("bn_2.running_var").clone();
  };
  EXPECT_TRUE(variance(1, 3).equal(variance(1, 3)));
  EXPECT_FALSE(variance(1, 3).equal(variance(2, 3)));
  EXPECT_FALSE(variance(1, 3).equal(variance(1, 4)));
}

TEST(Recalibration, RefusesOtherImages) {
  const auto data = small_data(200);
  GraphModule module(small_net({.input = {3, 8, 8}}));
  EXPECT_THAT(throws<ShapeError>([&] { recalibrate_batch_norms(module, *data, {}, Rng(1)); }),
              testing::HasSubstr("images of 3 channels"));
}

}  // namespace
}  // namespace espalier
