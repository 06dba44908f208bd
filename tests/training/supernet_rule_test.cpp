#include "training/supernet_rule.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>
#include <stdexcept>

#include "core/error.hpp"
#include "search_spaces/catalogue.hpp"
#include "search_spaces/nasbench201.hpp"
#include "search_spaces/sampling.hpp"
#include "tests/core/throws.hpp"

namespace espalier {
namespace {

using testing::HasSubstr;

SupernetRule rule(std::shared_ptr<const SearchSpace> space, RuleKind kind, int random = 2) {
  return SupernetRule(std::move(space), {.rule = kind, .random_architectures = random});
}

TEST(SupernetRule, UniformDrawsOneArchitecture) {
  const std::shared_ptr<const SearchSpace> space = make_nasbench201();
  const SupernetRule uniform = rule(space, RuleKind::uniform);
  std::vector<int> counts(5);
  for (std::uint64_t i = 0; i < 5000; ++i) {
    const auto passes = uniform.passes(Rng(1).fork(i));
    ASSERT_EQ(passes.size(), 1u);
    EXPECT_EQ(passes[0].lesson, Lesson::labels);
    ++counts[passes[0].architecture.choices[3]];
  }
  for (int count : counts) EXPECT_NEAR(count, 1000, 5 * std::sqrt(800.0));
  EXPECT_EQ(uniform.passes(Rng(4))[0].architecture, uniform.passes(Rng(4))[0].architecture);
}

TEST(SupernetRule, FairnessIsStrict) {
  const std::shared_ptr<const SearchSpace> space = make_nasbench201();
  const SupernetRule fair = rule(space, RuleKind::fair);
  std::set<std::uint32_t> firsts;
  int equal_orders = 0;
  for (std::uint64_t i = 0; i < 100; ++i) {
    const auto passes = fair.passes(Rng(1).fork(i));
    ASSERT_EQ(passes.size(), 5u);
    bool equal = true;
    for (std::size_t d = 0; d < 6; ++d) {
      std::set<std::uint32_t> seen;
      for (const SupernetPass& pass : passes) {
        EXPECT_EQ(pass.lesson, Lesson::labels);
        seen.insert(pass.architecture.choices[d]);
        equal &= pass.architecture.choices[d] == pass.architecture.choices[0];
      }
      EXPECT_EQ(seen.size(), 5u);
    }
    equal_orders += equal;
    firsts.insert(passes[0].architecture.choices[0]);
  }
  EXPECT_EQ(firsts.size(), 5u);
  EXPECT_EQ(equal_orders, 0);  // each decision has an order of its own
}

TEST(SupernetRule, FairnessGoesSeveralTimesThroughFewerOptions) {
  const std::shared_ptr<const SearchSpace> space = space_registry().create(
      {{"type", "nasbench201"},
       {"compression", {{"channels", {0.5, 1.0}}}},
       {"restrict",
        {{"edge0_1", {"none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3"}},
         {"edge0_2", {"none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3"}},
         {"edge1_2", {"none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3"}},
         {"edge0_3", {"none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3"}},
         {"edge1_3", {"none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3"}},
         {"edge2_3", {"none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3"}}}}},
      "");
  const auto passes = rule(space, RuleKind::fair).passes(Rng(1));
  ASSERT_EQ(passes.size(), 4u);
  bool some_have_two = false;
  for (std::size_t d = 0; d < space->choice_counts().size(); ++d) {
    if (space->choice_counts()[d] != 2) continue;
    some_have_two = true;
    std::vector<int> seen(2);
    for (const SupernetPass& pass : passes) ++seen[pass.architecture.choices[d]];
    EXPECT_EQ(seen, (std::vector<int>{2, 2}));
  }
  EXPECT_TRUE(some_have_two);
}

TEST(SupernetRule, SandwichHoldsTheLargestAndTheSmallest) {
  const SpaceRegistry spaces = space_registry();
  const std::shared_ptr<const SearchSpace> space = spaces.create(spaces.sample("mobilenet_v3"), "");
  const auto passes = rule(space, RuleKind::sandwich, 3).passes(Rng(1));
  ASSERT_EQ(passes.size(), 5u);
  EXPECT_EQ(passes[0].architecture, largest_architecture(*space));
  EXPECT_EQ(passes[1].architecture, smallest_architecture(*space));
  EXPECT_EQ(passes[0].lesson, Lesson::labels);
  for (std::size_t i = 1; i < 5; ++i) EXPECT_EQ(passes[i].lesson, Lesson::first);
  EXPECT_NE(passes[2].architecture, passes[3].architecture);
}

TEST(SupernetRule, AttentiveDrawsCandidatesOfAsManyMacs) {
  const SpaceRegistry spaces = space_registry();
  const std::shared_ptr<const SearchSpace> space = spaces.create(spaces.sample("mobilenet_v3"), "");
  const SupernetRule attentive(
      space, {.rule = RuleKind::attentive, .random_architectures = 2, .candidates = 5});
  const MacsConditionedSampler sampler(space, Rng(0));
  const auto passes = attentive.passes(Rng(1));
  ASSERT_EQ(passes.size(), 4u);
  EXPECT_EQ(passes[0].architecture, largest_architecture(*space));
  EXPECT_EQ(passes[1].architecture, smallest_architecture(*space));
  std::set<std::size_t> ranges;
  for (std::size_t i = 2; i < 4; ++i) {
    EXPECT_EQ(passes[i].lesson, Lesson::first);
    ASSERT_EQ(passes[i].candidates.size(), 5u);
    for (const Architecture& a : passes[i].candidates) {
      EXPECT_EQ(sampler.range_of(a), sampler.range_of(passes[i].candidates[0]));
    }
    ranges.insert(sampler.range_of(passes[i].candidates[0]));
  }
  EXPECT_EQ(ranges.size(), 2u);
}

TEST(SupernetRule, AStrategyHasNone) {
  EXPECT_THROW(rule(make_nasbench201(), RuleKind::strategy), std::logic_error);
}

TEST(SupernetRule, StrictFairnessIsRefusedWhereItCannotBe) {
  const SpaceRegistry spaces = space_registry();
  const auto error_of = [&](const Json& config) {
    return throws<UnsupportedError>([&] { rule(spaces.create(config, ""), RuleKind::fair); });
  };
  EXPECT_THAT(
      error_of({{"type", "nasbench201"}, {"restrict", {{"edge0_1", {"none", "skip_connect"}}}}}),
      HasSubstr("divide the largest one, 5, but decision 'edge0_1' has 2"));
  Json constrained = {{"type", "custom"}, {"constraints", {{{"metric", "macs"}, {"max", 1e9}}}}};
  EXPECT_THAT(error_of(constrained), HasSubstr("cannot keep a space's constraints"));
}

}  // namespace
}  // namespace espalier
