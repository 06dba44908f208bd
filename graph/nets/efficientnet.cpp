#include <string>

#include "graph/nets/net_builder.hpp"

namespace espalier {

namespace {

/// A row of the tables of MnasNet-B1 and EfficientNet-B0.
struct Stage {
  int expansion, kernel, stride, out, blocks;
};

}  // namespace

Graph mnasnet1_0(const NetOptions& options) {
  constexpr Stage stages[] = {{3, 3, 2, 24, 3}, {3, 5, 2, 40, 3},  {6, 5, 2, 80, 3},
                              {6, 3, 1, 96, 2}, {6, 5, 2, 192, 4}, {6, 3, 1, 320, 1}};
  constexpr op::BatchNorm2d batch_norm{.momentum = 3e-4f};  // 0.9997 in TensorFlow's terms
  NetBuilder b;
  const auto block = [&](NodeId x, const Stage& stage, int stride, const std::string& name) {
    return mbconv(b, x, stage.out,
                  {.expanded_channels = b.channels(x) * stage.expansion,
                   .kernel = stage.kernel,
                   .stride = stride,
                   .activation = ActivationKind::relu,
                   .batch_norm = batch_norm},
                  name);
  };
  NodeId x = b.input(options);
  {
    const auto layers = b.scope("layers");
    x = conv_bn_act(b, x, 32, {.conv = {.kernel = 3, .stride = 2}, .batch_norm = batch_norm},
                    "stem");
    b.name_layers({"0", "1"});
    x = block(x, {1, 3, 1, 16, 1}, 1, "separable");
    b.name_layers({"3", "4", "6", "7"});
    int index = 8;
    for (const Stage& stage : stages) {
      const auto guard = b.scope(std::to_string(index++));
      for (int i = 0; i < stage.blocks; ++i) {
        const std::string name = std::to_string(i);
        x = block(x, stage, i == 0 ? stage.stride : 1, name);
        b.name_layers(prefixed(name + ".layers.", {"0", "1", "3", "4", "6", "7"}));
      }
    }
    x = conv_bn_act(b, x, 1280, {.batch_norm = batch_norm}, "head");
    b.name_layers({"14", "15"});
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

Graph efficientnet_b0(const NetOptions& options) {
  constexpr Stage stages[] = {{1, 3, 1, 16, 1}, {6, 3, 2, 24, 2},  {6, 5, 2, 40, 2},
                              {6, 3, 2, 80, 3}, {6, 5, 1, 112, 3}, {6, 5, 2, 192, 4},
                              {6, 3, 1, 320, 1}};
  NetBuilder b;
  NodeId x = b.input(options);
  {
    const auto features = b.scope("features");
    x = b.numbered_conv(
        x, 32, {.conv = {.kernel = 3, .stride = 2}, .activation = ActivationKind::swish}, "0");
    int index = 1;
    for (const Stage& stage : stages) {
      const auto guard = b.scope(std::to_string(index++));
      for (int i = 0; i < stage.blocks; ++i) {
        const std::int64_t channels = b.channels(x).value();
        x = b.numbered_mbconv(
            x, stage.out,
            {.expanded_channels = channels * stage.expansion,
             .kernel = stage.kernel,
             .stride = i == 0 ? stage.stride : 1,
             .activation = ActivationKind::swish,
             .squeeze_excitation = SqueezeExcitationOptions{.squeeze_channels = channels / 4,
                                                            .activation = ActivationKind::swish,
                                                            .gate = ActivationKind::sigmoid}},
            std::to_string(i));
      }
    }
    x = b.numbered_conv(x, 1280, {.activation = ActivationKind::swish}, std::to_string(index));
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

}  // namespace espalier
