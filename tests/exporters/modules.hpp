// Networks for the tests of this directory.
#pragma once

#include <array>
#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include "graph/blocks.hpp"
#include "tests/core/full_disk.hpp"
#include "tests/core/temporary_directory.hpp"
#include "tests/nets/networks.hpp"

namespace espalier {

/// The path of a file that does not exist yet, in a directory of its own that is gone at the end.
class TemporaryFile {
 public:
  explicit TemporaryFile(const std::string& name) : path_(directory_.path() / name) {}

  const std::filesystem::path& path() const { return path_; }
  bool exists() const { return std::filesystem::exists(path_); }

 private:
  TemporaryDirectory directory_;
  std::filesystem::path path_;
};

/// A network in evaluation mode with random weights, statistics and ranges.
inline GraphModule random_module(const Graph& graph, std::uint64_t seed = 1) {
  GraphModule module(graph);
  randomize(module, Rng(seed));
  module.eval();
  return module;
}

/// A graph {4,7,5} -> one operator -> output, for each operator and its variants; some need more
/// than the operator itself.
inline std::vector<std::pair<std::string, Graph>> operator_graphs() {
  std::vector<std::pair<std::string, Graph>> result;
  const auto add = [&](const std::string& name, auto&& build) {
    GraphBuilder b;
    b.output(build(b, b.input(4, 7, 5)));
    result.emplace_back(name, b.build());
  };
  const auto add_op = [&](const std::string& name, const Op& op, const Compression& bits = {}) {
    add(name, [&](GraphBuilder& b, NodeId x) {
      if (std::holds_alternative<op::Linear>(op)) x = b.flatten(x);
      return b.append(op, std::array{x}, "node", bits);
    });
  };
  const op::Conv2d conv{.out_channels = 6, .kernel = 3, .padding = 1};
  add_op("conv", conv);
  add_op("conv_bias", op::Conv2d{.out_channels = 6, .kernel = 1, .bias = true});
  add_op("conv_rectangle", op::Conv2d{.out_channels = 6,
                                      .kernel = {Dim(3), Dim(1)},
                                      .stride = {Dim(2), Dim(1)},
                                      .padding = {Dim(1), Dim(0)},
                                      .dilation = {Dim(2), Dim(1)}});
  add_op("conv_grouped", op::Conv2d{.out_channels = 6, .kernel = 3, .group_width = 2});
  add_op("conv_depthwise", op::Conv2d{.kernel = 3, .padding = 1, .group_width = 1});
  add_op("linear", op::Linear{.out_features = 3});
  add_op("linear_no_bias", op::Linear{.out_features = 3, .bias = false});
  add_op("batch_norm", op::BatchNorm2d{.eps = 1e-3f});
  add_op("batch_norm_plain", op::BatchNorm2d{.affine = false});
  add("conv_batch_norm", [&](GraphBuilder& b, NodeId x) {
    return b.batch_norm(b.conv(x, 6, {.kernel = 3, .bias = true}), {.eps = 1e-2f});
  });
  add("conv_batch_norm_plain", [&](GraphBuilder& b, NodeId x) {
    return b.batch_norm(b.depthwise(x, {.kernel = 3}), {.affine = false});
  });
  add("conv_two_batch_norms", [&](GraphBuilder& b, NodeId x) {
    return b.batch_norm(b.batch_norm(b.conv(x, 6)), {.eps = 1e-2f});
  });
  add("conv_read_twice", [&](GraphBuilder& b, NodeId x) {
    x = b.conv(x, 4);
    return b.add(x, b.batch_norm(x));
  });
  for (const auto kind : {ActivationKind::relu, ActivationKind::relu6, ActivationKind::hard_swish,
                          ActivationKind::hard_sigmoid, ActivationKind::sigmoid,
                          ActivationKind::swish, ActivationKind::gelu, ActivationKind::tanh}) {
    // Scaled, so that both ends of each activation are seen.
    add(std::string(activation_name(kind)), [&](GraphBuilder& b, NodeId x) {
      return b.activation(b.add(std::array{x, x, x, x}), kind);
    });
  }
  for (const PoolKind kind : {PoolKind::max, PoolKind::average}) {
    const std::string name = "pool_" + std::string(pool_name(kind));
    add_op(name, op::Pool2d{.kind = kind, .kernel = 2, .stride = 2});
    for (const bool include : {false, true}) {
      for (const bool ceil : {false, true}) {
        const std::string suffix = std::string(include ? "_include" : "") + (ceil ? "_ceil" : "");
        add_op(name + "_3" + suffix, op::Pool2d{.kind = kind,
                                                .kernel = 3,
                                                .stride = 2,
                                                .padding = 1,
                                                .ceil_mode = ceil,
                                                .count_include_pad = include});
        add_op(name + "_rectangle" + suffix, op::Pool2d{.kind = kind,
                                                        .kernel = {Dim(2), Dim(3)},
                                                        .stride = {Dim(2), Dim(3)},
                                                        .padding = {Dim(1), Dim(0)},
                                                        .ceil_mode = ceil,
                                                        .count_include_pad = include});
      }
    }
  }
  add_op("global_avg_pool", op::GlobalAvgPool{});
  add_op("flatten", op::Flatten{});
  add_op("add_1", op::Add{});
  add("add_2", [](GraphBuilder& b, NodeId x) { return b.add(x, b.conv(x, 4)); });
  add("add_3", [](GraphBuilder& b, NodeId x) {
    return b.add(std::array{x, b.conv(x, 4), b.conv(x, 4)});
  });
  add("multiply", [](GraphBuilder& b, NodeId x) { return b.multiply(x, b.conv(x, 4)); });
  add("multiply_gate",
      [](GraphBuilder& b, NodeId x) { return b.multiply(x, b.global_avg_pool(x)); });
  add("concat", [](GraphBuilder& b, NodeId x) { return b.concat(std::array{x, b.conv(x, 3), x}); });
  add_op("dropout", op::Dropout{0.5f});
  add_op("zero", op::Zero{});
  add_op("zero_strided", op::Zero{2});
  add_op("slice_channels", op::Slice{0, 1, 3});
  add_op("slice_height", op::Slice{1, 2, 0});
  add_op("slice_width", op::Slice{2, 0, 4});
  add_op("channel_shuffle", op::ChannelShuffle{2});
  add_op("layer_norm", op::LayerNorm{});
  add_op("layer_norm_plain", op::LayerNorm{.eps = 1e-3f, .affine = false});
  add_op("scale", op::Scale{});
  add_op("tokens", op::Tokens{});
  const auto add_token_op = [&](const std::string& name, const Op& op, std::size_t inputs = 1) {
    add(name, [&](GraphBuilder& b, NodeId x) {
      std::vector<NodeId> all;
      for (std::size_t k = 0; k < inputs; ++k) {
        all.push_back(b.linear(b.tokens(x), 6, {.bias = k == 0}));
      }
      return b.append(op, all, "node");
    });
  };
  add_token_op("token_layer_norm", op::LayerNorm{});
  add_token_op("token_layer_norm_plain", op::LayerNorm{.affine = false});
  add_token_op("token_scale", op::Scale{});
  add_token_op("token_gelu", op::Activation{ActivationKind::gelu});
  add_token_op("token_slice", op::Slice{0, 3, 5});
  add_token_op("token_channel_slice", op::Slice{1, 1, 5});
  add_token_op("token_flatten", op::Flatten{});
  add_token_op("class_token", op::ClassToken{});
  add_token_op("position_embedding", op::PositionEmbedding{});
  add_token_op("attention", op::Attention{2}, 3);
  add_token_op("attention_one_head", op::Attention{6}, 3);
  add("token_linear_quantized", [&](GraphBuilder& b, NodeId x) {
    return b.append(op::Linear{.out_features = 3}, std::array{b.tokens(x)}, "node",
                    {.quantization = Quantization{4, 8}});
  });
  add("feature_slice", [](GraphBuilder& b, NodeId x) { return b.slice(b.flatten(x), {0, 3, 70}); });
  add("feature_layer_norm", [](GraphBuilder& b, NodeId x) { return b.layer_norm(b.flatten(x)); });
  add("two_inputs", [](GraphBuilder& b, NodeId x) {
    return b.add(b.conv(x, 4), b.append(op::Input{4, 7, 5}, {}, "input"));
  });
  add("two_inputs_one_read", [](GraphBuilder& b, NodeId) {
    return b.conv(b.append(op::Input{4, 7, 5}, {}, "second"), 4);
  });
  for (const std::int64_t weights : {32, 8, 4, 2}) {
    for (const std::int64_t activations : {32, 8, 3}) {
      const Compression bits{.quantization = Quantization{weights, activations}};
      const std::string suffix = "_w" + std::to_string(weights) + "a" + std::to_string(activations);
      add_op("conv" + suffix, conv, bits);
      add_op("linear" + suffix, op::Linear{.out_features = 3}, bits);
    }
  }
  add("quantized_conv_batch_norms", [&](GraphBuilder& b, NodeId x) {
    x = b.append(conv, std::array{x}, "conv", {.quantization = Quantization{4, 8}});
    return b.batch_norm(b.batch_norm(x));
  });
  return result;
}

}  // namespace espalier
