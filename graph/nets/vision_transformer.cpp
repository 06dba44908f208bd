#include <string>

#include "graph/nets/net_builder.hpp"

namespace espalier {

Graph vit_b_16(const NetOptions& options) {
  NetBuilder b;
  NodeId x = b.input(options);
  x = patch_embedding(b, x, 768, 16);
  {
    const auto encoder = b.scope("encoder");
    for (int i = 0; i < 12; ++i) {
      x = vit_block(b, x, {}, "layers.encoder_layer_" + std::to_string(i));
    }
    x = b.layer_norm(x, {.eps = 1e-6f}, "ln");
  }
  x = b.flatten(b.slice(x, {.axis = 0, .begin = 0, .end = 1}, "class"));
  return b.finish(b.linear(x, options.classes, {}, "heads.head"));
}

}  // namespace espalier
