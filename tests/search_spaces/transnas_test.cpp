#include "search_spaces/transnas.hpp"

#include <gtest/gtest.h>

#include <set>

#include "core/error.hpp"
#include "search_spaces/sampling.hpp"
#include "tests/core/throws.hpp"

namespace espalier {
namespace {

/// Params of a convolution with batch norm.
constexpr std::int64_t conv(std::int64_t in, std::int64_t out, std::int64_t kernel) {
  return in * out * kernel * kernel + 2 * out;
}

TEST(TransnasMicro, CountsFollowTheSkeleton) {
  const auto space = make_transnas_micro();
  EXPECT_EQ(space_size(*space).decimal, "4096");
  const std::int64_t fixed = conv(3, 32, 3) + conv(32, 64, 3) + 512 * 75 + 75;
  const auto params = [&](const char* text) {
    return cost(space->build(space->parse(text))).params;
  };
  EXPECT_EQ(params("64-41414-0_00_000"), fixed);
  // A skip is an identity but on the three strided edges from a cell's input.
  EXPECT_EQ(params("64-41414-1_01_001"),
            fixed + conv(64, 128, 1) + conv(128, 256, 1) + conv(256, 512, 1));
  // Six 3x3 convolutions a cell; the three edges from the input of a strided cell see half of the
  // channels.
  std::int64_t full = fixed;
  for (const std::int64_t c : {128, 256, 512}) {
    full += 3 * conv(c / 2, c, 3) + 3 * conv(c, c, 3) + 6 * conv(c, c, 3);
    if (c < 512) full += 12 * conv(c, c, 3);  // the normal module behind it
  }
  EXPECT_EQ(params("64-41414-3_33_333"), full);
}

TEST(TransnasMicro, TheSkeletonHalvesTheMapFiveTimes) {
  const auto space = make_transnas_micro();
  const Graph graph = space->build(space->parse("64-41414-3_33_333"));
  std::string last_map;
  for (const Node& n : graph.nodes()) {
    if (std::holds_alternative<op::GlobalAvgPool>(n.op)) break;
    last_map = n.shape.to_string();
  }
  EXPECT_EQ(last_map, "{512, 8, 8}");
}

TEST(TransnasMicro, ASkipThatChangesTheShapeReadsAllPixels) {
  const auto space = make_transnas_micro({.input = {3, 32, 32}, .channels = 4});
  int slices = 0;
  const Graph graph = space->build(space->parse("4-41414-1_01_001"));
  for (const Node& n : graph.nodes()) slices += std::holds_alternative<op::Slice>(n.op);
  EXPECT_EQ(slices, 3 * 2);  // three strided cells with one such skip that reaches the output
  EXPECT_THROW(make_transnas_micro({.input = {3, 32, 48}}), ConfigError);
}

TEST(TransnasMicro, StringsAreTheBenchmarksOwn) {
  const auto space = make_transnas_micro({.input = {3, 32, 32}, .channels = 4});
  const Architecture a = space->parse("4-41414-1_02_333");
  // edges 0-1, 0-2, 1-2, 0-3, 1-3, 2-3
  EXPECT_EQ(a, (Architecture{{1, 0, 2, 3, 3, 3}}));
  EXPECT_EQ(space->to_string(a), "4-41414-1_02_333");
  for (const char* text :
       {"", "1_02_333", "64-41414-1_02_333", "4-41414-10_2_333", "4-41414-102333",
        "4-41414-1_02_33", "4-41414-1_02_334", "4-41414-1_02_3333", "4-1234-basic"}) {
    EXPECT_THROW(space->parse(text), InvalidArchitecture) << text;
  }
}

TEST(TransnasMicro, QuickCostsEqualBuiltCostsWithOpenWidths) {
  const auto space = make_transnas_micro(
      {.input = {3, 64, 32},
       .channels = 8,
       .compression = CompressionOptions{.channels = {0.5, 1.0}, .weight_bits = {4, 8}}});
  Rng rng(5);
  for (int i = 0; i < 60; ++i) {
    const Architecture a = sample_uniform(*space, rng);
    const Graph graph = space->build(a);
    if (i < 10) verify(graph);
    const Cost exact = cost(graph);
    const Cost quick = space->quick_cost(a);
    ASSERT_EQ(quick.params, exact.params) << space->to_string(a);
    ASSERT_EQ(quick.macs, exact.macs) << space->to_string(a);
    ASSERT_EQ(space->parse(space->to_string(a)), a);
  }
}

TEST(TransnasMacro, AsManyNetworksAsPublished) {
  const auto space = make_transnas_macro({.input = {3, 64, 64}, .channels = 2});
  EXPECT_EQ(space_size(*space).decimal, "3256");
  std::set<std::string> strings;
  enumerate(*space, [&](const Architecture& a) {
    EXPECT_TRUE(strings.insert(space->to_string(a)).second);
    EXPECT_EQ(space->parse(space->to_string(a)), a);
    return true;
  });
  EXPECT_EQ(strings.size(), 3256u);
  EXPECT_TRUE(strings.contains("2-1234-basic"));
  EXPECT_TRUE(strings.contains("2-2311-basic"));
  EXPECT_FALSE(strings.contains("2-1111-basic"));   // nothing halves or doubles
  EXPECT_FALSE(strings.contains("2-2222-basic"));   // four double
  EXPECT_FALSE(strings.contains("2-33334-basic"));  // five halve
  EXPECT_TRUE(strings.contains("2-333412-basic"));
}

TEST(TransnasMacro, CountsFollowTheModules) {
  const auto space = make_transnas_macro();
  const Graph graph = space->build(space->parse("64-1234-basic"));
  verify(graph);
  const std::int64_t params = conv(3, 32, 3) + conv(32, 64, 3) + 4 * conv(64, 64, 3) +
                              conv(64, 128, 3) + conv(64, 128, 1) + 3 * conv(128, 128, 3) +
                              4 * conv(128, 128, 3) + conv(128, 128, 1) + conv(128, 256, 3) +
                              conv(128, 256, 1) + 3 * conv(256, 256, 3) + 256 * 75 + 75;
  EXPECT_EQ(cost(graph).params, params);
  std::string last_map;
  for (const Node& n : graph.nodes()) {
    if (std::holds_alternative<op::GlobalAvgPool>(n.op)) break;
    last_map = n.shape.to_string();
  }
  EXPECT_EQ(last_map, "{256, 16, 16}");
}

TEST(TransnasMacro, ValidAndBuildAgreeOnEveryVector) {
  const auto space = make_transnas_macro({.input = {3, 64, 64}, .channels = 2});
  Rng rng(2);
  int valid = 0;
  for (int i = 0; i < 2000; ++i) {
    Architecture a;
    for (std::uint32_t n : space->choice_counts()) {
      a.choices.push_back(static_cast<std::uint32_t>(rng.below(n)));
    }
    if (space->valid(a)) {
      ++valid;
      ASSERT_EQ(space->valid(space->canonical(a)), true);
      ASSERT_EQ(space->to_string(a), space->to_string(space->canonical(a)));
      if (valid % 10 == 0) {
        ASSERT_EQ(cost(space->build(a)), cost(space->build(space->canonical(a))));
      }
    } else {
      ASSERT_THROW(space->build(a), InvalidArchitecture);
    }
  }
  EXPECT_GT(valid, 1000);
  EXPECT_LT(valid, 2000);
}

TEST(TransnasMacro, NeighboursChangeOneActiveDecision) {
  const auto space = make_transnas_macro({.input = {3, 64, 64}, .channels = 2});
  const Architecture a = space->parse("2-1234-basic");
  std::set<std::string> texts;
  for (const Architecture& b : neighbours(*space, a)) texts.insert(space->to_string(b));
  EXPECT_TRUE(texts.contains("2-12341-basic"));  // a new module is a normal one
  EXPECT_TRUE(texts.contains("2-123411-basic"));
  EXPECT_TRUE(texts.contains("2-2234-basic"));
  EXPECT_FALSE(texts.contains("2-12342-basic"));
  EXPECT_EQ(texts.size(), 2u + 4 * 3);
}

TEST(TransnasMacro, RefusesMalformedStringsAndOptions) {
  const auto space = make_transnas_macro();
  for (const char* text : {"", "64--basic", "64-123-basic", "64-1234567-basic", "64-1235-basic",
                           "32-1234-basic", "64-1234", "64-1234-basi", "64-basic"}) {
    EXPECT_THROW(space->parse(text), InvalidArchitecture) << text;
  }
  EXPECT_EQ(throws<InvalidArchitecture>([&] { space->parse("64-12-basic"); }),
            "'64-12-basic' is no architecture of this space; write for example 64-1234-basic");
  EXPECT_EQ(throws<InvalidArchitecture>([&] { space->build(space->parse("64-1111-basic")); }),
            "the architecture breaks a constraint of the space: 64-1111-basic");
  EXPECT_THROW(make_transnas_macro({.channels = 3}), ConfigError);
  EXPECT_THROW(make_transnas_micro({.channels = 3}), ConfigError);
}

}  // namespace
}  // namespace espalier
