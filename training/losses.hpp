// Losses of training.
#pragma once

#include <ATen/core/Tensor.h>

namespace espalier {

/// Mean cross entropy in nats of logits {N, classes} and labels {N} (int64). With label smoothing s
/// in [0, 1), the target is 1 - s + s / classes for the label and s / classes for the others.
/// Source: C. Szegedy et al.: Rethinking the Inception architecture, CVPR 2016, arXiv 1512.00567,
/// section 7.
/// Test: CrossEntropyTest.SmoothsLabelsByTheFormula.
at::Tensor cross_entropy(const at::Tensor& logits, const at::Tensor& labels,
                         double label_smoothing = 0);

/// Mean Kullback-Leibler divergence in nats of a student's classes from a teacher's, both logits
/// {N, classes}. No gradient reaches the teacher.
/// Source: Hinton et al., "Distilling the Knowledge in a Neural Network", 2015, arXiv 1503.02531,
/// section 2, at temperature 1; less the teacher's entropy, which no student changes.
/// Test: DistillationLossTest.IsTheDivergence.
at::Tensor distillation_loss(const at::Tensor& student, const at::Tensor& teacher);

}  // namespace espalier
