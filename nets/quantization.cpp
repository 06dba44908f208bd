#include "nets/quantization.hpp"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <torch/autograd.h>

#include <algorithm>
#include <cstdint>
#include <limits>
#include <string>
#include <vector>

#include "core/error.hpp"

namespace espalier {

namespace {
constexpr double range_momentum = 0.1;

struct Rounded {
  at::Tensor values;  ///< (integer - zero_point) * scale
  at::Tensor inside;  ///< where no integer was clamped
};

/// One pass over memory for what takes ten with tensor operations.
template <class T>
void round_values(const T* __restrict x, T* __restrict values, bool* __restrict inside,
                  std::int64_t count, T scale, T low, T high) {
  // Adding and taking away 1.5 * 2^(mantissa bits) rounds to the nearest integer, halves to even,
  // and vectorizes on any processor. NaN passes every comparison below and stays NaN.
  constexpr T shift = static_cast<T>(1.5) *
                      static_cast<T>(std::uint64_t{1} << (std::numeric_limits<T>::digits - 1));
  for (std::int64_t i = 0; i < count; ++i) {
    T v = x[i] / scale;
    v = v < low - 1 ? low - 1 : v;
    v = v > high + 1 ? high + 1 : v;
    v = (v + shift) - shift;
    inside[i] = static_cast<bool>((v >= low) & (v <= high));
    v = v < low ? low : v;
    v = v > high ? high : v;
    values[i] = v * scale;
  }
}

template <class T>
Rounded round_dense(const at::Tensor& x, T scale, T low, T high) {
  Rounded result{at::empty_like(x), at::empty_like(x, x.options().dtype(at::kBool))};
  const T* in = x.data_ptr<T>();
  T* values = result.values.data_ptr<T>();
  bool* inside = result.inside.data_ptr<bool>();
  at::parallel_for(0, x.numel(), 1 << 15, [&](std::int64_t begin, std::int64_t end) {
    round_values(in + begin, values + begin, inside + begin, end - begin, scale, low, high);
  });
  return result;
}

/// Whether plain loops over the memory of x do: on the CPU, in either float type, without gaps.
bool has_plain_memory(const at::Tensor& x) {
  return x.device().is_cpu() && x.is_non_overlapping_and_dense() &&
         (x.scalar_type() == at::kFloat || x.scalar_type() == at::kDouble);
}

/// Integers of [lowest, highest]; scale and zero_point are scalars.
Rounded round_to_grid(const at::Tensor& x, const at::Tensor& scale, const at::Tensor& zero_point,
                      std::int64_t lowest, std::int64_t highest) {
  if (!has_plain_memory(x)) {
    const at::Tensor integers = at::round(x / scale).add_(zero_point);
    const at::Tensor inside = at::logical_and(integers >= lowest, integers <= highest);
    return {integers.clamp(lowest, highest).sub_(zero_point).mul_(scale), inside};
  }
  const auto zero = zero_point.item<double>();
  const double low = static_cast<double>(lowest) - zero, high = static_cast<double>(highest) - zero;
  if (x.scalar_type() == at::kDouble) return round_dense(x, scale.item<double>(), low, high);
  return round_dense(x, scale.item<float>(), static_cast<float>(low), static_cast<float>(high));
}

template <class T>
at::Tensor pass_inside(const at::Tensor& gradient, const at::Tensor& inside) {
  at::Tensor result = at::empty_like(gradient);
  const T* in = gradient.data_ptr<T>();
  const bool* pass = inside.data_ptr<bool>();
  T* out = result.data_ptr<T>();
  at::parallel_for(0, gradient.numel(), 1 << 15, [=](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) out[i] = pass[i] ? in[i] : T{0};
  });
  return result;
}

/// Straight-through: the gradient passes where nothing was clamped.
/// Source: Bengio et al., Estimating or Propagating Gradients Through Stochastic Neurons, arXiv
/// 1308.3432; clipped as in Jacob et al., CVPR 2018, arXiv 1712.05877.
class ActivationRounding : public torch::autograd::Function<ActivationRounding> {
 public:
  static at::Tensor forward(torch::autograd::AutogradContext* context, const at::Tensor& x,
                            const at::Tensor& scale, const at::Tensor& zero_point,
                            std::int64_t lowest, std::int64_t highest) {
    Rounded rounded = round_to_grid(x, scale, zero_point, lowest, highest);
    context->save_for_backward({rounded.inside});
    return rounded.values;
  }
  static torch::autograd::variable_list backward(torch::autograd::AutogradContext* context,
                                                 torch::autograd::variable_list gradients) {
    const at::Tensor inside = context->get_saved_variables()[0];
    const at::Tensor& gradient = gradients[0];
    // The product of two types would convert the mask first; it can be differentiated again.
    if (at::GradMode::is_enabled() || !has_plain_memory(gradient) ||
        gradient.strides() != inside.strides()) {
      return {gradient * inside, {}, {}, {}, {}};
    }
    return {gradient.scalar_type() == at::kFloat ? pass_inside<float>(gradient, inside)
                                                 : pass_inside<double>(gradient, inside),
            {},
            {},
            {},
            {}};
  }
};

at::Tensor rounded(const at::Tensor& x, const at::Tensor& scale, const at::Tensor& zero_point,
                   std::int64_t lowest, std::int64_t highest) {
  if (at::GradMode::is_enabled() && x.requires_grad()) {
    return ActivationRounding::apply(x, scale, zero_point, lowest, highest);
  }
  return round_to_grid(x, scale, zero_point, lowest, highest).values;
}

void check_bits(std::int64_t bits) {
  if (bits < 2 || bits > 8) {
    throw UnsupportedError("cannot quantize to " + std::to_string(bits) +
                           " bits; write 2 to 8, or 32 for float");
  }
}

at::Tensor or_one_where_zero(const at::Tensor& scale) {
  return at::where(scale == 0, at::ones_like(scale), scale);
}

/// A view of per-row values that broadcasts over a weight.
at::Tensor over_rows(const at::Tensor& values, const at::Tensor& weight) {
  std::vector<std::int64_t> sizes(static_cast<std::size_t>(weight.dim()), 1);
  sizes[0] = -1;
  return values.view(sizes);
}

at::Tensor on_grid(const at::Tensor& weight, std::int64_t bits) {
  const QuantizedWeight quantized = quantize_weight(weight, bits);
  return quantized.integers * over_rows(quantized.scale, weight);
}

/// Straight-through; nothing of a weight is clamped.
class WeightRounding : public torch::autograd::Function<WeightRounding> {
 public:
  static at::Tensor forward(torch::autograd::AutogradContext*, const at::Tensor& weight,
                            std::int64_t bits) {
    return on_grid(weight, bits);
  }
  static torch::autograd::variable_list backward(torch::autograd::AutogradContext*,
                                                 torch::autograd::variable_list gradients) {
    return {gradients[0], {}};
  }
};
}  // namespace

