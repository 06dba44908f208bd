#include "strategies/ordinal_walk.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <set>
#include <string>
#include <vector>

#include "core/error.hpp"
#include "search_spaces/chain.hpp"
#include "search_spaces/sampling.hpp"
#include "tests/core/throws.hpp"
#include "tests/strategies/toy_search.hpp"

namespace espalier {
namespace {

using testing::DoubleNear;
using testing::ElementsAre;
using testing::HasSubstr;

// A network whose widths and bits are open.
std::unique_ptr<SupergraphSpace> compressed(std::vector<std::int64_t> weight_bits = {}) {
  const ChainStage stage{
      .blocks = {"residual"}, .widths = {32}, .depths = {2}, .kernels = {3}, .stride = 2};
  return make_chain({.input = {3, 16, 16},
                     .stages = {stage, stage},
                     .compression = CompressionOptions{.channels = {0.25, 0.5, 0.75, 1.0},
                                                       .weight_bits = std::move(weight_bits)}});
}

TEST(OrdinalWalk, PlacesAreThoseOfTheNumbers) {
  const auto space = compressed({2, 4, 8});
  const OrdinalWalk walk(*space, {});
  ASSERT_EQ(walk.size(), space->decisions().size());
  for (std::size_t t = 0; t < walk.size(); ++t) {
    const std::vector<double> places(walk.places(t).begin(), walk.places(t).end());
    if (places.size() == 4) {
      EXPECT_THAT(places,
                  ElementsAre(0, DoubleNear(1.0 / 3, 1e-12), DoubleNear(2.0 / 3, 1e-12), 1));
    } else {
      EXPECT_THAT(places, ElementsAre(0, DoubleNear(1.0 / 3, 1e-12), 1));
    }
  }
}

TEST(OrdinalWalk, RefusesWhatIsNotOnAScale) {
  EXPECT_THAT(
      throws<ConfigError>([] {
        OrdinalWalk(*test_space({1, 3}), {});
      }),
      testing::AllOf(testing::StartsWith("/type: "), HasSubstr("\"d2\""), HasSubstr("reinforce")));
  EXPECT_EQ(OrdinalWalk(*test_space({1, 1}), {}).size(), 0u);
}

TEST(OrdinalWalk, StatesSayWhatIsKnownAndWhatWasDecided) {
  const auto space = compressed({4, 8});
  const OrdinalWalk walk(*space, {});
  Architecture a = largest_architecture(*space);
  const std::size_t size = walk.state_size();
  const auto whole = static_cast<double>(space->quick_cost(a).macs);
  std::size_t widths = 0, bits = 0;
  for (std::size_t t = 0; t < walk.size(); ++t) {
    const std::vector<double> state = walk.state(t, a);
    ASSERT_EQ(state.size(), size);
    for (const double value : state) {
      EXPECT_LE(std::abs(value), 1);
    }
    EXPECT_EQ(state[1 + t], 1);  // one-hot
    const bool is_bits = walk.places(t).size() == 2;
    EXPECT_EQ(state[1 + walk.size()], !is_bits);     // a width
    EXPECT_EQ(state[1 + walk.size() + 2], is_bits);  // bits of weights
    EXPECT_EQ(state[size - 3], 0);                   // nothing saved yet
    (is_bits ? bits : widths) += 1;
  }
  EXPECT_GT(widths, 2u);
  EXPECT_GT(bits, 2u);
  // The first width at its least saves what the state after it says.
  a.choices[walk.decision(0)] = 0;
  const double saved = 1 - static_cast<double>(space->quick_cost(a).macs) / whole;
  ASSERT_GT(saved, 0);
  EXPECT_NEAR(walk.state(1, a)[size - 3], saved, 1e-12);
  EXPECT_EQ(walk.state(1, a)[size - 1], 0);
  EXPECT_EQ(walk.state(0, a)[size - 1], 1);
  // Later choices are not read.
  Architecture other = smallest_architecture(*space);
  other.choices[walk.decision(0)] = 0;
  EXPECT_EQ(walk.state(1, a), walk.state(1, other));
}

TEST(OrdinalWalk, WhatIsAllowedKeepsTheBoundsExactlyWhereThatIsPossible) {
  const auto space = compressed();
  std::int64_t least = space->quick_cost(smallest_architecture(*space)).macs;
  std::int64_t most = space->quick_cost(largest_architecture(*space)).macs;
  const double bound = static_cast<double>(least) + 0.2 * static_cast<double>(most - least);
  const std::vector<Constraint> constraints{{.metric = "macs", .upper = bound}};
  const OrdinalWalk walk(*space, constraints);
  ASSERT_LE(walk.size(), 8u);
  // Brute force: for every prefix and option, whether some completion keeps the bound.
  std::set<std::vector<std::uint32_t>> possible;
  enumerate(*space, [&](const Architecture& a) {
    if (static_cast<double>(space->quick_cost(a).macs) <= bound) {
      for (std::size_t size = 1; size <= walk.size(); ++size) {
        std::vector<std::uint32_t> prefix;
        for (std::size_t t = 0; t < size; ++t) prefix.push_back(a.choices[walk.decision(t)]);
        possible.insert(prefix);
      }
    }
    return true;
  });
  std::set<std::vector<std::uint32_t>> found;
  std::size_t refused = 0;
  const auto visit = [&](const auto& self, Architecture& a, std::vector<std::uint32_t> prefix) {
    if (prefix.size() == walk.size()) return;
    const std::vector<bool> allowed = walk.allowed(prefix.size(), a);
    for (std::uint32_t option = 0; option < allowed.size(); ++option) {
      if (!allowed[option]) {
        ++refused;
        continue;
      }
      a.choices[walk.decision(prefix.size())] = option;
      std::vector<std::uint32_t> longer = prefix;
      longer.push_back(option);
      found.insert(longer);
      self(self, a, longer);
    }
  };
  Architecture a = smallest_architecture(*space);
  visit(visit, a, {});
  EXPECT_EQ(found, possible);
  EXPECT_GT(refused, 10u);
}

TEST(OrdinalWalk, WhatFollowsADeeperStageMayBeTheCheapestThere) {
  // The second block's kernels, the larger first, are not active in the smallest network.
  const auto space = make_chain(
      {.input = {3, 8, 8},
       .stages = {{.blocks = {"residual"}, .widths = {8}, .depths = {1, 2}, .kernels = {5, 3}}}});
  Architecture deep = smallest_architecture(*space);
  double least = std::numeric_limits<double>::infinity();
  enumerate(*space, [&](const Architecture& a) {
    if (space->to_string(a).find("depth=2") != std::string::npos) {
      least = std::min(least, static_cast<double>(space->quick_cost(a).macs));
    }
    return true;
  });
  ASSERT_LT(least, static_cast<double>(space->quick_cost(largest_architecture(*space)).macs));
  const OrdinalWalk walk(*space, std::vector<Constraint>{{.metric = "macs", .upper = least}});
  // One after the other, the cheapest of what is allowed is that network.
  for (std::size_t t = 0; t < walk.size(); ++t) {
    const std::vector<bool> allowed = walk.allowed(t, deep);
    const bool depth = space->decisions()[walk.decision(t)].name.find("depth") != std::string::npos;
    if (depth) {
      EXPECT_TRUE(allowed[1]);
    }
    deep.choices[walk.decision(t)] = depth ? 1 : allowed[1] ? 1 : 0;
  }
  EXPECT_EQ(static_cast<double>(space->quick_cost(deep).macs), least);
}

TEST(OrdinalWalk, WhereNoOptionKeepsTheBoundsTheCheapestIsLeft) {
  const auto space = compressed({4, 8});
  const std::vector<Constraint> constraints{{.metric = "storage_bytes", .upper = 1},
                                            {.metric = "accuracy", .upper = 1}};
  const OrdinalWalk walk(*space, constraints);
  Architecture a = smallest_architecture(*space);
  for (std::size_t t = 0; t < walk.size(); ++t) {
    const std::vector<bool> allowed = walk.allowed(t, a);
    EXPECT_TRUE(allowed[0]);
    EXPECT_EQ(std::ranges::count(allowed, true), 1);
  }
}

}  // namespace
}  // namespace espalier
