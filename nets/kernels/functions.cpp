#include "nets/kernels/functions.hpp"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <torch/autograd.h>

#include <algorithm>
#include <cassert>
#include <cmath>
#include <functional>
#include <tuple>
#include <utility>
#include <vector>

#include "nets/compute.hpp"

namespace espalier::kernels {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

constexpr at::MemoryFormat last = at::MemoryFormat::ChannelsLast;

bool plain(const at::Tensor& x) {
  return x.device().is_cpu() && x.scalar_type() == at::kFloat && x.layout() == at::kStrided;
}
bool usable_image(const at::Tensor& x) {
  return plain(x) && x.dim() == 4 && x.numel() > 0 && x.is_contiguous(last);
}
/// A network that trains in bfloat16 has its convolutions and matrix products in it. The loops are
/// several times as fast in float32 as LibTorch's other operators in 16 bits.
at::Tensor in_float(const at::Tensor& x) {
  return x.device().is_cpu() && x.scalar_type() == at::kBFloat16 ? x.to(at::kFloat) : x;
}
bool usable_vector(const at::Tensor& v) { return !v.defined() || (plain(v) && v.is_contiguous()); }

const float* data(const at::Tensor& t) { return t.defined() ? t.data_ptr<float>() : nullptr; }
/// apply() takes no undefined tensor.
c10::optional<at::Tensor> given(const at::Tensor& t) {
  return t.defined() ? c10::optional<at::Tensor>(t) : c10::nullopt;
}
float* mutable_data(at::Tensor& t) { return t.data_ptr<float>(); }
at::Tensor image_like(const at::Tensor& x) { return at::empty(x.sizes(), x.options(), last); }

/// Shares rows of `row_size` numbers among the threads, in parts that are worth a thread.
template <class F>
void share(std::int64_t rows, std::int64_t row_size, F&& f) {
  constexpr std::int64_t worth = 16384;
  at::parallel_for(0, rows, std::max<std::int64_t>(1, worth / std::max<std::int64_t>(1, row_size)),
                   f);
}

/// Parts of an index range that depend on its size only, so that sums over the parts do not depend
/// on the number of threads.
struct Parts {
  std::int64_t size, step, count;
  Parts(std::int64_t all, std::int64_t part)
      : size(all), step(std::max<std::int64_t>(1, part)), count((all + step - 1) / step) {}
  /// f(part, begin, end)
  template <class F>
  void run(F&& f) const {
    at::parallel_for(0, count, 1, [&](std::int64_t from, std::int64_t to) {
      for (std::int64_t i = from; i < to; ++i) f(i, i * step, std::min(size, (i + 1) * step));
    });
  }
};

/// The gradients of f at the inputs that need one, differentiable themselves. They are those by
/// each input alone, though one may have been computed from another.
variable_list gradients_again(const std::function<at::Tensor(const variable_list&)>& f,
                              const variable_list& inputs, const at::Tensor& dy) {
  variable_list apart, wanted;
  for (const at::Tensor& x : inputs) {
    const bool needed = x.defined() && x.requires_grad();
    apart.push_back(needed ? x.view_as(x) : x);
    if (needed) wanted.push_back(apart.back());
  }
  const variable_list found = torch::autograd::grad({f(apart)}, wanted, {dy},
                                                    /*retain_graph=*/true, /*create_graph=*/true,
                                                    /*allow_unused=*/true);
  variable_list result;
  std::size_t next = 0;
  for (const at::Tensor& x : inputs) {
    result.push_back(x.defined() && x.requires_grad() ? found[next++] : at::Tensor());
  }
  return result;
}

using Sizes = std::vector<std::int64_t>;

// ---- convolutions

// <dy, conv(x, w)> is linear in each of the three, so that the gradients of a convolution and their
// gradients are again convolutions and gradients of convolutions. LibTorch's own have kernels as
// large as the image, which are slow.

struct Convolution {
  Sizes stride, padding, dilation;
  std::int64_t groups = 1;

  explicit Convolution(const Sizes& s)
      : stride{s[0], s[1]}, padding{s[2], s[3]}, dilation{s[4], s[5]}, groups(s[6]) {}

