#include "evaluators/proxies/activation_proxies.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <set>
#include <string>

#include "core/error.hpp"
#include "evaluators/proxies/drawn_networks.hpp"
#include "graph/builder.hpp"
#include "tests/core/throws.hpp"
#include "tests/evaluators/proxies/scored.hpp"

namespace espalier {
namespace {

using testing::HasSubstr;

// ---- zen and entropy

// Two convolutions with batch norms, a residual link around the second one.
Graph residual_network() {
  GraphBuilder b;
  NodeId x = b.conv(b.input(2, 6, 6), 3, {.kernel = 3}, "first");
  x = b.activation(b.batch_norm(x, {}, "norm1"), ActivationKind::relu);
  const NodeId y = b.batch_norm(b.conv(x, 3, {.kernel = 3}, "second"), {}, "norm2");
  x = b.activation(b.add(x, y), ActivationKind::relu);
  b.output(b.linear(b.flatten(b.global_avg_pool(x)), 4));
  return b.build();
}

// The mean over the four draws of a proxy of what `score` makes of weights and two sets of images.
double mean_over_draws(
    const Graph& graph, const char* proxy,
    const std::function<double(GraphModule&, const at::Tensor&, const at::Tensor&)>& score) {
  const at::NoGradGuard no_grad;
  double sum = 0;
  for (std::uint64_t draw = 0; draw < 4; ++draw) {
    const Rng rng = Rng(proxy_seed).fork(proxy).fork(draw);
    GraphModule module(graph, {.dtype = at::kDouble});
    draw_normal_weights(module, rng.fork("weights"), Deviation::one);
    const auto images = [&](const char* name) {
      return normal_images(graph, 16, rng.fork(name), at::kCPU).to(at::kDouble);
    };
    sum += score(module, images("images"), images("noise"));
  }
  return sum / 4;
}

TEST(Zen, CompensatesForBatchNorms) {
  const Graph graph = residual_network();
  const double expected = mean_over_draws(
      graph, "zen", [&](GraphModule& module, const at::Tensor& x, const at::Tensor& noise) {
        double compensation = 0;
        const auto norm = [&](const at::Tensor& y) {
          const at::Tensor centred = y - y.mean({0, 2, 3}, true);
          const at::Tensor variance = centred.square().sum({0, 2, 3}) / (16 * 36 - 1);
          compensation += std::log(std::sqrt(variance.mean().item<double>()));
          return centred / (centred.square().mean({0, 2, 3}, true) + 1e-5).sqrt();
        };
        const auto features = [&](const at::Tensor& images) {
          const at::Tensor y =
              norm(at::conv2d(images, module.tensor("first.weight"), {}, 1, 1)).relu();
          return (y + norm(at::conv2d(y, module.tensor("second.weight"), {}, 1, 1))).relu();
        };
        const at::Tensor output = features(x);
        const double of_clean_images = compensation;
        const at::Tensor moved = features(x + 0.01 * noise);
        const double distance = (output - moved).abs().sum({1, 2, 3}).mean().item<double>();
        return std::log(distance) + of_clean_images;
      });
  EXPECT_NEAR(score_of(zen, graph), expected, 1e-4 * std::abs(expected));
}

TEST(Zen, GrowsWithWidthThoughBatchNormsHideIt) {
  const auto network = [](std::int64_t width) {
    GraphBuilder b;
    NodeId x = b.batch_norm(b.conv(b.input(2, 6, 6), width, {.kernel = 3}));
    x = b.batch_norm(b.conv(x, 4, {.kernel = 3}));
    b.output(b.linear(b.flatten(b.global_avg_pool(x)), 4));
    return b.build();
  };
  // The second batch norm hides log sqrt(16).
  EXPECT_NEAR(score_of(zen, network(64)) - score_of(zen, network(4)), std::log(4.0), 0.3);
}

TEST(Entropy, OfAChainIsTheSumOfTheLogDeviations) {
  GraphBuilder b;
  NodeId x = b.conv(b.input(2, 8, 8), 3, {.kernel = 3, .bias = true}, "first");
  x = b.activation(b.batch_norm(x), ActivationKind::relu);
  x = b.depthwise(x, {.kernel = 3, .stride = 2}, "second");
  x = b.dropout(b.activation(b.batch_norm(x), ActivationKind::hard_swish), 0.5f);
  x = b.conv(x, 5, {}, "third");
  const NodeId gate =
      b.activation(b.conv(b.global_avg_pool(x), 5, {}, "gate"), ActivationKind::sigmoid);
  x = b.multiply(x, gate);
  b.output(b.linear(b.flatten(b.global_avg_pool(x)), 4));
  const Graph graph = b.build();
  const double expected = mean_over_draws(
      graph, "entropy", [&](GraphModule& module, const at::Tensor& images, const at::Tensor&) {
        double sum = 0;
        at::Tensor y = images;
        const auto divide = [&] {
          sum += std::log(y.std().item<double>());
          y = y / y.std();
        };
        y = at::conv2d(y, module.tensor("first.weight"), {}, 1, 1), divide();
        y = at::conv2d(y, module.tensor("second.weight"), {}, 2, 1, 1, 3), divide();
        y = at::conv2d(y, module.tensor("third.weight")), divide();
        return sum + std::log(5.0);
      });
  EXPECT_NEAR(score_of(entropy_score, graph), expected, 1e-9);
}

TEST(Entropy, OfAWideChainIsAboutTheClosedForm) {
  // The source's closed form: half the log of the fan-in of each layer, and the log of the
  // channels.
  GraphBuilder b;
  NodeId x = b.conv(b.input(3, 4, 4), 100);
  x = b.conv(x, 200);
  b.output(b.linear(b.flatten(b.global_avg_pool(x)), 4));
  EXPECT_NEAR(score_of(entropy_score, b.build()), 0.5 * std::log(3.0 * 100.0) + std::log(200.0),
              0.1);
}

TEST(ConvolutionalProxies, RefuseTransformers) {
  GraphBuilder b;
  const NodeId x = b.layer_norm(b.conv(b.input(1, 4, 4), 2));
  b.output(b.linear(b.flatten(b.global_avg_pool(x)), 4));
  const Graph graph = b.build();
  for (const auto& [name, proxy] : {std::pair{"zen", &zen}, std::pair{"entropy", &entropy_score}}) {
    EXPECT_EQ(throws<UnsupportedError>([&] { score_of(proxy, graph); }),
              "the proxy \"" + std::string(name) +
                  "\" is defined for convolutional networks with batch norms, but this one has the "
                  "operator layer_norm");
  }
}

// ---- activation patterns

Graph rectifier_network(ActivationKind kind = ActivationKind::relu) {
  GraphBuilder b;
  NodeId x = b.conv(b.input(2, 4, 4), 3, {.kernel = 3});
  x = b.activation(b.batch_norm(x), kind, "act1");
  x = b.activation(b.conv(x, 5), kind, "act2");
  b.output(b.linear(b.flatten(b.global_avg_pool(x)), 4));
  return b.build();
}

// For each image, the units that are positive; by hand.
std::vector<std::string> codes(GraphModule& module, const at::Tensor& images) {
  std::vector<std::string> result(static_cast<std::size_t>(images.size(0)));
  module.forward(images, [&](NodeId id, const at::Tensor& output) {
    if (!std::holds_alternative<op::Activation>(module.graph().node(id).op)) return;
    for (std::int64_t i = 0; i < images.size(0); ++i) {
      const at::Tensor units = output[i].contiguous().view(-1);
      for (std::int64_t u = 0; u < units.numel(); ++u) {
        result[static_cast<std::size_t>(i)] += units[u].item<double>() > 0 ? '1' : '0';
      }
    }
  });
  return result;
}

TEST(Swap, CountsPatternsOverImagesNotOverUnits) {
  for (const ActivationKind kind :
       {ActivationKind::relu, ActivationKind::relu6, ActivationKind::hard_swish}) {
    const Graph graph = rectifier_network(kind);
    for (const std::int64_t count : {3, 5, 70}) {
      const at::NoGradGuard no_grad;
      const ImageBatch images = normal_batch(count, 4, 2, 4);
      GraphModule module(graph, {.dtype = at::kDouble});
      draw_normal_weights(module, Rng(proxy_seed).fork("swap"), Deviation::one);
      const std::vector<std::string> rows = codes(module, pixels_of(images));
      std::set<std::string> patterns;
      for (std::size_t unit = 0; unit < rows[0].size(); ++unit) {
        std::string pattern;
        for (const std::string& row : rows) pattern += row[unit];
        patterns.insert(pattern);
      }
      EXPECT_EQ(score_of(swap_score, graph, images), patterns.size()) << count;
      EXPECT_NE(patterns.size(), std::set(rows.begin(), rows.end()).size());
    }
  }
}

TEST(Swap, RegularizedPrefersASize) {
  const Graph graph = rectifier_network();  // 54 + 6 + 15 + 24 parameters
  const ImageBatch images = normal_batch(5, 4, 2, 4);
  const Proxy proxy = regularized_swap({.mu = 0.1, .sigma = 1e-6});
  EXPECT_TRUE(proxy.needs_data);
  EXPECT_NEAR(score_of(proxy.score, graph, images),
              score_of(swap_score, graph, images) * std::exp(-1), 1e-6);
  EXPECT_EQ(throws<ConfigError>([] { regularized_swap({.sigma = 0}); }),
            "sigma of the regularized SWAP is 0, but it is above 0");
}

TEST(ActivationPatterns, NeedRectifiers) {
  GraphBuilder b;
  const NodeId x = b.activation(b.conv(b.input(2, 4, 4), 3), ActivationKind::gelu);
  b.output(b.activation(b.linear(b.flatten(x), 4), ActivationKind::relu));
  const Graph graph = b.build();
  const ImageBatch images = normal_batch(4, 4, 2, 4);
  for (const auto& proxy : {swap_score, linear_regions}) {
    EXPECT_THAT(throws<UnsupportedError>([&] { score_of(proxy, graph, images); }),
                HasSubstr("counts activation patterns of relu, relu6 and hard_swish on feature "
                          "maps, but the network has none"));
  }
}

// Without batch norms, whose statistics depend on which crops are drawn how often.
Graph network_without_norms(std::int64_t channels, std::int64_t size, std::int64_t width) {
  GraphBuilder b;
  NodeId x = b.conv(b.input(channels, size, size), width, {.kernel = 3}, "first");
  x = b.activation(x, ActivationKind::relu);
  x = b.activation(b.depthwise(x, {.kernel = 3}, "depthwise"), ActivationKind::relu);
  x = b.activation(b.conv(x, 2 * width, {.kernel = 3, .stride = 2}, "second"),
                   ActivationKind::relu);
  b.output(b.linear(b.flatten(b.global_avg_pool(x)), 4));
  return b.build();
}

TEST(LinearRegions, AreThePatternsOfSmallImages) {
  // Of images of 4x4 pixels and one channel, crops are the images themselves.
  ImageBatch images = normal_batch(40, 4, 1, 4);
  for (std::size_t i = 0; i < 16; ++i) images.pixels[i + 16] = 2 * images.pixels[i];
  const Graph thin = network_without_norms(1, 4, 1);
  std::size_t expected = 0;
  for (std::uint64_t draw = 0; draw < 3; ++draw) {
    const at::NoGradGuard no_grad;
    GraphModule module(thin, {.dtype = at::kDouble});
    draw_normal_weights(module, Rng(proxy_seed).fork("linear_regions").fork(draw).fork("weights"),
                        Deviation::fan_in);
    const auto rows = codes(module, pixels_of(images));
    expected += std::set(rows.begin(), rows.end()).size();
  }
  EXPECT_LT(expected, 3 * 40u);  // the image of twice the values is in the region of the first
  EXPECT_DOUBLE_EQ(score_of(linear_regions, network_without_norms(1, 4, 6), images),
                   static_cast<double>(expected) / 3);
}

TEST(LinearRegions, ThinNetworksTakeTheirPixelsFromLargerImages) {
  const double regions =
      score_of(linear_regions, network_without_norms(3, 8, 6), normal_batch(20, 8, 3, 4));
  EXPECT_GT(regions, 100);
  EXPECT_LE(regions, 3000);
}

TEST(LinearRegions, SaysWhereThereIsNoThinForm) {
  GraphBuilder b;
  NodeId x = b.channel_shuffle(b.conv(b.input(1, 4, 4), 4), 2);
  x = b.activation(x, ActivationKind::relu);
  b.output(b.linear(b.flatten(b.global_avg_pool(x)), 4));
  const Graph graph = b.build();
  EXPECT_EQ(
      throws<UnsupportedError>([&] { score_of(linear_regions, graph, normal_batch(4, 4, 1, 4)); }),
      "the proxy \"linear_regions\" scores a thin form of the network, but the operator "
      "channel_shuffle has none");
  EXPECT_EQ(
      throws<UnsupportedError>([&] {
        score_of(linear_regions, network_without_norms(1, 3, 2), normal_batch(4, 3, 1, 4));
      }),
      "the proxy \"linear_regions\" scores a thin form of the network, but this one has none: "
      "images of 3 pixels are too small");
}

// ---- meco

TEST(Meco, IsTheSumOfSmallestEigenvalues) {
  GraphBuilder b;
  NodeId x = b.conv(b.input(1, 5, 5), 2, {.kernel = 3}, "conv");
  x = b.activation(x, ActivationKind::relu);
  b.output(b.linear(b.flatten(b.global_avg_pool(x)), 4));
  const Graph graph = b.build();
  const at::NoGradGuard no_grad;
  GraphModule module(graph, {.dtype = at::kDouble});
  module.reset_parameters(Rng(proxy_seed).fork("weights"), ConvolutionInit::libtorch);
  const at::Tensor image =
      normal_images(graph, 1, Rng(proxy_seed).fork("meco"), at::kCPU).to(at::kDouble);
  // Of two channels that correlate with r, the eigenvalues are 1 + r and 1 - r.
  const auto smallest = [](const at::Tensor& map) {
    const at::Tensor u = map[0][0] - map[0][0].mean(), v = map[0][1] - map[0][1].mean();
    const double r = ((u * v).sum() / (u.square().sum() * v.square().sum()).sqrt()).item<double>();
    return 1 - std::abs(r);
  };
  const at::Tensor map = at::conv2d(image, module.tensor("conv.weight"), {}, 1, 1);
  EXPECT_NEAR(score_of(meco, graph), smallest(map) + smallest(map.relu()), 1e-5);
}

TEST(Meco, ConstantChannelsCorrelateWithNothing) {
  GraphBuilder b;
  const NodeId x = b.zero(b.conv(b.input(1, 5, 5), 1), 1);  // alone, a channel has 1
  b.output(b.linear(b.flatten(b.global_avg_pool(x)), 4));
  EXPECT_NEAR(score_of(meco, b.build()), 1, 1e-9);
  GraphBuilder flat;
  flat.output(flat.linear(flat.flatten(flat.input(1, 5, 5)), 4));
  const Graph graph = flat.build();
  EXPECT_EQ(throws<UnsupportedError>([&] { score_of(meco, graph); }),
            "the proxy \"meco\" compares channels of feature maps, but the network has none behind "
            "its input");
}

}  // namespace
}  // namespace espalier
