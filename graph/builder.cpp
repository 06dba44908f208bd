#include "graph/builder.hpp"

#include <array>

namespace espalier {

namespace {
Extent same_padding(Extent kernel, Extent dilation) {
  const auto half = [](std::int64_t k, std::int64_t d) { return d * (k - 1) / 2; };
  return {map(half, kernel.h, dilation.h), map(half, kernel.w, dilation.w)};
}

op::Pool2d pool_op(PoolKind kind, const PoolOptions& options) {
  const Extent padding = options.padding ? *options.padding : same_padding(options.kernel, 1);
  return {kind,    options.kernel,    options.stride,
          padding, options.ceil_mode, options.count_include_pad};
}
}  // namespace

GraphBuilder::ScopeGuard GraphBuilder::scope(std::string_view name, std::string_view kind,
                                             ScopeAttributes attributes) {
  const ScopeId parent = scope_;
  scope_ = graph_.add_scope(name, kind, parent, std::move(attributes));
  return {*this, parent};
}

NodeId GraphBuilder::append(const Op& op, std::span<const NodeId> inputs, std::string_view name,
                            const Compression& compression) {
  const std::string& above = graph_.scope(scope_).name;
  const std::string full = above.empty() ? std::string(name) : above + "." + std::string(name);
  return graph_.add(op, inputs, full, scope_, compression);
}

NodeId GraphBuilder::input(Dim channels, Dim height, Dim width) {
  return append(op::Input{channels, height, width}, {}, "input");
}

NodeId GraphBuilder::conv(NodeId x, Dim out_channels, const ConvOptions& options,
                          std::string_view name) {
  const Extent padding =
      options.padding ? *options.padding : same_padding(options.kernel, options.dilation);
  return append(op::Conv2d{out_channels, options.kernel, options.stride, padding, options.dilation,
                           options.group_width, options.bias},
                std::array{x}, name);
}

NodeId GraphBuilder::depthwise(NodeId x, ConvOptions options, std::string_view name) {
  options.group_width = 1;
  return conv(x, 0, options, name);
}

NodeId GraphBuilder::batch_norm(NodeId x, op::BatchNorm2d options, std::string_view name) {
  return append(options, std::array{x}, name);
}

NodeId GraphBuilder::activation(NodeId x, ActivationKind kind, std::string_view name) {
  return append(op::Activation{kind}, std::array{x}, name);
}

NodeId GraphBuilder::linear(NodeId x, Dim out_features, const LinearOptions& options,
                            std::string_view name) {
  return append(op::Linear{out_features, options.bias}, std::array{x}, name);
}

NodeId GraphBuilder::max_pool(NodeId x, const PoolOptions& options, std::string_view name) {
  return append(pool_op(PoolKind::max, options), std::array{x}, name);
}

NodeId GraphBuilder::avg_pool(NodeId x, const PoolOptions& options, std::string_view name) {
  return append(pool_op(PoolKind::average, options), std::array{x}, name);
}

NodeId GraphBuilder::global_avg_pool(NodeId x, std::string_view name) {
  return append(op::GlobalAvgPool{}, std::array{x}, name);
}

NodeId GraphBuilder::flatten(NodeId x, std::string_view name) {
  return append(op::Flatten{}, std::array{x}, name);
}

NodeId GraphBuilder::add(std::span<const NodeId> xs, std::string_view name) {
  return append(op::Add{}, xs, name);
}

NodeId GraphBuilder::add(NodeId a, NodeId b, std::string_view name) {
  return append(op::Add{}, std::array{a, b}, name);
}

NodeId GraphBuilder::multiply(NodeId a, NodeId b, std::string_view name) {
  return append(op::Multiply{}, std::array{a, b}, name);
}

NodeId GraphBuilder::concat(std::span<const NodeId> xs, std::string_view name) {
  return append(op::Concat{}, xs, name);
}

NodeId GraphBuilder::dropout(NodeId x, float probability, std::string_view name) {
  return append(op::Dropout{probability}, std::array{x}, name);
}

NodeId GraphBuilder::zero(NodeId x, Dim stride, std::string_view name) {
  return append(op::Zero{stride}, std::array{x}, name);
}

NodeId GraphBuilder::slice(NodeId x, const op::Slice& options, std::string_view name) {
  return append(options, std::array{x}, name);
}

NodeId GraphBuilder::channel_shuffle(NodeId x, Dim groups, std::string_view name) {
  return append(op::ChannelShuffle{groups}, std::array{x}, name);
}

NodeId GraphBuilder::layer_norm(NodeId x, const op::LayerNorm& options, std::string_view name) {
  return append(options, std::array{x}, name);
}

NodeId GraphBuilder::scale(NodeId x, float initial, std::string_view name) {
  return append(op::Scale{initial}, std::array{x}, name);
}

NodeId GraphBuilder::tokens(NodeId x, std::string_view name) {
  return append(op::Tokens{}, std::array{x}, name);
}

NodeId GraphBuilder::class_token(NodeId x, std::string_view name) {
  return append(op::ClassToken{}, std::array{x}, name);
}

NodeId GraphBuilder::position_embedding(NodeId x, std::string_view name) {
  return append(op::PositionEmbedding{}, std::array{x}, name);
}

NodeId GraphBuilder::attention(NodeId q, NodeId k, NodeId v, Dim head_width,
                               std::string_view name) {
  return append(op::Attention{head_width}, std::array{q, k, v}, name);
}

NodeId GraphBuilder::deform_conv(std::span<const NodeId> inputs, Dim out_channels,
                                 const ConvOptions& options, std::string_view name) {
  const Extent padding =
      options.padding ? *options.padding : same_padding(options.kernel, options.dilation);
  return append(op::DeformConv2d{out_channels, options.kernel, options.stride, padding,
                                 options.dilation, options.group_width, options.bias},
                inputs, name);
}

NodeId GraphBuilder::output(NodeId x) { return append(op::Output{}, std::array{x}, "output"); }

Graph GraphBuilder::build() {
  graph_.output();
  graph_.input();
  scope_ = no_scope;
  return std::exchange(graph_, Graph());
}

}  // namespace espalier
