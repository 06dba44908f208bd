#include "graph/nets.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <set>

#include "core/error.hpp"
#include "graph/cost.hpp"
#include "graph/passes.hpp"

namespace espalier {
namespace {

using testing::HasSubstr;
using testing::IsSupersetOf;
using testing::ThrowsMessage;

std::set<std::string> names_of(const Graph& graph) {
  std::set<std::string> names;
  for (NodeId i = 0; i < graph.size(); ++i) names.insert(graph.name(i));
  return names;
}

NodeId find(const Graph& graph, const std::string& name) {
  for (NodeId i = 0; i < graph.size(); ++i) {
    if (graph.name(i) == name) return i;
  }
  ADD_FAILURE() << "no node " << name;
  return 0;
}

using Counts = std::map<std::string, std::pair<std::int64_t, std::int64_t>>;  // params, macs

TEST(Nets, PublishedCounts) {
  const Counts counts{
      {"alexnet", {61100840, 714188480}},           {"vgg11", {132863336, 7609090048}},
      {"vgg16", {138357544, 15470264320}},          {"vgg16_bn", {138365992, 15470264320}},
      {"googlenet", {6624904, 1498376192}},         {"inception_v3", {23834568, 5713216096}},
      {"resnet18", {11689512, 1814073344}},         {"resnet50", {25557032, 4089184256}},
      {"resnext50_32x4d", {25028904, 4230479872}},  {"wide_resnet50_2", {68883240, 11398021120}},
      {"densenet121", {7978856, 2834161664}},       {"squeezenet1_0", {1248424, 818924576}},
      {"squeezenet1_1", {1235496, 349151936}},      {"mobilenet_v2", {3504872, 300774272}},
      {"mobilenet_v3_large", {5483032, 216589760}}, {"mobilenet_v3_small", {2542856, 56510400}},
      {"mnasnet1_0", {4383312, 314415872}},         {"efficientnet_b0", {5288548, 385814752}},
      {"regnet_x_400mf", {5495976, 413812608}},     {"regnet_y_400mf", {4344144, 401842848}},
      {"shufflenet_v2_x1_0", {2278604, 144907992}}, {"convnext_tiny", {28589128, 4455531264}}};
  for (const auto& [name, published] : counts) {
    const std::int64_t size = name == "inception_v3" ? 299 : 224;
    const Graph graph = build_net(name, {.input = {3, size, size}});
    verify(graph);
    const Cost c = cost(graph);
    EXPECT_EQ(c.params, published.first) << name;
    EXPECT_EQ(c.macs, published.second) << name;
    EXPECT_EQ(graph.node(graph.output()).shape, Shape({1000})) << name;
    EXPECT_EQ(graph.node(graph.input()).shape, Shape({3, size, size})) << name;
  }
}

// Papers round to two digits.
TEST(Nets, PaperCounts) {
  const auto expect_counts = [](const std::string& name, const Graph& graph, double mega_params,
                                double mega_macs, double digit) {
    verify(graph);
    const Cost c = cost(graph);
    EXPECT_NEAR(static_cast<double>(c.params) / 1e6, mega_params, 0.05) << name;
    EXPECT_NEAR(static_cast<double>(c.macs) / 1e6, mega_macs, digit / 2) << name;
  };
  expect_counts("mobilenet_v1", mobilenet_v1(), 4.2, 569, 1);
  expect_counts("ghostnet", ghostnet(), 5.2, 141, 1);
  expect_counts("repvgg_a0", merge_repvgg(repvgg_a0()).graph, 8.3, 1400, 100);
  expect_counts("vovnet39", vovnet39(), 22.6, 7100, 100);
  expect_counts("vovnet39_ese", vovnet39_ese(), 24.6, 7100, 100);
  expect_counts("shufflenet_v1_x1_0", shufflenet_v1_x1_0(), 1.9, 138.5, 3);  // 137 to 140
  expect_counts("vit_b_16", vit_b_16(), 86.57, 17560, 10);
  EXPECT_EQ(cost(vit_b_16()).params, 86567656);
  EXPECT_NEAR(static_cast<double>(cost(repvgg_a0()).params) / 1e6, 9.1, 0.05);
}

/// The tensors of torchvision's state dict in sorted lines "name AxBxC", num_batches_tracked left
/// out, as FNV-1a of all lines.
std::uint64_t state_hash(const Graph& graph) {
  std::set<std::string> lines;
  for (NodeId i = 0; i < graph.size(); ++i) {
    const auto add = [&](const char* tensor, std::initializer_list<Dim> shape) {
      std::string line = graph.name(i) + "." + tensor;
      char separator = ' ';
      for (Dim d : shape) line += separator + d.to_string(), separator = 'x';
      lines.insert(line + "\n");
    };
    const Shape& shape = graph.node(i).shape;
    if (const auto* conv = std::get_if<op::Conv2d>(&graph.node(i).op)) {
      const Dim in = graph.node(graph.inputs(i)[0]).shape[0];
      const Dim fan_in = conv->group_width == Dim(0) ? in : conv->group_width;
      add("weight", {shape[0], fan_in, conv->kernel.h, conv->kernel.w});
      if (conv->bias) add("bias", {shape[0]});
    } else if (std::holds_alternative<op::BatchNorm2d>(graph.node(i).op)) {
      for (const char* tensor : {"weight", "bias", "running_mean", "running_var"}) {
        add(tensor, {shape[0]});
      }
    } else if (std::holds_alternative<op::Linear>(graph.node(i).op)) {
      add("weight", {shape[0], graph.node(graph.inputs(i)[0]).shape[0]});
      add("bias", {shape[0]});
    }
  }
  std::uint64_t hash = 0xcbf29ce484222325u;
  for (const std::string& line : lines) {
    for (char c : line) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3u;
  }
  return hash;
}

// The numbers are state_hash() of the state dicts of torchvision 0.14.1, without auxiliary heads.
TEST(Nets, StateDictsAreTorchvisions) {
  const std::map<std::string, std::uint64_t> hashes{{"alexnet", 0x1ee8f3858b0010a6u},
                                                    {"vgg11", 0xcdb2806472c0a5dbu},
                                                    {"vgg16", 0xd903676470699f1au},
                                                    {"vgg16_bn", 0xec160d1ebfad7723u},
                                                    {"googlenet", 0xe45564d481660939u},
                                                    {"inception_v3", 0xb22bffc68d12bf75u},
                                                    {"resnet18", 0xc340bda65f536872u},
                                                    {"resnet50", 0x536158e742196701u},
                                                    {"resnext50_32x4d", 0xfbf5a306f35ee40eu},
                                                    {"wide_resnet50_2", 0x43681b3da8bd683du},
                                                    {"densenet121", 0xf082c9b8fd55d7e7u},
                                                    {"squeezenet1_0", 0x57cff54323b77c3du},
                                                    {"squeezenet1_1", 0x19ac5599a75b445eu},
                                                    {"mobilenet_v2", 0xfb177d8f06753e7fu},
                                                    {"mobilenet_v3_large", 0xee737656f8ab7574u},
                                                    {"mobilenet_v3_small", 0x77966c5e5da827edu},
                                                    {"mnasnet1_0", 0x5f9b3fbe3eb1de88u},
                                                    {"efficientnet_b0", 0x3c6996af42a459e6u},
                                                    {"regnet_x_400mf", 0x16601304d4e03542u},
                                                    {"regnet_y_400mf", 0x9453231ad04c25bcu}};
  for (const auto& [name, hash] : hashes) EXPECT_EQ(state_hash(build_net(name)), hash) << name;
  EXPECT_NE(state_hash(vgg16()), state_hash(vgg16({.classes = 10})));
}

TEST(Nets, OtherInputsAndClasses) {
  const std::map<std::string, std::int64_t> smallest{
      {"alexnet", 63},       {"vgg11", 32},        {"vgg16", 32},        {"vgg16_bn", 32},
      {"googlenet", 31},     {"inception_v3", 75}, {"densenet121", 29},  {"squeezenet1_0", 29},
      {"squeezenet1_1", 25}, {"vovnet39", 45},     {"vovnet39_ese", 45}, {"convnext_tiny", 32},
      {"vit_b_16", 16}};
  for (const std::string& name : net_names()) {
    const auto found = smallest.find(name);
    const std::int64_t size = found == smallest.end() ? 1 : found->second;
    const Graph graph = build_net(name, {.input = {1, size, size + 9}, .classes = 10});
    verify(graph);
    EXPECT_EQ(graph.node(graph.output()).shape, Shape({10})) << name;
    EXPECT_THROW(build_net(name, {.input = {3, size + 9, size - 1}}), ShapeError) << name;
    EXPECT_THROW(build_net(name, {.input = {0, 96, 96}}), ShapeError) << name;
    EXPECT_THROW(build_net(name, {.input = {3, 96, 96}, .classes = 0}), ShapeError) << name;
  }
}

TEST(Nets, UnknownNameNamesTheNearest) {
  EXPECT_THAT(net_names(), IsSupersetOf({"alexnet", "resnet18", "vovnet39_ese"}));
  EXPECT_THAT([] { build_net("mobilenetv2"); },
              ThrowsMessage<ConfigError>(
                  HasSubstr("unknown net \"mobilenetv2\"; did you mean \"mobilenet_v2\"?")));
}

TEST(Nets, ResnetLayersAreNamedAsInTorchvision) {
  const Graph graph = resnet18();
  EXPECT_THAT(names_of(graph),
              IsSupersetOf({"conv1", "bn1", "relu", "maxpool", "layer1.0.conv1", "layer1.0.bn2",
                            "layer2.0.downsample.0", "layer2.0.downsample.1", "layer4.1.conv2",
                            "avgpool", "flatten", "fc"}));
  EXPECT_FALSE(names_of(graph).contains("layer1.0.downsample.0"));
  EXPECT_EQ(graph.node(find(graph, "layer4.1.conv2")).shape, Shape({512, 7, 7}));
  EXPECT_EQ(graph.scope(graph.node(find(graph, "layer2.0.conv1")).scope).kind, "basic_block");
}

TEST(Nets, ShufflenetV2LayersAreNamedAsInTorchvision) {
  const Graph graph = shufflenet_v2_x1_0();
  EXPECT_THAT(names_of(graph),
              IsSupersetOf({"conv1.0", "conv1.1", "stage2.0.branch1.0", "stage2.0.branch1.1",
                            "stage2.0.branch1.2", "stage2.0.branch1.3", "stage2.0.branch2.0",
                            "stage2.0.branch2.1", "stage2.0.branch2.3", "stage2.0.branch2.4",
                            "stage2.0.branch2.5", "stage2.0.branch2.6", "stage4.3.branch2.6",
                            "conv5.0", "conv5.1", "fc"}));
  EXPECT_FALSE(names_of(graph).contains("stage2.1.branch1.0"));
  EXPECT_EQ(graph.node(find(graph, "stage3.7.branch2.3")).shape, Shape({116, 14, 14}));
}

TEST(Nets, ConvnextAndVitLayersAreNamedAsInTorchvision) {
  EXPECT_THAT(names_of(convnext_tiny()),
              IsSupersetOf({"features.0.0", "features.0.1", "features.1.0.block.0",
                            "features.1.0.block.2", "features.1.0.block.3", "features.1.0.block.5",
                            "features.1.0.layer_scale", "features.2.0", "features.2.1",
                            "features.7.2.block.5", "classifier.0", "classifier.2"}));
  EXPECT_THAT(
      names_of(vit_b_16()),
      IsSupersetOf({"conv_proj", "class_token", "encoder.layers.encoder_layer_0.ln_1",
                    "encoder.layers.encoder_layer_0.self_attention.out_proj",
                    "encoder.layers.encoder_layer_11.ln_2", "encoder.layers.encoder_layer_11.mlp.0",
                    "encoder.layers.encoder_layer_11.mlp.3", "encoder.ln", "heads.head"}));
}

TEST(Nets, MobilenetV2LayersAreNamedAsInTorchvision) {
  const Graph graph = mobilenet_v2();
  EXPECT_THAT(names_of(graph),
              IsSupersetOf({"features.0.0", "features.0.1", "features.1.conv.0.0",
                            "features.1.conv.0.1", "features.1.conv.1", "features.1.conv.2",
                            "features.2.conv.0.0", "features.2.conv.1.0", "features.2.conv.1.1",
                            "features.2.conv.2", "features.2.conv.3", "features.17.conv.3",
                            "features.18.0", "features.18.1", "classifier.1"}));
  EXPECT_FALSE(names_of(graph).contains("features.2.add"));  // stride 2
  EXPECT_TRUE(names_of(graph).contains("features.3.add"));
  EXPECT_EQ(graph.node(find(graph, "classifier.0")).op, Op(op::Dropout{0.2f}));
  EXPECT_EQ(graph.node(find(graph, "features.18.0")).shape, Shape({1280, 7, 7}));
  EXPECT_EQ(graph.node(find(graph, "features.2.expand.act")).op,
            Op(op::Activation{ActivationKind::relu6}));
}

TEST(Nets, MobilenetV3LayersAreNamedAsInTorchvision) {
  const Graph graph = mobilenet_v3_large();
  EXPECT_THAT(names_of(graph),
              IsSupersetOf({"features.0.0", "features.1.block.0.0", "features.1.block.1.0",
                            "features.1.block.1.1", "features.4.block.0.0", "features.4.block.1.0",
                            "features.4.block.2.fc1", "features.4.block.2.fc2",
                            "features.4.block.3.0", "features.4.block.3.1", "features.15.block.3.1",
                            "features.16.0", "features.16.1", "classifier.0", "classifier.3"}));
  EXPECT_EQ(graph.node(find(graph, "features.1.block.0.1")).op,
            Op(op::BatchNorm2d{.eps = 1e-3f, .momentum = 0.01f}));
  EXPECT_EQ(graph.node(find(graph, "classifier.1")).op,
            Op(op::Activation{ActivationKind::hard_swish}));
  EXPECT_EQ(graph.node(find(graph, "features.16.0")).shape, Shape({960, 7, 7}));
  EXPECT_EQ(graph.node(find(graph, "features.4.block.2.fc1")).shape, Shape({24, 1, 1}));
  // The gate multiplies what the depthwise part's activation gives, and the projection reads it.
  const NodeId scale = find(graph, "features.4.se.scale");
  EXPECT_EQ(graph.name(graph.inputs(scale)[0]), "features.4.depthwise.act");
  EXPECT_EQ(graph.inputs(find(graph, "features.4.block.3.0"))[0], scale);

  const Graph small = mobilenet_v3_small();
  EXPECT_EQ(small.node(find(small, "features.12.0")).shape, Shape({576, 7, 7}));
  EXPECT_EQ(small.node(find(small, "classifier.0")).shape, Shape({1024}));
  const NodeId first = find(small, "features.1.block.0.0");
  ScopeId block = small.node(first).scope;
  while (small.scope(block).kind != "mbconv") block = small.scope(block).parent;
  EXPECT_EQ(small.scope_attribute(block, "stride"), 2);
  EXPECT_EQ(small.scope_attribute(block, "se"), 1);
}

}  // namespace
}  // namespace espalier
