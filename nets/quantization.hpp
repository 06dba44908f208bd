// Fake quantization: values rounded to the grid that a b-bit integer operator would use.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>

namespace espalier {

/// What stands for quantized weights: integers * scale.
struct QuantizedWeight {
  at::Tensor integers;  ///< within +-(2^(bits-1) - 1), in the weights' type
  at::Tensor scale;     ///< {rows}, one per output channel, the first axis
};
/// Scales are max |w| of the row / (2^(bits-1) - 1), 1 for a row of zeros; integers are the nearest
/// ones, half to even, as ONNX QuantizeLinear has them. `bits` is 2 to 8; others throw
/// UnsupportedError.
QuantizedWeight quantize_weight(const at::Tensor& weight, std::int64_t bits);

/// The weights on the grid of quantize_weight(): integers * scale. The gradient passes as if there
/// were no rounding (straight-through estimator); scales are constants in it. 32 bits: the weights
/// themselves. Any other number than 2 to 8 or 32 throws UnsupportedError.
/// Source: Jacob et al., "Quantization and Training of Neural Networks for Efficient
/// Integer-Arithmetic-Only Inference", CVPR 2018, arXiv 1712.05877; the estimator: Bengio et al.,
/// 2013, arXiv 1308.3432.
/// Test: Quantization.GradientPassesWhereNothingIsClipped.
at::Tensor fake_quantize_weight(const at::Tensor& weight, std::int64_t bits);

/// The grid of a quantized activation, two 0-d tensors: value = (integer - zero_point) * scale,
/// integers 0 to 2^bits - 1.
struct ActivationGrid {
  at::Tensor scale;
  at::Tensor zero_point;  ///< an integer, so that 0 is exact
};
/// The grid that covers [min(0, low), max(0, high)]; `low` and `high` are 0-d. Scale 1 where both
/// are 0.
ActivationGrid activation_grid(const at::Tensor& low, const at::Tensor& high, std::int64_t bits);

/// What is outside of the grid is clipped to its ends; the gradient passes where nothing was
/// clipped. Bits as in fake_quantize_weight().
at::Tensor fake_quantize_activation(const at::Tensor& x, const at::Tensor& low,
                                    const at::Tensor& high, std::int64_t bits);

/// Ends of the interval that a quantized activation is clipped to, 0-d, low <= 0 <= high.
struct ActivationRange {
  at::Tensor low, high;
};
/// The range to quantize `x` with. In training the batch's own range enters the stored one (the
/// first batch sets it, each later one with weight 0.1), which is used. Otherwise the stored one is
/// used, or the batch's where nothing is stored yet: both ends 0.
ActivationRange activation_range(const at::Tensor& x, at::Tensor stored_min, at::Tensor stored_max,
                                 bool training);

}  // namespace espalier