  at::Tensor of(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias) const {
    return at::conv2d(x, weight, bias, stride, padding, dilation, groups);
  }
  /// {dx, dw, db} where wanted. Of x and weight, what no wanted one is computed from may be any
  /// tensor of its shape.
  variable_list gradients(const at::Tensor& dy, const at::Tensor& x, const at::Tensor& weight,
                          std::array<bool, 3> wanted) const {
    const Sizes bias_size{dy.size(1)};
    auto [dx, dw, db] = at::convolution_backward(dy, x, weight, at::OptionalIntArrayRef(bias_size),
                                                 stride, padding, dilation, /*transposed=*/false,
                                                 at::IntArrayRef{0, 0}, groups, wanted);
    return {dx, dw, db};
  }
};

Sizes packed(const Steps& steps, std::int64_t groups) {
  return {steps.stride[0],   steps.stride[1], steps.padding[0], steps.padding[1], steps.dilation[0],
          steps.dilation[1], groups};
}

struct Conv : torch::autograd::Function<Conv> {
  static at::Tensor forward(AutogradContext* ctx, const at::Tensor& x, const at::Tensor& weight,
                            const c10::optional<at::Tensor>& given_bias, const Sizes& sizes) {
    ctx->save_for_backward({x, weight});
    ctx->saved_data["sizes"] = sizes;
    ctx->saved_data["bias"] = given_bias.has_value();
    return Convolution(sizes).of(x, weight, given_bias.value_or(at::Tensor()));
  }
  static variable_list backward(AutogradContext* ctx, variable_list gradients);
};

/// dx of a convolution.
struct ConvInput : torch::autograd::Function<ConvInput> {
  static at::Tensor forward(AutogradContext* ctx, const at::Tensor& dy, const at::Tensor& weight,
                            const Sizes& sizes, const Sizes& x_size) {
    ctx->save_for_backward({dy, weight});
    ctx->saved_data["sizes"] = sizes;
    const at::Tensor x =
        at::empty(x_size, dy.options(), dy.suggest_memory_format());  // its values are not read
    return Convolution(sizes).gradients(dy, x, weight, {true, false, false})[0];
  }
  static variable_list backward(AutogradContext* ctx, variable_list gradients);
};

/// dw of a convolution.
struct ConvWeight : torch::autograd::Function<ConvWeight> {
  static at::Tensor forward(AutogradContext* ctx, const at::Tensor& dy, const at::Tensor& x,
                            const Sizes& sizes, const at::Tensor& like) {
    ctx->save_for_backward({dy, x});
    ctx->saved_data["sizes"] = sizes;
    return Convolution(sizes).gradients(dy, x, like, {false, true, false})[1];
  }
  static variable_list backward(AutogradContext* ctx, variable_list gradients);
};

/// `like` has the weight's shape and memory order.
at::Tensor weight_gradient(const at::Tensor& dy, const at::Tensor& x, const Sizes& sizes,
                           const at::Tensor& like) {
  return ConvWeight::apply(dy, x, sizes, like.detach());
}

variable_list Conv::backward(AutogradContext* ctx, variable_list gradients) {
  const variable_list saved = ctx->get_saved_variables();
  const at::Tensor &x = saved[0], &weight = saved[1], &dy = gradients[0];
  const Sizes sizes = ctx->saved_data["sizes"].toIntVector();
  const bool bias = ctx->saved_data["bias"].toBool() && ctx->needs_input_grad(2);
  const bool input = ctx->needs_input_grad(0), kernel = ctx->needs_input_grad(1);
  variable_list found(4);
  if (at::GradMode::is_enabled()) {
    if (input) found[0] = ConvInput::apply(dy, weight, sizes, x.sizes().vec());
    if (kernel) found[1] = weight_gradient(dy, x, sizes, weight);
    if (bias) found[2] = dy.sum({0, 2, 3});
  } else {
    found = Convolution(sizes).gradients(dy, x, weight, {input, kernel, bias});
    found.emplace_back();
  }
  return found;
}

variable_list ConvInput::backward(AutogradContext* ctx, variable_list gradients) {
  const variable_list saved = ctx->get_saved_variables();
  const at::Tensor &dy = saved[0], &weight = saved[1], &v = gradients[0];
  const Sizes sizes = ctx->saved_data["sizes"].toIntVector();
  variable_list found(4);
  if (ctx->needs_input_grad(0)) found[0] = Conv::apply(v, weight, c10::nullopt, sizes);
  if (ctx->needs_input_grad(1)) found[1] = weight_gradient(dy, v, sizes, weight);
  return found;
}

variable_list ConvWeight::backward(AutogradContext* ctx, variable_list gradients) {
  const variable_list saved = ctx->get_saved_variables();
  const at::Tensor &dy = saved[0], &x = saved[1], &v = gradients[0];
  const Sizes sizes = ctx->saved_data["sizes"].toIntVector();
  variable_list found(4);
  if (ctx->needs_input_grad(0)) found[0] = Conv::apply(x, v, c10::nullopt, sizes);
  if (ctx->needs_input_grad(1)) found[1] = ConvInput::apply(dy, v, sizes, x.sizes().vec());
  return found;
}

// ---- windows

Window window_of(const at::Tensor& x, Pair kernel, const Steps& steps) {
  const auto axis = [&](int i) {
    const auto at = static_cast<std::size_t>(i);
    Axis a{.in = x.size(2 + i),
           .out = 0,
           .kernel = kernel[at],
           .stride = steps.stride[at],
           .padding = steps.padding[at],
           .dilation = steps.dilation[at]};
    const std::int64_t room = a.in + 2 * a.padding - a.dilation * (a.kernel - 1) - 1;
    a.out = room < 0 ? 0 : room / a.stride + 1;
    return a;
  };
  return {.channels = x.size(1), .h = axis(0), .w = axis(1)};
}

bool pool_fits(const Window& window) {
  const auto fits = [](const Axis& a) {
    return a.out > 0 && 2 * a.padding <= a.kernel && a.dilation == 1 && a.kernel <= 15;
  };
  return fits(window.h) && fits(window.w);
}

Sizes packed(const Window& window) {
  Sizes all{window.channels};
  for (const Axis& a : {window.h, window.w}) {
    all.insert(all.end(), {a.in, a.out, a.kernel, a.stride, a.padding, a.dilation});
  }
  return all;
}
Window unpacked(const Sizes& s) {
  return {.channels = s[0],
          .h = {s[1], s[2], s[3], s[4], s[5], s[6]},
          .w = {s[7], s[8], s[9], s[10], s[11], s[12]}};
}

at::Tensor output_of(const at::Tensor& x, const Window& window) {
  return at::empty({x.size(0), window.channels, window.h.out, window.w.out}, x.options(), last);
}
std::int64_t in_row(const Window& w) { return w.w.in * w.channels; }
std::int64_t out_row(const Window& w) { return w.w.out * w.channels; }

at::Tensor conv2d_again(const Window& w, const variable_list& in) {
  return conv2d(
      in[0], in[1], in[2],
      {{w.h.stride, w.w.stride}, {w.h.padding, w.w.padding}, {w.h.dilation, w.w.dilation}},
      w.channels);
}

/// {C,1,kh,kw} -> {kh,kw,C}
at::Tensor taps_first(const at::Tensor& weight) {
  return weight.select(1, 0).permute({1, 2, 0}).contiguous();
}

/// {N,C,H,W} in channels-last order -> {C}
at::Tensor channel_sums(const at::Tensor& x) {
  const std::int64_t channels = x.size(1);
  const at::Tensor pixels = x.permute({0, 2, 3, 1}).reshape({-1, channels});
  const Parts parts(pixels.size(0), std::max<std::int64_t>(1024, (pixels.size(0) + 15) / 16));
  at::Tensor sums = at::empty({parts.count, channels}, x.options());
  parts.run([&](std::int64_t part, std::int64_t begin, std::int64_t end) {
    const at::NoGradGuard no_grad;
    sums.select(0, part).copy_(pixels.slice(0, begin, end).sum(0));
  });
  return parts.count == 1 ? sums.select(0, 0) : sums.sum(0);
}

struct Depthwise : torch::autograd::Function<Depthwise> {
  static at::Tensor forward(AutogradContext* ctx, const at::Tensor& x, const at::Tensor& weight,
                            const c10::optional<at::Tensor>& given_bias, const Sizes& sizes) {
    const Window window = unpacked(sizes);
    const at::Tensor bias = given_bias.value_or(at::Tensor());
    ctx->save_for_backward({x, weight, bias});
    ctx->saved_data["window"] = sizes;
    const at::Tensor taps = taps_first(weight), offsets = bias.defined() ? bias.contiguous() : bias;
    at::Tensor y = output_of(x, window);
    share(x.size(0) * window.h.out, out_row(window) * window.w.kernel,
          [&](std::int64_t begin, std::int64_t end) {
            kernels().depthwise(window, data(x), data(taps), data(offsets), mutable_data(y), begin,
                                end);
          });
    return y;
  }

