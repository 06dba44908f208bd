#include <torch/types.h>

#include <algorithm>
#include <limits>

#include "evaluators/proxies/passes.hpp"

namespace espalier {

double naswot(const ProxyInput& input) {
  const PassesOf passes(input);
  const at::Tensor& kernel = passes->agreements();
  // From the eigenvalues: those of a singular matrix are rounding errors of the largest one.
  const at::Tensor eigenvalues = torch::linalg_eigvalsh(kernel);  // ascending
  const double smallest = eigenvalues[0].item<double>(), largest = eigenvalues[-1].item<double>();
  const double rounding =
      std::numeric_limits<double>::epsilon() * static_cast<double>(kernel.size(0)) * largest;
  return smallest <= rounding ? 0.0 : std::max(eigenvalues.log().sum().item<double>(), 0.0);
}

}  // namespace espalier
