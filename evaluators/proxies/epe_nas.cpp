#include <torch/autograd.h>
#include <torch/types.h>

#include <cmath>
#include <map>

#include "evaluators/proxies/drawn_networks.hpp"
#include "evaluators/proxies/gradient_proxies.hpp"

namespace espalier {
namespace {

constexpr std::int64_t many_classes = 100;

// Of the gradients of one class, {n, D}: the sum of the logarithms of their correlations. NaN where
// one is constant.
double class_score(const at::Tensor& gradients) {
  const at::Tensor centred = gradients - gradients.mean(1, /*keepdim=*/true);
  const at::Tensor covariance = torch::mm(centred, centred.t());
  const at::Tensor deviation = covariance.diagonal().sqrt();
  const at::Tensor correlation = covariance / torch::outer(deviation, deviation);
  return (correlation.abs() + 1e-5).log().sum().item<double>();
}

}  // namespace

double epe_nas(const ProxyInput& input) {
  const at::AutoGradMode gradients_wanted(true);  // whatever the caller has set
  GraphModule module(input.network.graph(), {.device = at::Device(input.device)});
  module.reset_parameters(input.rng.fork("weights"), ConvolutionInit::libtorch);
  for (const auto& [name, parameter] : module.parameters()) parameter.requires_grad_(false);
  const at::Tensor images = image_tensor(input).requires_grad_(true);
  const at::Tensor outputs = module.forward(images);
  const std::int64_t outputs_count = outputs.numel() / images.size(0);
  if (!outputs.requires_grad()) return degenerate_score;
  const at::Tensor gradients = torch::autograd::grad({outputs.sum()}, {images})[0]
                                   .to(torch::kCPU, torch::kDouble)
                                   .flatten(1);

  std::map<std::int64_t, std::vector<std::int64_t>> images_of;
  for (std::size_t i = 0; i < input.images.labels.size(); ++i) {
    images_of[input.images.labels[i]].push_back(static_cast<std::int64_t>(i));
  }
  const bool many = outputs_count > many_classes;
  std::vector<double> scores;
  for (const auto& [label, indices] : images_of) {
    if (many && indices.size() == 1) continue;
    const double score = class_score(gradients.index_select(0, torch::tensor(indices)));
    scores.push_back(many ? score / static_cast<double>(indices.size()) : score);
  }
  double sum = 0;
  for (double score : scores) {
    if (many) {
      for (double other : scores) sum += std::abs(score - other);
    } else {
      sum += std::abs(score);
    }
  }
  if (std::isnan(sum)) return degenerate_score;
  return many && !scores.empty() ? sum / static_cast<double>(scores.size()) : sum;
}

}  // namespace espalier
