// Oracles of the proxies on networks small enough to work out.
#include <ATen/ATen.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <set>
#include <string>
#include <vector>

#include "evaluators/proxies/passes.hpp"
#include "evaluators/proxies/proxy.hpp"
#include "graph/builder.hpp"
#include "nets/graph_module.hpp"
#include "search_spaces/search_space.hpp"
#include "tests/evaluators/proxies/scored.hpp"

namespace espalier {
namespace {

double score(double (*proxy)(const ProxyInput&), const Graph& graph, const ImageBatch& images = {},
             std::uint64_t seed = 1) {
  const SpaceOfOne space(graph);
  const Architecture a;
  const Network network(space, a);
  const Rng rng(seed);
  return proxy({.network = network, .rng = rng, .images = images});
}

at::Tensor flat_weight(const Graph& graph, const std::string& name, std::uint64_t seed = 1) {
  GraphModule module(graph);
  module.reset_parameters(Rng(seed).fork("weights"), ConvolutionInit::libtorch);
  return module.tensor(name).detach().to(at::kDouble);
}

struct Chain {
  ActivationKind activation = ActivationKind::relu;
  bool extras = false;  // batch norm, dropout, quantization
};
// Two 1x1 convolutions and a classifier on images of one pixel.
Graph chain(const Chain& options) {
  GraphBuilder b;
  NodeId x = b.input(2, 1, 1);
  Compression compression;
  if (options.extras) {
    compression.quantization = Quantization{.weight_bits = 4, .activation_bits = 4};
  }
  x = b.append(op::Conv2d{.out_channels = 3}, std::array{x}, "first", compression);
  if (options.extras) x = b.batch_norm(x);
  x = b.activation(x, options.activation);
  x = b.append(op::Conv2d{.out_channels = 4}, std::array{x}, "second", compression);
  if (options.extras) x = b.dropout(b.batch_norm(x), 0.5);
  b.output(b.append(op::Linear{.out_features = 5}, std::array{b.flatten(x)}, "head", {}));
  return b.build();
}

TEST(Synflow, OfAChainIsItsFlowOncePerLayer) {
  const Graph graph = chain({});
  // All is positive, so R = 1' |head| |second| |first| 1 + |bias|, and the weights of each layer
  // times their gradients sum to R without the bias.
  const auto abs = [&](const char* name) { return flat_weight(graph, name).abs().flatten(1); };
  const double flow = abs("head.weight")
                          .matmul(abs("second.weight"))
                          .matmul(abs("first.weight"))
                          .sum()
                          .item<double>();
  EXPECT_NEAR(score(synflow, graph), 3 * flow, 1e-6 * flow);  // it computes in float32
  const auto by_gradients = [](const ProxyInput& input) {
    ProxyPasses passes(input);
    double sum = 0;
    const ProxyPasses::SynapticFlow& its = passes.synaptic_flow();
    for (std::size_t i = 0; i < its.weights.size(); ++i) {
      sum += (its.weights[i].detach() * its.gradients[i]).abs().sum().item<double>();
    }
    return sum;
  };
  EXPECT_NEAR(score(by_gradients, graph), 3 * flow, 1e-12 * flow);
}

TEST(Synflow, LeavesOutBatchNormDropoutQuantizersAndTheBoundOfRelu6) {
  const double plain = score(synflow, chain({}));
  EXPECT_DOUBLE_EQ(score(synflow, chain({.extras = true})), plain);
  EXPECT_DOUBLE_EQ(score(synflow, chain({.activation = ActivationKind::relu6})), plain);
}

TEST(Synflow, IsTheGradientTimesTheWeight) {
  // Central differences of R in each weight, on a network that is not a chain.
  GraphBuilder b;
  const NodeId in = b.input(1, 3, 3);
  const NodeId x = b.append(op::Conv2d{.out_channels = 2, .kernel = 3, .padding = 1},
                            std::array{in}, "conv", {});
  const NodeId y = b.append(op::Conv2d{.out_channels = 2, .bias = true},
                            std::array{b.activation(x, ActivationKind::hard_swish)}, "point", {});
  b.output(b.linear(b.flatten(b.global_avg_pool(b.add(std::array{x, y}))), 2));
  const Graph graph = b.build();
  GraphModule module(graph, {.dtype = at::kDouble});
  module.reset_parameters(Rng(1).fork("weights"), ConvolutionInit::libtorch);
  const at::NoGradGuard no_grad;
  for (const auto& [name, parameter] : module.parameters()) parameter.abs_();
  const at::Tensor ones = at::ones({1, 1, 3, 3}, at::kDouble);
  double expected = 0;
  for (const auto& [name, parameter] : module.parameters()) {
    if (parameter.dim() < 2) continue;
    const at::Tensor values = parameter.view(-1);
    for (std::int64_t i = 0; i < values.numel(); ++i) {
      const double value = values[i].item<double>(), step = 1e-5;
      const auto flow = [&](double at) {
        values[i] = at;
        return module.forward(ones).sum().item<double>();
      };
      const double gradient = (flow(value + step) - flow(value - step)) / (2 * step);
      values[i] = value;
      expected += std::abs(gradient * value);
    }
  }
  EXPECT_NEAR(score(synflow, graph), expected, 1e-6 * expected);
}

TEST(Synflow, IsZeroWithoutAPath) {
  GraphBuilder b;
  NodeId x = b.conv(b.input(1, 4, 4), 2, {.kernel = 3});
  x = b.batch_norm(b.zero(x, 1));
  b.output(b.linear(b.flatten(b.global_avg_pool(x)), 2));
  EXPECT_EQ(score(synflow, b.build()), 0);
}

ImageBatch random_images(std::int64_t count, std::int64_t size, std::int64_t channels) {
  ImageBatch batch;
  batch.shape = {count, size, size, channels};
  Rng rng(9);
  for (std::int64_t i = 0; i < count * size * size * channels; ++i) {
    batch.pixels.push_back(static_cast<float>(rng.normal()));
  }
  return batch;
}

TEST(Naswot, IsTheLogDeterminantOfAgreements) {
  for (ActivationKind kind :
       {ActivationKind::relu, ActivationKind::relu6, ActivationKind::hard_swish}) {
    GraphBuilder b;
    NodeId x = b.conv(b.input(2, 4, 4), 3, {.kernel = 3});
    x = b.activation(b.batch_norm(x), kind);
    x = b.activation(x, ActivationKind::sigmoid);  // not a rectifier
    x = b.conv(x, 2, {});
    b.output(b.linear(b.flatten(b.activation(x, kind)), 2));
    const Graph graph = b.build();
    const ImageBatch images = random_images(3, 4, 2);

    GraphModule module(graph, {.dtype = at::kDouble});
    module.reset_parameters(Rng(1).fork("weights"), ConvolutionInit::libtorch);
    at::Tensor x_tensor = at::empty({3, 2, 4, 4}, at::kDouble);
    for (std::int64_t n = 0; n < 3; ++n) {
      for (std::int64_t c = 0; c < 2; ++c) {
        for (std::int64_t h = 0; h < 4; ++h) {
          for (std::int64_t w = 0; w < 4; ++w) {
            x_tensor[n][c][h][w] =
                images.pixels[static_cast<std::size_t>(((n * 4 + h) * 4 + w) * 2 + c)];
          }
        }
      }
    }
    double agreements[3][3] = {};
    std::vector<at::Tensor> outputs(graph.size());
    module.forward(x_tensor, [&](NodeId id, const at::Tensor& output) {
      outputs[id] = output.detach().contiguous();
    });
    int units = 0;
    for (NodeId id = 0; id < graph.size(); ++id) {
      const auto* activation = std::get_if<op::Activation>(&graph.node(id).op);
      if (activation == nullptr || activation->kind != kind) continue;
      const at::Tensor before = outputs[graph.inputs(id)[0]].view({3, -1});
      for (std::int64_t unit = 0; unit < before.size(1); ++unit) {
        ++units;
        for (int i = 0; i < 3; ++i) {
          for (int j = 0; j < 3; ++j) {
            agreements[i][j] +=
                (before[i][unit].item<double>() > 0) == (before[j][unit].item<double>() > 0);
          }
        }
      }
    }
    EXPECT_EQ(units, 80);  // 3 + 2 channels of 4x4
    const auto& k = agreements;
    const double determinant = k[0][0] * (k[1][1] * k[2][2] - k[1][2] * k[2][1]) -
                               k[0][1] * (k[1][0] * k[2][2] - k[1][2] * k[2][0]) +
                               k[0][2] * (k[1][0] * k[2][1] - k[1][1] * k[2][0]);
    EXPECT_NEAR(score(naswot, graph, images), std::log(determinant), 1e-9);
  }
}

TEST(Naswot, CountsEveryRectifierOfANode) {
  const auto rectifiers = [](int count) {
    GraphBuilder b;
    const NodeId x = b.conv(b.input(2, 4, 4), 3, {.kernel = 3});
    std::vector<NodeId> terms;
    for (int i = 0; i < count; ++i) terms.push_back(b.activation(x, ActivationKind::relu));
    b.output(b.linear(b.flatten(b.add(terms)), 2));
    return score(naswot, b.build(), random_images(4, 4, 2));
  };
  for (const int count : {2, 3, 4}) {
    EXPECT_NEAR(rectifiers(count), rectifiers(1) + 4 * std::log(count), 1e-9);
  }
}

TEST(Naswot, IsZeroWhereImagesCannotBeToldApart) {
  GraphBuilder b;
  const NodeId x = b.activation(b.zero(b.input(1, 4, 4), 1), ActivationKind::relu);
  b.output(b.linear(b.flatten(x), 2));
  EXPECT_EQ(score(naswot, b.build(), random_images(8, 4, 1)), 0);
  GraphBuilder linear;
  linear.output(linear.linear(linear.flatten(linear.input(1, 4, 4)), 2));
  EXPECT_EQ(score(naswot, linear.build(), random_images(8, 4, 1)), 0);
}

TEST(Naswot, IsZeroWhereUnitsAreFewerThanImages) {
  // K = (units + codes codes') / 2 has the rank units + 1 at most: one less than the 32 images.
  GraphBuilder b;
  const NodeId x = b.activation(b.batch_norm(b.conv(b.input(8, 1, 1), 30)), ActivationKind::relu);
  b.output(b.linear(b.flatten(x), 2));
  const Graph graph = b.build();
  for (std::uint64_t seed = 1; seed <= 5; ++seed) {
    EXPECT_EQ(score(naswot, graph, random_images(32, 1, 8), seed), 0) << seed;
    EXPECT_GT(score(naswot, graph, random_images(16, 1, 8), seed), 0) << seed;
  }
}

TEST(ProxyCatalogue, SaysWhatEachNeeds) {
  std::vector<std::string> with_data, without_data;
  for (const auto& [name, proxy] : proxy_catalogue()) {
    EXPECT_FALSE(proxy.doc.empty()) << name;
    (proxy.needs_data ? with_data : without_data).push_back(name);
  }
  EXPECT_THAT(with_data, testing::UnorderedElementsAre(
                             "epe_nas", "fisher", "grad_norm", "gradsign", "grasp", "jacob_cov",
                             "linear_regions", "naswot", "ntk", "plain", "snip", "swap", "zico"));
  EXPECT_THAT(without_data,
              testing::UnorderedElementsAre("az_complexity", "az_expressivity", "az_progressivity",
                                            "az_trainability", "entropy", "l2_norm", "log_synflow",
                                            "macs", "meco", "params", "synflow", "zen"));
}

}  // namespace
}  // namespace espalier
