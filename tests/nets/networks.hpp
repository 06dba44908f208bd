// Helpers and small supergraphs for the tests of this directory.
#pragma once

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <array>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "core/rng.hpp"
#include "graph/blocks.hpp"
#include "nets/module_base.hpp"
#include "nets/supernet.hpp"
#include "search_spaces/supergraph.hpp"

namespace espalier {

/// A tensor of uniform numbers.
inline at::Tensor random_tensor(at::IntArrayRef sizes, Rng rng, double low = -1, double high = 1) {
  at::Tensor x = at::empty(sizes, at::kDouble);
  for (std::int64_t i = 0; i < x.numel(); ++i) {
    x.data_ptr<double>()[i] = low + (high - low) * rng.uniform();
  }
  return x;
}

/// A batch for a concrete graph's input.
inline at::Tensor random_batch(const Graph& graph, std::int64_t count, Rng rng) {
  const Shape& s = graph.node(graph.input()).shape;
  return random_tensor({count, s[0].value(), s[1].value(), s[2].value()}, rng);
}

/// Random weights, biases, affine terms, statistics and, where told, activation ranges.
enum class Ranges { unset, random };
inline void randomize(ModuleBase& net, const Rng& rng, Ranges ranges = Ranges::random) {
  net.reset_parameters(rng);
  const at::NoGradGuard no_grad;
  for (auto [name, value] : net.parameters()) {
    const bool scale = value.dim() == 1 && name.ends_with(".weight");
    if (value.dim() > 1) continue;
    value.copy_(
        random_tensor(value.sizes(), rng.fork(name), scale ? 0.5 : -0.5, scale ? 1.5 : 0.5));
  }
  for (auto [name, value] : net.buffers()) {
    const Rng own = rng.fork(name);
    if (name.ends_with("_mean")) value.copy_(random_tensor(value.sizes(), own, -0.5, 0.5));
    if (name.ends_with("_var")) value.copy_(random_tensor(value.sizes(), own, 0.5, 1.5));
    if (ranges == Ranges::unset) continue;
    if (name.ends_with("_min")) value.copy_(random_tensor(value.sizes(), own, -2, -0.2));
    if (name.ends_with("_max")) value.copy_(random_tensor(value.sizes(), own, 0.5, 3));
  }
}

/// The largest difference over the largest value.
inline double difference(const at::Tensor& a, const at::Tensor& b) {
  EXPECT_EQ(a.sizes(), b.sizes());
  return (a - b).abs().max().item<double>() / b.abs().max().item<double>();
}

/// Small supergraphs, each with holes of some kind. Images are {3, 8, 8}.
inline std::vector<std::pair<std::string, Supergraph>> hole_supergraphs() {
  std::vector<std::pair<std::string, Supergraph>> result;
  const std::array<std::int64_t, 3> widths{2, 4, 6};
  const std::array<std::int64_t, 2> kernels{3, 5};
  const auto finish = [&](SupergraphBuilder& b, const char* name, NodeId x) {
    b.output(b.linear(b.flatten(b.global_avg_pool(x)), 5));
    result.emplace_back(name, b.finish());
  };
  const auto quantized_conv = [](SupergraphBuilder& b, NodeId x, Dim out, Dim kernel, Dim group,
                                 Dim weight_bits, Dim activation_bits) {
    const Dim padding = map([](std::int64_t k) { return k / 2; }, kernel);
    return b.append(op::Conv2d{.out_channels = out,
                               .kernel = kernel,
                               .padding = padding,
                               .group_width = group,
                               .bias = true},
                    std::array{x}, "conv",
                    {Quantization{.weight_bits = weight_bits, .activation_bits = activation_bits}});
  };
  {
    SupergraphBuilder b;
    NodeId x = b.input(3, 8, 8);
    x = conv_bn_act(b, x, b.number("a", widths), {.conv = {.kernel = b.number("k", kernels)}});
    x = conv_bn_act(b, x, b.number("b", widths), {.conv = {.kernel = 3, .bias = true}});
    finish(b, "widths and kernels", x);
  }
  {
    SupergraphBuilder b;
    const std::array<std::int64_t, 3> weight_bits{2, 4, 8}, activation_bits{3, 8, 32};
    NodeId x = b.input(3, 8, 8);
    x = conv_bn_act(b, x, b.number("a", widths));
    x = quantized_conv(b, x, b.number("b", widths), b.number("k", kernels), 0,
                       b.number("w1", weight_bits), b.number("a1", activation_bits));
    x = b.activation(b.batch_norm(x), ActivationKind::hard_swish);
    x = quantized_conv(b, x, 0, 3, 1, b.number("w2", weight_bits), b.number("a2", activation_bits));
    x = b.flatten(b.global_avg_pool(x));
    x = b.append(op::Linear{.out_features = 5}, std::array{x}, "linear",
                 {Quantization{b.number("w3", weight_bits), b.number("a3", activation_bits)}});
    b.output(x);
    result.emplace_back("bits", b.finish());
  }
  {
    SupergraphBuilder b;
    NodeId x = b.input(3, 8, 8);
    const NodeId p = conv_bn_act(b, x, b.number("a", widths));
    const NodeId q = conv_bn_act(b, x, 3);
    const NodeId r = conv_bn_act(b, x, b.number("b", widths), {.conv = {.kernel = 3}});
    x = b.concat(std::array{p, q, r});
    x = b.batch_norm(b.depthwise(x, {.kernel = b.number("k", kernels), .bias = true}));
    NodeId y = conv_bn_act(b, x, b.number("c", widths));
    y = squeeze_excitation(b, y, {.squeeze_channels = b.number("squeeze", widths)});
    x = b.multiply(x, b.activation(b.global_avg_pool(x), ActivationKind::hard_sigmoid));
    x = b.concat(std::array{y, x});
    finish(b, "concat of open widths", conv_bn_act(b, x, 4, {.conv = {.kernel = 3}}));
  }
  {
    SupergraphBuilder b;
    NodeId x = b.input(3, 8, 8);
    const NodeId p =
        b.max_pool(conv_bn_act(b, x, b.number("a", widths)), {.kernel = 2, .padding = 0});
    const NodeId q = conv_bn_act(b, x, b.number("b", widths), {.conv = {.kernel = 3, .stride = 2}});
    x = b.flatten(b.concat(std::array{p, q}));
    x = b.linear(x, b.number("c", widths));
    b.output(b.linear(x, 5));
    result.emplace_back("flatten", b.finish());
  }
  {
    SupergraphBuilder b;
    const std::array<std::int64_t, 3> groups{0, 2, 6};
    NodeId x = conv_bn_act(b, b.input(3, 8, 8), 12);
    x = conv_bn_act(b, x, 6,
                    {.conv = {.kernel = b.number("k", kernels),
                              .group_width = b.number("g", groups),
                              .bias = true}});
    finish(b, "groups", conv_bn_act(b, x, 8, {.conv = {.kernel = 3}}));
  }
  {
    SupergraphBuilder b;
    const std::array<std::int64_t, 2> groups{4, 2}, bits{3, 8};
    NodeId x = conv_bn_act(b, b.input(3, 8, 8), 8);
    x = quantized_conv(b, x, 16, 3, b.number("g", groups), b.number("w", bits), 32);
    finish(b, "bits in groups", b.activation(b.batch_norm(x), ActivationKind::relu));
  }
  {
    SupergraphBuilder b;
    const NodeId x = b.conv(b.input(3, 8, 8), 4, {.kernel = b.number("k", kernels), .stride = 4});
    const NodeId flat = b.flatten(x);  // {16}, closed: like any other 16 channels
    const DecisionId d = b.decide({.name = "path", .options = {"flat", "sum", "narrow"}});
    const std::array paths{flat, b.add(flat, b.linear(flat, 16)), b.linear(flat, 6)};
    b.output(b.linear(b.choice(d, paths), 5));
    result.emplace_back("closed flatten", b.finish());
  }
  {
    SupergraphBuilder b;
    NodeId x = conv_bn_act(b, b.input(3, 8, 8), b.number("a", widths));
    const Dim width = b.channels(x);
    const DecisionId pick = b.decide({.name = "pick", .options = {"p", "q", "r", "s"}, .pick = 2});
    const std::array branches{x, conv_bn_act(b, x, width, {.conv = {.kernel = 3}}), b.zero(x),
                              b.avg_pool(x, {.kernel = 3, .stride = 1})};
    x = b.choice(pick, branches);
    finish(b, "pick 2 of 4", b.activation(x, ActivationKind::swish));
  }
  {
    SupergraphBuilder b;
    const std::array<std::int64_t, 3> even{2, 4, 6};
    NodeId x = conv_bn_act(b, b.input(3, 8, 8), 4);
    x = b.max_pool(x, {.kernel = b.number("max", kernels), .stride = 2});
    x = b.avg_pool(x, {.kernel = b.number("average", kernels), .stride = 1});
    x = b.avg_pool(x, {.kernel = b.number("even", even), .stride = 1, .count_include_pad = true});
    finish(b, "pool kernels", b.activation(x, ActivationKind::tanh));
  }
  {
    SupergraphBuilder b;
    NodeId x = b.input(3, 8, 8);
    const DecisionId d = b.decide({.name = "path", .options = {"narrow", "wide", "open"}});
    const std::array paths{conv_bn_act(b, x, 3), conv_bn_act(b, x, 6),
                           conv_bn_act(b, x, b.number("a", widths), {.conv = {.kernel = 3}})};
    x = b.batch_norm(b.choice(d, paths));
    x = b.activation(b.depthwise(x, {.kernel = 3}), ActivationKind::relu6);
    finish(b, "choice of widths", squeeze_excitation(b, x, {.squeeze_channels = Dim(2)}));
  }
  {
    SupergraphBuilder b;
    const Dim a = b.number("a", widths), c = b.number("c", widths);
    NodeId x = conv_bn_act(b, b.input(3, 8, 8), a);
    NodeId y = conv_bn_act(b, x, a * c, {.conv = {.kernel = 3}});
    y = conv_bn_act(b, y, a, {.activation = {}});
    x = b.activation(b.add(x, y), ActivationKind::gelu);
    const DecisionId depth = b.decide({.name = "depth", .options = {"0", "1", "2"}});
    const NodeId t =
        basic_block(b, x, a, {.kernel = b.number("k", kernels), .mid_channels = c}, "block1");
    x = b.choice(depth, std::array{x, t, basic_block(b, t, a, {}, "block2")});
    finish(b, "tied widths, products, depth", x);
  }
  {
    SupergraphBuilder b;
    const Dim k = b.number("k", kernels);
    const std::array<std::int64_t, 2> even{2, 4};
    NodeId x = conv_bn_act(b, b.input(3, 8, 8), 4, {.conv = {.kernel = {k, 3}, .dilation = 2}});
    x = b.conv(x, 8, {.kernel = {Dim(3), k}, .group_width = 2, .bias = true}, "grouped");
    x = b.conv(x, 4, {.kernel = {b.number("even", even), k}}, "mixed");
    finish(b, "kernels of two axes", b.activation(x, ActivationKind::sigmoid));
  }
  {
    SupergraphBuilder b;
    const std::array<std::int64_t, 2> embeds{4, 6}, heads{1, 3}, hidden{5, 8};
    const Dim embed = b.number("embed", embeds);
    NodeId x = b.conv(b.input(3, 8, 8), embed, {.kernel = 4, .stride = 4, .padding = 0});
    x = b.position_embedding(b.class_token(b.tokens(x)));
    const DecisionId depth = b.decide({.name = "depth", .options = {"1", "2"}});
    std::vector<NodeId> taps;
    for (const char* name : {"block1", "block2"}) {
      const auto scope = b.scope(name);
      const Dim width = b.number(std::string(name) + ".heads", heads) * Dim(2);
      NodeId y = b.layer_norm(x);
      const NodeId q = b.linear(y, width, {}, "q"), k = b.linear(y, width, {}, "k");
      y = b.attention(q, k, b.linear(y, width, {}, "v"), 2);
      x = b.add(x, b.scale(b.linear(y, embed, {}, "project"), 0.1f));
      y = b.linear(b.layer_norm(x), b.number(std::string(name) + ".hidden", hidden), {}, "mlp1");
      x = b.add(x, b.linear(b.activation(y, ActivationKind::gelu), embed, {}, "mlp2"));
      taps.push_back(x);
    }
    x = b.layer_norm(b.choice(depth, taps));
    b.output(b.linear(b.flatten(b.slice(x, {0, 0, 1})), 5));
    result.emplace_back("transformer", b.finish());
  }
  {
    SupergraphBuilder b;
    NodeId x = conv_bn_act(b, b.input(3, 8, 8), b.number("a", widths));
    x = b.scale(b.layer_norm(x, {.eps = 1e-3f, .affine = false}));
    x = b.layer_norm(conv_bn_act(b, x, b.number("b", widths)));
    x = conv_bn_act(b, b.slice(b.slice(x, {1, 1, 0}), {2, 0, 6}), 6);
    const NodeId half = conv_bn_act(b, b.slice(x, {0, 3, 0}), b.number("c", widths));
    const NodeId mixed = conv_bn_act(b, half, 3);
    x = b.channel_shuffle(b.concat(std::array{b.slice(x, {0, 0, 3}), mixed}), 2);
    finish(b, "layer norm, slices, shuffle", b.activation(x, ActivationKind::relu));
  }
  {
    SupergraphBuilder b;
    NodeId x = conv_bn_act(b, b.input(3, 8, 8), b.number("a", widths));
    const NodeId offsets = b.conv(x, 18, {.kernel = 3, .stride = 2, .bias = true}, "offsets");
    x = b.deform_conv(std::array{x, offsets}, b.number("b", widths),
                      {.kernel = 3, .stride = 2, .bias = true});
    const NodeId moves = b.conv(x, 18, {.kernel = 3}, "moves");
    const NodeId factors =
        b.activation(b.conv(x, 9, {.kernel = 3}, "factors"), ActivationKind::sigmoid);
    x = b.deform_conv(std::array{x, moves, factors}, 0, {.kernel = 3, .group_width = 1});
    finish(b, "deformable", b.batch_norm(x));
  }
  return result;
}

}  // namespace espalier
