#include "strategies/decision_steps.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <cstdint>
#include <map>
#include <set>
#include <vector>

#include "tests/strategies/subset_space.hpp"

namespace espalier {
namespace {

TEST(DecisionSteps, AreOneForEachMember) {
  const SubsetSpace space({{4, 1}, {1, 1}, {5, 2}, {3, 3}});
  const DecisionSteps steps(space);
  ASSERT_EQ(steps.size(), 3u);  // {1} and {3 of 3} are no choice
  EXPECT_EQ(steps[0].decision, 0u);
  EXPECT_EQ(steps[2].decision, 2u);
  EXPECT_EQ(steps[2].slot, 1u);
  EXPECT_EQ(steps[2].options, 5u);
  EXPECT_EQ(steps.first(2), 1u);
  EXPECT_EQ(steps.first(3), steps.first(4));
}

TEST(DecisionSteps, OptionsAndArchitecturesAreInverse) {
  const SubsetSpace space({{4, 1}, {1, 1}, {5, 2}, {6, 3}});
  const DecisionSteps steps(space);
  std::set<std::vector<std::uint32_t>> rows;
  for (std::uint32_t a = 0; a < 4; ++a) {
    for (std::uint32_t b = 0; b < 10; ++b) {
      for (std::uint32_t c = 0; c < 20; ++c) {
        const Architecture architecture{{a, 0, b, c}};
        const auto options = steps.options_of(architecture);
        EXPECT_EQ(steps.architecture_of(options), architecture);
        rows.insert(options);
      }
    }
  }
  EXPECT_EQ(rows.size(), 800u);
}

TEST(DecisionSteps, CountsCompletions) {
  const SubsetSpace space({{7, 3}});
  const DecisionSteps steps(space);
  // Brute force: subsets of 3 of 7 that begin with each row of options.
  std::map<std::vector<std::uint32_t>, int> begun;
  for (std::uint32_t choice = 0; choice < 35; ++choice) {
    const auto options = steps.options_of(Architecture{{choice}});
    for (std::size_t size = 1; size <= 3; ++size) {
      ++begun[{options.begin(), options.begin() + static_cast<std::ptrdiff_t>(size)}];
    }
  }
  std::vector<double> completions(7);
  for (std::uint32_t choice = 0; choice < 35; ++choice) {
    auto options = steps.options_of(Architecture{{choice}});
    for (std::size_t step = 0; step < 3; ++step) {
      steps.log_completions(step, step == 0 ? 0 : options[step - 1], completions);
      std::vector<std::uint32_t> row(options.begin(),
                                     options.begin() + static_cast<std::ptrdiff_t>(step));
      row.push_back(0);
      for (std::uint32_t option = 0; option < 7; ++option) {
        row.back() = option;
        const auto found = begun.find(row);
        EXPECT_NEAR(std::exp(completions[option]), found == begun.end() ? 0 : found->second, 1e-9);
      }
    }
  }
}

}  // namespace
}  // namespace espalier
