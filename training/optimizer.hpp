// Stochastic gradient descent and AdamW, with a state of named tensors.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstddef>
#include <map>
#include <string>
#include <vector>

#include "nets/module_base.hpp"
#include "training/train_options.hpp"

namespace espalier {

/// Changes a network's parameters by their gradients: `optimizer`, `momentum`, `nesterov` and
/// `weight_decay` of the options; eps is 1e-8 and the second beta 0.999 in AdamW. Tensors with
/// fewer than two axes, which are biases and the parameters of batch norms, do not decay.
///
/// It computes what torch::optim's do, bit by bit; those keep their state by the addresses of the
/// parameters, and differently in each LibTorch, so that a checkpoint could not be read elsewhere.
/// Source: I. Sutskever et al.: On the importance of initialization and momentum in deep learning,
/// ICML 2013; I. Loshchilov, F. Hutter: Decoupled weight decay regularization, ICLR 2019, arXiv
/// 1711.05101, algorithm 2.
/// Test: OptimizerTest.AdamwIsTorchs.
class Optimizer {
 public:
  Optimizer(const NamedTensors& parameters, const TrainOptions& options);

  /// One step; parameters without a gradient stay, and do not count it.
  void step(double learning_rate);

  /// What a step of `sgd` would take from parameter number i by this gradient, for a learning rate
  /// of 1. Changes nothing.
  at::Tensor direction(std::size_t i, const at::Tensor& gradient) const;

  /// Of what decays.
  void set_weight_decay(double weight_decay);

  /// Multiplies all gradients.
  void scale_gradients(double factor);
  /// Scales all gradients so that the norm of all together is at most `norm`.
  void clip_gradients(double norm);

  /// The state by name ("<parameter>.momentum"); the tensors share values with the optimizer's.
  const std::map<std::string, at::Tensor>& state() const { return state_; }

 private:
  struct Slot {
    at::Tensor parameter;
    double weight_decay;
    at::Tensor first, second;  // running means of the gradient and of its square
    at::Tensor steps;          // of AdamW: how often it had a gradient; int64, 0-d, on the CPU
  };
  void descend(Slot& slot, const at::Tensor& gradient, double learning_rate);
  void adapt(Slot& slot, const at::Tensor& gradient, double learning_rate);

  OptimizerKind kind_;
  double momentum_;
  bool nesterov_;
  std::vector<Slot> slots_;
  std::map<std::string, at::Tensor> state_;
};

}  // namespace espalier