QuantizedWeight quantize_weight(const at::Tensor& weight, std::int64_t bits) {
  check_bits(bits);
  const at::NoGradGuard no_grad;
  const std::int64_t highest = (std::int64_t{1} << (bits - 1)) - 1;
  const at::Tensor largest = weight.detach().flatten(1).abs().amax(1);
  const at::Tensor scale = or_one_where_zero(largest / highest);
  return {(weight.detach() / over_rows(scale, weight)).round_().clamp_(-highest, highest), scale};
}

at::Tensor fake_quantize_weight(const at::Tensor& weight, std::int64_t bits) {
  if (bits == 32) return weight;
  if (at::GradMode::is_enabled() && weight.requires_grad()) {
    return WeightRounding::apply(weight, bits);
  }
  return on_grid(weight, bits);
}

namespace {
/// Smallest and largest value. at::aminmax would first copy a channels-last tensor.
template <class T>
ActivationRange dense_range(const at::Tensor& x) {
  constexpr std::int64_t lanes = 16;  // independent ones, so that the loop vectorizes
  constexpr std::int64_t grain = 1 << 15;
  struct Partial {
    T low[lanes], high[lanes];
  };
  const std::int64_t count = x.numel();
  const T* in = x.data_ptr<T>();
  const std::int64_t parts = (count + grain - 1) / grain;
  std::vector<Partial> partial(static_cast<std::size_t>(parts));
  at::parallel_for(0, parts, 1, [&](std::int64_t first, std::int64_t last) {
    for (std::int64_t p = first; p < last; ++p) {
      Partial& r = partial[static_cast<std::size_t>(p)];
      const std::int64_t begin = p * grain, end = std::min(count, begin + grain);
      for (std::int64_t l = 0; l < lanes; ++l) r.low[l] = r.high[l] = in[begin];
      std::int64_t i = begin;
      for (; i + lanes <= end; i += lanes) {
        for (std::int64_t l = 0; l < lanes; ++l) {
          const T v = in[i + l];
          r.low[l] = v < r.low[l] ? v : r.low[l];
          r.high[l] = v > r.high[l] ? v : r.high[l];
        }
      }
      for (; i < end; ++i) {
        r.low[0] = std::min(r.low[0], in[i]);
        r.high[0] = std::max(r.high[0], in[i]);
      }
    }
  });
  T low = in[0], high = in[0];
  for (const Partial& r : partial) {
    low = std::min(low, *std::min_element(r.low, r.low + lanes));
    high = std::max(high, *std::max_element(r.high, r.high + lanes));
  }
  return {at::scalar_tensor(low, x.options()), at::scalar_tensor(high, x.options())};
}

ActivationRange value_range(const at::Tensor& x) {
  if (has_plain_memory(x) && x.numel() > 0) {
    return x.scalar_type() == at::kFloat ? dense_range<float>(x) : dense_range<double>(x);
  }
  const auto [low, high] = at::aminmax(x);
  return {low, high};
}
}  // namespace

