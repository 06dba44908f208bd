#include <string>

#include "graph/nets/net_builder.hpp"

namespace espalier {

Graph convnext_tiny(const NetOptions& options) {
  constexpr int depths[] = {3, 3, 9, 3};
  const op::LayerNorm norm{.eps = 1e-6f};
  NetBuilder b;
  NodeId x = b.input(options);
  std::int64_t channels = 96;
  {
    const auto features = b.scope("features");
    {
      const auto stem = b.scope("0");
      x = b.conv(x, channels, {.kernel = 4, .stride = 4, .padding = 0, .bias = true}, "0");
      x = b.layer_norm(x, norm, "1");
    }
    for (int stage = 0; stage < 4; ++stage) {
      if (stage > 0) {
        const auto downsampling = b.scope(std::to_string(2 * stage));
        channels *= 2;
        x = b.layer_norm(x, norm, "0");
        x = b.conv(x, channels, {.kernel = 2, .stride = 2, .padding = 0, .bias = true}, "1");
      }
      const auto blocks = b.scope(std::to_string(2 * stage + 1));
      for (int i = 0; i < depths[stage]; ++i) x = convnext_block(b, x, {}, std::to_string(i));
    }
  }
  x = b.global_avg_pool(x, "avgpool");
  {
    const auto classifier = b.scope("classifier");
    x = b.layer_norm(x, norm, "0");
    x = b.flatten(x, "1");
    x = b.linear(x, options.classes, {}, "2");
  }
  return b.finish(x);
}

}  // namespace espalier
