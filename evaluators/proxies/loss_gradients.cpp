#include <ATen/ATen.h>

#include "evaluators/proxies/passes.hpp"

namespace espalier {
namespace {

// The sum over the layers of f(weight, of), in float64; 0 where `of` is undefined.
template <class F>
double sum_over_layers(std::span<const at::Tensor> weights, std::span<const at::Tensor> of, F&& f) {
  const at::NoGradGuard no_grad;
  double sum = 0;
  for (std::size_t i = 0; i < weights.size(); ++i) {
    if (!of[i].defined()) continue;
    sum += f(weights[i].to(at::kDouble), of[i].to(at::kDouble)).template item<double>();
  }
  return sum;
}

}  // namespace

double l2_norm(const ProxyInput& input) {
  const PassesOf passes(input);
  return sum_over_layers(passes->weights(), passes->weights(),
                         [](const at::Tensor& w, const at::Tensor&) { return w.norm(); });
}

double grad_norm(const ProxyInput& input) {
  const PassesOf passes(input);
  return sum_over_layers(passes->weights(), passes->loss_gradients(),
                         [](const at::Tensor&, const at::Tensor& g) { return g.norm(); });
}

double plain(const ProxyInput& input) {
  const PassesOf passes(input);
  return sum_over_layers(passes->weights(), passes->loss_gradients(),
                         [](const at::Tensor& w, const at::Tensor& g) { return (w * g).sum(); });
}

double snip(const ProxyInput& input) {
  const PassesOf passes(input);
  return sum_over_layers(
      passes->weights(), passes->loss_gradients(),
      [](const at::Tensor& w, const at::Tensor& g) { return (w * g).abs().sum(); });
}

double fisher(const ProxyInput& input) {
  const PassesOf passes(input);
  return sum_over_layers(passes->weights(), passes->channel_saliencies(),
                         [](const at::Tensor& w, const at::Tensor& channels) {
                           return channels.sum() * (w.numel() / w.size(0));
                         });
}

double grasp(const ProxyInput& input) {
  const PassesOf passes(input);
  return 0.0 -
         sum_over_layers(passes->weights(), passes->hessian_gradient_products(),
                         [](const at::Tensor& w, const at::Tensor& hg) { return (w * hg).sum(); });
}

}  // namespace espalier
