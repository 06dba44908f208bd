#include <span>
#include <string>
#include <vector>

#include "graph/nets/net_builder.hpp"

namespace espalier {

namespace {

struct Stage {
  int depth, width;
};

Graph regnet(std::span<const Stage> stages, int group_width, bool squeeze_excitation,
             const NetOptions& options) {
  BottleneckOptions block{.group_width = group_width};
  if (squeeze_excitation) {
    block.squeeze_excitation = SqueezeExcitationOptions{.gate = ActivationKind::sigmoid};
  }
  NetBuilder b;
  NodeId x = b.input(options);
  x = b.numbered_conv(x, 32, {.conv = {.kernel = 3, .stride = 2}}, "stem");
  for (std::size_t s = 0; s < stages.size(); ++s) {
    const std::string stage = "block" + std::to_string(s + 1);
    const auto trunk = b.scope("trunk_output." + stage);
    for (int i = 0; i < stages[s].depth; ++i) {
      const std::string name = stage + "-" + std::to_string(i);
      block.mid_channels = stages[s].width;
      block.stride = i == 0 ? 2 : 1;
      x = bottleneck(b, x, stages[s].width, block, name);
      std::vector<std::string> layers{"f.a.0", "f.a.1", "f.b.0", "f.b.1"};
      if (squeeze_excitation) layers.insert(layers.end(), {"f.se.fc1", "f.se.fc2"});
      layers.insert(layers.end(), {"f.c.0", "f.c.1"});
      if (i == 0) layers.insert(layers.end(), {"proj.0", "proj.1"});
      b.name_layers(prefixed(name + ".", layers));
    }
  }
  x = b.global_avg_pool(x, "avgpool");
  x = b.flatten(x);
  return b.finish(b.linear(x, options.classes, {}, "fc"));
}

}  // namespace

Graph regnet_x_400mf(const NetOptions& options) {
  constexpr Stage stages[] = {{1, 32}, {2, 64}, {7, 160}, {12, 400}};
  return regnet(stages, 16, false, options);
}

Graph regnet_y_400mf(const NetOptions& options) {
  constexpr Stage stages[] = {{1, 48}, {3, 104}, {6, 208}, {6, 440}};
  return regnet(stages, 8, true, options);
}

}  // namespace espalier
