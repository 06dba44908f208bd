#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "graph/blocks.hpp"
#include "tests/graph/blocks/blocks.hpp"

namespace espalier {
namespace {

using testing::ElementsAre;

TEST(Blocks, SeparableConv) {
  GraphBuilder b;
  const auto y = separable_conv(b, b.input(16, 8, 8), 24, {.kernel = 5, .stride = 2}, "block");
  EXPECT_EQ(b.shape(y), Shape({24, 4, 4}));
  EXPECT_THAT(node_names(b.graph(), "block"),
              ElementsAre("depthwise.conv", "depthwise.bn", "depthwise.act", "pointwise.conv",
                          "pointwise.bn", "pointwise.act"));
  EXPECT_EQ(params(b.graph()), 16 * 25 + 32 + 16 * 24 + 48);
  GraphBuilder c;
  const auto z =
      separable_conv(c, c.input(16, 8, 8), 24, {.activation = ActivationKind::relu6}, "block");
  EXPECT_EQ(c.graph().node(z).op, Op(op::Activation{ActivationKind::relu6}));
  EXPECT_EQ(c.graph().node(3).op, Op(op::Activation{ActivationKind::relu6}));
  expect_searchable({16, 8, 8}, [](GraphBuilder& g, NodeId x, Dim width, Dim kernel) {
    return separable_conv(g, x, width, {.kernel = kernel}, "block");
  });
}

TEST(Blocks, MbconvHasItsPartsInOrder) {
  GraphBuilder b;
  const auto y = mbconv(b, b.input(16, 8, 8), 16,
                        {.expanded_channels = 64,
                         .kernel = 5,
                         .activation = ActivationKind::hard_swish,
                         .squeeze_excitation = SqueezeExcitationOptions{}},
                        "block");
  EXPECT_EQ(b.shape(y), Shape({16, 8, 8}));
  EXPECT_THAT(node_names(b.graph(), "block"),
              ElementsAre("expand.conv", "expand.bn", "expand.act", "depthwise.conv",
                          "depthwise.bn", "depthwise.act", "se.pool", "se.reduce", "se.act",
                          "se.expand", "se.gate", "se.scale", "project.conv", "project.bn", "add"));
  const Graph& g = b.graph();
  const ScopeId scope = g.node(y).scope;
  EXPECT_EQ(g.scope(scope).kind, "mbconv");
  for (const auto& [key, value] : {std::pair{"in_channels", 16},
                                   {"out_channels", 16},
                                   {"expanded_channels", 64},
                                   {"kernel", 5},
                                   {"stride", 1},
                                   {"in_height", 8},
                                   {"in_width", 8},
                                   {"se", 1}}) {
    EXPECT_EQ(g.scope_attribute(scope, key), value) << key;
  }
  EXPECT_EQ(params(g),
            16 * 64 + 2 * 64 + 64 * 25 + 2 * 64 + (64 * 16 + 16 + 16 * 64 + 64) + 64 * 16 + 2 * 16);
}

TEST(Blocks, MbconvLeavesOutWhatIsNotNeeded) {
  const auto names = [](std::int64_t in, std::int64_t out, const MbconvOptions& options) {
    GraphBuilder b;
    mbconv(b, b.input(in, 8, 8), out, options, "block");
    return node_names(b.graph(), "block");
  };
  EXPECT_THAT(
      names(16, 24, {.expanded_channels = 16}),
      ElementsAre("depthwise.conv", "depthwise.bn", "depthwise.act", "project.conv", "project.bn"));
  EXPECT_EQ(names(16, 16, {.expanded_channels = 16}).back(), "add");
  EXPECT_EQ(names(16, 16, {.expanded_channels = 16, .stride = 2}).back(), "project.bn");
  EXPECT_EQ(names(16, 16, {.expanded_channels = 16, .residual = false}).back(), "project.bn");
  GraphBuilder tiny;  // 1x1 stays 1x1 with stride 2, and still has no shortcut
  mbconv(tiny, tiny.input(8, 1, 1), 8, {.expanded_channels = 8, .stride = 2}, "block");
  EXPECT_EQ(node_names(tiny.graph(), "block").back(), "project.bn");
}

TEST(Blocks, MbconvOpensToASupergraph) {
  const Dim expanded = Dim::select(0, std::array{Dim(48), Dim(64), Dim(96)});
  const Dim kernel = Dim::select(1, std::array{Dim(3), Dim(5)});
  const auto build = [](Dim channels, Dim k, std::optional<DecisionId> se,
                        std::optional<SqueezeExcitationOptions> options =
                            SqueezeExcitationOptions{}) {
    GraphBuilder b;
    const auto y = mbconv(b, b.input(16, 8, 8), 16,
                          {.expanded_channels = channels,
                           .kernel = k,
                           .squeeze_excitation = options,
                           .squeeze_excitation_choice = se},
                          "block");
    b.output(y);
    return b.build();
  };
  const Graph open = build(expanded, kernel, std::nullopt);
  for (std::uint32_t e = 0; e < 3; ++e) {
    for (std::uint32_t k = 0; k < 2; ++k) {
      const std::array choices{e, k};
      const Graph direct = build(expanded.at(choices), kernel.at(choices), std::nullopt);
      const Graph close = closed(open, choices);
      ASSERT_EQ(close.size(), direct.size());
      for (NodeId i = 0; i < direct.size(); ++i) {
        EXPECT_EQ(close.node(i).op, direct.node(i).op);
        EXPECT_EQ(close.node(i).shape, direct.node(i).shape);
      }
    }
  }
  const Graph choice = build(expanded, kernel, 2);
  const auto node = std::find_if(choice.nodes().begin(), choice.nodes().end(), [](const Node& n) {
    return std::holds_alternative<op::Choice>(n.op);
  });
  ASSERT_NE(node, choice.nodes().end());
  EXPECT_EQ(node->op, Op(op::Choice{2, 1}));
  EXPECT_EQ(node->input_count, 2u);
  verify(choice);
  const Graph implied = build(expanded, kernel, 2, std::nullopt);  // a choice of the default SE
  ASSERT_EQ(implied.size(), choice.size());
  for (NodeId i = 0; i < choice.size(); ++i) EXPECT_EQ(implied.node(i).op, choice.node(i).op);
}

// EfficientNet's SE takes its squeeze from the block's input and gates with a sigmoid.
TEST(Blocks, MbconvTakesTheSqueezeItIsGiven) {
  GraphBuilder b;
  const auto x = b.input(16, 8, 8);
  mbconv(b, x, 24,
         {.expanded_channels = 96,
          .activation = ActivationKind::swish,
          .squeeze_excitation = SqueezeExcitationOptions{.squeeze_channels = 4,
                                                         .activation = ActivationKind::swish,
                                                         .gate = ActivationKind::sigmoid}},
         "block");
  EXPECT_EQ(b.shape(block_node(b.graph(), "se.reduce")), Shape({4, 1, 1}));
  for (const auto& [name, kind] : {std::pair{"expand.act", ActivationKind::swish},
                                   {"depthwise.act", ActivationKind::swish},
                                   {"se.act", ActivationKind::swish},
                                   {"se.gate", ActivationKind::sigmoid}}) {
    EXPECT_EQ(b.graph().node(block_node(b.graph(), name)).op, Op(op::Activation{kind})) << name;
  }
}

}  // namespace
}  // namespace espalier