  static variable_list backward(AutogradContext* ctx, variable_list gradients) {
    const variable_list saved = ctx->get_saved_variables();
    const Window window = unpacked(ctx->saved_data["window"].toIntVector());
    if (at::GradMode::is_enabled()) {
      variable_list found = gradients_again(
          [&](const variable_list& in) { return conv2d_again(window, in); }, saved, gradients[0]);
      found.emplace_back();
      return found;
    }
    const at::Tensor &x = saved[0], &weight = saved[1];
    const at::Tensor dy = gradients[0].contiguous(last);
    at::Tensor dx, dw, db;
    const bool at_once = x.requires_grad() && weight.requires_grad() && window.w.stride == 1;
    const at::Tensor taps = x.requires_grad() ? taps_first(weight) : at::Tensor();
    if (x.requires_grad()) dx = image_like(x);
    if (x.requires_grad() && !at_once) {
      share(x.size(0) * window.h.in, in_row(window) * window.w.kernel,
            [&](std::int64_t begin, std::int64_t end) {
              kernels().depthwise_dx(window, data(dy), data(taps), mutable_data(dx), begin, end);
            });
    }
    if (weight.requires_grad()) {
      // Parts of at least 128 pixels, since each writes a whole kernel, and at most 16 of them.
      const Axis& w = window.w;
      const std::int64_t rows = x.size(0) * (at_once ? window.h.in : window.h.out);
      const Parts parts(rows, std::max((rows + 15) / 16, 128 / (at_once ? w.in : w.out)));
      at::Tensor sums =
          at::empty({parts.count, window.h.kernel, w.kernel, window.channels}, x.options());
      parts.run([&](std::int64_t part, std::int64_t begin, std::int64_t end) {
        float* sum = mutable_data(sums) + part * sums.stride(0);
        if (at_once) {
          kernels().depthwise_gradients(window, data(x), data(dy), data(taps), mutable_data(dx),
                                        sum, begin, end);
        } else {
          kernels().depthwise_dw(window, data(x), data(dy), sum, begin, end);
        }
      });
      dw = (parts.count == 1 ? sums.select(0, 0) : sums.sum(0)).permute({2, 0, 1}).unsqueeze(1);
    }
    if (saved[2].defined() && saved[2].requires_grad()) db = channel_sums(dy);
    return {dx, dw, db, {}};
  }
};

at::Tensor reciprocal_counts(const Window& window, bool count_include_pad) {
  const auto counts = [&](const Axis& a) {
    std::vector<std::int64_t> result;
    for (std::int64_t o = 0; o < a.out; ++o) {
      const std::int64_t first = o * a.stride - a.padding;
      const std::int64_t pad = count_include_pad ? a.padding : 0;
      result.push_back(std::min(first + a.kernel, a.in + pad) - std::max(first, -pad));
    }
    return result;
  };
  const auto rows = counts(window.h), columns = counts(window.w);
  at::Tensor factors = at::empty({window.h.out, window.w.out}, at::kFloat);
  float* out = mutable_data(factors);
  for (const std::int64_t h : rows) {
    for (const std::int64_t w : columns) *out++ = 1.0f / static_cast<float>(h * w);
  }
  return factors;
}

/// Average pooling and its gradient, which are each other's gradients. Neither keeps a tensor.
struct AveragePool : torch::autograd::Function<AveragePool> {
  static at::Tensor forward(AutogradContext* ctx, const at::Tensor& x, const Sizes& sizes,
                            bool count_include_pad) {
    const Window window = unpacked(sizes);
    ctx->saved_data["window"] = sizes;
    ctx->saved_data["include"] = count_include_pad;
    const at::Tensor factors = reciprocal_counts(window, count_include_pad);
    at::Tensor y = output_of(x, window);
    share(x.size(0) * window.h.out, out_row(window), [&](std::int64_t begin, std::int64_t end) {
      kernels().average_pool(window, data(x), data(factors), mutable_data(y), begin, end);
    });
    return y;
  }
  static variable_list backward(AutogradContext* ctx, variable_list gradients);
};

struct AveragePoolGradient : torch::autograd::Function<AveragePoolGradient> {
  static at::Tensor forward(AutogradContext* ctx, const at::Tensor& dy, const Sizes& sizes,
                            bool count_include_pad) {
    const Window window = unpacked(sizes);
    ctx->saved_data["window"] = sizes;
    ctx->saved_data["include"] = count_include_pad;
    const at::Tensor factors = reciprocal_counts(window, count_include_pad);
    at::Tensor dx =
        at::empty({dy.size(0), window.channels, window.h.in, window.w.in}, dy.options(), last);
    share(dx.size(0) * window.h.in, in_row(window), [&](std::int64_t begin, std::int64_t end) {
      kernels().average_pool_dx(window, data(dy), data(factors), mutable_data(dx), begin, end);
    });
    return dx;
  }
  static variable_list backward(AutogradContext* ctx, variable_list gradients) {
    return {
        AveragePool::apply(gradients[0].contiguous(last), ctx->saved_data["window"].toIntVector(),
                           ctx->saved_data["include"].toBool()),
        {},
        {}};
  }
};

variable_list AveragePool::backward(AutogradContext* ctx, variable_list gradients) {
  return {AveragePoolGradient::apply(gradients[0].contiguous(last),
                                     ctx->saved_data["window"].toIntVector(),
                                     ctx->saved_data["include"].toBool()),
          {},
          {}};
}

struct MaxPool : torch::autograd::Function<MaxPool> {
  static at::Tensor forward(AutogradContext* ctx, const at::Tensor& x, const Sizes& sizes) {
    const Window window = unpacked(sizes);
    at::Tensor y = output_of(x, window);
    at::Tensor taps = at::empty(y.sizes(), y.options().dtype(at::kByte), last);
    share(x.size(0) * window.h.out, out_row(window), [&](std::int64_t begin, std::int64_t end) {
      kernels().max_pool(window, data(x), mutable_data(y), taps.data_ptr<std::uint8_t>(), begin,
                         end);
    });
    ctx->save_for_backward({x});
    ctx->saved_data["taps"] = taps;
    ctx->saved_data["window"] = sizes;
    return y;
  }

