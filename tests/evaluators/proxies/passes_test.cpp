// Oracles of the proxies that read passes over images: finite differences in float64.
#include "evaluators/proxies/passes.hpp"

#include <ATen/ATen.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <torch/autograd.h>

#include <array>
#include <cmath>
#include <functional>
#include <numeric>
#include <string>
#include <vector>

#include "core/error.hpp"
#include "graph/builder.hpp"
#include "search_spaces/nasbench201.hpp"
#include "tests/core/throws.hpp"
#include "tests/evaluators/proxies/scored.hpp"

namespace espalier {
namespace {

using testing::HasSubstr;

const Rng rng(1);

// What a proxy sees of a graph.
struct Scene {
  Scene(const Graph& graph, ImageBatch batch) : space(graph), images(std::move(batch)) {}

  ProxyInput input(ProxyPasses* passes = nullptr) const {
    return {.network = network, .rng = rng, .images = images, .passes = passes};
  }
  double score(double (*proxy)(const ProxyInput&)) const { return proxy(input()); }
  // {N,C,H,W} in float64
  at::Tensor batch() const {
    const auto& [n, h, w, c] = images.shape;
    return at::tensor(images.pixels).view({n, h, w, c}).permute({0, 3, 1, 2}).to(at::kDouble);
  }

  SpaceOfOne space;
  Architecture architecture;
  Network network{space, architecture};
  ImageBatch images;
};

ImageBatch random_images(std::int64_t count, std::int64_t size, std::int64_t channels,
                         std::int64_t classes) {
  ImageBatch batch;
  batch.shape = {count, size, size, channels};
  Rng draws(9);
  for (std::int64_t i = 0; i < count * size * size * channels; ++i) {
    batch.pixels.push_back(static_cast<float>(draws.normal()));
  }
  for (std::int64_t i = 0; i < count; ++i) batch.labels.push_back((i * i + 1) % classes);
  return batch;
}

enum class Norms { none, batch };

// Dense, grouped and depthwise convolutions, some with biases, pooling, a branch and three classes.
Graph branches(Norms norms) {
  GraphBuilder b;
  const auto normal = [&](NodeId x) { return norms == Norms::batch ? b.batch_norm(x) : x; };
  const auto conv = [&](const op::Conv2d& op, NodeId x, const char* name) {
    return b.append(op, std::array{x}, name, {});
  };
  const NodeId x = b.input(2, 4, 4);
  const NodeId first =
      normal(conv({.out_channels = 4, .kernel = 3, .padding = 1, .bias = true}, x, "first"));
  NodeId y = b.activation(first, ActivationKind::hard_swish);
  y = conv({.kernel = 3, .padding = 1, .group_width = 1}, y, "depthwise");
  y = conv({.out_channels = 4, .group_width = 2}, b.activation(y, ActivationKind::swish),
           "grouped");
  y = b.add(std::array{normal(y), b.avg_pool(first, {.kernel = 3, .stride = 1})});
  y = b.activation(y, ActivationKind::gelu);
  b.output(b.append(op::Linear{.out_features = 3}, std::array{b.flatten(b.global_avg_pool(y))},
                    "head", {}));
  return b.build();
}

// The same network in float64.
struct Reference {
  explicit Reference(const Graph& graph) : module(graph, {.dtype = at::kDouble}) {
    module.reset_parameters(rng.fork("weights"), ConvolutionInit::libtorch);
    for (const auto& [name, parameter] : module.parameters()) {
      if (name.ends_with(".weight") && parameter.dim() > 1) weights.push_back(parameter);
    }
  }
  // The mean cross entropy, by its formula.
  double loss(const at::Tensor& x, const std::vector<std::int64_t>& labels) {
    const at::NoGradGuard no_grad;
    const at::Tensor logits = module.forward(x);
    double sum = 0;
    for (std::int64_t n = 0; n < x.size(0); ++n) {
      double exponentials = 0;
      for (std::int64_t k = 0; k < logits.size(1); ++k) {
        exponentials += std::exp(logits[n][k].item<double>());
      }
      sum += std::log(exponentials) - logits[n][labels[static_cast<std::size_t>(n)]].item<double>();
    }
    return sum / static_cast<double>(x.size(0));
  }

