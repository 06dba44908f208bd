// The numbers by which a relaxation is searched, and their optimizer.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "core/rng.hpp"
#include "strategies/relaxed_decisions.hpp"

namespace espalier {

/// Adam's, with a weight decay that is a part of the gradient.
struct ArchitectureOptimizer {
  double learning_rate = 3e-4;  ///< > 0
  double weight_decay = 1e-3;   ///< >= 0
  double beta1 = 0.5;           ///< [0, 1)
  double beta2 = 0.999;         ///< [0, 1)
};

/// One number (alpha) for each option of each decision, and one more for those of `none`, an option
/// that adds nothing and that no architecture has. In float64, since they are few.
class ArchitectureParameters {
 public:
  ArchitectureParameters(std::vector<RelaxedDecision> decisions, std::vector<bool> none,
                         const ArchitectureOptimizer& optimizer);

  /// Normal of this mean and deviation. The optimizer starts anew.
  void reset(const Rng& rng, double mean, double deviation);

  std::span<const RelaxedDecision> decisions() const { return decisions_; }
  bool none(std::size_t d) const { return none_[d]; }
  /// All of them, {count}; a leaf with gradients. The same tensor for life.
  const at::Tensor& values() const { return values_; }
  /// A decision's part of numbers that are as many as values(); the last one is that of `none`.
  at::Tensor part(const at::Tensor& all, std::size_t d) const;

  /// One step of Adam down a gradient {count}. Numbers whose `moves` is 0 stay, and so do their
  /// moments. Throws NumericalError where a number is or becomes NaN or infinite, naming its
  /// decision.
  /// Source: D. Kingma, J. Ba: Adam: a method for stochastic optimization, ICLR 2015, arXiv
  /// 1412.6980, algorithm 1. Test: ArchitectureParameters.AdamIsTorchs.
  void step(const at::Tensor& gradient, const at::Tensor& moves = {});

  /// Values and moments by name, for checkpoints; they share their numbers.
  std::map<std::string, at::Tensor> tensors() const;

 private:
  std::vector<RelaxedDecision> decisions_;
  std::vector<bool> none_;
  std::vector<std::int64_t> first_;  // place of each decision's first number, and the count of all
  ArchitectureOptimizer optimizer_;
  at::Tensor values_, mean_, square_;
  at::Tensor steps_;  // of each number
};

}  // namespace espalier