  static variable_list backward(AutogradContext* ctx, variable_list gradients) {
    const at::Tensor x = ctx->get_saved_variables()[0];
    const Window window = unpacked(ctx->saved_data["window"].toIntVector());
    if (at::GradMode::is_enabled()) {
      variable_list found = gradients_again(
          [&](const variable_list& in) {
            return at::max_pool2d(in[0], {window.h.kernel, window.w.kernel},
                                  {window.h.stride, window.w.stride},
                                  {window.h.padding, window.w.padding});
          },
          {x}, gradients[0]);
      found.emplace_back();
      return found;
    }
    const at::Tensor dy = gradients[0].contiguous(last);
    const at::Tensor taps = ctx->saved_data["taps"].toTensor();
    at::Tensor dx = image_like(x);
    share(x.size(0) * window.h.in, in_row(window), [&](std::int64_t begin, std::int64_t end) {
      kernels().max_pool_dx(window, data(dy), taps.data_ptr<std::uint8_t>(), mutable_data(dx),
                            begin, end);
    });
    return {dx, {}};
  }
};

// ---- batch norm

at::Tensor followed(const at::Tensor& z, Epilogue f) {
  switch (f) {
    case Epilogue::none:
      return z;
    case Epilogue::relu:
      return at::relu(z);
    case Epilogue::relu6:
      return at::hardtanh(z, 0, 6);
    case Epilogue::hard_swish:
      break;
  }
  return at::hardswish(z);
}

at::Tensor batch_norm_of_torch(const at::Tensor& x, const BatchNorm& n) {
  return at::batch_norm(x, n.weight, n.bias, n.running_mean, n.running_var, n.training, n.momentum,
                        n.eps, at::globalContext().userEnabledCuDNN());
}

/// Parts of 32 kB, which stay in the nearest cache.
Parts pixel_parts(const at::Tensor& x) {
  const std::int64_t channels = x.size(1);
  return {x.numel() / channels, std::max<std::int64_t>(8, 8192 / channels)};
}

/// What a batch norm multiplies by and adds, {C} each.
struct Affine {
  at::Tensor scale, shift;
  Affine(const at::Tensor& mean, const at::Tensor& inverse_deviation, const at::Tensor& weight,
         const at::Tensor& bias)
      : scale(weight.defined() ? inverse_deviation * weight : inverse_deviation),
        shift(bias.defined() ? bias - mean * scale : -mean * scale) {}
};

/// {mean, inverse deviation}, {C} each, of a batch. The running ones, where defined, are updated.
std::pair<at::Tensor, at::Tensor> batch_statistics(const at::Tensor& x, at::Tensor running_mean,
                                                   at::Tensor running_var, double momentum,
                                                   double eps) {
  const std::int64_t channels = x.size(1);
  at::Tensor mean = at::empty({channels}, x.options()), inverse = at::empty_like(mean);
  const Parts parts = pixel_parts(x);
  std::vector<float> part_means(static_cast<std::size_t>(parts.count * channels));
  std::vector<float> part_squares(part_means.size());
  parts.run([&](std::int64_t part, std::int64_t begin, std::int64_t end) {
    kernels().moments(channels, data(x), part_means.data() + part * channels,
                      part_squares.data() + part * channels, begin, end);
  });
  const auto count = static_cast<double>(parts.size);
  const auto size = [&](std::int64_t part) {
    return static_cast<double>(std::min(parts.step, parts.size - part * parts.step));
  };
  std::vector<double> middle(static_cast<std::size_t>(channels)), squares(middle.size());
  for (std::int64_t p = 0, i = 0; p < parts.count; ++p) {
    for (std::size_t c = 0; c < middle.size(); ++c, ++i) {
      middle[c] += size(p) * static_cast<double>(part_means[static_cast<std::size_t>(i)]);
    }
  }
  for (double& m : middle) m /= count;
  for (std::int64_t p = 0, i = 0; p < parts.count; ++p) {
    for (std::size_t c = 0; c < middle.size(); ++c, ++i) {
      const auto at = static_cast<std::size_t>(i);
      const double off = static_cast<double>(part_means[at]) - middle[c];
      squares[c] += static_cast<double>(part_squares[at]) + size(p) * off * off;
    }
  }
  const auto update = [&](at::Tensor& running, std::size_t c, double value) {
    if (!running.defined()) return;
    float& number = mutable_data(running)[c];
    number = static_cast<float>(momentum * value + (1 - momentum) * static_cast<double>(number));
  };
  for (std::size_t c = 0; c < middle.size(); ++c) {
    mutable_data(mean)[c] = static_cast<float>(middle[c]);
    mutable_data(inverse)[c] = static_cast<float>(1 / std::sqrt(squares[c] / count + eps));
    update(running_mean, c, middle[c]);
    update(running_var, c, squares[c] / (count - 1));
  }
  return {mean, inverse};
}

/// The gradients {dx, dw, db} of a batch norm that trains, without an epilogue.
struct NormGradients : torch::autograd::Function<NormGradients> {
  static variable_list forward(AutogradContext* ctx, const at::Tensor& dy, const at::Tensor& x,
                               const c10::optional<at::Tensor>& given_weight,
                               const at::Tensor& mean, const at::Tensor& inverse, double eps);

  /// With x^ the normalized input, s the inverse deviation and bars for means over the pixels,
  /// dx = w s (dy - dy^- - x^ (dy x^)^-). What follows is its derivative, and those of
  /// dw = sum dy x^ and db = sum dy, for the cotangents v, a and b.
  static variable_list backward(AutogradContext* ctx, variable_list cotangents) {
    const variable_list saved = ctx->get_saved_variables();
    const at::Tensor dy = saved[0].contiguous(last), &x = saved[1], &weight = saved[2];
    const at::Tensor mean = ctx->saved_data["mean"].toTensor();
    const at::Tensor inverse = ctx->saved_data["inverse"].toTensor();
    const double eps = ctx->saved_data["eps"].toDouble();
    if (at::GradMode::is_enabled()) return by_libtorch(saved, cotangents, eps);
    const std::int64_t channels = x.size(1);
    const at::Tensor v = cotangents[0].defined() ? cotangents[0].contiguous(last)
                                                 : at::zeros_like(x, x.options(), last);
    const Parts parts = pixel_parts(x);
    std::vector<float> part_sums(static_cast<std::size_t>(5 * parts.count * channels));
    parts.run([&](std::int64_t part, std::int64_t begin, std::int64_t end) {
      kernels().affine_sums_again(channels, data(x), data(dy), data(v), data(mean),
                                  part_sums.data() + 5 * part * channels, begin, end);
    });
    std::vector<double> sums(static_cast<std::size_t>(5 * channels));
    for (auto part = part_sums.begin(); part != part_sums.end();) {
      for (double& sum : sums) sum += static_cast<double>(*part++);
    }
    at::Tensor factors = at::empty({7, channels}, x.options());
    at::Tensor dw = at::empty_like(mean);
    const auto count = static_cast<double>(parts.size);
    for (std::int64_t c = 0; c < channels; ++c) {
      const auto sum = [&](std::int64_t k) {
        return sums[static_cast<std::size_t>(k * channels + c)] / count;
      };
      const auto value = [c](const at::Tensor& t, double without) {
        return t.defined() ? static_cast<double>(data(t)[c]) : without;
      };
      const double s = value(inverse, 0), w = value(weight, 1);
      const double a = value(cotangents[1], 0), b = value(cotangents[2], 0);
      const double v_mean = sum(0), v_along = s * sum(1), dy_mean = sum(3), dy_along = s * sum(4);
      const double both = sum(2) - v_mean * dy_mean - v_along * dy_along;
      const double h_mean = a * dy_mean - w * s * (v_mean * dy_along + v_along * dy_mean);
      const double h_along = a * dy_along - 2 * w * s * v_along * dy_along;
      const double all[7] = {w * s,
                             s * (a - w * s * v_along),
                             b - w * s * v_mean,
                             -w * s * s * dy_along,
                             s * (a - w * s * v_along),
                             -s * s * (h_along + w * s * both),
                             -s * h_mean};
      for (std::int64_t k = 0; k < 7; ++k) {
        mutable_data(factors)[k * channels + c] = static_cast<float>(all[k]);
      }
      mutable_data(dw)[c] = static_cast<float>(s * count * both);
    }
    at::Tensor ddy = image_like(x), dx = image_like(x);
    share(parts.size, channels, [&](std::int64_t begin, std::int64_t end) {
      kernels().affine_dx_again(channels, data(x), data(dy), data(v), data(mean), data(factors),
                                mutable_data(ddy), mutable_data(dx), begin, end);
    });
    return {ddy, dx, weight.defined() ? dw : at::Tensor(), {}, {}, {}};
  }

