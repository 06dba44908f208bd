#include <ATen/ATen.h>

#include <optional>

#include "evaluators/proxies/passes.hpp"

namespace espalier {
namespace {

// The sum over the layers of |weight x f(gradient)|.
template <class F>
double flow_sum(ProxyPasses& passes, F&& f) {
  const at::NoGradGuard no_grad;
  const ProxyPasses::SynapticFlow& flow = passes.synaptic_flow();
  double sum = 0;
  for (std::size_t i = 0; i < flow.weights.size(); ++i) {
    if (!flow.gradients[i].defined()) continue;
    sum += (flow.weights[i] * f(flow.gradients[i])).abs().sum().template item<double>();
  }
  return sum;
}

}  // namespace

double synflow(const ProxyInput& input) {
  const PassesOf passes(input);
  if (const std::optional<double> sum = passes->synaptic_flow_sum()) return *sum;
  return flow_sum(*passes, [](const at::Tensor& gradient) { return gradient; });
}

double log_synflow(const ProxyInput& input) {
  const PassesOf passes(input);
  return flow_sum(*passes, [](const at::Tensor& gradient) { return gradient.abs().log1p(); });
}

}  // namespace espalier
