#include "nets/op_to_torch.hpp"

#include <ATen/ATen.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <optional>
#include <string>
#include <utility>

#include "core/error.hpp"
#include "nets/kernels/functions.hpp"
#include "nets/quantization.hpp"

namespace espalier {

namespace {

std::array<std::int64_t, 2> pair(const Extent& extent) {
  return {extent.h.value(), extent.w.value()};
}

at::Tensor activated(const at::Tensor& x, ActivationKind kind) {
  switch (kind) {
    case ActivationKind::relu:
      return at::relu(x);
    case ActivationKind::relu6:
      return at::hardtanh(x, 0, 6);
    case ActivationKind::hard_swish:
      return at::hardswish(x);
    case ActivationKind::hard_sigmoid:
      return at::hardsigmoid(x);
    case ActivationKind::sigmoid:
      return at::sigmoid(x);
    case ActivationKind::swish:
      return at::silu(x);
    case ActivationKind::gelu:
      return at::gelu(x);
    case ActivationKind::tanh:
      return at::tanh(x);
  }
  throw UnsupportedError("unknown activation");
}

std::optional<kernels::Epilogue> epilogue_of(const Op& op) {
  const auto* activation = std::get_if<op::Activation>(&op);
  if (activation == nullptr) return std::nullopt;
  switch (activation->kind) {
    case ActivationKind::relu:
      return kernels::Epilogue::relu;
    case ActivationKind::relu6:
      return kernels::Epilogue::relu6;
    case ActivationKind::hard_swish:
      return kernels::Epilogue::hard_swish;
    default:
      return std::nullopt;
  }
}

/// Numbers of shape {C} that broadcast over {N,C,H,W}, {N,T,C} or {N,C}.
at::Tensor over_channels(const at::Tensor& values, const at::Tensor& x) {
  return x.dim() == 4 ? values.view({1, -1, 1, 1}) : values;
}

/// {N,T,W} -> {N,heads,T,head_width}
at::Tensor heads_of(const at::Tensor& x, std::int64_t head_width) {
  return x.view({x.size(0), x.size(1), -1, head_width}).transpose(1, 2);
}

at::Tensor attention(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v,
                     std::int64_t head_width) {
  const double scale = 1.0 / std::sqrt(static_cast<double>(head_width));
  const at::Tensor scores = at::matmul(heads_of(q.contiguous(), head_width) * scale,
                                       heads_of(k.contiguous(), head_width).transpose(2, 3));
  return at::matmul(at::softmax(scores, -1), heads_of(v.contiguous(), head_width))
      .transpose(1, 2)
      .flatten(2);
}

/// The places of x {N,C,H,W} that one place of the window reads: bilinear, zero outside.
/// `rows` and `columns` are {N,H',W'}, in pixels.
at::Tensor sampled(const at::Tensor& x, const at::Tensor& rows, const at::Tensor& columns) {
  // grid_sampler counts from -1 to 1 between the centres of the outer pixels. An axis of one pixel
  // has no such distance: it gets a row or column of zeros.
  at::Tensor image = x;
  if (x.size(2) == 1 || x.size(3) == 1) {
    image = at::constant_pad_nd(x, {0, x.size(3) == 1 ? 1 : 0, 0, x.size(2) == 1 ? 1 : 0});
  }
  const auto scaled = [](const at::Tensor& pixels, std::int64_t size) {
    return pixels * (2.0 / static_cast<double>(size - 1)) - 1;
  };
  const at::Tensor grid =
      at::stack({scaled(columns, image.size(3)), scaled(rows, image.size(2))}, -1);
  return at::grid_sampler_2d(image.contiguous(), grid.contiguous(), /*bilinear*/ 0, /*zeros*/ 0,
                             /*align_corners=*/true);
}

/// {N, C kh kw, H', W'}: what the window reads, place after place for each channel.
at::Tensor deformed_columns(const op::DeformConv2d& o, const at::Tensor& image,
                            const at::Tensor& given_offsets, const at::Tensor& given_factors) {
  // Places between pixels need more than the 8 bits of bfloat16, and sampling has no kernel for it.
  const auto wide = [](const at::Tensor& t) {
    return t.defined() && t.scalar_type() == at::kBFloat16 ? t.to(at::kFloat) : t;
  };
  const at::Tensor x = wide(image), offsets = wide(given_offsets), factors = wide(given_factors);
  const auto [kh, kw] = pair(o.kernel);
  const auto [stride_h, stride_w] = pair(o.stride);
  const auto [pad_h, pad_w] = pair(o.padding);
  const auto [step_h, step_w] = pair(o.dilation);
  const std::int64_t places = kh * kw, batch = x.size(0);
  const std::int64_t runs = offsets.size(1) / (2 * places);
  const std::int64_t height = offsets.size(2), width = offsets.size(3);
  const std::int64_t run_channels = x.size(1) / runs;
  // Runs of channels are images of their own.
  const at::Tensor images = x.reshape({batch * runs, run_channels, x.size(2), x.size(3)});
  const at::Tensor moves = offsets.reshape({batch * runs, places, 2, height, width});
  at::Tensor weights;
  if (factors.defined()) weights = factors.reshape({batch * runs, places, 1, height, width});
  const at::Tensor row = (at::arange(height, x.options()) * stride_h - pad_h).view({1, height, 1});
  const at::Tensor column = (at::arange(width, x.options()) * stride_w - pad_w).view({1, 1, width});
  std::vector<at::Tensor> parts;
  for (std::int64_t place = 0; place < places; ++place) {
    const at::Tensor move = moves.select(1, place);
    at::Tensor part = sampled(images, row + place / kw * step_h + move.select(1, 0),
                              column + place % kw * step_w + move.select(1, 1));
    if (weights.defined()) part = part * weights.select(1, place);
    parts.push_back(part);
  }
  return at::stack(parts, 2).reshape({batch, x.size(1) * places, height, width});
}

struct Runner {
  const Node& node;
  std::span<const at::Tensor> in;
  const OpTensors& tensors;
  const RunMode& mode;

