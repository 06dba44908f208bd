#include "search_spaces/supergraph.hpp"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <map>

#include "core/error.hpp"
#include "core/json.hpp"
#include "graph/blocks.hpp"
#include "graph/json.hpp"
#include "search_spaces/chain.hpp"
#include "search_spaces/mobilenet_v3.hpp"
#include "search_spaces/nasbench201.hpp"
#include "search_spaces/sampling.hpp"
#include "tests/core/throws.hpp"

namespace espalier {
namespace {

/// x -> conv(width) [-> conv(width)] -> pick 2 of {x1, x2, x3} -> output; every kind of hole.
SupergraphSpace small_space() {
  SupergraphBuilder b;
  const std::array<std::int64_t, 2> widths{4, 8};
  const std::array<std::int64_t, 3> kernels{1, 3, 5};
  NodeId x = b.input(3, 8, 8);
  const Dim width = b.number("width", widths);
  x = b.conv(x, width, {.kernel = b.number("kernel", kernels)}, "stem");
  const NodeId y = b.conv(x, width, {.kernel = b.number("inner.kernel", kernels)}, "inner");
  const DecisionId depth = b.decide({.name = "depth", .options = {"1", "2"}, .ordinal = true});
  const NodeId z = b.choice(depth, std::array{x, y}, "depth");
  const NodeId pooled = b.avg_pool(z, {.kernel = 3, .stride = 1});
  const NodeId zero = b.zero(z);
  const DecisionId pick = b.decide({.name = "pick", .options = {"id", "pool", "none"}, .pick = 2});
  const NodeId sum = b.choice(pick, std::array{z, pooled, zero}, "sum");
  b.output(b.linear(b.flatten(b.global_avg_pool(sum)), 5));
  return SupergraphSpace(b.finish());
}

TEST(Supergraph, CanonicalZeroesWhatIsNotReached) {
  const SupergraphSpace space = small_space();
  ASSERT_EQ(space.decisions().size(), 5u);
  // width, kernel, inner.kernel, depth, pick
  const Architecture shallow{{1, 2, 2, 0, 1}};
  EXPECT_EQ(space.canonical(shallow), (Architecture{{1, 2, 0, 0, 1}}));
  const Architecture deep{{1, 2, 2, 1, 1}};
  EXPECT_EQ(space.canonical(deep), deep);
  EXPECT_FALSE(space.active(shallow, 2));
  EXPECT_TRUE(space.active(deep, 2));
}

TEST(Supergraph, EqualCanonicalVectorsAreEqualGraphsAndDifferentOnesDiffer) {
  const SupergraphSpace space = small_space();
  std::map<std::string, Architecture> canonical_of_graph;
  std::map<Architecture, std::string> graph_of_canonical;
  Architecture a{std::vector<std::uint32_t>(5, 0)};
  const auto& counts = space.choice_counts();
  std::size_t all = 1;
  for (auto c : counts) all *= c;
  for (std::size_t i = 0; i < all; ++i) {
    std::size_t rest = i;
    for (std::size_t d = 0; d < counts.size(); ++d) {
      a.choices[d] = static_cast<std::uint32_t>(rest % counts[d]);
      rest /= counts[d];
    }
    const Graph graph = space.build(a);
    verify(graph);
    EXPECT_TRUE(graph.concrete());
    const std::string text = to_json(graph).dump();
    const Architecture canonical = space.canonical(a);
    EXPECT_EQ(space.canonical(canonical), canonical);
    const auto [g, new_graph] = canonical_of_graph.emplace(text, canonical);
    EXPECT_EQ(g->second, canonical);
    const auto [c, new_vector] = graph_of_canonical.emplace(canonical, text);
    EXPECT_EQ(c->second, text);
    const Cost exact = cost(graph);
    const Cost quick = space.quick_cost(a);
    EXPECT_EQ(quick.params, exact.params);
    EXPECT_EQ(quick.macs, exact.macs);
  }
  EXPECT_EQ(space_size(space).decimal, std::to_string(graph_of_canonical.size()));
  EXPECT_FALSE(space_size(space).estimate);
}

TEST(Supergraph, PickOneAliasesAndPickTwoAdds) {
  const SupergraphSpace space = small_space();
  const Graph graph = space.build({{0, 0, 0, 0, rank_subset(std::array<std::uint32_t, 2>{0, 1})}});
  int adds = 0, zeros = 0;
  for (const Node& node : graph.nodes()) {
    adds += std::holds_alternative<op::Add>(node.op);
    zeros += std::holds_alternative<op::Zero>(node.op);
    EXPECT_FALSE(std::holds_alternative<op::Choice>(node.op));
  }
  EXPECT_EQ(adds, 1);
  EXPECT_EQ(zeros, 0);
}

TEST(Supergraph, RejectsArchitecturesOutOfRange) {
  const SupergraphSpace space = small_space();
  EXPECT_FALSE(space.valid({{0, 0, 0}}));
  EXPECT_FALSE(space.valid({{2, 0, 0, 0, 0}}));
  EXPECT_THROW(space.build({{0, 0, 0}}), InvalidArchitecture);
  EXPECT_THROW(space.build({{0, 0, 3, 0, 0}}), InvalidArchitecture);
}

TEST(Supergraph, UntiedResidualWidthsAreAShapeErrorThatNamesBoth) {
  SupergraphBuilder b;
  const std::array<std::int64_t, 2> widths{4, 8};
  const NodeId x = b.input(3, 8, 8);
  const NodeId left = b.conv(x, b.number("left", widths));
  const NodeId right = b.conv(x, b.number("right", widths));
  try {
    b.add(left, right);
    FAIL() << "untied widths were added";
  } catch (const ShapeError& e) {
    EXPECT_NE(std::string(e.what()).find("left{4|8}"), std::string::npos) << e.what();
    EXPECT_NE(std::string(e.what()).find("right{4|8}"), std::string::npos) << e.what();
  }
}

TEST(Supergraph, TiedDecisionsAreOneDecision) {
  SupergraphBuilder b;
  const std::array<std::int64_t, 2> widths{4, 8};
  const NodeId x = b.input(3, 8, 8);
  const NodeId left = b.conv(x, b.number("width", widths));
  const NodeId right = b.conv(x, b.number("width", widths));
  EXPECT_NO_THROW(b.add(left, right));
  EXPECT_EQ(b.decisions().size(), 1u);
  EXPECT_THROW(b.decide({.name = "width", .options = {"4", "16"}, .ordinal = true}), ConfigError);
}

TEST(Supergraph, RejectsChoicesThatDoNotFitTheirDecision) {
  SupergraphBuilder b;
  const NodeId x = b.input(3, 8, 8);
  const DecisionId d = b.decide({.name = "op", .options = {"a", "b", "c"}});
  b.output(b.choice(d, std::array{x, b.zero(x)}));
  EXPECT_THROW(b.finish(), ShapeError);
  SupergraphBuilder c;
  const NodeId y = c.input(3, 8, 8);
  EXPECT_THROW(c.choice(7, std::array{y}), ShapeError);
  EXPECT_THROW(c.dim(0, std::array<std::int64_t, 1>{1}), ShapeError);
  c.output(c.conv(y, Dim::select(5, std::array{Dim(4), Dim(8)})));
  EXPECT_THROW(c.finish(), ShapeError);
}

TEST(Supergraph, ChoicesReadDecisionsOfTheSupergraph) {
  SupergraphBuilder b;
  const NodeId x = b.input(3, 8, 8);
  b.output(b.append(op::Choice{7, 1}, std::array{x}, "pick"));
  EXPECT_EQ(throws<ShapeError>([&] { b.finish(); }), "choice 'pick': decision 7 does not exist");
}

TEST(Supergraph, DimsHaveOneValuePerOption) {
  // Behind a switch over another decision, too, where no union of diagrams would notice.
  for (const std::size_t count : {1u, 2u, 3u}) {
    for (const bool nested : {false, true}) {
      SupergraphBuilder b;
      const DecisionId first = b.decide({.name = "first", .options = {"a", "b"}});
      const DecisionId width = b.decide({.name = "width", .options = {"a", "b", "c"}});
      std::vector<Dim> values(count + 1, Dim(8));
      values[0] = 4;
      Dim open = Dim::select(width, values);
      if (nested) open = Dim::select(first, std::array{open, Dim(16)});
      b.output(b.conv(b.input(3, 8, 8), open));
      if (count + 1 == 3) {
        EXPECT_NO_THROW(b.finish());
      } else {
        EXPECT_THAT(throws<ShapeError>([&] { b.finish(); }),
                    testing::HasSubstr(fmt::format(
                        "has {} values for decision 'width', which has 3 options", count + 1)));
      }
    }
  }
}

TEST(Supergraph, DimsReadPickOneDecisionsOnly) {
  SupergraphBuilder b;
  const NodeId x = b.input(3, 8, 8);
  const DecisionId d = b.decide({.name = "op", .options = {"a", "b", "c"}, .pick = 2});
  b.output(b.conv(x, b.dim(d, std::array<std::int64_t, 3>{4, 8, 12})));
  EXPECT_THROW(b.finish(), ShapeError);
}

TEST(Layout, ConcatKeepsOnePrefixPerPart) {
  SupergraphBuilder b;
  const std::array<std::int64_t, 2> widths{2, 4};
  const NodeId x = b.input(3, 2, 2);
  const NodeId left = b.conv(x, b.number("left", widths));
  const NodeId right = b.conv(x, b.number("right", widths));
  const NodeId joined = b.concat(std::array{x, left, right, x, x});
  const NodeId flat = b.flatten(joined);
  b.output(b.linear(flat, 2));
  const Supergraph s = b.finish();
  const std::array<std::uint32_t, 2> choices{0, 1};
  EXPECT_EQ(s.layout(joined).indices(choices),
            (std::vector<std::int64_t>{0, 1, 2, 3, 4, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16}));
  EXPECT_EQ(s.layout(joined).segments.size(), 4u);  // the last two closed parts are one
  EXPECT_EQ(s.layout(flat).inner, 4);
  EXPECT_EQ(s.layout(flat).width(), 68);
  EXPECT_EQ(s.layout(flat).indices(choices).size(), 60u);
}

TEST(Layout, ClosedMapsFlattenToPlainChannels) {
  SupergraphBuilder b;
  const NodeId x = b.conv(b.input(3, 2, 2), 4);
  const NodeId flat = b.flatten(x);
  const NodeId sum = b.add(flat, b.linear(flat, 16));
  b.output(sum);
  const Supergraph s = b.finish();
  EXPECT_EQ(s.layout(sum), s.layout(flat));
  EXPECT_EQ(s.layout(sum).width(), 16);
  EXPECT_EQ(s.layout(sum).indices({}).size(), 16u);
}

TEST(Layout, EqualWidthsOfDifferentMakeUpAreNotAdded) {
  SupergraphBuilder b;
  const std::array<std::int64_t, 2> widths{2, 4};
  const NodeId x = b.input(3, 2, 2);
  const Dim w = b.number("width", widths);
  const NodeId joined = b.concat(std::array{b.conv(x, w), b.conv(x, w)});
  const NodeId single = b.conv(x, w + w);
  b.output(b.add(joined, single));
  EXPECT_THAT(
      throws<ShapeError>([&] { b.finish(); }),
      testing::EndsWith("their channels lie differently: after a concat of open widths, use "
                        "one convolution to mix the channels first; for example with "
                        "width=2"));
}

TEST(Layout, PickOneOfDifferentWidthsIsASwitch) {
  SupergraphBuilder b;
  const NodeId x = b.input(3, 2, 2);
  const DecisionId d = b.decide({.name = "op", .options = {"narrow", "wide"}});
  const NodeId y = b.choice(d, std::array{b.conv(x, 4), b.conv(x, 8)});
  b.output(b.linear(b.flatten(b.global_avg_pool(y)), 2));
  const Supergraph s = b.finish();
  EXPECT_EQ(s.layout(y).segments[0].max, 8);
  EXPECT_EQ(s.layout(y).segments[0].size.at(std::array<std::uint32_t, 1>{0}), 4);
  EXPECT_EQ(cost(s.close({{1}})).params, 3 * 8 + 8 * 2 + 2);
}

TEST(Layout, OpenMapsCannotBeFlattened) {
  SupergraphBuilder b;
  const std::array<std::int64_t, 2> sizes{4, 8};
  const NodeId x = b.input(3, b.number("resolution", sizes), 8);
  b.output(b.flatten(x));
  EXPECT_THROW(b.finish(), UnsupportedError);
}

TEST(Layout, OpenChannelsAreNotCutShuffledOrFlattenedTokenByToken) {
  const std::array<std::int64_t, 2> widths{2, 4};
  const auto finish = [&](auto&& make) {
    SupergraphBuilder b;
    const NodeId x = b.conv(b.input(3, 2, 2), b.number("width", widths));
    b.output(make(b, x));
    return b.finish();
  };
  const auto refused = [&](auto&& make, const char* what) {
    EXPECT_THAT(throws<ShapeError>([&] { finish(make); }), testing::HasSubstr(what));
  };
  refused(
      [](GraphBuilder& b, NodeId x) {
        return b.slice(x, {0, 0, 1});
      },
      "its input has the open shape {width{2|4}, 2, 2}; close the width");
  refused([](GraphBuilder& b, NodeId x) { return b.slice(b.tokens(x), {1, 0, 1}); }, "open shape");
  refused([](GraphBuilder& b, NodeId x) { return b.channel_shuffle(x, 2); }, "open shape");
  refused([](GraphBuilder& b, NodeId x) { return b.flatten(b.tokens(x)); }, "open shape");
  refused(
      [](GraphBuilder& b, NodeId x) {
        return b.deform_conv(std::array{x, b.conv(x, 36)}, 3, {.kernel = 3});
      },
      "open shape");
  const Supergraph s = finish([](GraphBuilder& b, NodeId x) {
    x = b.layer_norm(b.tokens(b.slice(x, {1, 1, 0})));
    return b.flatten(b.slice(b.attention(x, x, x, 2), {0, 1, 2}));
  });
  EXPECT_EQ(s.layout(s.graph().output()).indices(std::array{0u}).size(), 2u);
  EXPECT_EQ(s.layout(s.graph().output()).width(), 4);
}

TEST(Layout, AJoinOfWidthsNeedsSingleParts) {
  SupergraphBuilder b;
  const std::array<std::int64_t, 2> widths{2, 4};
  const NodeId x = b.input(3, 2, 2);
  const Dim w = b.number("width", widths);
  const DecisionId d = b.decide({.name = "op", .options = {"a", "b"}});
  const NodeId joined = b.concat(std::array{b.conv(x, w), b.conv(x, w)});
  b.output(b.choice(d, std::array{joined, b.conv(x, 6)}));
  EXPECT_THROW(b.finish(), ShapeError);
}

/// The costs from the supergraph equal those of the built graph on random architectures of a space.
void expect_equal_costs(const SearchSpace& space, int count) {
  Rng rng(7);
  for (int i = 0; i < count; ++i) {
    const Architecture a = sample_uniform(space, rng);
    const Graph graph = space.build(a);
    if (i < 10) verify(graph);
    const Cost exact = cost(graph);
    const Cost quick = space.quick_cost(a);
    ASSERT_EQ(quick.params, exact.params) << space.to_string(a);
    ASSERT_EQ(quick.macs, exact.macs) << space.to_string(a);
  }
}

TEST(Supergraph, QuickCostsEqualBuiltCosts) {
  CompressionOptions compression{.channels = {0.5, 0.75, 1.0}, .weight_bits = {4, 8}};
  expect_equal_costs(*make_chain(), 300);
  expect_equal_costs(*make_chain({.compression = compression}), 300);
  MobileNetV3Options mobile{.resolutions = {160, 192, 224}};
  mobile.stages[1].se = SqueezeExcitation::search;
  expect_equal_costs(*make_mobilenet_v3(mobile), 300);
  mobile.compression = compression;
  expect_equal_costs(*make_mobilenet_v3(mobile), 100);
  expect_equal_costs(*make_nasbench201({.compression = compression}), 100);
}

}  // namespace
}  // namespace espalier
