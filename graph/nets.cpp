#include "graph/nets.hpp"

#include "core/error.hpp"

namespace espalier {

namespace {

struct NamedNet {
  std::string_view name;
  Graph (*build)(const NetOptions&);
};
constexpr NamedNet nets[] = {
    {"alexnet", alexnet},
    {"vgg11", vgg11},
    {"vgg16", vgg16},
    {"vgg16_bn", vgg16_bn},
    {"googlenet", googlenet},
    {"inception_v3", inception_v3},
    {"resnet18", resnet18},
    {"resnet50", resnet50},
    {"resnext50_32x4d", resnext50_32x4d},
    {"wide_resnet50_2", wide_resnet50_2},
    {"densenet121", densenet121},
    {"squeezenet1_0", squeezenet1_0},
    {"squeezenet1_1", squeezenet1_1},
    {"mobilenet_v1", mobilenet_v1},
    {"mobilenet_v2", mobilenet_v2},
    {"mobilenet_v3_large", mobilenet_v3_large},
    {"mobilenet_v3_small", mobilenet_v3_small},
    {"mnasnet1_0", mnasnet1_0},
    {"efficientnet_b0", efficientnet_b0},
    {"ghostnet", ghostnet},
    {"regnet_x_400mf", regnet_x_400mf},
    {"regnet_y_400mf", regnet_y_400mf},
    {"repvgg_a0", repvgg_a0},
    {"vovnet39", vovnet39},
    {"vovnet39_ese", vovnet39_ese},
    {"shufflenet_v1_x1_0", shufflenet_v1_x1_0},
    {"shufflenet_v2_x1_0", shufflenet_v2_x1_0},
    {"convnext_tiny", convnext_tiny},
    {"vit_b_16", vit_b_16},
};

}  // namespace

const std::vector<std::string>& net_names() {
  static const std::vector<std::string> names = [] {
    std::vector<std::string> list;
    for (const NamedNet& net : nets) list.emplace_back(net.name);
    return list;
  }();
  return names;
}

Graph build_net(std::string_view name, const NetOptions& options) {
  for (const NamedNet& net : nets) {
    if (net.name == name) return net.build(options);
  }
  throw ConfigError("",
                    "unknown net \"" + std::string(name) + "\"" + suggestion(name, net_names()));
}

}  // namespace espalier
