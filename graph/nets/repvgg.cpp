#include <string>

#include "graph/nets/net_builder.hpp"

namespace espalier {

Graph repvgg_a0(const NetOptions& options) {
  struct Stage {
    int depth, width;
  };
  constexpr Stage stages[] = {{1, 48}, {2, 48}, {4, 96}, {14, 192}, {1, 1280}};
  NetBuilder b;
  NodeId x = b.input(options);
  for (int s = 0; s < 5; ++s) {
    const auto guard = b.scope("stage" + std::to_string(s));
    for (int i = 0; i < stages[s].depth; ++i) {
      x = repvgg(b, x, stages[s].width, {.stride = i == 0 ? 2 : 1}, std::to_string(i));
    }
  }
  x = b.global_avg_pool(x, "avgpool");
  x = b.flatten(x);
  return b.finish(b.linear(x, options.classes, {}, "linear"));
}

}  // namespace espalier