  std::int64_t bits(Dim Quantization::*width) const {
    return node.compression.quantization ? ((*node.compression.quantization).*width).value() : 32;
  }
  at::Tensor quantized_input() const {
    const std::int64_t b = bits(&Quantization::activation_bits);
    if (b == 32) return in[0];
    const ActivationRange range =
        activation_range(in[0], tensors.activation_min, tensors.activation_max,
                         mode.training && mode.ranges == ActivationRanges::learned);
    return fake_quantize_activation(in[0], range.low, range.high, b);
  }
  at::Tensor quantized_weight() const {
    return fake_quantize_weight(tensors.weight, bits(&Quantization::weight_bits));
  }

  at::Tensor operator()(const op::Input&) const { return in[0]; }
  at::Tensor operator()(const op::Conv2d& o) const {
    const at::Tensor weight = quantized_weight();
    const at::Tensor x = quantized_input();
    const auto stride = pair(o.stride), padding = pair(o.padding), dilation = pair(o.dilation);
    const std::int64_t groups = x.size(1) / weight.size(1);
    if (weight.size(1) == 1 && groups > 1) {
      return kernels::depthwise_conv2d(x, weight, tensors.bias, {stride, padding, dilation});
    }
    const bool point = groups == 1 && weight.size(2) == 1 && weight.size(3) == 1 &&
                       padding == std::array<std::int64_t, 2>{0, 0};
    if (point && x.size(2) == 1 && x.size(3) == 1) {
      // A matrix product: a convolution's weight gradient takes up to 20 times as long here.
      return at::linear(x.flatten(1), weight.flatten(1), tensors.bias).view({x.size(0), -1, 1, 1});
    }
    return kernels::conv2d(x, weight, tensors.bias, {stride, padding, dilation}, groups);
  }
  at::Tensor operator()(const op::BatchNorm2d& o) const {
    return normalized(o, kernels::Epilogue::none);
  }
  at::Tensor normalized(const op::BatchNorm2d& o, kernels::Epilogue epilogue) const {
    if (mode.training && in[0].numel() == in[0].size(1)) {
      throw NumericalError("batch norm needs more than one value per channel to train, got " +
                           std::to_string(in[0].size(0)) + " sample of 1x1; use a larger batch");
    }
    return kernels::batch_norm(in[0],
                               {.weight = tensors.weight,
                                .bias = tensors.bias,
                                .running_mean = tensors.running_mean,
                                .running_var = tensors.running_var,
                                .training = mode.training,
                                .momentum = static_cast<double>(o.momentum),
                                .eps = static_cast<double>(o.eps)},
                               epilogue);
  }
  at::Tensor operator()(const op::Linear&) const {
    const at::Tensor weight = quantized_weight();
    return at::linear(quantized_input(), weight, tensors.bias);
  }
  at::Tensor operator()(const op::Activation& o) const { return activated(in[0], o.kind); }
  at::Tensor operator()(const op::Pool2d& o) const {
    const auto kernel = pair(o.kernel), stride = pair(o.stride), padding = pair(o.padding);
    if (o.kind == PoolKind::max) {
      return kernels::max_pool2d(in[0], kernel, {stride, padding}, o.ceil_mode);
    }
    return kernels::avg_pool2d(in[0], kernel, {stride, padding}, o.ceil_mode, o.count_include_pad);
  }
  at::Tensor operator()(const op::GlobalAvgPool&) const { return in[0].mean({2, 3}, true); }
  at::Tensor operator()(const op::Flatten&) const { return in[0].flatten(1); }
  at::Tensor operator()(const op::Add&) const {
    if (in.size() == 1) return in[0];
    at::Tensor sum = in[0] + in[1];
    for (const at::Tensor& x : in.subspan(2)) {
      // In place is safe: nothing else has seen the partial sum, and addition saves nothing. But it
      // would keep 16 bits where x has 32.
      if (x.scalar_type() == sum.scalar_type()) {
        sum.add_(x);
      } else {
        sum = sum + x;
      }
    }
    return sum;
  }
  at::Tensor operator()(const op::Multiply&) const {
    const bool second = in[1].dim() == 4 && in[1].size(2) * in[1].size(3) == 1;
    return kernels::scale_images(in[second ? 0 : 1], in[second ? 1 : 0]);
  }
  at::Tensor operator()(const op::Concat&) const {
    return at::cat(at::TensorList(in.data(), in.size()), 1);
  }
  at::Tensor operator()(const op::Dropout& o) const {
    if (!mode.training || !mode.dropout || o.probability == 0) return in[0];
    const double keep = 1.0 - static_cast<double>(o.probability);
    // Drawn on the CPU, so that a seed means the same on every device.
    at::Tensor mask = at::empty(in[0].sizes(), in[0].options().device(at::kCPU));
    mask.bernoulli_(keep, mode.generator).div_(keep);
    return in[0] * mask.to(in[0].device());
  }
  at::Tensor operator()(const op::Zero& o) const {
    const std::int64_t stride = o.stride.value();
    if (stride == 1) return at::zeros_like(in[0]);
    return at::zeros_like(in[0].slice(2, 0, {}, stride).slice(3, 0, {}, stride));
  }
  at::Tensor operator()(const op::Slice& o) const {
    const std::int64_t end = o.end.value();
    return in[0].slice(o.axis.value() + 1, o.begin.value(),
                       end == 0 ? c10::nullopt : c10::optional<std::int64_t>(end));
  }
  at::Tensor operator()(const op::ChannelShuffle& o) const {
    const at::Tensor& x = in[0];
    return x.reshape({x.size(0), o.groups.value(), -1, x.size(2), x.size(3)})
        .transpose(1, 2)
        .reshape(x.sizes());
  }
  at::Tensor operator()(const op::LayerNorm& o) const {
    const bool image = in[0].dim() == 4;
    const at::Tensor x = image ? in[0].permute({0, 2, 3, 1}) : in[0];
    const at::Tensor y =
        at::layer_norm(x, {x.size(-1)}, tensors.weight, tensors.bias, static_cast<double>(o.eps));
    return image ? y.permute({0, 3, 1, 2}) : y;
  }
  at::Tensor operator()(const op::Scale&) const {
    return in[0] * over_channels(tensors.weight, in[0]);
  }
  at::Tensor operator()(const op::Tokens&) const { return in[0].flatten(2).transpose(1, 2); }
  at::Tensor operator()(const op::ClassToken&) const {
    return at::cat({tensors.weight.expand({in[0].size(0), 1, -1}), in[0]}, 1);
  }
  at::Tensor operator()(const op::PositionEmbedding&) const { return in[0] + tensors.weight; }
  at::Tensor operator()(const op::Attention& o) const {
    return attention(in[0], in[1], in[2], o.head_width.value());
  }
  at::Tensor operator()(const op::DeformConv2d& o) const {
    const at::Tensor columns =
        deformed_columns(o, in[0], in[1], in.size() > 2 ? in[2] : at::Tensor());
    // A 1x1 convolution of the columns: its weight is the kernel, channel by channel.
    const std::int64_t groups = in[0].size(1) / tensors.weight.size(1);
    return at::conv2d(columns, tensors.weight.reshape({tensors.weight.size(0), -1, 1, 1}),
                      tensors.bias, at::IntArrayRef{1, 1}, at::IntArrayRef{0, 0},
                      at::IntArrayRef{1, 1}, groups);
  }
  at::Tensor operator()(const op::Choice& o) const {
    throw InvalidArchitecture("choice of decision " + std::to_string(o.decision) +
                              " is open; close the supergraph with an architecture first");
  }
  at::Tensor operator()(const op::Output&) const { return in[0]; }
};

}  // namespace

std::string size_text(at::IntArrayRef sizes) {
  std::string text = "{";
  for (std::size_t i = 0; i < sizes.size(); ++i) {
    text += (i > 0 ? ", " : "") + std::to_string(sizes[i]);
  }
  return text + "}";
}

at::Tensor run_op(const Node& node, std::span<const at::Tensor> inputs, const OpTensors& tensors,
                  const RunMode& mode) {
  return std::visit(Runner{node, inputs, tensors, mode}, node.op);
}

bool joins_batch_norm(const Op& op) { return epilogue_of(op).has_value(); }

at::Tensor run_batch_norm_then(const Op& activation, const Node& norm,
                               std::span<const at::Tensor> inputs, const OpTensors& tensors,
                               const RunMode& mode) {
  return Runner{norm, inputs, tensors, mode}.normalized(std::get<op::BatchNorm2d>(norm.op),
                                                        epilogue_of(activation).value());
}

}  // namespace espalier
