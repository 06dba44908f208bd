#include <string>

#include "graph/nets/net_builder.hpp"

namespace espalier {

Graph ghostnet(const NetOptions& options) {
  struct Row {
    int kernel, expanded, out;
    bool squeeze_excitation;
    int stride;
  };
  constexpr Row rows[] = {
      {3, 16, 16, false, 1},   {3, 48, 24, false, 2},  {3, 72, 24, false, 1},
      {5, 72, 40, true, 2},    {5, 120, 40, true, 1},  {3, 240, 80, false, 2},
      {3, 200, 80, false, 1},  {3, 184, 80, false, 1}, {3, 184, 80, false, 1},
      {3, 480, 112, true, 1},  {3, 672, 112, true, 1}, {5, 672, 160, true, 2},
      {5, 960, 160, false, 1}, {5, 960, 160, true, 1}, {5, 960, 160, false, 1},
      {5, 960, 160, true, 1},
  };
  NetBuilder b;
  NodeId x = b.input(options);
  x = conv_bn_act(b, x, 16, {.conv = {.kernel = 3, .stride = 2}}, "stem");
  int index = 1;
  for (const Row& row : rows) {
    GhostBottleneckOptions block{
        .expanded_channels = row.expanded, .kernel = row.kernel, .stride = row.stride};
    if (row.squeeze_excitation) block.squeeze_excitation.emplace();
    x = ghost_bottleneck(b, x, row.out, block, "block" + std::to_string(index++));
  }
  x = conv_bn_act(b, x, 960, {}, "head");
  x = b.global_avg_pool(x, "avgpool");
  x = b.conv(x, 1280, {.bias = true}, "last");
  x = b.activation(x, ActivationKind::relu, "last_act");
  x = b.flatten(x);
  x = b.dropout(x, 0.2f);
  return b.finish(b.linear(x, options.classes, {}, "classifier"));
}

}  // namespace espalier
