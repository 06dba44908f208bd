// Scores of feature maps that normal weights make of normal images.
#include <torch/types.h>

#include <cmath>

#include "evaluators/proxies/activation_proxies.hpp"
#include "evaluators/proxies/drawn_networks.hpp"

namespace espalier {
namespace {

constexpr int draws = 4;
constexpr std::int64_t batch = 16;
constexpr double perturbation = 1e-2;

// The mean of a score over draws, or degenerate_score where one is minus infinity.
template <class F>
double mean_of_draws(const Rng& rng, F&& score) {
  double sum = 0;
  for (int draw = 0; draw < draws; ++draw) {
    sum += score(rng.fork(static_cast<std::uint64_t>(draw)));
  }
  return std::isinf(sum) && sum < 0 ? degenerate_score : sum / draws;
}

// After a pass in training, the running variance of such a batch norm is the batch's.
std::optional<Op> remembering_the_batch_alone(const Op& op) {
  Op result = op;
  if (auto* norm = std::get_if<op::BatchNorm2d>(&result)) norm->momentum = 1;
  return result;
}

// What is linear, and pooling.
std::optional<Op> without_norms_and_activations(const Op& op) {
  if (std::holds_alternative<op::BatchNorm2d>(op) || std::holds_alternative<op::Activation>(op) ||
      std::holds_alternative<op::Dropout>(op) || std::holds_alternative<op::Multiply>(op)) {
    return std::nullopt;
  }
  return op;
}

at::Tensor output_of(GraphModule& module, NodeId node, const at::Tensor& images) {
  at::Tensor result;
  module.forward(images, [&](NodeId id, const at::Tensor& output) {
    if (id == node) result = output;
  });
  return result;
}

}  // namespace

double zen(const ProxyInput& input) {
  const at::NoGradGuard no_grad;
  check_convolutional(input.network.graph(), "zen");
  const Graph graph =
      with_operators(input.network.graph(), remembering_the_batch_alone, Compressions::kept).first;
  GraphModule module(graph, {.device = at::Device(input.device)});
  const NodeId features = last_feature_map(graph);
  return mean_of_draws(input.rng.fork("zen"), [&](const Rng& rng) {
    draw_normal_weights(module, rng.fork("weights"), Deviation::one);
    const at::Tensor images =
        normal_images(graph, batch, rng.fork("images"), module.options().device);
    const at::Tensor noise =
        normal_images(graph, batch, rng.fork("noise"), module.options().device);
    const at::Tensor output = output_of(module, features, images);
    double score = 0;
    for (NodeId id = 0; id < graph.size(); ++id) {
      if (!std::holds_alternative<op::BatchNorm2d>(graph.node(id).op)) continue;
      const double variance =
          module.node_tensors()[id].running_var.to(torch::kDouble).mean().item<double>();
      if (variance > 0) score += 0.5 * std::log(variance);
    }
    const at::Tensor moved = output_of(module, features, images + perturbation * noise);
    const at::Tensor distance = (output - moved).abs().to(torch::kDouble).sum() / batch;
    return score + std::log(distance.item<double>());
  });
}

double entropy_score(const ProxyInput& input) {
  const at::NoGradGuard no_grad;
  check_convolutional(input.network.graph(), "entropy");
  const Graph graph =
      with_operators(input.network.graph(), without_norms_and_activations, Compressions::dropped)
          .first;
  GraphModule module(graph, {.dtype = torch::kDouble, .device = at::Device(input.device)});
  const NodeId features = last_feature_map(graph);
  return mean_of_draws(input.rng.fork("entropy"), [&](const Rng& rng) {
    draw_normal_weights(module, rng.fork("weights"), Deviation::one);
    const at::Tensor images =
        normal_images(graph, batch, rng.fork("images"), module.options().device);
    const at::Tensor output = output_of(module, features, images.to(torch::kDouble));
    return std::log(output.std().item<double>()) + std::log(static_cast<double>(output.size(1)));
  });
}

}  // namespace espalier
