#include <torch/torch.h>

#include "evaluators/proxies/passes.hpp"

namespace espalier {
namespace {

// The sum over the layers of |weight x f(gradient)|.
template <class F>
double flow_sum(const ProxyInput& input, F&& f) {
  const PassesOf passes(input);
  const torch::NoGradGuard no_grad;
  const ProxyPasses::SynapticFlow& flow = passes->synaptic_flow();
  double sum = 0;
  for (std::size_t i = 0; i < flow.weights.size(); ++i) {
    if (!flow.gradients[i].defined()) continue;
    sum += (flow.weights[i] * f(flow.gradients[i])).abs().sum().template item<double>();
  }
  return sum;
}

}  // namespace

double synflow(const ProxyInput& input) {
  return flow_sum(input, [](const at::Tensor& gradient) { return gradient; });
}

double log_synflow(const ProxyInput& input) {
  return flow_sum(input, [](const at::Tensor& gradient) { return gradient.abs().log1p(); });
}

}  // namespace espalier
