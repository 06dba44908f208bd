#include "evaluators/proxies/gradient_proxies.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <map>

#include "core/error.hpp"
#include "evaluators/proxies/drawn_networks.hpp"
#include "graph/builder.hpp"
#include "tests/core/throws.hpp"
#include "tests/evaluators/proxies/scored.hpp"

namespace espalier {
namespace {

// A convolution with a batch norm, a smooth activation, and a classifier.
Graph smooth_network(std::int64_t outputs) {
  GraphBuilder b;
  NodeId x = b.conv(b.input(1, 3, 3), 2, {.kernel = 3}, "conv");
  x = b.activation(b.batch_norm(x, {}, "norm"), ActivationKind::tanh);
  b.output(b.linear(b.flatten(x), outputs, {}, "head"));
  return b.build();
}

GraphModule drawn_module(const Graph& graph) {
  GraphModule module(graph, {.dtype = at::kDouble});
  module.reset_parameters(Rng(proxy_seed).fork("weights"), ConvolutionInit::libtorch);
  return module;
}

// ---- epe_nas

// |correlation| of two rows.
double correlation(const at::Tensor& a, const at::Tensor& b) {
  const at::Tensor x = a - a.mean(), y = b - b.mean();
  return std::abs(((x * y).sum() / (x.square().sum() * y.square().sum()).sqrt()).item<double>());
}

// By class, the sum over pairs of its images of log(|correlation| + 1e-5), of gradients of the sum
// of all outputs by finite differences.
std::map<std::int64_t, double> class_sums(const Graph& graph, const ImageBatch& images) {
  GraphModule module = drawn_module(graph);
  const at::Tensor x = pixels_of(images);
  const at::Tensor gradients =
      differences(x, [&] { return module.forward(x).sum().item<double>(); }).flatten(1);
  std::map<std::int64_t, double> sums;
  for (std::int64_t i = 0; i < x.size(0); ++i) {
    for (std::int64_t j = 0; j < x.size(0); ++j) {
      const auto label = [&](std::int64_t k) { return images.labels[static_cast<std::size_t>(k)]; };
      if (label(i) != label(j)) continue;
      sums[label(i)] += std::log(correlation(gradients[i], gradients[j]) + 1e-5);
    }
  }
  return sums;
}

TEST(EpeNas, ComparesImagesOfOneClassOnly) {
  const Graph graph = smooth_network(3);
  const ImageBatch images = normal_batch(7, 3, 1, 3);  // classes of 3, 2 and 2 images
  double expected = 0;
  for (const auto& [label, sum] : class_sums(graph, images)) expected += std::abs(sum);
  EXPECT_NEAR(score_of(epe_nas, graph, images), expected, 1e-3 * expected);
}

TEST(EpeNas, ComparesClassesWhereTheyAreMany) {
  const Graph graph = smooth_network(101);
  ImageBatch images = normal_batch(8, 3, 1, 3);  // classes of 3, 3 and 2 images
  images.labels[7] = 50;                         // and now one of a single image
  std::map<std::int64_t, double> sums = class_sums(graph, images);
  const double a = sums[0] / 3, b = sums[1] / 2, c = sums[2] / 2;
  ASSERT_EQ(sums.size(), 4u);
  EXPECT_NEAR(score_of(epe_nas, graph, images),
              2 * (std::abs(a - b) + std::abs(a - c) + std::abs(b - c)) / 3, 1e-3);
  images.labels = {0, 1, 2, 3, 4, 5, 6, 7};
  EXPECT_EQ(score_of(epe_nas, graph, images), 0);
}

// ---- ntk

TEST(Ntk, OfALinearNetworkIsThatOfTheImages) {
  // The gradient of the sum of outputs at each row of weights is the image. Biases, which would add
  // 1 to all products, do not count.
  GraphBuilder b;
  b.output(b.linear(b.flatten(b.input(2, 2, 2)), 3));
  const ImageBatch images = normal_batch(4, 2, 2, 3);
  const at::Tensor rows = pixels_of(images).flatten(1);
  const at::Tensor eigenvalues = torch::linalg_eigvalsh(torch::mm(rows, rows.t()));
  const double expected = eigenvalues[3].item<double>() / eigenvalues[0].item<double>();
  EXPECT_NEAR(score_of(ntk, b.build(), images), expected, 1e-4 * expected);
}

TEST(Ntk, IsTheConditionNumberOfTheKernel) {
  const Graph graph = smooth_network(3);
  const ImageBatch images = normal_batch(4, 3, 1, 3);
  GraphModule module(graph, {.dtype = at::kDouble});
  draw_normal_weights(module, Rng(proxy_seed).fork("ntk"), Deviation::fan_out);
  const at::Tensor x = pixels_of(images);
  std::vector<at::Tensor> rows;
  for (std::int64_t i = 0; i < 4; ++i) {
    std::vector<at::Tensor> parts;
    for (const char* name : {"conv.weight", "norm.weight", "head.weight"}) {
      parts.push_back(differences(module.tensor(name), [&] {
                        return module.forward(x)[i].sum().item<double>();
                      }).flatten());
    }
    rows.push_back(torch::cat(parts));
  }
  const at::Tensor matrix = torch::stack(rows);
  const at::Tensor eigenvalues = torch::linalg_eigvalsh(torch::mm(matrix, matrix.t()));
  const double expected = eigenvalues[3].item<double>() / eigenvalues[0].item<double>();
  EXPECT_NEAR(score_of(ntk, graph, images), expected, 1e-3 * expected);
}

TEST(Ntk, IsLimitedWhereTheKernelIsSingular) {
  ImageBatch images = normal_batch(4, 3, 1, 3);
  std::copy_n(images.pixels.begin(), 9, images.pixels.begin() + 9);  // the same image twice
  EXPECT_EQ(score_of(ntk, smooth_network(3), images), 1e8);
}

// ---- zico and gradsign

// The gradients of the mean cross entropy of some images at the weights of both layers.
std::array<at::Tensor, 2> loss_gradients(GraphModule& module, const ImageBatch& images,
                                         std::int64_t begin, std::int64_t end) {
  const at::Tensor x = pixels_of(images).slice(0, begin, end);
  const auto loss = [&] {
    const at::Tensor outputs = module.forward(x);
    double sum = 0;
    for (std::int64_t i = 0; i < end - begin; ++i) {
      const std::int64_t label = images.labels[static_cast<std::size_t>(begin + i)];
      sum += (outputs[i].exp().sum().log() - outputs[i][label]).item<double>();
    }
    return sum / static_cast<double>(end - begin);
  };
  return {differences(module.tensor("conv.weight"), loss),
          differences(module.tensor("head.weight"), loss)};
}

TEST(Zico, IsTheInverseCoefficientOfVariation) {
  const Graph graph = smooth_network(3);
  const ImageBatch images = normal_batch(9, 3, 1, 3);  // the last one is left out
  GraphModule module = drawn_module(graph);
  const auto first = loss_gradients(module, images, 0, 4);
  const auto second = loss_gradients(module, images, 4, 8);
  double expected = 0;
  for (std::size_t layer = 0; layer < 2; ++layer) {
    const at::Tensor both = torch::stack({first[layer], second[layer]});
    expected += (both.abs().mean(0) / both.std(0, /*unbiased=*/false)).sum().log().item<double>();
  }
  EXPECT_NEAR(score_of(zico, graph, images), expected, 1e-3 * std::abs(expected));
}

TEST(Zico, LeavesOutWeightsWhoseGradientsDoNotVary) {
  // Pixels that are 0 have gradients of 0 in both halves: 0 / 0.
  GraphBuilder b;
  b.output(b.linear(b.flatten(b.input(1, 2, 2)), 2));
  ImageBatch images = normal_batch(4, 2, 1, 2);
  for (std::size_t i = 0; i < 16; i += 4) images.pixels[i] = 0;
  const Graph graph = b.build();
  const double score = score_of(zico, graph, images);
  EXPECT_TRUE(std::isfinite(score));
  EXPECT_NE(score, 0);
  std::ranges::fill(images.pixels, 0.0f);
  EXPECT_EQ(score_of(zico, graph, images), 0);
}

TEST(GradSign, CountsHowImagesAgreeOnTheDirection) {
  const Graph graph = smooth_network(3);
  const ImageBatch images = normal_batch(5, 3, 1, 3);
  GraphModule module = drawn_module(graph);
  std::array<at::Tensor, 2> sums{at::zeros({2, 1, 3, 3}, at::kDouble),
                                 at::zeros({3, 18}, at::kDouble)};
  for (std::int64_t i = 0; i < 5; ++i) {
    const auto gradients = loss_gradients(module, images, i, i + 1);
    for (std::size_t layer = 0; layer < 2; ++layer) sums[layer] += gradients[layer].sign();
  }
  const double expected = (sums[0].abs().sum() + sums[1].abs().sum()).item<double>();
  EXPECT_EQ(score_of(gradsign, graph, images), expected);
  EXPECT_LT(expected, 5 * (18 + 54));
}

TEST(GradSign, NeedsMoreThanOneValueOfAnImageInABatchNorm) {
  GraphBuilder b;
  const NodeId x = b.batch_norm(b.conv(b.global_avg_pool(b.input(1, 4, 4)), 2));
  b.output(b.linear(b.flatten(x), 2));
  const Graph graph = b.build();
  throws<NumericalError>([&] { score_of(gradsign, graph, normal_batch(4, 4, 1, 2)); });
}

}  // namespace
}  // namespace espalier
