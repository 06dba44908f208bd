#include "evaluators/proxies/drawn_networks.hpp"

#include <gtest/gtest.h>

#include <cmath>

#include "core/error.hpp"
#include "graph/builder.hpp"
#include "tests/core/throws.hpp"
#include "tests/evaluators/proxies/scored.hpp"

namespace espalier {
namespace {

TEST(DrawnNetworks, WeightsHaveTheirDeviationAndNoBias) {
  GraphBuilder b;
  NodeId x = b.conv(b.input(8, 4, 4), 64, {.kernel = 3, .bias = true}, "dense");
  x = b.depthwise(x, {.kernel = 5}, "depthwise");
  b.output(b.linear(b.flatten(b.global_avg_pool(x)), 100, {}, "head"));
  GraphModule module(b.build());
  const auto deviation = [&](const char* name) {
    return module.tensor(name).std(/*unbiased=*/false).item<double>();
  };
  for (const Deviation kind : {Deviation::one, Deviation::fan_in, Deviation::fan_out}) {
    draw_normal_weights(module, Rng(1), kind);
    const auto expected = [&](double in, double out) {
      return kind == Deviation::one ? 1.0 : std::sqrt(2 / (kind == Deviation::fan_in ? in : out));
    };
    // 4,608, 1,600 and 6,400 numbers: a deviation is off by about 1 / sqrt(2 n).
    EXPECT_NEAR(deviation("dense.weight") / expected(8 * 9, 64 * 9), 1, 0.05);
    EXPECT_NEAR(deviation("depthwise.weight") / expected(25, 64 * 25), 1, 0.06);
    EXPECT_NEAR(deviation("head.weight") / expected(64, 100), 1, 0.05);
    EXPECT_EQ(module.tensor("dense.bias").abs().max().item<float>(), 0);
    EXPECT_EQ(module.tensor("head.bias").abs().max().item<float>(), 0);
  }
  const at::Tensor before = module.tensor("head.weight").detach().clone();
  draw_normal_weights(module, Rng(1), Deviation::fan_out);
  EXPECT_TRUE(module.tensor("head.weight").equal(before));
  draw_normal_weights(module, Rng(2), Deviation::fan_out);
  EXPECT_FALSE(module.tensor("head.weight").equal(before));
}

TEST(DrawnNetworks, TheLastFeatureMapIsInFrontOfTheClassifier) {
  {
    GraphBuilder b;
    const NodeId map = b.conv(b.input(1, 4, 4), 2);
    NodeId x = b.flatten(b.conv(b.global_avg_pool(map), 8));
    b.output(b.linear(b.activation(x, ActivationKind::hard_swish), 3));
    EXPECT_EQ(last_feature_map(b.build()), map);
  }
  {
    GraphBuilder b;
    const NodeId map = b.max_pool(b.conv(b.input(1, 4, 4), 2), {});
    b.output(b.linear(b.linear(b.flatten(map), 8), 3));
    EXPECT_EQ(last_feature_map(b.build()), map);
  }
  {
    GraphBuilder b;
    const NodeId map = b.conv(b.input(1, 4, 4), 2);
    b.output(map);
    EXPECT_EQ(last_feature_map(b.build()), map);
  }
}

TEST(DrawnNetworks, LabelsNeedOutputs) {
  GraphBuilder b;
  b.output(b.linear(b.flatten(b.input(1, 2, 2)), 3));
  const Graph graph = b.build();
  const auto labels = [](const ProxyInput& input) {
    return static_cast<double>(label_tensor(input).sum().item<std::int64_t>());
  };
  EXPECT_EQ(score_of(labels, graph, normal_batch(6, 2, 1, 3)), 6);
  EXPECT_EQ(throws<ShapeError>([&] { score_of(labels, graph, normal_batch(6, 2, 1, 4)); }),
            "an image of class 3, but the network has 3 outputs");
}

TEST(DrawnNetworks, ImagesKeepTheirPlaces) {
  GraphBuilder b;
  b.output(b.linear(b.flatten(b.input(2, 3, 3)), 2));
  const Graph graph = b.build();
  const ImageBatch images = normal_batch(2, 3, 2, 2);
  score_of(
      [&](const ProxyInput& input) {
        EXPECT_TRUE(image_tensor(input).to(at::kDouble).equal(pixels_of(images)));
        return 0.0;
      },
      graph, images);
}

}  // namespace
}  // namespace espalier
