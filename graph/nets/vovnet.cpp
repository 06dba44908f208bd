#include <string>

#include "graph/nets/net_builder.hpp"

namespace espalier {

namespace {

/// `version` 2 has shortcuts, and eSE at the end of each stage.
Graph vovnet(int version, const NetOptions& options) {
  struct Stage {
    int blocks, layer_channels, out;
  };
  constexpr Stage stages[] = {{1, 128, 256}, {1, 160, 512}, {2, 192, 768}, {2, 224, 1024}};
  NetBuilder b;
  NodeId x = b.input(options);
  x = conv_bn_act(b, x, 64, {.conv = {.kernel = 3, .stride = 2}}, "stem1");
  x = conv_bn_act(b, x, 64, {.conv = {.kernel = 3}}, "stem2");
  x = conv_bn_act(b, x, 128, {.conv = {.kernel = 3, .stride = 2}}, "stem3");
  for (int s = 0; s < 4; ++s) {
    const Stage& stage = stages[s];
    const auto guard = b.scope("stage" + std::to_string(s + 2));
    if (s > 0) {
      x = b.max_pool(x, {.kernel = 3, .stride = 2, .padding = 0, .ceil_mode = true});
    }
    for (int i = 1; i <= stage.blocks; ++i) {
      x = osa(b, x, stage.out,
              {.layer_channels = stage.layer_channels,
               .effective_squeeze_excitation = version == 2 && i == stage.blocks,
               .residual = version == 2},
              "block" + std::to_string(i));
    }
  }
  x = b.global_avg_pool(x, "avgpool");
  x = b.flatten(x);
  return b.finish(b.linear(x, options.classes, {}, "classifier"));
}

}  // namespace

Graph vovnet39(const NetOptions& options) { return vovnet(1, options); }

Graph vovnet39_ese(const NetOptions& options) { return vovnet(2, options); }

}  // namespace espalier
