#include "graph/blocks.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "core/error.hpp"
#include "graph/cost.hpp"
#include "tests/graph/test_graphs.hpp"

namespace espalier {
namespace {

using testing::ElementsAre;

/// Names of the nodes after the input, without the scope's path.
std::vector<std::string> node_names(const Graph& graph, const std::string& scope) {
  std::vector<std::string> names;
  for (NodeId i = 1; i < graph.size(); ++i) {
    EXPECT_TRUE(graph.name(i).starts_with(scope + ".")) << graph.name(i);
    names.push_back(graph.name(i).substr(scope.size() + 1));
  }
  return names;
}

std::int64_t params(const Graph& graph) {
  std::int64_t sum = 0;
  for (NodeId i = 0; i < graph.size(); ++i) sum += node_params(graph, i);
  return sum;
}

TEST(Blocks, MakeDivisible) {
  EXPECT_EQ(make_divisible(4), 8);
  EXPECT_EQ(make_divisible(18), 24);  // 16 would be 11% less
  EXPECT_EQ(make_divisible(20), 24);
  EXPECT_EQ(make_divisible(168), 168);
  EXPECT_EQ(make_divisible(10, 4), 12);
  EXPECT_EQ(make_divisible(10, 4, 16), 16);
  EXPECT_EQ(make_divisible(1, 8, 4), 4);
  for (int i = 1; i < 4000; ++i) {
    const double value = i / 4.0;
    const std::int64_t rounded = make_divisible(value);
    EXPECT_EQ(rounded % 8, 0);
    EXPECT_GE(rounded, 8);
    EXPECT_GE(static_cast<double>(rounded), 0.9 * value);
    EXPECT_LE(static_cast<double>(rounded), std::max(8.0, value + 8));
  }
}

TEST(Blocks, ConvBnAct) {
  GraphBuilder b;
  const auto x = b.input(3, 8, 8);
  const auto y = conv_bn_act(b, x, 16, {.conv = {.kernel = 3, .stride = 2}});
  EXPECT_EQ(b.shape(y), Shape({16, 4, 4}));
  EXPECT_EQ(b.graph().node(y).op, Op(op::Activation{ActivationKind::relu}));
  const auto z = conv_bn_act(b, x, 16, {.activation = std::nullopt, .batch_norm = {.eps = 1e-3f}});
  EXPECT_EQ(b.graph().node(z).op, Op(op::BatchNorm2d{.eps = 1e-3f}));
}

TEST(Blocks, SqueezeExcitation) {
  GraphBuilder b;
  const auto y = squeeze_excitation(b, b.input(72, 7, 7));
  EXPECT_EQ(b.shape(y), Shape({72, 7, 7}));
  EXPECT_THAT(node_names(b.graph(), "se"),
              ElementsAre("pool", "reduce", "act", "expand", "gate", "scale"));
  EXPECT_EQ(b.shape(2), Shape({24, 1, 1}));  // make_divisible(18)
  EXPECT_EQ(b.graph().node(5).op, Op(op::Activation{ActivationKind::hard_sigmoid}));
  EXPECT_EQ(params(b.graph()), 72 * 24 + 24 + 24 * 72 + 72);

  GraphBuilder c;
  squeeze_excitation(c, c.input(72, 7, 7),
                     {.squeeze_channels = 10,
                      .activation = ActivationKind::swish,
                      .gate = ActivationKind::sigmoid});
  EXPECT_EQ(params(c.graph()), 72 * 10 + 10 + 10 * 72 + 72);
  EXPECT_EQ(c.graph().node(3).op, Op(op::Activation{ActivationKind::swish}));
  EXPECT_EQ(c.graph().node(5).op, Op(op::Activation{ActivationKind::sigmoid}));
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

TEST(Blocks, BasicBlock) {
  GraphBuilder b;
  const auto x = b.input(16, 8, 8);
  const auto y = basic_block(b, x, 16, {}, "plain");
  const std::int64_t conv = 16 * 16 * 9, bn = 32;
  EXPECT_EQ(b.shape(y), Shape({16, 8, 8}));
  EXPECT_EQ(params(b.graph()), 2 * (conv + bn));
  EXPECT_EQ(b.graph().scope(b.graph().node(y).scope).kind, "basic_block");

  const auto z = basic_block(b, y, 32, {.kernel = 5, .stride = 2, .mid_channels = 24}, "down");
  EXPECT_EQ(b.shape(z), Shape({32, 4, 4}));
  EXPECT_EQ(params(b.graph()),
            2 * (conv + bn) + 16 * 24 * 25 + 48 + 24 * 32 * 25 + 64 + 16 * 32 + 64);
  const ScopeId scope = b.graph().node(z).scope;
  EXPECT_EQ(b.graph().scope_attribute(scope, "stride"), 2);
  EXPECT_EQ(b.graph().scope_attribute(scope, "kernel"), 5);
}

}  // namespace
}  // namespace espalier
