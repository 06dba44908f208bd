#include <span>
#include <string>
#include <vector>

#include "graph/nets/net_builder.hpp"

namespace espalier {

namespace {

constexpr auto relu = ActivationKind::relu;
constexpr auto relu6 = ActivationKind::relu6;
constexpr auto hard_swish = ActivationKind::hard_swish;

/// One row of the tables of MobileNetV3. The input's width is that of the row above.
struct Bottleneck {
  int kernel, expanded, out;
  bool squeeze_excitation;
  ActivationKind activation;
  int stride;
};

constexpr Bottleneck v3_large_rows[] = {
    {3, 16, 16, false, relu, 1},        {3, 64, 24, false, relu, 2},
    {3, 72, 24, false, relu, 1},        {5, 72, 40, true, relu, 2},
    {5, 120, 40, true, relu, 1},        {5, 120, 40, true, relu, 1},
    {3, 240, 80, false, hard_swish, 2}, {3, 200, 80, false, hard_swish, 1},
    {3, 184, 80, false, hard_swish, 1}, {3, 184, 80, false, hard_swish, 1},
    {3, 480, 112, true, hard_swish, 1}, {3, 672, 112, true, hard_swish, 1},
    {5, 672, 160, true, hard_swish, 2}, {5, 960, 160, true, hard_swish, 1},
    {5, 960, 160, true, hard_swish, 1},
};
constexpr Bottleneck v3_small_rows[] = {
    {3, 16, 16, true, relu, 2},        {3, 72, 24, false, relu, 2},
    {3, 88, 24, false, relu, 1},       {5, 96, 40, true, hard_swish, 2},
    {5, 240, 40, true, hard_swish, 1}, {5, 240, 40, true, hard_swish, 1},
    {5, 120, 48, true, hard_swish, 1}, {5, 144, 48, true, hard_swish, 1},
    {5, 288, 96, true, hard_swish, 2}, {5, 576, 96, true, hard_swish, 1},
    {5, 576, 96, true, hard_swish, 1},
};

Graph mobilenet_v3(std::span<const Bottleneck> rows, std::int64_t head_channels,
                   const NetOptions& options) {
  const op::BatchNorm2d batch_norm{.eps = 1e-3f, .momentum = 0.01f};
  NetBuilder b;
  NodeId x = b.input(options);
  {
    const auto features = b.scope("features");
    x = b.numbered_conv(
        x, 16,
        {.conv = {.kernel = 3, .stride = 2}, .activation = hard_swish, .batch_norm = batch_norm},
        "0");
    for (std::size_t i = 0; i < rows.size(); ++i) {
      const Bottleneck& row = rows[i];
      MbconvOptions block{.expanded_channels = row.expanded,
                          .kernel = row.kernel,
                          .stride = row.stride,
                          .activation = row.activation,
                          .batch_norm = batch_norm};
      if (row.squeeze_excitation) block.squeeze_excitation.emplace();
      x = b.numbered_mbconv(x, row.out, block, std::to_string(i + 1));
    }
    x = b.numbered_conv(x, 6 * rows.back().out,
                        {.activation = hard_swish, .batch_norm = batch_norm},
                        std::to_string(rows.size() + 1));
  }
  x = b.global_avg_pool(x, "avgpool");
  x = b.flatten(x);
  {
    const auto classifier = b.scope("classifier");
    x = b.linear(x, head_channels, {}, "0");
    x = b.activation(x, hard_swish, "1");
    x = b.dropout(x, 0.2f, "2");
    x = b.linear(x, options.classes, {}, "3");
  }
  return b.finish(x);
}

}  // namespace

Graph mobilenet_v1(const NetOptions& options) {
  struct Row {
    int out, stride;
  };
  constexpr Row rows[] = {{64, 1},  {128, 2}, {128, 1}, {256, 2}, {256, 1},  {512, 2}, {512, 1},
                          {512, 1}, {512, 1}, {512, 1}, {512, 1}, {1024, 2}, {1024, 1}};
  NetBuilder b;
  NodeId x = b.input(options);
  x = conv_bn_act(b, x, 32, {.conv = {.kernel = 3, .stride = 2}}, "stem");
  int index = 1;
  for (const Row& row : rows) {
    x = separable_conv(b, x, row.out, {.stride = row.stride}, "block" + std::to_string(index++));
  }
  x = b.global_avg_pool(x, "avgpool");
  x = b.flatten(x);
  return b.finish(b.linear(x, options.classes, {}, "fc"));
}

Graph mobilenet_v2(const NetOptions& options) {
  struct Stage {
    int expansion, out, blocks, stride;
  };
  constexpr Stage stages[] = {{1, 16, 1, 1}, {6, 24, 2, 2},  {6, 32, 3, 2}, {6, 64, 4, 2},
                              {6, 96, 3, 1}, {6, 160, 3, 2}, {6, 320, 1, 1}};
  NetBuilder b;
  NodeId x = b.input(options);
  {
    const auto features = b.scope("features");
    x = b.numbered_conv(x, 32, {.conv = {.kernel = 3, .stride = 2}, .activation = relu6}, "0");
    int index = 1;
    for (const Stage& stage : stages) {
      for (int i = 0; i < stage.blocks; ++i) {
        const std::string name = std::to_string(index++);
        x = mbconv(b, x, stage.out,
                   {.expanded_channels = b.channels(x) * stage.expansion,
                    .stride = i == 0 ? stage.stride : 1},
                   name);
        // The projection is not a module of its own.
        b.name_layers(prefixed(
            name + ".conv.", stage.expansion == 1
                                 ? std::vector<std::string>{"0.0", "0.1", "1", "2"}
                                 : std::vector<std::string>{"0.0", "0.1", "1.0", "1.1", "2", "3"}));
      }
    }
    x = b.numbered_conv(x, 1280, {.activation = relu6}, std::to_string(index));
  }
  x = b.global_avg_pool(x, "avgpool");
  x = b.flatten(x);
  {
    const auto classifier = b.scope("classifier");
    x = b.dropout(x, 0.2f, "0");
    x = b.linear(x, options.classes, {}, "1");
  }
  return b.finish(x);
}

Graph mobilenet_v3_large(const NetOptions& options) {
  return mobilenet_v3(v3_large_rows, 1280, options);
}

Graph mobilenet_v3_small(const NetOptions& options) {
  return mobilenet_v3(v3_small_rows, 1024, options);
}

}  // namespace espalier