 private:
  /// The same, differentiable.
  static variable_list by_libtorch(const variable_list& saved, const variable_list& cotangents,
                                   double eps) {
    variable_list in;
    for (const at::Tensor& t : saved) in.push_back(t.defined() ? t.view_as(t) : t);
    const bool affine = in[2].defined();
    const at::Tensor bias = affine ? at::zeros_like(in[2]).set_requires_grad(true) : at::Tensor();
    const at::Tensor x = in[1].requires_grad() ? in[1] : in[1].detach().set_requires_grad(true);
    const at::Tensor weight =
        !affine || in[2].requires_grad() ? in[2] : in[2].detach().set_requires_grad(true);
    const at::Tensor y = batch_norm_of_torch(x, {weight, bias, {}, {}, true, 0, eps});
    variable_list by{x};
    if (affine) by.insert(by.end(), {weight, bias});
    const variable_list first = torch::autograd::grad({y}, by, {in[0]}, true, true);
    at::Tensor sum = at::zeros({}, in[1].options());
    for (std::size_t i = 0; i < first.size(); ++i) {
      if (cotangents[i].defined()) sum = sum + (first[i] * cotangents[i]).sum();
    }
    variable_list wanted, found(6);
    for (const at::Tensor& t : in) {
      if (t.defined() && t.requires_grad()) wanted.push_back(t);
    }
    if (wanted.empty() || !sum.requires_grad()) return found;
    const variable_list second = torch::autograd::grad({sum}, wanted, {}, true, true, true);
    std::size_t next = 0;
    for (std::size_t i = 0; i < in.size(); ++i) {
      if (in[i].defined() && in[i].requires_grad()) found[i] = second[next++];
    }
    return found;
  }
};

struct Norm : torch::autograd::Function<Norm> {
  static at::Tensor forward(AutogradContext* ctx, const at::Tensor& x,
                            const c10::optional<at::Tensor>& given_weight,
                            const c10::optional<at::Tensor>& given_bias,
                            const c10::optional<at::Tensor>& given_mean,
                            const c10::optional<at::Tensor>& given_var, bool training,
                            double momentum, double eps, std::int64_t epilogue) {
    const at::Tensor weight = given_weight.value_or(at::Tensor());
    const at::Tensor bias = given_bias.value_or(at::Tensor());
    const at::Tensor running_mean = given_mean.value_or(at::Tensor());
    const at::Tensor running_var = given_var.value_or(at::Tensor());
    const std::int64_t channels = x.size(1);
    at::Tensor mean, inverse;
    if (training) {
      std::tie(mean, inverse) = batch_statistics(x, running_mean, running_var, momentum, eps);
    } else {
      mean = running_mean.clone();
      inverse = at::empty_like(running_var);
      const float* vars = data(running_var);
      for (std::int64_t c = 0; c < channels; ++c) {
        mutable_data(inverse)[c] =
            static_cast<float>(1 / std::sqrt(static_cast<double>(vars[c]) + eps));
      }
    }
    const Affine affine(mean, inverse, weight, bias);
    const auto f = static_cast<Epilogue>(epilogue);
    at::Tensor y = image_like(x);
    share(x.numel() / channels, channels, [&](std::int64_t begin, std::int64_t end) {
      kernels().affine(channels, f, data(x), data(affine.scale), data(affine.shift),
                       mutable_data(y), begin, end);
    });
    ctx->save_for_backward({x, weight, bias});
    ctx->saved_data["mean"] = mean;
    ctx->saved_data["inverse"] = inverse;
    ctx->saved_data["training"] = training;
    ctx->saved_data["eps"] = eps;
    ctx->saved_data["epilogue"] = epilogue;
    return y;
  }

  static variable_list backward(AutogradContext* ctx, variable_list gradients) {
    const variable_list saved = ctx->get_saved_variables();
    const at::Tensor &x = saved[0], &weight = saved[1], &bias = saved[2];
    const at::Tensor mean = ctx->saved_data["mean"].toTensor();
    const at::Tensor inverse = ctx->saved_data["inverse"].toTensor();
    const bool training = ctx->saved_data["training"].toBool();
    const double eps = ctx->saved_data["eps"].toDouble();
    const auto f = static_cast<Epilogue>(ctx->saved_data["epilogue"].toInt());
    variable_list found;
    if (at::GradMode::is_enabled()) {
      if (training && f == Epilogue::none) {
        found = NormGradients::apply(gradients[0], x, given(weight), mean, inverse, eps);
        if (!weight.defined()) found[1] = at::Tensor();
        if (!bias.defined()) found[2] = at::Tensor();
      } else {
        found = gradients_again(
            [&](const variable_list& in) {
              const at::Tensor variance = inverse.square().reciprocal() - eps;
              const at::Tensor z =
                  training
                      ? Norm::apply(in[0], given(in[1]), given(in[2]), c10::nullopt, c10::nullopt,
                                    true, 0.0, eps, static_cast<std::int64_t>(Epilogue::none))
                      : batch_norm_of_torch(in[0],
                                            {in[1], in[2], mean.clone(), variance, false, 0, eps});
              return followed(z, f);
            },
            saved, gradients[0]);
      }
      found.resize(9);
      return found;
    }
    found = first(gradients[0].contiguous(last), x, weight, bias,
                  {.mean = mean, .inverse = inverse, .f = f, .training = training});
    if (!weight.defined()) found[1] = at::Tensor();
    if (!bias.defined()) found[2] = at::Tensor();
    found.resize(9);
    return found;
  }

  struct Statistics {
    at::Tensor mean, inverse;
    Epilogue f = Epilogue::none;
    bool training = true;
    double factor = 1;  ///< of dx alone
  };
  /// {dx, dw, db}
  static variable_list first(const at::Tensor& dy, const at::Tensor& x, const at::Tensor& weight,
                             const at::Tensor& bias, const Statistics& of) {
    const at::Tensor &mean = of.mean, &inverse = of.inverse;
    const Epilogue f = of.f;
    const std::int64_t channels = x.size(1);
    const Affine affine(mean, inverse, weight, bias);
    const Parts parts = pixel_parts(x);
    std::vector<float> part_sums(static_cast<std::size_t>(2 * parts.count * channels));
    parts.run([&](std::int64_t part, std::int64_t begin, std::int64_t end) {
      float* to = part_sums.data() + 2 * part * channels;
      kernels().affine_sums(channels, f, data(x), data(dy), data(affine.scale), data(affine.shift),
                            data(mean), to, to + channels, begin, end);
    });
    std::vector<double> sums(static_cast<std::size_t>(2 * channels));
    for (auto part = part_sums.begin(); part != part_sums.end();) {
      for (double& sum : sums) sum += static_cast<double>(*part++);
    }
    at::Tensor dw = at::empty_like(mean), db = at::empty_like(mean);
    at::Tensor slope = at::zeros_like(mean), offset = at::zeros_like(mean);
    for (std::int64_t c = 0; c < channels; ++c) {
      const double sum = sums[static_cast<std::size_t>(c)];
      const double product = sums[static_cast<std::size_t>(channels + c)];
      const double inv = static_cast<double>(data(inverse)[c]);
      mutable_data(dw)[c] = static_cast<float>(product * inv);
      mutable_data(db)[c] = static_cast<float>(sum);
      if (!of.training) continue;
      const double scale = of.factor * static_cast<double>(data(affine.scale)[c]);
      const auto count = static_cast<double>(parts.size);
      mutable_data(slope)[c] = static_cast<float>(-scale * inv * inv * product / count);
      mutable_data(offset)[c] = static_cast<float>(-scale * sum / count);
    }
    at::Tensor dx;
    if (x.requires_grad()) {
      dx = image_like(x);
      const at::Tensor scale = of.factor == 1 ? affine.scale : affine.scale * of.factor;
      share(parts.size, channels, [&](std::int64_t begin, std::int64_t end) {
        kernels().affine_dx(channels, f, data(x), data(dy), data(scale), data(affine.shift),
                            data(mean), data(slope), data(offset), mutable_data(dx), begin, end);
      });
    }
    return {dx, dw, db};
  }
};

variable_list NormGradients::forward(AutogradContext* ctx, const at::Tensor& given_dy,
                                     const at::Tensor& given_x,
                                     const c10::optional<at::Tensor>& given_weight,
                                     const at::Tensor& mean, const at::Tensor& inverse,
                                     double eps) {
  const at::Tensor dy = given_dy.contiguous(last), weight = given_weight.value_or(at::Tensor());
  ctx->set_materialize_grads(false);
  ctx->save_for_backward({given_dy, given_x, weight});
  ctx->saved_data["mean"] = mean;
  ctx->saved_data["inverse"] = inverse;
  ctx->saved_data["eps"] = eps;
  // The shift, which the bias is part of, counts with an epilogue only.
  return Norm::first(dy, given_x, weight, {}, {.mean = mean, .inverse = inverse});
}

// ---- factors of images, sums of inputs

struct ScaledImages : torch::autograd::Function<ScaledImages> {
  static at::Tensor forward(AutogradContext* ctx, const at::Tensor& x, const at::Tensor& factors) {
    ctx->save_for_backward({x, factors});
    const std::int64_t pixels = x.size(2) * x.size(3), channels = x.size(1);
    const at::Tensor values = factors.contiguous();
    at::Tensor y = image_like(x);
    share(x.size(0), pixels * channels, [&](std::int64_t begin, std::int64_t end) {
      kernels().scale_images(channels, pixels, data(x), data(values), mutable_data(y), begin, end);
    });
    return y;
  }