  GraphModule module;
  std::vector<at::Tensor> weights;
};

// All numbers of a weight, in the order of memory.
at::Tensor numbers_of(const at::Tensor& weight) {
  return weight.detach().as_strided({weight.numel()}, {1});
}

// The central difference of f in a number of a tensor.
double difference(const at::Tensor& number, const std::function<double()>& f, double step = 1e-5) {
  const at::NoGradGuard no_grad;
  const double value = number.item<double>();
  const auto at = [&](double moved) {
    number.fill_(moved);
    return f();
  };
  const double result = (at(value + step) - at(value - step)) / (2 * step);
  number.fill_(value);
  return result;
}

TEST(LossProxies, EqualFiniteDifferences) {
  const Graph graph = branches(Norms::batch);
  const Scene scene(graph, random_images(5, 4, 2, 3));
  Reference reference(graph);
  ASSERT_EQ(reference.weights.size(), 4u);
  double sum = 0, absolute = 0, norms = 0;
  for (const at::Tensor& weight : reference.weights) {
    const at::Tensor numbers = numbers_of(weight);
    double squares = 0;
    for (std::int64_t i = 0; i < numbers.numel(); ++i) {
      const double gradient = difference(
          numbers[i], [&] { return reference.loss(scene.batch(), scene.images.labels); });
      const double product = gradient * numbers[i].item<double>();
      sum += product;
      absolute += std::abs(product);
      squares += gradient * gradient;
    }
    norms += std::sqrt(squares);
  }
  EXPECT_NEAR(scene.score(plain), sum, 1e-5 * absolute);
  EXPECT_NEAR(scene.score(snip), absolute, 1e-5 * absolute);
  EXPECT_NEAR(scene.score(grad_norm), norms, 1e-5 * norms);
}

TEST(L2Norm, IsTheSumOfTheLayersNorms) {
  const Graph graph = branches(Norms::batch);
  Reference reference(graph);
  double expected = 0;
  for (const at::Tensor& weight : reference.weights) {
    expected += std::sqrt(weight.square().sum().item<double>());
  }
  EXPECT_NEAR(Scene(graph, {}).score(l2_norm), expected, 1e-6 * expected);
}

TEST(Grasp, IsTheChangeOfTheGradientAlongItself) {
  const Graph graph = branches(Norms::batch);
  const Scene scene(graph, random_images(8, 4, 2, 3));
  Reference reference(graph);
  const auto gradients = [&] {
    const at::Tensor loss = at::cross_entropy_loss(reference.module.forward(scene.batch()),
                                                   at::tensor(scene.images.labels, at::kLong));
    return torch::autograd::grad({loss}, reference.weights);
  };
  const std::vector<at::Tensor> gradient = gradients();
  constexpr double step = 1e-5;
  const auto move = [&](double by) {
    const at::NoGradGuard no_grad;
    for (std::size_t i = 0; i < gradient.size(); ++i) reference.weights[i].add_(gradient[i] * by);
  };
  move(step);
  const std::vector<at::Tensor> ahead = gradients();
  move(-2 * step);
  const std::vector<at::Tensor> behind = gradients();
  move(step);
  double expected = 0, size = 0;
  for (std::size_t i = 0; i < gradient.size(); ++i) {
    const at::Tensor products = reference.weights[i] * (ahead[i] - behind[i]) / (2 * step);
    expected -= products.sum().item<double>();
    size += products.abs().sum().item<double>();
  }
  EXPECT_GT(std::abs(expected), 0.01 * size);
  EXPECT_NEAR(scene.score(grasp), expected, 1e-5 * size);
}

TEST(Fisher, SquaresTheSumsOfImagesFoundByFiniteDifferences) {
  // Without batch norms images do not meet, so the sum over places of y dloss/dy of an image is how
  // its share of the loss grows with the channel, that is, with the weights that make it.
  const Graph graph = branches(Norms::none);
  const Scene scene(graph, random_images(4, 4, 2, 3));
  Reference reference(graph);
  const at::Tensor images = scene.batch();
  const at::Tensor factor = at::ones({}, at::kDouble);
  double expected = 0;
  for (const auto& [name, parameter] : reference.module.parameters()) {
    if (!name.ends_with(".weight")) continue;
    const std::string bias_name = name.substr(0, name.size() - 6) + "bias";
    at::Tensor bias;
    for (const auto& [other, value] : reference.module.parameters()) {
      if (other == bias_name) bias = value.detach();
    }
    const at::Tensor weight = parameter.detach();
    for (std::int64_t k = 0; k < weight.size(0); ++k) {
      const at::Tensor row = weight[k].clone();
      const at::Tensor offset = bias.defined() ? bias[k].clone() : at::Tensor();
      double squares = 0;
      for (std::int64_t n = 0; n < images.size(0); ++n) {
        const double slope = difference(factor, [&] {
          weight[k].copy_(row * factor);
          if (bias.defined()) bias[k].copy_(offset * factor);
          return reference.loss(images.slice(0, n, n + 1),
                                {scene.images.labels[static_cast<std::size_t>(n)]}) /
                 4;
        });
        squares += slope * slope;
      }
      weight[k].copy_(row);
      if (bias.defined()) bias[k].copy_(offset);
      expected += 0.5 * squares / 4 * static_cast<double>(row.numel());
    }
  }
  EXPECT_NEAR(scene.score(fisher), expected, 1e-5 * expected);
}

TEST(JacobCov, IsTheSumOverTheEigenvaluesOfCorrelations) {
  const Graph graph = branches(Norms::batch);
  const Scene scene(graph, random_images(3, 4, 2, 3));
  Reference reference(graph);
  const at::Tensor images = scene.batch().contiguous();
  const at::Tensor numbers = images.view({3, -1});
  const auto outputs = [&] { return reference.module.forward(images).sum().item<double>(); };
  constexpr std::size_t pixels = 32;
  std::array<std::array<double, pixels>, 3> rows;
  for (std::size_t n = 0; n < 3; ++n) {
    for (std::size_t i = 0; i < pixels; ++i) {
      rows[n][i] =
          difference(numbers[static_cast<std::int64_t>(n)][static_cast<std::int64_t>(i)], outputs);
    }
    const double mean = std::accumulate(rows[n].begin(), rows[n].end(), 0.0) / pixels;
    for (double& value : rows[n]) value -= mean;
  }
  // Of the matrix m with eigenvalues v + k: the sum of log(v + k) is the logarithm of its
  // determinant, that of 1 / (v + k) the sum of its principal minors divided by it.
  double m[3][3];
  const auto product = [&](std::size_t a, std::size_t b) {
    return std::inner_product(rows[a].begin(), rows[a].end(), rows[b].begin(), 0.0);
  };
  for (std::size_t a = 0; a < 3; ++a) {
    for (std::size_t b = 0; b < 3; ++b) {
      m[a][b] = product(a, b) / std::sqrt(product(a, a) * product(b, b)) + (a == b ? 1e-5 : 0);
    }
  }
  const auto minor = [&](int a, int b) { return m[a][a] * m[b][b] - m[a][b] * m[b][a]; };
  const double determinant = m[0][0] * minor(1, 2) -
                             m[0][1] * (m[1][0] * m[2][2] - m[1][2] * m[2][0]) +
                             m[0][2] * (m[1][0] * m[2][1] - m[1][1] * m[2][0]);
  const double expected =
      -(std::log(determinant) + (minor(0, 1) + minor(0, 2) + minor(1, 2)) / determinant);
  EXPECT_NEAR(scene.score(jacob_cov), expected, 1e-4 * std::abs(expected));
}

TEST(JacobCov, IsLowestWhereImagesCorrelateFully) {
  constexpr int images = 4;
  const double lowest =
      -(std::log(images + 1e-5) + 1 / (images + 1e-5) + (images - 1) * (std::log(1e-5) + 1 / 1e-5));
  GraphBuilder cut;
  cut.output(cut.linear(cut.flatten(cut.zero(cut.input(1, 4, 4), 1)), 2));
  EXPECT_NEAR(Scene(cut.build(), random_images(images, 4, 1, 2)).score(jacob_cov), lowest, 1e-3);
  // The gradient of the mean: equal numbers.
  GraphBuilder flat;
  flat.output(flat.linear(flat.flatten(flat.global_avg_pool(flat.input(1, 4, 4))), 2));
  EXPECT_NEAR(Scene(flat.build(), random_images(images, 4, 1, 2)).score(jacob_cov), lowest, 1e-3);
  // A linear network has one gradient for all images.
  GraphBuilder linear;
  linear.output(linear.linear(linear.flatten(linear.input(1, 4, 4)), 2));
  EXPECT_NEAR(Scene(linear.build(), random_images(images, 4, 1, 2)).score(jacob_cov), lowest, 1);
}

TEST(LogSynflow, TakesTheLogarithmOfEachGradient) {
  const Graph graph = branches(Norms::none);
  Reference reference(graph);
  const at::NoGradGuard no_grad;
  for (const auto& [name, parameter] : reference.module.parameters()) parameter.abs_();
  const at::Tensor ones = at::ones({1, 2, 4, 4}, at::kDouble);
  double expected = 0;
  for (const at::Tensor& weight : reference.weights) {
    const at::Tensor numbers = numbers_of(weight);
    for (std::int64_t i = 0; i < numbers.numel(); ++i) {
      const double gradient = difference(
          numbers[i], [&] { return reference.module.forward(ones).sum().item<double>(); });
      expected += numbers[i].item<double>() * std::log1p(std::abs(gradient));
    }
  }
  EXPECT_NEAR(Scene(graph, {}).score(log_synflow), expected, 1e-6 * expected);
}

const std::vector<double (*)(const ProxyInput&)> all_scores{
    l2_norm, plain, grad_norm, snip, grasp, fisher, jacob_cov, synflow, log_synflow, naswot};
const std::set<ProxyPass> all_passes{
    ProxyPass::loss_gradients,  ProxyPass::channel_saliencies, ProxyPass::hessian_gradient_products,
    ProxyPass::input_gradients, ProxyPass::agreements,         ProxyPass::synaptic_flow};

TEST(ProxyPasses, SharedOrNotGiveTheSameScores) {
  GraphBuilder b;  // dropout and ranges of activations, which a pass moves
  Compression compression;
  compression.quantization = Quantization{.weight_bits = 8, .activation_bits = 8};
  NodeId x = b.append(op::Conv2d{.out_channels = 6, .kernel = 3, .padding = 1},
                      std::array{b.input(2, 4, 4)}, "first", {});
  x = b.dropout(b.activation(b.batch_norm(x), ActivationKind::relu), 0.3f);
  x = b.append(op::Conv2d{.out_channels = 4, .kernel = 3, .padding = 1}, std::array{x}, "second",
               compression);
  x = b.activation(b.batch_norm(x), ActivationKind::relu);
  b.output(b.linear(b.flatten(x), 3));
  const Scene scene(b.build(), random_images(5, 4, 2, 3));
  std::vector<double> apart;
  for (const auto proxy : all_scores) apart.push_back(scene.score(proxy));
  const auto expect_same = [&](const std::set<ProxyPass>& announced, bool forwards) {
    ProxyPasses passes(scene.input(), announced);
    for (std::size_t i = 0; i < all_scores.size(); ++i) {
      const std::size_t p = forwards ? i : all_scores.size() - 1 - i;
      EXPECT_NEAR(all_scores[p](scene.input(&passes)), apart[p], 1e-4 * std::abs(apart[p])) << p;
    }
  };
  expect_same(all_passes, true);
  expect_same(all_passes, false);
  expect_same({}, true);
  expect_same({}, false);
  expect_same({ProxyPass::agreements, ProxyPass::channel_saliencies}, true);
}

TEST(ProxyPasses, AnnouncedOnesAreMadeTogether) {
  const Scene scene(branches(Norms::batch), random_images(5, 4, 2, 3));
  ProxyPasses passes(scene.input(), {ProxyPass::loss_gradients, ProxyPass::agreements});
  passes.agreements();
  // The batch norms' statistics have learned of one batch, not of two.
  const at::Tensor mean = passes.module().buffers()[0].second.clone();
  passes.loss_gradients();
  EXPECT_TRUE(at::equal(passes.module().buffers()[0].second, mean));
}

TEST(ProxyPasses, WithoutSecondDerivativesNothingRunsThatWantsThem) {
  GraphBuilder b;
  const NodeId x =
      b.activation(b.conv(b.input(1, 4, 4), 2, {.kernel = 3}), ActivationKind::hard_sigmoid);
  b.output(b.linear(b.flatten(b.global_avg_pool(x)), 2));
  const Scene scene(b.build(), random_images(4, 4, 1, 2));
  for (const auto proxy : {snip, grasp}) {
    ProxyPasses passes(scene.input(),
                       {ProxyPass::loss_gradients, ProxyPass::hessian_gradient_products});
    EXPECT_THAT(throws<UnsupportedError>([&] { proxy(scene.input(&passes)); }),
                testing::HasSubstr("hard sigmoid"));
  }
  EXPECT_GT(scene.score(snip), 0);
}

TEST(ProxyPasses, WithoutAPathNothingCounts) {
  GraphBuilder b;
  NodeId x = b.batch_norm(b.zero(b.conv(b.input(1, 4, 4), 2, {.kernel = 3}), 1));
  x = b.activation(b.batch_norm(b.conv(x, 3, {})), ActivationKind::relu);
  b.output(b.linear(b.flatten(b.global_avg_pool(x)), 2));
  const Scene scene(b.build(), random_images(4, 4, 1, 2));
  for (const auto proxy : {plain, grad_norm, snip, grasp}) EXPECT_EQ(scene.score(proxy), 0);
  // The head's outputs are its biases, and the loss depends on them.
  EXPECT_GT(scene.score(fisher), 0);
}

TEST(ProxyPasses, DisconnectedCellsHaveFiniteScores) {
  const auto space =
      make_nasbench201({.input = {1, 8, 8}, .classes = 3, .channels = 4, .cells = 1});
  const ImageBatch images = random_images(4, 8, 1, 3);
  for (const Architecture& a : {Architecture{{0, 0, 0, 0, 0, 0}}, Architecture{{3, 0, 2, 0, 0, 0}},
                                Architecture{{1, 1, 1, 1, 1, 1}}}) {
    const Network network(*space, a);
    for (const auto proxy : all_scores) {
      EXPECT_TRUE(std::isfinite(proxy({.network = network, .rng = rng, .images = images})));
    }
  }
}

TEST(ProxyPasses, RefuseALabelThatIsNoOutput) {
  const Scene scene(branches(Norms::batch), random_images(5, 4, 2, 9));
  EXPECT_THAT(throws<ShapeError>([&] { scene.score(snip); }),
              HasSubstr("but the network has 3 outputs: set the space's \"classes\""));
}

}  // namespace
}  // namespace espalier
