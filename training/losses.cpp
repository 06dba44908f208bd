#include "training/losses.hpp"

#include <ATen/ops/cross_entropy_loss.h>

namespace espalier {

at::Tensor cross_entropy(const at::Tensor& logits, const at::Tensor& labels,
                         double label_smoothing) {
  return at::cross_entropy_loss(logits, labels, {}, at::Reduction::Mean, -100, label_smoothing);
}

}  // namespace espalier
