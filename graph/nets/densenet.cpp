#include <string>

#include "graph/nets/net_builder.hpp"

namespace espalier {

Graph densenet121(const NetOptions& options) {
  constexpr int depths[] = {6, 12, 24, 16};
  NetBuilder b;
  NodeId x = b.input(options);
  {
    const auto features = b.scope("features");
    x = b.conv(x, 64, {.kernel = 7, .stride = 2}, "conv0");
    x = b.batch_norm(x, {}, "norm0");
    x = b.activation(x, ActivationKind::relu, "relu0");
    x = b.max_pool(x, {.kernel = 3, .stride = 2}, "pool0");
    for (int stage = 1; stage <= 4; ++stage) {
      if (stage > 1) {
        const std::int64_t half = b.channels(x).value() / 2;
        x = transition(b, x, half, "transition" + std::to_string(stage - 1));
      }
      x = dense_block(b, x, depths[stage - 1], {}, "denseblock" + std::to_string(stage));
    }
    x = b.batch_norm(x, {}, "norm5");
  }
  x = b.activation(x, ActivationKind::relu, "relu");
  x = b.global_avg_pool(x, "avgpool");
  x = b.flatten(x);
  return b.finish(b.linear(x, options.classes, {}, "classifier"));
}

}  // namespace espalier
