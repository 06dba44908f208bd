#include "training/losses.hpp"

#include <ATen/TensorOperators.h>
#include <ATen/ops/cross_entropy_loss.h>
#include <ATen/ops/kl_div.h>
#include <ATen/ops/log_softmax.h>

namespace espalier {

at::Tensor cross_entropy(const at::Tensor& logits, const at::Tensor& labels,
                         double label_smoothing) {
  return at::cross_entropy_loss(logits, labels, {}, at::Reduction::Mean, -100, label_smoothing);
}

at::Tensor distillation_loss(const at::Tensor& student, const at::Tensor& teacher) {
  const at::Tensor targets = at::log_softmax(teacher.detach(), 1);
  return at::kl_div(at::log_softmax(student, 1), targets, at::Reduction::Sum, /*log_target=*/true) /
         student.size(0);
}

}  // namespace espalier