  static variable_list backward(AutogradContext* ctx, variable_list gradients) {
    const variable_list saved = ctx->get_saved_variables();
    if (at::GradMode::is_enabled()) {
      return gradients_again([](const variable_list& in) { return in[0] * in[1]; }, saved,
                             gradients[0]);
    }
    const at::Tensor& x = saved[0];
    const std::int64_t pixels = x.size(2) * x.size(3), channels = x.size(1);
    const at::Tensor values = saved[1].contiguous(), dy = gradients[0].contiguous(last);
    at::Tensor dx = image_like(x), dfactors = at::empty(values.sizes(), values.options());
    share(x.size(0), pixels * channels, [&](std::int64_t begin, std::int64_t end) {
      kernels().scale_images_dx(channels, pixels, data(x), data(values), data(dy), mutable_data(dx),
                                mutable_data(dfactors), begin, end);
    });
    return {dx, dfactors};
  }
};

struct WeightedSum : torch::autograd::Function<WeightedSum> {
  static std::vector<const float*> pointers(const variable_list& all) {
    std::vector<const float*> result;
    for (std::size_t i = 1; i < all.size(); ++i) result.push_back(data(all[i]));
    return result;
  }

  /// The weights, then the inputs.
  static at::Tensor forward(AutogradContext* ctx, at::TensorList inputs) {
    const variable_list all = inputs.vec();
    ctx->save_for_backward(all);
    const at::Tensor weights = all[0].contiguous();
    const std::vector<const float*> x = pointers(all);
    at::Tensor y = at::empty_like(all[1]);
    share(y.numel(), 1, [&](std::int64_t begin, std::int64_t end) {
      kernels().weighted_sum(static_cast<std::int64_t>(x.size()), x.data(), data(weights),
                             mutable_data(y), begin, end);
    });
    return y;
  }

  static variable_list backward(AutogradContext* ctx, variable_list gradients) {
    const variable_list all = ctx->get_saved_variables();
    if (at::GradMode::is_enabled()) {
      return gradients_again(
          [](const variable_list& in) {
            at::Tensor sum = in[0].select(0, 0) * in[1];
            for (std::size_t i = 2; i < in.size(); ++i) {
              sum = sum + in[0].select(0, static_cast<std::int64_t>(i) - 1) * in[i];
            }
            return sum;
          },
          all, gradients[0]);
    }
    const at::Tensor weights = all[0].contiguous();
    at::Tensor dy = at::empty_like(all[1]);  // in the order of the inputs
    dy.copy_(gradients[0]);
    const std::vector<const float*> x = pointers(all);
    variable_list result(all.size());
    std::vector<float*> dx(x.size());
    for (std::size_t i = 0; i < x.size(); ++i) {
      if (!all[i + 1].requires_grad()) continue;
      result[i + 1] = at::empty_like(all[i + 1]);
      dx[i] = mutable_data(result[i + 1]);
    }
    const Parts parts(dy.numel(), 65536);
    const auto count = static_cast<std::int64_t>(x.size());
    at::Tensor products = at::empty({parts.count, count}, weights.options());
    parts.run([&](std::int64_t part, std::int64_t begin, std::int64_t end) {
      kernels().weighted_sum_dx(count, x.data(), data(weights), data(dy), dx.data(),
                                mutable_data(products) + part * count, begin, end);
    });
    result[0] = products.sum(0);
    return result;
  }
};

/// The weights, then each term's x, then its norm's weight and bias where it has them: apply()
/// takes no undefined tensor. `parts` says where: 4 numbers a term, the places of the three, -1 for
/// none, and whether there is a norm.
struct NormSum : torch::autograd::Function<NormSum> {
  struct Place {
    std::int64_t x, weight, bias;
    bool norm;
  };
  static std::vector<Place> places(const Sizes& packed_places) {
    std::vector<Place> result;
    for (std::size_t i = 0; i < packed_places.size(); i += 4) {
      result.push_back({packed_places[i], packed_places[i + 1], packed_places[i + 2],
                        packed_places[i + 3] != 0});
    }
    return result;
  }
  static at::Tensor at_place(const variable_list& all, std::int64_t place) {
    return place < 0 ? at::Tensor() : all[static_cast<std::size_t>(place)];
  }

