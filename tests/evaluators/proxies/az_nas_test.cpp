#include "evaluators/proxies/az_nas.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <string>
#include <utility>

#include "core/error.hpp"
#include "evaluators/proxies/drawn_networks.hpp"
#include "graph/builder.hpp"
#include "tests/core/throws.hpp"
#include "tests/evaluators/proxies/scored.hpp"

namespace espalier {
namespace {

using testing::DoubleEq;
using testing::DoubleNear;
using testing::ElementsAre;

const Rng az_rng = Rng(proxy_seed).fork("az_nas");

NodeId conv_block(GraphBuilder& b, NodeId x, std::int64_t width, const char* name) {
  const auto scope = b.scope(name);
  x = b.conv(x, width, {.kernel = 3}, std::string(name) + "_conv");
  return b.activation(b.batch_norm(x), ActivationKind::relu);
}

// Three blocks of two channels: a stem, and a stage of two blocks.
Graph three_blocks(std::vector<NodeId>* ends = nullptr) {
  GraphBuilder b;
  NodeId x = b.input(1, 6, 6);
  std::vector<NodeId> found{x = conv_block(b, x, 2, "stem")};
  {
    const auto stage = b.scope("stage1", "stage");
    found.push_back(x = conv_block(b, x, 2, "block1"));
    found.push_back(x = conv_block(b, x, 2, "block2"));
  }
  const auto head = b.scope("head");
  x = b.activation(b.batch_norm(x), ActivationKind::relu);
  b.output(b.linear(b.flatten(b.global_avg_pool(x)), 4));
  if (ends != nullptr) *ends = found;
  return b.build();
}

// The entropy of each block, from the roots of the characteristic polynomial.
std::vector<double> entropies_of_three_blocks() {
  const at::NoGradGuard no_grad;
  std::vector<NodeId> ends;
  const Graph graph = three_blocks(&ends);
  GraphModule module(graph, {.dtype = at::kDouble});
  draw_normal_weights(module, az_rng, Deviation::fan_in);
  std::vector<double> result;
  module.forward(normal_images(graph, 64, az_rng.fork("images"), at::kCPU).to(at::kDouble),
                 [&](NodeId id, const at::Tensor& output) {
                   if (std::ranges::find(ends, id) == ends.end()) return;
                   const auto mean = [](const at::Tensor& x) { return x.mean().item<double>(); };
                   const at::Tensor x = output.select(1, 0) - mean(output.select(1, 0));
                   const at::Tensor y = output.select(1, 1) - mean(output.select(1, 1));
                   const double xx = mean(x * x), yy = mean(y * y), xy = mean(x * y);
                   const double root = std::sqrt((xx - yy) * (xx - yy) + 4 * xy * xy);
                   double entropy = 0;
                   for (const double sign : {-1.0, 1.0}) {
                     const double share = (xx + yy + sign * root) / 2 / (xx + yy);
                     entropy -= share * std::log(share + 1e-8);
                   }
                   result.push_back(entropy);
                 });
  return result;
}

TEST(AzNas, ExpressivityIsTheEntropyOfPrincipalComponents) {
  const std::vector<double> entropies = entropies_of_three_blocks();
  ASSERT_EQ(entropies.size(), 3u);
  EXPECT_NEAR(score_of(az_expressivity, three_blocks()), entropies[0] + entropies[1] + entropies[2],
              1e-4);
}

TEST(AzNas, ProgressivityIsTheSmallestStep) {
  const std::vector<double> e = entropies_of_three_blocks();
  EXPECT_NEAR(score_of(az_progressivity, three_blocks()), std::min(e[1] - e[0], e[2] - e[1]), 1e-4);
}

// Blocks without batch norms: what comes before, of `width` channels, and one convolution.
Graph linear_blocks(std::int64_t width, const ConvOptions& last) {
  GraphBuilder b;
  NodeId x = b.input(1, 4, 4);
  {
    const auto scope = b.scope("stem");
    x = b.conv(x, width, {.kernel = 3});
  }
  {
    const auto scope = b.scope("block");
    x = b.conv(x, 1, last, "last");
  }
  b.output(b.linear(b.flatten(b.global_avg_pool(x)), 2));
  return b.build();
}

TEST(AzNas, TrainabilityIsTheSpectralNormBetweenGradients) {
  // With one channel out, g' W g is W for any g of 1 and -1, and its norm that of all weights of a
  // pixel; the pixels that a stride joins are channels.
  for (const ConvOptions& last :
       {ConvOptions{}, ConvOptions{.kernel = 2, .stride = 2, .padding = 0}}) {
    const Graph graph = linear_blocks(3, last);
    GraphModule module(graph, {.dtype = at::kDouble});
    draw_normal_weights(module, az_rng, Deviation::fan_in);
    const double norm = module.tensor("block.last.weight").detach().norm().item<double>();
    EXPECT_NEAR(score_of(az_trainability, graph), 2 - norm - 1 / (norm + 1e-6), 1e-5);
  }
}

TEST(AzNas, TrainabilityIsTheMeanOverTheBlocks) {
  // With many pixels, what gradients of 1 and -1 at several channels have in common averages out,
  // and what is left is the matrix of a 1x1 convolution.
  GraphBuilder b;
  NodeId x = b.input(1, 24, 24);
  for (const auto& [name, width] : {std::pair{"stem", 3}, {"first", 3}, {"second", 2}}) {
    const auto scope = b.scope(name);
    x = b.conv(x, width, {.kernel = 1}, std::string(name) + "_conv");
  }
  b.output(b.linear(b.flatten(b.global_avg_pool(x)), 2));
  const Graph graph = b.build();
  GraphModule module(graph, {.dtype = at::kDouble});
  draw_normal_weights(module, az_rng, Deviation::fan_in);
  double expected = 0, by_frobenius = 0;
  for (const char* name : {"first.first_conv.weight", "second.second_conv.weight"}) {
    const at::Tensor matrix = module.tensor(name).detach().flatten(1);
    const double spectral = at::linalg_svdvals(matrix)[0].item<double>();
    const double frobenius = matrix.norm().item<double>();
    expected += (2 - spectral - 1 / spectral) / 2;
    by_frobenius += (2 - frobenius - 1 / frobenius) / 2;
  }
  const double score = score_of(az_trainability, graph);
  EXPECT_NEAR(score, expected, 0.03);
  EXPECT_GT(std::abs(score - by_frobenius), 0.06);
  EXPECT_GT(std::abs(score - 2 * expected), 0.06);  // a sum
}

TEST(AzNas, BlocksThatDoNothingAreDegenerate) {
  const auto network = [](bool zero) {
    GraphBuilder b;
    NodeId x = conv_block(b, b.input(1, 4, 4), 2, "stem");
    {
      const auto scope = b.scope("block");
      x = zero ? b.zero(x) : b.add(std::array{x});
    }
    b.output(b.linear(b.flatten(b.global_avg_pool(x)), 2));
    return b.build();
  };
  EXPECT_EQ(score_of(az_trainability, network(false)), degenerate_score);
  EXPECT_EQ(score_of(az_progressivity, network(false)), 0);
  EXPECT_NEAR(score_of(az_trainability, network(true)), 2 - 1e6, 1e-3);
  EXPECT_EQ(score_of(az_expressivity, network(true)), degenerate_score);
  EXPECT_EQ(score_of(az_progressivity, network(true)), degenerate_score);
}

TEST(AzNas, NeedsTwoBlocks) {
  GraphBuilder b;
  const NodeId x = conv_block(b, b.input(1, 4, 4), 2, "stem");
  b.output(b.linear(b.flatten(b.global_avg_pool(x)), 2));
  const Graph graph = b.build();
  for (const auto& proxy : {az_expressivity, az_progressivity, az_trainability}) {
    EXPECT_EQ(throws<UnsupportedError>([&] { score_of(proxy, graph); }),
              "the proxies of AZ-NAS compare blocks, but the network has 1 of them: scopes whose "
              "output is a feature map");
  }
}

TEST(AzNas, BlocksOfUnevenPixelsHaveNoTrainability) {
  const Graph graph = linear_blocks(3, {.kernel = 2, .padding = 0});  // 4x4 -> 3x3
  EXPECT_EQ(
      throws<UnsupportedError>([&] { score_of(az_trainability, graph); }),
      "the proxy \"az_trainability\" compares blocks whose inputs are whole multiples of their "
      "outputs, but 4x4 pixels become 3x3");
}

TEST(AzNas, BlocksMayLieDeeper) {
  // As in networks that were written for PyTorch: everything is in "features".
  GraphBuilder b;
  NodeId x = b.input(1, 4, 4);
  {
    const auto features = b.scope("features");
    x = conv_block(b, x, 2, "0");
    x = conv_block(b, x, 2, "1");
  }
  b.output(b.linear(b.flatten(b.global_avg_pool(x)), 2));
  EXPECT_GT(score_of(az_expressivity, b.build()), 0);
}

TEST(AzNas, RanksAreAddedUpAsLogarithms) {
  const std::vector<std::vector<double>> scores{{5, 1, 3}, {2, 2, 9}};
  EXPECT_THAT(aggregate_ranks(scores),
              ElementsAre(DoubleNear(std::log(3.0 / 3) + std::log(1.5 / 3), 1e-12),
                          DoubleNear(std::log(1.0 / 3) + std::log(1.5 / 3), 1e-12),
                          DoubleNear(std::log(2.0 / 3) + std::log(3.0 / 3), 1e-12)));
  EXPECT_TRUE(aggregate_ranks({}).empty());
  EXPECT_EQ(throws<NumericalError>([] {
              const std::vector<std::vector<double>> uneven{{1, 2}, {1}};
              aggregate_ranks(uneven);
            }),
            "scores of 2 and of 1 candidates cannot be aggregated");
  throws<NumericalError>([] {
    const std::vector<std::vector<double>> nan{{1, std::numeric_limits<double>::quiet_NaN()}};
    aggregate_ranks(nan);
  });
}

}  // namespace
}  // namespace espalier
