#include <torch/autograd.h>
#include <torch/types.h>

#include <algorithm>

#include "evaluators/proxies/drawn_networks.hpp"
#include "evaluators/proxies/gradient_proxies.hpp"

namespace espalier {

double ntk(const ProxyInput& input) {
  constexpr double largest_condition = 1e8;
  const at::AutoGradMode gradients_wanted(true);  // whatever the caller has set
  GraphModule module(input.network.graph(), {.device = at::Device(input.device)});
  draw_normal_weights(module, input.rng.fork("ntk"), Deviation::fan_out);
  std::vector<at::Tensor> weights;  // of norms, too, but no biases
  for (const OpTensors& tensors : module.node_tensors()) {
    if (tensors.weight.defined()) weights.push_back(tensors.weight);
    if (tensors.bias.defined()) tensors.bias.requires_grad_(false);
  }
  const at::Tensor images = image_tensor(input);
  const at::Tensor sums = module.forward(images).flatten(1).sum(1);
  if (!sums.requires_grad()) return largest_condition;
  std::vector<at::Tensor> rows;
  for (std::int64_t i = 0; i < images.size(0); ++i) {
    const auto gradients = torch::autograd::grad({sums[i]}, weights, {}, /*retain_graph=*/true,
                                                 /*create_graph=*/false, /*allow_unused=*/true);
    std::vector<at::Tensor> parts;
    for (const at::Tensor& gradient : gradients) {
      if (gradient.defined()) parts.push_back(gradient.reshape(-1));
    }
    rows.push_back(torch::cat(parts));
  }
  const at::Tensor matrix = torch::stack(rows);
  at::Tensor kernel =
      torch::zeros({images.size(0), images.size(0)}, matrix.options().dtype(torch::kDouble));
  for (const at::Tensor& part : matrix.split(1 << 16, 1)) {  // float32 would lose small eigenvalues
    const at::Tensor columns = part.to(torch::kDouble);
    kernel.addmm_(columns, columns.t());
  }
  const at::Tensor eigenvalues = torch::linalg_eigvalsh(kernel.to(torch::kCPU));  // ascending
  const double smallest = eigenvalues[0].item<double>(), largest = eigenvalues[-1].item<double>();
  return smallest * largest_condition > largest ? largest / smallest : largest_condition;
}

}  // namespace espalier
