// Proxies that compare the gradients of the loss of several batches.
#include <torch/autograd.h>
#include <torch/types.h>

#include <algorithm>
#include <array>
#include <cmath>

#include "evaluators/proxies/drawn_networks.hpp"
#include "evaluators/proxies/gradient_proxies.hpp"

namespace espalier {
namespace {

struct Differentiable {
  GraphModule module;
  std::vector<at::Tensor> weights;
};

Differentiable network_of(const ProxyInput& input) {
  GraphModule module(input.network.graph(), {.device = at::Device(input.device)});
  module.reset_parameters(input.rng.fork("weights"), ConvolutionInit::libtorch);
  for (const auto& [name, parameter] : module.parameters()) parameter.requires_grad_(false);
  std::vector<at::Tensor> weights = layer_weights(module);
  for (at::Tensor& weight : weights) weight.requires_grad_(true);
  return {std::move(module), std::move(weights)};
}

// Of the mean cross entropy at each weight; undefined where the loss does not depend on it.
std::vector<at::Tensor> gradients_of(Differentiable& network, const at::Tensor& images,
                                     const at::Tensor& labels) {
  const at::Tensor outputs = network.module.forward(images).flatten(1);
  if (!outputs.requires_grad()) return std::vector<at::Tensor>(network.weights.size());
  return torch::autograd::grad({at::cross_entropy_loss(outputs, labels)}, network.weights, {},
                               /*retain_graph=*/{}, /*create_graph=*/false,
                               /*allow_unused=*/true);
}

}  // namespace

double zico(const ProxyInput& input) {
  const at::AutoGradMode gradients_wanted(true);  // whatever the caller has set
  Differentiable network = network_of(input);
  const at::Tensor images = image_tensor(input), labels = label_tensor(input);
  const std::int64_t half = images.size(0) / 2;
  std::array<std::vector<at::Tensor>, 2> gradients;
  for (std::int64_t i = 0; i < 2; ++i) {
    gradients[static_cast<std::size_t>(i)] =
        gradients_of(network, images.narrow(0, i * half, half), labels.narrow(0, i * half, half));
  }
  double score = 0;
  for (std::size_t layer = 0; layer < network.weights.size(); ++layer) {
    if (!gradients[0][layer].defined()) continue;
    const at::Tensor first = gradients[0][layer].to(torch::kDouble);
    const at::Tensor second = gradients[1][layer].to(torch::kDouble);
    // Of two numbers: the mean of the absolute values over the (biased) standard deviation.
    const at::Tensor deviation = (first - second).abs();
    const at::Tensor ratios = (first.abs() + second.abs()) / deviation;
    const double sum = ratios.masked_select(deviation > 0).sum().item<double>();
    if (sum > 0) score += std::log(sum);
  }
  return score;
}

double gradsign(const ProxyInput& input) {
  const at::AutoGradMode gradients_wanted(true);  // whatever the caller has set
  Differentiable network = network_of(input);
  const at::Tensor images = image_tensor(input), labels = label_tensor(input);
  std::vector<at::Tensor> signs(network.weights.size());
  for (std::int64_t i = 0; i < images.size(0); ++i) {
    const auto gradients = gradients_of(network, images.narrow(0, i, 1), labels.narrow(0, i, 1));
    for (std::size_t layer = 0; layer < gradients.size(); ++layer) {
      if (!gradients[layer].defined()) continue;
      const at::Tensor sign = gradients[layer].sign();
      signs[layer] = signs[layer].defined() ? signs[layer] + sign : sign;
    }
  }
  double score = 0;
  for (const at::Tensor& sum : signs) {
    if (sum.defined()) score += sum.abs().sum(torch::kDouble).item<double>();
  }
  return score;
}

}  // namespace espalier
