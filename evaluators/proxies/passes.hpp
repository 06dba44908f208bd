// Passes through a candidate's untrained network, shared by its proxies.
#pragma once

#include <ATen/core/Tensor.h>

#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <span>
#include <vector>

#include "evaluators/proxies/proxy.hpp"
#include "nets/graph_module.hpp"

namespace espalier {

/// Makes each pass when it is first asked for, together with the others that were announced: of the
/// passes over the images there is one forward pass, and one backward pass of the loss. The network
/// trains (batch statistics); its weights are drawn by ConvolutionInit::libtorch.
///
/// A result does not depend on what else was announced, except in the last digits: gradients that
/// are differentiated again, for hessian_gradient_products(), are summed in another order.
class ProxyPasses {
 public:
  /// What the input refers to outlives this.
  explicit ProxyPasses(const ProxyInput& input, std::set<ProxyPass> announced = {});
  ~ProxyPasses();
  ProxyPasses(const ProxyPasses&) = delete;
  ProxyPasses& operator=(const ProxyPasses&) = delete;

  /// The network in float32.
  GraphModule& module();
  /// {N, C, H, W}
  const at::Tensor& images();
  /// The weights of convolutions and linear layers; no biases.
  std::span<const at::Tensor> weights();
  /// Of the mean cross entropy, at weights(); undefined where it does not depend on them. Throws
  /// ShapeError where a label is none of the network's outputs.
  std::span<const at::Tensor> loss_gradients();
  /// Of weights() and outputs y {N, K, ...} of the same layers: the mean over images of the squares
  /// of the sum over places of y dloss/dy, halved, {K}; undefined as loss_gradients(). Throws as
  /// these.
  std::span<const at::Tensor> channel_saliencies();
  /// The Hessian of the loss at weights() times loss_gradients(). Throws as these, and
  /// UnsupportedError for a network with hard sigmoids; so does all that runs in one pass with it.
  std::span<const at::Tensor> hessian_gradient_products();
  /// The gradients of the sum of all outputs at the images, {N, C H W}.
  const at::Tensor& input_gradients();
  /// K[i][j] is the number of rectifier units at which images i and j agree in being positive or
  /// not, {N, N} in float64 on the CPU.
  const at::Tensor& agreements();

  struct SynapticFlow {
    std::vector<at::Tensor> weights, gradients;  ///< of weights(), in float64; as loss_gradients()
  };
  /// The absolute weights, and the gradients there of the sum of the outputs, for one image of
  /// ones, of the network without batch norms, quantizers and dropout.
  const SynapticFlow& synaptic_flow();
  /// The sum of the products of these without computing them: see espalier::synaptic_flow_sum().
  std::optional<double> synaptic_flow_sum();

 private:
  void need(ProxyPass pass);
  void run(const std::set<ProxyPass>& passes);

  ProxyInput input_;
  std::set<ProxyPass> announced_, made_;
  std::unique_ptr<GraphModule> module_;
  std::vector<NodeId> layers_;  // of weights_
  std::vector<at::Tensor> weights_, gradients_, saliencies_, products_;
  at::Tensor images_, input_gradients_, agreements_;
  std::optional<SynapticFlow> flow_;
};

/// A proxy's passes: those that its input shares, else its own.
class PassesOf {
 public:
  explicit PassesOf(const ProxyInput& input) : passes_(input.passes) {
    if (passes_ == nullptr) passes_ = &own_.emplace(input);
  }
  ProxyPasses* operator->() const { return passes_; }
  ProxyPasses& operator*() const { return *passes_; }

 private:
  ProxyPasses* passes_;
  std::optional<ProxyPasses> own_;
};

}  // namespace espalier
