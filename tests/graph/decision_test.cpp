#include "graph/decision.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>

#include "core/error.hpp"

namespace espalier {
namespace {

using testing::HasSubstr;
using testing::ThrowsMessage;

Decision make(std::size_t options, int pick) {
  Decision d;
  d.name = "edge";
  d.pick = pick;
  for (std::size_t i = 0; i < options; ++i) d.options.push_back("op" + std::to_string(i));
  return d;
}

TEST(Decision, RankAndUnrankAreInverseAndInColexicographicOrder) {
  for (std::uint32_t n = 1; n <= 9; ++n) {
    for (std::uint32_t k = 1; k <= n; ++k) {
      const std::uint32_t count = choice_count(make(n, static_cast<int>(k)));
      std::vector<std::vector<std::uint32_t>> all;  // by brute force over bit masks
      for (std::uint32_t mask = 0; mask < (1u << n); ++mask) {
        std::vector<std::uint32_t> subset;
        for (std::uint32_t i = 0; i < n; ++i) {
          if ((mask >> i & 1) != 0) subset.push_back(i);
        }
        if (subset.size() == k) all.push_back(subset);  // masks ascend: colexicographic
      }
      ASSERT_EQ(count, all.size());
      for (std::uint32_t rank = 0; rank < count; ++rank) {
        EXPECT_EQ(unrank_subset(rank, n, k), all[rank]);
        EXPECT_EQ(rank_subset(all[rank]), rank);
      }
    }
  }
}

TEST(Decision, CountsUpToTheLimit) {
  EXPECT_EQ(choice_count(make(33, 16)), 1166803110u);
  EXPECT_EQ(choice_count(make(40, 39)), 40u);
  EXPECT_THAT([] { choice_count(make(64, 32)); },
              ThrowsMessage<ConfigError>(HasSubstr("more than 2^32 combinations of 32 of 64")));
  EXPECT_THAT([] { choice_count(make(3, 0)); },
              ThrowsMessage<ConfigError>(HasSubstr("'edge' picks 0 of 3 options; pick 1 to 3")));
  EXPECT_THROW(choice_count(make(3, 4)), ConfigError);
  EXPECT_THROW(choice_count(make(0, 1)), ConfigError);
}

TEST(Decision, LabelsAreInverse) {
  for (int pick = 1; pick <= 4; ++pick) {
    const Decision d = make(6, pick);
    std::set<std::string> labels;
    for (std::uint32_t c = 0; c < choice_count(d); ++c) {
      const std::string label = choice_label(d, c);
      EXPECT_TRUE(labels.insert(label).second);
      EXPECT_EQ(choice_from_label(d, label), c);
    }
  }
  EXPECT_EQ(choice_label(make(4, 2), 2), "op1+op2");
  const Decision plus{.name = "d", .options = {"a", "a+b", "b", "b+a"}, .pick = 2};
  for (std::uint32_t c = 0; c < choice_count(plus); ++c) {
    EXPECT_EQ(choice_label(plus, choice_from_label(plus, choice_label(plus, c))),
              choice_label(plus, c));
  }
  EXPECT_EQ(choice_from_label(make(60, 6), "op0+op1+op2+op3+op4+op59"),
            choice_count(make(59, 6)));  // fast, although C(60, 6) is 50 million
}

TEST(Decision, LabelThrows) {
  EXPECT_THAT([] { choice_label(make(3, 1), 3); },
              ThrowsMessage<InvalidArchitecture>(HasSubstr("'edge' has 3 choices, not choice 3")));
  EXPECT_THAT([] { choice_from_label(make(3, 1), "opp1"); },
              ThrowsMessage<InvalidArchitecture>(HasSubstr("did you mean \"op1\"?")));
  EXPECT_THAT([] { choice_from_label(make(3, 2), "op1+op0"); },
              ThrowsMessage<InvalidArchitecture>(HasSubstr("no option 'op1+op0'")));
  for (const char* label : {"", "op0", "op0+", "op0+op1+op2", "+op0", "op0+op0"}) {
    EXPECT_THROW(choice_from_label(make(3, 2), label), InvalidArchitecture) << label;
  }
}

}  // namespace
}  // namespace espalier
