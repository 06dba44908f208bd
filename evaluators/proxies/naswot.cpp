#include <torch/torch.h>

#include <algorithm>
#include <limits>

#include "evaluators/proxies/proxy.hpp"
#include "nets/graph_module.hpp"

namespace espalier {
namespace {

// Of these the output is positive where the input is.
bool is_rectifier(const Op& op) {
  const auto* activation = std::get_if<op::Activation>(&op);
  return activation != nullptr &&
         (activation->kind == ActivationKind::relu || activation->kind == ActivationKind::relu6 ||
          activation->kind == ActivationKind::hard_swish);
}

}  // namespace

double naswot(const ProxyInput& input) {
  const torch::NoGradGuard no_grad;
  GraphModule module(input.network.graph(), {.device = at::Device(input.device)});
  module.reset_parameters(input.rng.fork("weights"));
  const auto& [n, height, width, channels] = input.images.shape;
  const at::Tensor images =
      torch::from_blob(const_cast<float*>(input.images.pixels.data()), {n, height, width, channels})
          .to(module.options().device)
          .permute({0, 3, 1, 2});
  at::Tensor kernel = torch::zeros({n, n}, torch::kDouble);
  module.forward(images, [&](NodeId id, const at::Tensor& output) {
    if (!is_rectifier(module.graph().node(id).op)) return;
    // With codes of 1 and -1 a scalar product is agreements less disagreements, and their sum is
    // the number of units. Floats hold these integers exactly.
    const at::Tensor codes = output.gt(0).to(torch::kFloat).mul_(2).sub_(1).reshape({n, -1});
    const double units = static_cast<double>(codes.size(1));
    kernel += torch::mm(codes, codes.t()).to(torch::kCPU, torch::kDouble).add_(units).div_(2);
  });
  // From the eigenvalues: those of a singular matrix are rounding errors of the largest one.
  const at::Tensor eigenvalues = torch::linalg_eigvalsh(kernel);  // ascending
  const double smallest = eigenvalues[0].item<double>(), largest = eigenvalues[-1].item<double>();
  const double rounding = std::numeric_limits<double>::epsilon() * static_cast<double>(n) * largest;
  return smallest <= rounding ? 0.0 : std::max(eigenvalues.log().sum().item<double>(), 0.0);
}

}  // namespace espalier
