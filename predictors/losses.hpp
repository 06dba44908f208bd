// What neural predictors minimize.
#pragma once

#include "core/options.hpp"

namespace at {
class Tensor;
}  // namespace at

namespace espalier {

/// How the scores of networks are held against their values: the squared difference, or the order
/// alone: of each two networks, by a hinge or by the cross entropy of which one is better, or of
/// all together; or, where a network makes a relation of two others and not a score of each, by how
/// much the one is better.
enum class PredictorLoss { regression, hinge, cross_entropy, listwise, relation };
/// All but `relation`, which few networks make.
Named<PredictorLoss> predictor_loss_names();
Named<PredictorLoss> predictor_loss_names_with_relation();

/// By how much the better of two networks must be ahead before a hinge lets go of them.
inline constexpr double hinge_margin = 0.1;

/// The loss of scores {n} of networks whose values are {n}, n >= 1; a larger value is a better
/// network. Differentiable by the scores. Takes O(n^2) for losses of two networks, else O(n log n).
///
/// regression: the mean of (s_i - y_i)^2.
/// hinge: the mean of max(0, 0.1 - (s_i - s_j)) of all pairs with y_i > y_j.
/// cross_entropy: the mean of log(1 + exp(-(s_i - s_j))) of these pairs.
/// listwise: the mean over i, from the best network on, of log sum_{k >= i} exp(s_k) - s_i;
/// networks of equal value stand in the order in which they were given. relation: of scores {n,2},
/// the mean of the cross entropy of 1 / (1 + exp(-(s_i0 + s_j1))) and exp(y_i) / (exp(y_i) +
/// exp(y_j)) for all i != j. Without two networks, or two of different values, losses of two
/// networks are 0.
///
/// Source: X. Ning, Y. Zheng, T. Zhao, Y. Wang, H. Yang: A generic graph-based neural architecture
/// encoding scheme for predictor-based NAS, ECCV 2020, arXiv 2004.01899, section 3 (hinge, cross
/// entropy, listwise); C. Burges et al.: Learning to rank using gradient descent, ICML 2005 (cross
/// entropy); F. Xia et al.: Listwise approach to learning to rank, ICML 2008, section 4.2
/// (ListMLE); L. Dudziak et al.: BRP-NAS, NeurIPS 2020, arXiv 2007.08668, section 4 (relation).
/// Differs from the sources: all pairs of a batch, where the first draws some of them; a mean in
/// place of the sum over a list; the relation's loss is without the entropy of the values, a
/// constant.
/// Test: Losses.AreTheClosedForms.
at::Tensor predictor_loss(PredictorLoss loss, const at::Tensor& scores, const at::Tensor& values);

}  // namespace espalier
