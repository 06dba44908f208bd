#include "hw_models/parts.hpp"

#include <gmock/gmock.h>

#include <array>
#include <map>

#include "graph/blocks.hpp"

namespace espalier {
namespace {

using ::testing::ElementsAre;

std::string key(const Graph& graph, const Part& part) {
  std::string text = part_family(part) + ":" + part_kind(graph, part);
  for (const Feature& feature : part_features(graph, part, 1)) {
    if (feature.value == feature.default_value) continue;
    text += " " + feature.name + "=" + feature.value + (feature.optional ? "?" : "");
  }
  return text;
}

TEST(Parts, NamesEveryOperatorByWhatItCostDependsOn) {
  GraphBuilder b;
  const NodeId x = b.input(4, 8, 6);
  NodeId y = b.append(
      op::Conv2d{
          .out_channels = 8, .kernel = Extent(3, 5), .padding = Extent(1, 2), .group_width = 2},
      std::array{x}, "conv", {.quantization = Quantization{4, 8}});
  y = b.activation(b.batch_norm(y), ActivationKind::hard_swish);
  y = b.depthwise(y, {.kernel = 3, .dilation = 2, .padding = Extent(0), .bias = true});
  const NodeId gate = b.activation(b.global_avg_pool(y), ActivationKind::sigmoid);
  y = b.multiply(y, gate);
  y = b.batch_norm(b.add(std::array{y, y, y}));
  y = b.avg_pool(y, {.kernel = 2, .stride = 1, .padding = Extent(1), .ceil_mode = true});
  y = b.concat(std::array{b.zero(y), y});
  y = b.linear(b.flatten(y), 10);
  b.output(y);
  const Graph graph = b.build();
  std::vector<std::string> keys;
  for (const Part& part : split_into_parts(graph, {})) keys.push_back(key(graph, part));
  EXPECT_THAT(
      keys,
      ElementsAre("op:conv2d in_channels=4 in_height=8 in_width=6 out_channels=8 kernel=3x5 "
                  "stride=1 group_width=2 bias=1? activation=hard_swish weight_bits=4 "
                  "activation_bits=8",
                  "op:conv2d in_channels=8 in_height=8 in_width=6 out_channels=8 kernel=3 stride=1 "
                  "dilation=2 padding=0 group_width=1 bias=1?",
                  "op:global_avg_pool in_channels=8 in_height=4 in_width=2",
                  "op:activation in_channels=8 in_height=1 in_width=1 activation=sigmoid",
                  "op:multiply in_channels=8 in_height=4 in_width=2 broadcast=1",
                  "op:add in_channels=8 in_height=4 in_width=2 inputs=3",
                  "op:batch_norm2d in_channels=8 in_height=4 in_width=2",
                  "op:pool2d in_channels=8 in_height=4 in_width=2 pool=average kernel=2 stride=1 "
                  "padding=1 ceil_mode=1",
                  "op:zero in_channels=8 in_height=5 in_width=3 stride=1",
                  "op:concat in_channels=8+8 in_height=5 in_width=3",
                  "op:linear in_features=240 out_features=10 bias=1?"));
}

TEST(Parts, AScopeCoversItsNodesAndKeepsOthersOut) {
  GraphBuilder b;
  NodeId x = b.input(8, 4, 4);
  {
    const auto stage = b.scope("stage", "stage", {{"depth", 2}});
    x = mbconv(b, x, 8, {.expanded_channels = 16, .squeeze_excitation = SqueezeExcitationOptions{}},
               "a");
    x = mbconv(b, x, 8, {.expanded_channels = 16}, "b");
  }
  x = b.activation(x, ActivationKind::relu);
  b.output(x);
  const Graph graph = b.build();

  // Listed inside listed: the outer one counts.
  const std::vector<Part> outer =
      split_into_parts(graph, {"stage", "mbconv", "squeeze_excitation"});
  ASSERT_EQ(outer.size(), 2u);
  EXPECT_EQ(key(graph, outer[0]), "scope:stage depth=2 macs=13056?");
  EXPECT_EQ(part_kind(graph, outer[1]), "activation");  // not folded into what is covered

  const std::vector<Part> blocks = split_into_parts(graph, {"mbconv"});
  ASSERT_EQ(blocks.size(), 3u);
  EXPECT_EQ(graph.scope(blocks[0].scope).name, "stage.a");
  EXPECT_EQ(key(graph, blocks[1]),
            "scope:mbconv in_channels=8 out_channels=8 expanded_channels=16 kernel=3 stride=1 "
            "in_height=4 in_width=4 se=0 macs=6400?");
  std::size_t covered = 0;
  for (const Part& part : blocks) covered += part.nodes.size();
  EXPECT_EQ(covered, graph.size() - 2);  // all but input and output
}

TEST(Parts, AScopeHasTheBitsOfItsOperators) {
  const auto bits_of = [](std::int64_t first, std::int64_t second) {
    GraphBuilder b;
    NodeId x = b.input(8, 4, 4);
    {
      const auto scope = b.scope("pair", "pair");
      for (std::int64_t bits : {first, second}) {
        x = b.append(op::Conv2d{.out_channels = 8}, std::array{x}, "conv",
                     {.quantization = Quantization{bits, 8}});
      }
    }
    b.output(x);
    const Graph graph = b.build();
    return key(graph, split_into_parts(graph, {"pair"})[0]);
  };
  EXPECT_EQ(bits_of(4, 4), "scope:pair macs=2048? weight_bits=4 activation_bits=8");
  EXPECT_EQ(bits_of(4, 8), "scope:pair macs=2048? weight_bits=4+8 activation_bits=8");
  EXPECT_EQ(bits_of(32, 32), "scope:pair macs=2048? activation_bits=8");
}

std::vector<std::string> names_of(const Graph& graph, const Part& part) {
  std::vector<std::string> names;
  for (const Feature& feature : part_features(graph, part, 1)) names.push_back(feature.name);
  return names;
}

TEST(Parts, AKindHasTheSameFeaturesWhateverItsInput) {
  GraphBuilder b;
  const auto all = [&](NodeId x) {
    x = b.activation(x, ActivationKind::tanh);
    return b.zero(b.multiply(b.add(x, x), x));
  };
  b.output(all(b.flatten(all(b.input(2, 4, 4)))));
  const Graph graph = b.build();
  std::map<std::string, std::vector<std::string>> first;
  int compared = 0;
  for (const Part& part : split_into_parts(graph, {})) {
    const auto [it, added] = first.emplace(part_kind(graph, part), names_of(graph, part));
    if (added) continue;
    EXPECT_EQ(names_of(graph, part), it->second) << it->first;
    ++compared;
  }
  EXPECT_EQ(compared, 4);
}

TEST(Parts, AScopeWithoutMultiplicationsHasBitsToo) {
  const auto names = [](bool with_conv) {
    GraphBuilder b;
    NodeId x = b.input(8, 4, 4);
    {
      const auto scope = b.scope("edge", "edge");
      x = with_conv ? b.conv(x, 8) : b.zero(x);
    }
    b.output(x);
    const Graph graph = b.build();
    return names_of(graph, split_into_parts(graph, {"edge"})[0]);
  };
  EXPECT_EQ(names(false), names(true));
}

TEST(Parts, AnAttributeWinsOverADerivedFeature) {
  GraphBuilder b;
  NodeId x = b.input(8, 4, 4);
  {
    const auto scope = b.scope("block", "block", {{"macs", 7}});
    x = b.conv(x, 8);
  }
  b.output(x);
  const Graph graph = b.build();
  EXPECT_EQ(key(graph, split_into_parts(graph, {"block"})[0]), "scope:block macs=7");
}

TEST(Parts, TokensCountForLinearLayers) {
  // {tokens, features} comes from no operator yet but from linear itself, so the shape is given.
  GraphBuilder b;
  b.output(b.linear(b.flatten(b.input(2, 1, 1)), 3, {.bias = false}));
  const Graph graph = b.build();
  const auto features = part_features(graph, split_into_parts(graph, {})[0], 1);
  EXPECT_EQ(features[1].name, "tokens");
  EXPECT_EQ(features[1].value, "1");
}

}  // namespace
}  // namespace espalier
