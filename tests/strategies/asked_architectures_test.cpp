#include "strategies/asked_architectures.hpp"

#include <gtest/gtest.h>

#include <set>

#include "tests/strategies/toy_search.hpp"

namespace espalier {
namespace {

TEST(AskedArchitectures, DrawsEachOtherOneUntilNoneIsLeft) {
  AskedArchitectures asked(test_space({4, 5, 6}, true));  // 5 + 3 * 5 * 6 canonical ones
  Rng rng(1);
  std::set<Architecture> drawn;
  while (const auto a = asked.draw_other(rng)) {
    EXPECT_FALSE(asked.contains(*a));
    EXPECT_TRUE(asked.insert(*a));
    EXPECT_FALSE(asked.insert(*a));
    drawn.insert(*a);
  }
  EXPECT_EQ(drawn.size(), 95u);
}

TEST(AskedArchitectures, WhatIsInsertedAfterTheRestWasListedIsNotDrawn) {
  AskedArchitectures asked(test_space({2, 1, 999}, true));  // half of all draws are d1=0
  Rng rng(1);
  std::set<Architecture> drawn;
  for (std::uint32_t i = 0; i < 900; ++i) asked.insert({{1, 0, i}});
  asked.insert({{0, 0, 0}});
  while (const auto a = asked.draw_other(rng)) {
    asked.insert(*a);
    drawn.insert(*a);
    asked.insert({{1, 0, 950}});
  }
  EXPECT_GE(drawn.size(), 98u);
  EXPECT_LE(drawn.size(), 99u);
}

}  // namespace
}  // namespace espalier
