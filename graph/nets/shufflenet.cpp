#include <string>

#include "graph/blocks.hpp"
#include "graph/blocks/shufflenet.hpp"
#include "graph/nets.hpp"

namespace espalier {

namespace {

constexpr int repeats[] = {4, 8, 4};

/// conv_bn_act() in a scope `name`, its layers called "0", "1" and "2".
NodeId numbered(GraphBuilder& b, NodeId x, std::int64_t channels, const ConvOptions& conv,
                std::string_view name) {
  const auto guard = b.scope(name, "conv_bn_act");
  x = b.conv(x, channels, conv, "0");
  x = b.batch_norm(x, {}, "1");
  return b.activation(x, ActivationKind::relu, "2");
}

NodeId stem(GraphBuilder& b, const NetOptions& options) {
  NodeId x = b.input(options.input[0], options.input[1], options.input[2]);
  x = numbered(b, x, 24, {.kernel = 3, .stride = 2}, "conv1");
  return b.max_pool(x, {.kernel = 3, .stride = 2}, "maxpool");
}

Graph finish(GraphBuilder& b, NodeId x, const NetOptions& options) {
  x = b.flatten(b.global_avg_pool(x, "avgpool"));
  b.output(b.linear(x, options.classes, {}, "fc"));
  return b.build();
}

}  // namespace

Graph shufflenet_v1_x1_0(const NetOptions& options) {
  GraphBuilder b;
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
  return finish(b, x, options);
}

Graph shufflenet_v2_x1_0(const NetOptions& options) {
  GraphBuilder b;
  NodeId x = stem(b, options);
  std::int64_t channels = 116;
  for (int stage = 0; stage < 3; ++stage, channels *= 2) {
    const auto scope = b.scope("stage" + std::to_string(stage + 2));
    for (int i = 0; i < repeats[stage]; ++i) {
      x = shuffle_v2_unit(b, x, channels, {.stride = i == 0 ? 2 : 1}, std::to_string(i));
    }
  }
  return finish(b, numbered(b, x, 1024, {}, "conv5"), options);
}

}  // namespace espalier
