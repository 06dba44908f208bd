// Differentiable operators on the loops of kernels.hpp. Each does what LibTorch's operator of the
// same name does, and calls that one where the loops do not serve: they take float32 on the CPU in
// channels-last order, sizes as kernels.hpp says. Gradients that are to be differentiated again
// come from LibTorch's operators, too, but for convolutions, average pooling, and batch norms that
// train. Images in bfloat16 on the CPU are computed in float32, which
// the result has. Results do not depend on the number of threads.
#pragma once

#include <ATen/core/Tensor.h>

#include <array>
#include <cstdint>
#include <optional>
#include <span>

#include "nets/kernels/kernels.hpp"

namespace espalier::kernels {

using Pair = std::array<std::int64_t, 2>;

/// How a window moves, {height, width}.
struct Steps {
  Pair stride{1, 1}, padding{0, 0}, dilation{1, 1};
};

/// LibTorch's convolution, whose gradients have gradients that are convolutions again: these take
/// about as long as the gradients did, where LibTorch's take several times as long.
at::Tensor conv2d(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias,
                  const Steps& steps, std::int64_t groups);

/// x {N,C,H,W}, weight {C,1,kh,kw}, bias {C} or undefined -> {N,C,H',W'}.
at::Tensor depthwise_conv2d(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias,
                            const Steps& steps);

/// Windows without dilation; what lies in the padding counts where `count_include_pad`.
at::Tensor avg_pool2d(const at::Tensor& x, Pair kernel, const Steps& steps, bool ceil_mode,
                      bool count_include_pad);
/// The gradient of equal values goes to the first.
at::Tensor max_pool2d(const at::Tensor& x, Pair kernel, const Steps& steps, bool ceil_mode);

struct BatchNorm {
  at::Tensor weight, bias;               ///< {C}, or undefined
  at::Tensor running_mean, running_var;  ///< {C}; training updates them
  bool training = false;
  double momentum = 0.1, eps = 1e-5;
};
/// f(batch_norm(x)). Keeps x for the gradient, not what f is applied to.
at::Tensor batch_norm(const at::Tensor& x, const BatchNorm& norm, Epilogue f);

/// x {N,C,H,W} times factors {N,C,1,1}.
at::Tensor scale_images(const at::Tensor& x, const at::Tensor& factors);

/// The sums of x * y over the pixels: {N,C,H,W} twice -> {N,C}. Not differentiable.
at::Tensor image_products(const at::Tensor& x, const at::Tensor& y);

/// At how many places two samples of x {N,...} are alike in being above 0 or not, {N,N} in float64
/// on the CPU. Not differentiable.
at::Tensor sign_agreements(const at::Tensor& x);

/// The sum of weights[i] * x[i] over tensors of one shape; weights {inputs}.
at::Tensor weighted_sum(std::span<const at::Tensor> x, const at::Tensor& weights);

/// x, or batch_norm(x) where it has a norm, which trains; it may have no running statistics.
struct Term {
  at::Tensor x;
  std::optional<BatchNorm> norm = std::nullopt;
};
/// The sum of weights[i] * terms[i], without keeping or writing what the norms give.
at::Tensor weighted_sum_of_norms(std::span<const Term> terms, const at::Tensor& weights);

}  // namespace espalier::kernels
