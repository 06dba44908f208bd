#include <array>
#include <string>

#include "graph/nets/net_builder.hpp"

namespace espalier {

namespace {

/// Of both versions; they differ in the first convolution and in what is pooled.
struct Variant {
  int stem_channels, stem_kernel;
  std::array<int, 2> pooled;  ///< numbers of the fire modules that max pooling follows
};

Graph squeezenet(const Variant& variant, const NetOptions& options) {
  constexpr int squeeze[] = {16, 16, 32, 32, 48, 48, 64, 64};
  const PoolOptions pool{.kernel = 3, .stride = 2, .padding = 0, .ceil_mode = true};
  NetBuilder b;
  NodeId x = b.input(options);
  {
    const auto features = b.scope("features");
    x = b.conv(x, variant.stem_channels,
               {.kernel = variant.stem_kernel, .stride = 2, .padding = 0, .bias = true}, "0");
    x = b.activation(x, ActivationKind::relu, "1");
    x = b.max_pool(x, pool, "2");
    int index = 3;
    for (int i = 1; i <= 8; ++i) {
      const int width = squeeze[i - 1];
      x = fire(b, x, {.squeeze = width, .expand1 = 4 * width, .expand3 = 4 * width},
               std::to_string(index++));
      if (i == variant.pooled[0] || i == variant.pooled[1]) {
        x = b.max_pool(x, pool, std::to_string(index++));
      }
    }
  }
  {
    const auto classifier = b.scope("classifier");
    x = b.dropout(x, 0.5f, "0");
    x = b.conv(x, options.classes, {.bias = true}, "1");
    x = b.activation(x, ActivationKind::relu, "2");
    x = b.global_avg_pool(x, "3");
  }
  return b.finish(b.flatten(x));
}

}  // namespace

Graph squeezenet1_0(const NetOptions& options) { return squeezenet({96, 7, {3, 7}}, options); }

Graph squeezenet1_1(const NetOptions& options) { return squeezenet({64, 3, {2, 4}}, options); }

}  // namespace espalier