  static at::Tensor forward(AutogradContext* ctx, at::TensorList inputs, const Sizes& packed_places,
                            std::span<const Term> terms) {
    const variable_list all = inputs.vec();
    const std::vector<Place> where = places(packed_places);
    const at::Tensor weights = all[0].contiguous();
    const at::Tensor& first = all[1];
    const std::int64_t channels = first.size(1);
    const auto count = static_cast<std::int64_t>(terms.size());
    // Means and inverse deviations, {2,C} a term.
    at::Tensor statistics = at::zeros({count, 2, channels}, first.options());
    at::Tensor scale = at::empty({count, channels}, first.options());
    std::vector<double> shift(static_cast<std::size_t>(channels));
    std::vector<const float*> x;
    for (std::int64_t i = 0; i < count; ++i) {
      const Place& place = where[static_cast<std::size_t>(i)];
      const Term& term = terms[static_cast<std::size_t>(i)];
      x.push_back(data(at_place(all, place.x)));
      const float w = data(weights)[i];
      float* to = mutable_data(scale) + i * channels;
      std::fill_n(to, channels, w);
      if (!term.norm) continue;
      const BatchNorm& n = *term.norm;
      const auto [mean, inverse] =
          batch_statistics(term.x, n.running_mean, n.running_var, n.momentum, n.eps);
      statistics.select(0, i).select(0, 0).copy_(mean);
      statistics.select(0, i).select(0, 1).copy_(inverse);
      for (std::int64_t c = 0; c < channels; ++c) {
        const double factor = static_cast<double>(data(inverse)[c]) *
                              (n.weight.defined() ? static_cast<double>(data(n.weight)[c]) : 1.0);
        const double offset = (n.bias.defined() ? static_cast<double>(data(n.bias)[c]) : 0.0) -
                              static_cast<double>(data(mean)[c]) * factor;
        to[c] = static_cast<float>(static_cast<double>(w) * factor);
        shift[static_cast<std::size_t>(c)] += static_cast<double>(w) * offset;
      }
    }
    const std::vector<float> shifts(shift.begin(), shift.end());
    at::Tensor y = image_like(first);
    share(y.numel() / channels, channels * count, [&](std::int64_t begin, std::int64_t end) {
      kernels().affine_sum(channels, count, x.data(), data(scale), shifts.data(), mutable_data(y),
                           begin, end);
    });
    ctx->save_for_backward(all);
    ctx->saved_data["places"] = packed_places;
    ctx->saved_data["statistics"] = statistics;
    std::vector<double> eps;
    for (const Term& term : terms) eps.push_back(term.norm ? term.norm->eps : 0);
    ctx->saved_data["eps"] = eps;
    return y;
  }

  static variable_list backward(AutogradContext* ctx, variable_list gradients) {
    const variable_list all = ctx->get_saved_variables();
    const std::vector<Place> where = places(ctx->saved_data["places"].toIntVector());
    const std::vector<double> eps = ctx->saved_data["eps"].toDoubleVector();
    variable_list result(all.size());
    if (at::GradMode::is_enabled()) {
      result = gradients_again(
          [&](const variable_list& in) {
            variable_list values;
            for (std::size_t i = 0; i < where.size(); ++i) {
              const at::Tensor x = at_place(in, where[i].x);
              values.push_back(!where[i].norm ? x
                                              : batch_norm(x,
                                                           {.weight = at_place(in, where[i].weight),
                                                            .bias = at_place(in, where[i].bias),
                                                            .running_mean = {},
                                                            .running_var = {},
                                                            .training = true,
                                                            .eps = eps[i]},
                                                           Epilogue::none));
            }
            return weighted_sum(values, in[0]);
          },
          all, gradients[0]);
      result.resize(all.size() + 2);
      return result;
    }
    const at::Tensor statistics = ctx->saved_data["statistics"].toTensor();
    const at::Tensor weights = all[0].contiguous(), dy = gradients[0].contiguous(last);
    at::Tensor of_weights = at::zeros(weights.sizes(), weights.options());
    for (std::size_t i = 0; i < where.size(); ++i) {
      const auto k = static_cast<std::int64_t>(i);
      const at::Tensor& x = all[static_cast<std::size_t>(where[i].x)];
      const double w = static_cast<double>(data(weights)[k]);
      at::Tensor& dx = result[static_cast<std::size_t>(where[i].x)];
      if (!where[i].norm) {
        add_plain(x, dy, data(weights) + k, mutable_data(of_weights) + k, dx);
        continue;
      }
      const at::Tensor weight = at_place(all, where[i].weight), bias = at_place(all, where[i].bias);
      // Of the norm without its weight: dw is then the product of dy and the normalized input.
      const variable_list plain_norm = Norm::first(dy, x, weight, {},
                                                   {.mean = statistics.select(0, k).select(0, 0),
                                                    .inverse = statistics.select(0, k).select(0, 1),
                                                    .factor = w});
      dx = plain_norm[0];
      double product = 0;
      for (std::int64_t c = 0; c < x.size(1); ++c) {
        const double along = static_cast<double>(data(plain_norm[1])[c]);
        const double sum = static_cast<double>(data(plain_norm[2])[c]);
        product += along * (weight.defined() ? static_cast<double>(data(weight)[c]) : 1.0) +
                   sum * (bias.defined() ? static_cast<double>(data(bias)[c]) : 0.0);
      }
      mutable_data(of_weights)[k] = static_cast<float>(product);
      if (weight.defined()) result[static_cast<std::size_t>(where[i].weight)] = plain_norm[1] * w;
      if (bias.defined()) result[static_cast<std::size_t>(where[i].bias)] = plain_norm[2] * w;
    }
    result[0] = of_weights;
    result.resize(all.size() + 2);
    return result;
  }

 private:
  static void add_plain(const at::Tensor& x, const at::Tensor& dy, const float* weight,
                        float* product, at::Tensor& dx) {
    if (x.requires_grad()) dx = image_like(x);
    const float* from = data(x);
    float* to = dx.defined() ? mutable_data(dx) : nullptr;
    const Parts parts(dy.numel(), 65536);
    std::vector<float> products(static_cast<std::size_t>(parts.count));
    parts.run([&](std::int64_t part, std::int64_t begin, std::int64_t end) {
      kernels().weighted_sum_dx(1, &from, weight, data(dy), &to, products.data() + part, begin,
                                end);
    });
    for (const float part : products) *product += part;
  }
};

/// Whether a convolution reads single pixels and leaves others out between them.
bool reads_apart(const at::Tensor& weight, const Steps& steps) {
  return weight.size(2) == 1 && weight.size(3) == 1 && steps.padding == Pair{0, 0} &&
         steps.stride != Pair{1, 1};
}

}  // namespace

at::Tensor conv2d(const at::Tensor& image, const at::Tensor& weight, const at::Tensor& bias,
                  const Steps& given_steps, std::int64_t groups) {
  at::Tensor x = image;
  Steps steps = given_steps;
  if (reads_apart(weight, steps) && !image.is_cuda()) {
    // oneDNN's gradient of such a weight writes past its memory (seen in LibTorch 1.13 on AVX-512,
    // with two threads and an odd batch); a stride of 1 goes another way.
    x = image.slice(2, 0, c10::nullopt, steps.stride[0]).slice(3, 0, c10::nullopt, steps.stride[1]);
    x = x.contiguous(image.suggest_memory_format());
    steps.stride = {1, 1};
  }
  const auto recorded = [](const at::Tensor& t) { return t.defined() && t.requires_grad(); };
  const bool plain_types =
      weight.scalar_type() == x.scalar_type() &&
      (x.scalar_type() == at::kFloat || x.scalar_type() == at::kDouble) &&
      !Autocast::active(x.is_cuda() ? Autocast::Place::cuda : Autocast::Place::cpu);
  if (plain_types && at::GradMode::is_enabled() &&
      (recorded(x) || recorded(weight) || recorded(bias))) {
    return Conv::apply(x, weight, given(bias), packed(steps, groups));
  }
  return at::conv2d(x, weight, bias, steps.stride, steps.padding, steps.dilation, groups);
}

