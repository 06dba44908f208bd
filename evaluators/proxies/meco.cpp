#include <fmt/format.h>
#include <torch/types.h>

#include "core/error.hpp"
#include "evaluators/proxies/activation_proxies.hpp"
#include "evaluators/proxies/drawn_networks.hpp"

namespace espalier {
namespace {

// The correlation coefficients of the rows; 0 with a row that is constant.
at::Tensor correlation(const at::Tensor& rows) {
  const at::Tensor centred = rows - rows.mean(1, /*keepdim=*/true);
  const at::Tensor covariance = torch::mm(centred, centred.t());
  const at::Tensor deviation = covariance.diagonal().sqrt();
  return (covariance / torch::outer(deviation, deviation)).nan_to_num(0, 0, 0);
}

}  // namespace

double meco(const ProxyInput& input) {
  const at::NoGradGuard no_grad;
  const Graph& graph = input.network.graph();
  GraphModule module(graph, {.device = at::Device(input.device)});
  module.reset_parameters(input.rng.fork("weights"), ConvolutionInit::libtorch);
  const at::Tensor image = normal_images(graph, 1, input.rng.fork("meco"), module.options().device);
  double sum = 0;
  bool any = false;
  module.forward(image, [&](NodeId id, const at::Tensor& output) {
    if (output.dim() != 4 || id == graph.input()) return;
    any = true;
    const at::Tensor channels = output[0].to(torch::kCPU, torch::kDouble).flatten(1);
    sum += torch::linalg_eigvalsh(correlation(channels))[0].item<double>();
  });
  if (!any) {
    throw UnsupportedError(
        "the proxy \"meco\" compares channels of feature maps, but the network has none behind its "
        "input");
  }
  return sum;
}

}  // namespace espalier
