#include "strategies/variation.hpp"

#include <gtest/gtest.h>

#include "tests/strategies/toy_search.hpp"

namespace espalier {
namespace {

TEST(Variation, MutatesAsOftenAsExpected) {
  const auto space = test_space(std::vector<int>(20, 1000));
  const Architecture parent{std::vector<std::uint32_t>(20, 0)};
  Rng rng(1);
  int changed = 0, unchanged = 0;
  for (int i = 0; i < 2000; ++i) {
    const Architecture child =
        vary(*space, parent, parent, {.crossover = 0.5, .mutations = 2}, rng);
    int its = 0;
    for (const std::uint32_t choice : child.choices) its += choice != 0;
    changed += its;
    unchanged += its == 0;
  }
  // Two mutations rarely meet at one decision: 1.9 different ones. 0.9^20 have none.
  EXPECT_NEAR(changed / 2000.0, 1.91, 0.1);
  EXPECT_NEAR(unchanged / 2000.0, 0.1216, 0.022);
}

TEST(Variation, CrossesAsOftenAsTold) {
  const auto space = test_space(std::vector<int>(20, 2));
  const Architecture a{std::vector<std::uint32_t>(20, 0)}, b{std::vector<std::uint32_t>(20, 1)};
  Rng rng(1);
  int copies = 0;
  for (int i = 0; i < 1000; ++i) {
    copies += vary(*space, a, b, {.crossover = 0.7, .mutations = 0}, rng) == a;
  }
  EXPECT_NEAR(copies / 1000.0, 0.3, 0.045);
}

TEST(Variation, ASpaceWithoutDecisionsHasOneChild) {
  Rng rng(1);
  EXPECT_EQ(vary(*test_space({}), {}, {}, {.crossover = 1, .mutations = 1}, rng), Architecture{});
}

}  // namespace
}  // namespace espalier
