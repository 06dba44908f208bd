#include <array>
#include <string>
#include <vector>

#include "graph/nets/net_builder.hpp"

namespace espalier {

namespace {

/// Where a block projects its shortcut, that has the last two layers.
std::vector<std::string> block_names(const std::string& block, int convs, bool projected) {
  std::vector<std::string> names;
  for (int i = 1; i <= convs; ++i) {
    names.push_back(block + ".conv" + std::to_string(i));
    names.push_back(block + ".bn" + std::to_string(i));
  }
  if (projected) names.insert(names.end(), {block + ".downsample.0", block + ".downsample.1"});
  return names;
}

/// The stem, four stages and the classifier. block(b, x, planes, stride, name) appends a block of
/// `convs` convolutions and `expansion` times `planes` channels.
template <class Block>
Graph resnet(const std::array<int, 4>& depths, int convs, int expansion, const NetOptions& options,
             Block&& block) {
  NetBuilder b;
  NodeId x = b.input(options);
  x = b.conv(x, 64, {.kernel = 7, .stride = 2}, "conv1");
  x = b.batch_norm(x, {}, "bn1");
  x = b.activation(x, ActivationKind::relu, "relu");
  x = b.max_pool(x, {.kernel = 3, .stride = 2}, "maxpool");
  std::int64_t planes = 64;
  for (std::size_t stage = 0; stage < depths.size(); ++stage, planes *= 2) {
    const auto layer = b.scope("layer" + std::to_string(stage + 1));
    for (int i = 0; i < depths[stage]; ++i) {
      const std::string name = std::to_string(i);
      const int stride = i == 0 && stage > 0 ? 2 : 1;
      const bool projected = stride != 1 || b.channels(x) != Dim(planes * expansion);
      x = block(b, x, planes, stride, name);
      b.name_layers(block_names(name, convs, projected));
    }
  }
  x = b.global_avg_pool(x, "avgpool");
  x = b.flatten(x);
  return b.finish(b.linear(x, options.classes, {}, "fc"));
}

/// ResNet-50 whose 3x3 convolutions have `groups` groups of planes base_width / 64 channels.
Graph resnet50_like(int groups, int base_width, const NetOptions& options) {
  const auto block = [=](GraphBuilder& b, NodeId x, std::int64_t planes, int stride,
                         const std::string& name) {
    const std::int64_t width = planes * base_width / 64;
    return bottleneck(
        b, x, planes * 4,
        {.mid_channels = width * groups, .stride = stride, .group_width = groups == 1 ? 0 : width},
        name);
  };
  return resnet({3, 4, 6, 3}, 3, 4, options, block);
}

}  // namespace

Graph resnet18(const NetOptions& options) {
  const auto block = [](GraphBuilder& b, NodeId x, std::int64_t planes, int stride,
                        const std::string& name) {
    return basic_block(b, x, planes, {.stride = stride}, name);
  };
  return resnet({2, 2, 2, 2}, 2, 1, options, block);
}

Graph resnet50(const NetOptions& options) { return resnet50_like(1, 64, options); }

Graph resnext50_32x4d(const NetOptions& options) { return resnet50_like(32, 4, options); }

Graph wide_resnet50_2(const NetOptions& options) { return resnet50_like(1, 128, options); }

}  // namespace espalier
