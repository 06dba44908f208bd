#include <span>
#include <string>
#include <vector>

#include "graph/nets/net_builder.hpp"

namespace espalier {

namespace {

/// One stage of VGG.
struct Stage {
  int convs, channels;
};
constexpr Stage vgg11_stages[] = {{1, 64}, {1, 128}, {2, 256}, {2, 512}, {2, 512}};
constexpr Stage vgg16_stages[] = {{2, 64}, {2, 128}, {3, 256}, {3, 512}, {3, 512}};

Graph vgg(std::span<const Stage> stages, bool batch_norm, const NetOptions& options) {
  NetBuilder b;
  NodeId x = b.input(options);
  {
    const auto features = b.scope("features");
    int index = 0;  // torchvision counts all operators in a row
    for (std::size_t s = 0; s < stages.size(); ++s) {
      VggBlockOptions block{.convs = stages[s].convs};
      if (batch_norm) block.batch_norm.emplace();
      x = vgg_block(b, x, stages[s].channels, block, "stage" + std::to_string(s + 1));
      std::vector<std::string> names;
      for (int i = 0; i < stages[s].convs; ++i) {
        names.push_back(std::to_string(index++));
        if (batch_norm) names.push_back(std::to_string(index++));
        ++index;  // activation
      }
      ++index;  // pooling
      b.name_layers(names);
    }
  }
  x = b.flatten(x);
  {
    const auto classifier = b.scope("classifier");
    x = b.linear(x, 4096, {}, "0");
    x = b.activation(x, ActivationKind::relu, "1");
    x = b.dropout(x, 0.5f, "2");
    x = b.linear(x, 4096, {}, "3");
    x = b.activation(x, ActivationKind::relu, "4");
    x = b.dropout(x, 0.5f, "5");
    x = b.linear(x, options.classes, {}, "6");
  }
  return b.finish(x);
}

}  // namespace

Graph alexnet(const NetOptions& options) {
  NetBuilder b;
  NodeId x = b.input(options);
  {
    const auto features = b.scope("features");
    const auto relu = [&](NodeId y, std::string_view name) {
      return b.activation(y, ActivationKind::relu, name);
    };
    const PoolOptions pool{.kernel = 3, .stride = 2, .padding = 0};
    x = b.conv(x, 64, {.kernel = 11, .stride = 4, .padding = 2, .bias = true}, "0");
    x = b.max_pool(relu(x, "1"), pool, "2");
    x = b.conv(x, 192, {.kernel = 5, .bias = true}, "3");
    x = b.max_pool(relu(x, "4"), pool, "5");
    x = relu(b.conv(x, 384, {.kernel = 3, .bias = true}, "6"), "7");
    x = relu(b.conv(x, 256, {.kernel = 3, .bias = true}, "8"), "9");
    x = relu(b.conv(x, 256, {.kernel = 3, .bias = true}, "10"), "11");
    x = b.max_pool(x, pool, "12");
  }
  x = b.flatten(x);
  {
    const auto classifier = b.scope("classifier");
    x = b.dropout(x, 0.5f, "0");
    x = b.linear(x, 4096, {}, "1");
    x = b.activation(x, ActivationKind::relu, "2");
    x = b.dropout(x, 0.5f, "3");
    x = b.linear(x, 4096, {}, "4");
    x = b.activation(x, ActivationKind::relu, "5");
    x = b.linear(x, options.classes, {}, "6");
  }
  return b.finish(x);
}

Graph vgg11(const NetOptions& options) { return vgg(vgg11_stages, false, options); }

Graph vgg16(const NetOptions& options) { return vgg(vgg16_stages, false, options); }

Graph vgg16_bn(const NetOptions& options) { return vgg(vgg16_stages, true, options); }

}  // namespace espalier