ActivationGrid activation_grid(const at::Tensor& low, const at::Tensor& high, std::int64_t bits) {
  check_bits(bits);
  const at::NoGradGuard no_grad;
  const std::int64_t steps = (std::int64_t{1} << bits) - 1;
  const at::Tensor bottom = low.detach().clamp_max(0);
  const at::Tensor scale = or_one_where_zero((high.detach().clamp_min(0) - bottom) / steps);
  return {scale, at::round(-bottom / scale).clamp_(0, steps)};
}

at::Tensor fake_quantize_activation(const at::Tensor& x, const at::Tensor& low,
                                    const at::Tensor& high, std::int64_t bits) {
  if (bits == 32) return x;
  const ActivationGrid grid = activation_grid(low, high, bits);
  return rounded(x, grid.scale, grid.zero_point, 0, (std::int64_t{1} << bits) - 1);
}

ActivationRange activation_range(const at::Tensor& x, at::Tensor stored_min, at::Tensor stored_max,
                                 bool training) {
  const at::NoGradGuard no_grad;
  const auto batch = [&] {
    const auto [low, high] = value_range(x.detach());
    const at::ScalarType type = stored_min.scalar_type();  // x may be in 16 bits
    return ActivationRange{low.clamp_max(0).to(type), high.clamp_min(0).to(type)};
  };
  if (training) {
    const ActivationRange now = batch();
    // Without reading the flag on the host, which would wait for a GPU.
    const at::Tensor unset = at::logical_and(stored_min == 0, stored_max == 0);
    stored_min.copy_(at::where(unset, now.low, at::lerp(stored_min, now.low, range_momentum)));
    stored_max.copy_(at::where(unset, now.high, at::lerp(stored_max, now.high, range_momentum)));
    // Copies: the stored ones change again before a backward pass of several forward passes.
    return {stored_min.clone(), stored_max.clone()};
  }
  if (stored_min.item<double>() == 0 && stored_max.item<double>() == 0) return batch();
  return {stored_min, stored_max};
}

}  // namespace espalier
