#include <torch/types.h>

#include "evaluators/proxies/passes.hpp"

namespace espalier {

double jacob_cov(const ProxyInput& input) {
  constexpr double k = 1e-5;
  const PassesOf passes(input);
  const at::NoGradGuard no_grad;
  const at::Tensor rows = passes->input_gradients().to(at::kCPU, at::kDouble);
  const at::Tensor centred = rows - rows.mean(1, true);
  const at::Tensor lengths = centred.norm(2, 1, true);
  // What rounding leaves of a row of equal numbers has no direction.
  const bool undefined = lengths.le(rows.norm(2, 1, true) * 1e-6).any().item<bool>();
  const at::Tensor along = centred / lengths;
  const at::Tensor correlations = undefined ? at::ones({rows.size(0), rows.size(0)}, at::kDouble)
                                            : along.mm(along.t()).clamp(-1, 1);
  const at::Tensor v = torch::linalg_eigvalsh(correlations) + k;
  return -(v.log() + v.reciprocal()).sum().item<double>();
}

}  // namespace espalier
