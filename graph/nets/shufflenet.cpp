#include <string>

#include "graph/nets/net_builder.hpp"

namespace espalier {

namespace {

constexpr int repeats[] = {4, 8, 4};

NodeId stem(NetBuilder& b, const NetOptions& options) {
  const NodeId x =
      b.numbered_conv(b.input(options), 24, {.conv = {.kernel = 3, .stride = 2}}, "conv1");
  return b.max_pool(x, {.kernel = 3, .stride = 2}, "maxpool");
}

Graph classified(NetBuilder& b, NodeId x, const NetOptions& options) {
  x = b.flatten(b.global_avg_pool(x, "avgpool"));
  return b.finish(b.linear(x, options.classes, {}, "fc"));
}

}  // namespace

Graph shufflenet_v1_x1_0(const NetOptions& options) {
  NetBuilder b;
  NodeId x = stem(b, options);
  std::int64_t channels = 240;
  for (int stage = 0; stage < 3; ++stage, channels *= 2) {
    const auto scope = b.scope("stage" + std::to_string(stage + 2));
    for (int i = 0; i < repeats[stage]; ++i) {
      x = shuffle_v1_unit(
          b, x, channels,
          {.stride = i == 0 ? 2 : 1, .groups = 3, .first_grouped = stage > 0 || i > 0},
          std::to_string(i));
    }
  }
  return classified(b, x, options);
}

Graph shufflenet_v2_x1_0(const NetOptions& options) {
  NetBuilder b;
  NodeId x = stem(b, options);
  std::int64_t channels = 116;
  for (int stage = 0; stage < 3; ++stage, channels *= 2) {
    const auto scope = b.scope("stage" + std::to_string(stage + 2));
    for (int i = 0; i < repeats[stage]; ++i) {
      x = shuffle_v2_unit(b, x, channels, {.stride = i == 0 ? 2 : 1}, std::to_string(i));
    }
  }
  return classified(b, b.numbered_conv(x, 1024, {}, "conv5"), options);
}

}  // namespace espalier