at::Tensor sign_agreements(const at::Tensor& x) {
  const at::NoGradGuard no_grad;
  const std::int64_t images = x.size(0), units = images == 0 ? 0 : x.numel() / images;
  at::Tensor result = at::empty({images, images}, at::kDouble);
  // Whatever the order in memory, it is the same for all images.
  if (!plain(x) || units == 0 || x.stride(0) != units || !x.is_non_overlapping_and_dense()) {
    const at::Tensor codes = x.gt(0).to(at::kFloat).reshape({images, -1});
    const at::Tensor both = codes.mm(codes.t()).to(at::kCPU, at::kDouble);
    const at::Tensor own = both.diagonal().clone();
    return (both * 2).sub_(own.unsqueeze(0)).sub_(own.unsqueeze(1)).add_(double(units));
  }
  const std::int64_t words = (units + 63) / 64;
  std::vector<std::uint64_t> bits(static_cast<std::size_t>(images * words));
  double* out = result.data_ptr<double>();
  share(images, units, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t n = begin; n < end; ++n) {
      kernels().positive_bits(units, data(x) + n * units, bits.data() + n * words);
    }
  });
  share(images, images * words / 2, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) {
      for (std::int64_t j = 0; j <= i; ++j) {
        const std::int64_t differ =
            kernels().differing_bits(words, bits.data() + i * words, bits.data() + j * words);
        out[i * images + j] = out[j * images + i] = static_cast<double>(units - differ);
      }
    }
  });
  return result;
}

at::Tensor depthwise_conv2d(const at::Tensor& image, const at::Tensor& weight,
                            const at::Tensor& bias, const Steps& steps) {
  const at::Tensor x = in_float(image);
  const bool usable = usable_image(x) && plain(weight) && (!bias.defined() || plain(bias)) &&
                      weight.size(0) == x.size(1);
  if (usable) {
    const Window window = window_of(x, {weight.size(2), weight.size(3)}, steps);
    if (window.h.out > 0 && window.w.out > 0 && depthwise_fits(window)) {
      return Depthwise::apply(x, weight, given(bias), packed(window));
    }
  }
  return conv2d(x, weight, bias, steps, x.size(1) / weight.size(1));
}

at::Tensor image_products(const at::Tensor& x, const at::Tensor& y) {
  if (!usable_image(x) || !usable_image(y) || x.sizes() != y.sizes()) {
    return (x * y).flatten(2).sum(2);
  }
  const std::int64_t pixels = x.size(2) * x.size(3), channels = x.size(1);
  at::Tensor products = at::empty({x.size(0), channels}, at::kFloat);
  share(x.size(0), pixels * channels, [&](std::int64_t begin, std::int64_t end) {
    kernels().image_products(channels, pixels, data(x), data(y), mutable_data(products), begin,
                             end);
  });
  return products;
}

at::Tensor avg_pool2d(const at::Tensor& image, Pair kernel, const Steps& steps, bool ceil_mode,
                      bool count_include_pad) {
  const at::Tensor x = in_float(image);
  if (usable_image(x) && !ceil_mode) {
    const Window window = window_of(x, kernel, steps);
    if (pool_fits(window)) return AveragePool::apply(x, packed(window), count_include_pad);
  }
  return at::avg_pool2d(x, kernel, steps.stride, steps.padding, ceil_mode, count_include_pad);
}

at::Tensor max_pool2d(const at::Tensor& image, Pair kernel, const Steps& steps, bool ceil_mode) {
  const at::Tensor x = in_float(image);
  if (usable_image(x) && !ceil_mode) {
    const Window window = window_of(x, kernel, steps);
    if (pool_fits(window)) return MaxPool::apply(x, packed(window));
  }
  return at::max_pool2d(x, kernel, steps.stride, steps.padding, 1, ceil_mode);
}

at::Tensor batch_norm(const at::Tensor& image, const BatchNorm& n, Epilogue f) {
  const at::Tensor x = in_float(image);
  const bool usable =
      usable_image(x) && (n.training || (n.running_mean.defined() && n.running_var.defined())) &&
      usable_vector(n.weight) && usable_vector(n.bias) && usable_vector(n.running_mean) &&
      usable_vector(n.running_var) &&
      (!n.running_mean.defined() || n.running_mean.numel() == x.size(1)) && x.numel() > x.size(1);
  if (!usable) return followed(batch_norm_of_torch(x, n), f);
  return Norm::apply(x, given(n.weight), given(n.bias), given(n.running_mean), given(n.running_var),
                     n.training, n.momentum, n.eps, static_cast<std::int64_t>(f));
}

at::Tensor scale_images(const at::Tensor& image, const at::Tensor& numbers) {
  const at::Tensor x = in_float(image), factors = in_float(numbers);
  const bool usable = usable_image(x) && plain(factors) && factors.dim() == 4 &&
                      factors.size(0) == x.size(0) && factors.size(1) == x.size(1) &&
                      factors.size(2) == 1 && factors.size(3) == 1 && x.size(2) * x.size(3) > 1;
  return usable ? ScaledImages::apply(x, factors) : x * factors;
}

at::Tensor weighted_sum_of_norms(std::span<const Term> terms, const at::Tensor& weights) {
  bool usable = plain(weights) && weights.dim() == 1;
  for (const Term& term : terms) {
    usable = usable && usable_image(term.x) && term.x.sizes() == terms[0].x.sizes();
    if (!term.norm) continue;
    const BatchNorm& n = *term.norm;
    assert(n.training);
    usable = usable && usable_vector(n.weight) && usable_vector(n.bias) &&
             usable_vector(n.running_mean) && usable_vector(n.running_var) &&
             term.x.numel() > term.x.size(1);
  }
  if (!usable) {
    variable_list values;
    for (const Term& term : terms) {
      values.push_back(term.norm ? batch_norm(term.x, *term.norm, Epilogue::none) : term.x);
    }
    return weighted_sum(values, weights);
  }
  variable_list all{weights};
  Sizes places;
  const auto place = [&](const at::Tensor& t) {
    if (!t.defined()) return std::int64_t{-1};
    all.push_back(t);
    return static_cast<std::int64_t>(all.size()) - 1;
  };
  for (const Term& term : terms) {
    places.push_back(place(term.x));
    places.push_back(term.norm ? place(term.norm->weight) : -1);
    places.push_back(term.norm ? place(term.norm->bias) : -1);
    places.push_back(term.norm ? 1 : 0);
  }
  return NormSum::apply(at::TensorList(all), places, terms);
}

at::Tensor weighted_sum(std::span<const at::Tensor> x, const at::Tensor& weights) {
  bool usable = plain(weights) && weights.dim() == 1 && x[0].numel() > 0;
  for (const at::Tensor& input : x) {
    usable = usable && plain(input) && input.is_non_overlapping_and_dense() &&
             input.sizes() == x[0].sizes() && input.strides() == x[0].strides();
  }
  if (usable) {
    variable_list all{weights};
    all.insert(all.end(), x.begin(), x.end());
    return WeightedSum::apply(at::TensorList(all));
  }
  at::Tensor sum = weights.select(0, 0) * x[0];
  for (std::size_t i = 1; i < x.size(); ++i) {
    sum = sum + weights.select(0, static_cast<std::int64_t>(i)) * x[i];
  }
  return sum;
}

}  // namespace espalier::kernels
