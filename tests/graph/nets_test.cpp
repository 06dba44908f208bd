#include "graph/nets.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <set>

#include "core/error.hpp"
#include "graph/cost.hpp"

namespace espalier {
namespace {

using testing::ElementsAre;
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

TEST(Nets, PublishedCounts) {
  const std::map<std::string, std::pair<std::int64_t, std::int64_t>> counts{
      {"resnet18", {11689512, 1814073344}},
      {"mobilenet_v2", {3504872, 300774272}},
      {"mobilenet_v3_large", {5483032, 216589760}},
      {"mobilenet_v3_small", {2542856, 56510400}},
      {"shufflenet_v1_x1_0", {1865728, 137460672}},
      {"shufflenet_v2_x1_0", {2278604, 144907992}},
      {"convnext_tiny", {28589128, 4455531264}},
      {"vit_b_16", {86567656, 17563828224}}};
  EXPECT_EQ(net_names().size(), counts.size());
  for (const std::string& name : net_names()) {
    const Graph graph = build_net(name);
    verify(graph);
    const Cost c = cost(graph);
    EXPECT_EQ(c.params, counts.at(name).first) << name;
    EXPECT_EQ(c.macs, counts.at(name).second) << name;
    EXPECT_EQ(graph.node(graph.output()).shape, Shape({1000})) << name;
    EXPECT_EQ(graph.node(graph.input()).shape, Shape({3, 224, 224})) << name;
  }
}

TEST(Nets, OtherInputsAndClasses) {
  for (const std::string& name : net_names()) {
    const Graph graph = build_net(name, {.input = {1, 40, 32}, .classes = 10});
    verify(graph);
    EXPECT_EQ(graph.node(graph.output()).shape, Shape({10})) << name;
    EXPECT_THROW(build_net(name, {.input = {0, 28, 28}}), ShapeError);
    EXPECT_THROW(build_net(name, {.classes = 0}), ShapeError);
  }
}

TEST(Nets, UnknownNameNamesTheNearest) {
  EXPECT_THAT(net_names(),
              ElementsAre("resnet18", "mobilenet_v2", "mobilenet_v3_large", "mobilenet_v3_small",
                          "shufflenet_v1_x1_0", "shufflenet_v2_x1_0", "convnext_tiny", "vit_b_16"));
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
  EXPECT_EQ(graph.node(find(graph, "features.2.conv.0.2")).op,
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
  const NodeId scale = find(graph, "features.4.block.2.scale");
  EXPECT_EQ(graph.name(graph.inputs(scale)[0]), "features.4.block.1.2");
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
