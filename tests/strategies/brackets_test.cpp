#include "strategies/brackets.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/error.hpp"
#include "tests/core/throws.hpp"
#include "tests/strategies/rung_trace.hpp"

namespace espalier {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::SizeIs;

const auto space = test_space({10, 10, 10, 10});

TEST(HyperbandBrackets, AreThoseOfTheAlgorithm) {
  // R = 81, eta = 3: ceil(5 / (s + 1) * 3^s).
  EXPECT_THAT(hyperband_brackets(5, 3),
              ElementsAre(ElementsAre(81, 27, 9, 3, 1), ElementsAre(34, 11, 3, 1),
                          ElementsAre(15, 5, 1), ElementsAre(8, 2), ElementsAre(5)));
  // R = 256, eta = 4.
  EXPECT_THAT(hyperband_brackets(5, 4),
              ElementsAre(ElementsAre(256, 64, 16, 4, 1), ElementsAre(80, 20, 5, 1),
                          ElementsAre(27, 6, 1), ElementsAre(10, 2), ElementsAre(5)));
  EXPECT_THAT(hyperband_brackets(1, 3), ElementsAre(ElementsAre(1)));
}

TEST(SuccessiveHalving, WaitsForARungAndPromotesItsBest) {
  const auto strategy = successive_halving(test_context(space), {});
  const Outcome outcome = scores({3, 7, 1, 9, 2, 8, 0, 4, 5, /* 1/3: */ 1, 6, 5, /* 1: */ 1});
  std::vector<Trial> trials;
  const std::vector<Candidate> first = strategy->ask(100);
  ASSERT_THAT(first, SizeIs(9));
  for (const Candidate& candidate : first) {
    EXPECT_TRUE(strategy->ask(100).empty());  // until the last of them is told
    trials.push_back(outcome(candidate));
    strategy->tell(trials.back());
  }
  for (const std::size_t size : {3u, 1u, 9u}) {
    const std::vector<Candidate> rung = strategy->ask(100);
    ASSERT_THAT(rung, SizeIs(size));
    EXPECT_TRUE(strategy->ask(100).empty());
    for (const Candidate& candidate : rung) {
      trials.push_back(outcome(candidate));
      strategy->tell(trials.back());
    }
  }
  const std::vector<Asked> asked = in_short(trials);
  // The best three of nine, the best of these three, and nine new ones.
  EXPECT_THAT(std::vector(asked.begin() + 9, asked.begin() + 14),
              ElementsAre(Asked{3, 3}, Asked{3, 5}, Asked{3, 1}, Asked{1, 10}, Asked{9, -1}));
}

TEST(SuccessiveHalving, FailedTrialsAreNeverPromoted) {
  const auto strategy = successive_halving(test_context(space), {});
  const auto trials = drive(*strategy, 12, 9, [](const Candidate& candidate) {
    return candidate.trial_id == 4 || candidate.trial_id == 6 ? complete_trial(candidate)
                                                              : failed_trial(candidate);
  });
  // Both that did not fail, although three have a place, and no full evaluation.
  const std::vector<Asked> asked = in_short(trials);
  EXPECT_EQ(asked[9].part, 3);
  EXPECT_EQ(asked[10].part, 3);
  EXPECT_EQ(asked[9].parent + asked[10].parent, 10);
  EXPECT_EQ(asked[11], (Asked{9, -1}));
}

TEST(SuccessiveHalving, AnExhaustedSpaceEndsWithItsBracket) {
  const auto strategy = successive_halving(test_context(test_space({2, 2})), {});
  const auto trials = drive(*strategy, 100, 3, scores({1, 4, 3, 2}));
  EXPECT_THAT(in_short(trials), ElementsAre(Asked{9, -1}, Asked{9, -1}, Asked{9, -1}, Asked{9, -1},
                                            Asked{3, 1}, Asked{3, 2}, Asked{3, 3}, Asked{1, 4}));
  EXPECT_TRUE(strategy->finished());
}

TEST(SuccessiveHalving, RefusesTooFewSamplesForAFullEvaluation) {
  const auto table = successive_halving_option_table();
  EXPECT_THAT(throws<ConfigError>([&] {
                table.read({{"samples", 8}}, "");
              }),
              HasSubstr("/samples: 8 architectures are too few for one of them to be evaluated "
                        "fully; write 9 or more"));
  EXPECT_NO_THROW(table.read({{"samples", 9}}, ""));
  SuccessiveHalvingOptions options;
  options.samples = 20;
  const auto strategy = successive_halving(test_context(space), options);
  EXPECT_THAT(strategy->ask(100), SizeIs(20));
}

TEST(Hyperband, GoesThroughAllBracketsAndBeginsAgain) {
  HyperbandOptions options;
  options.min_fidelity = 1.0 / 81;
  const auto strategy = hyperband(test_context(space), options);
  std::vector<std::pair<int, int>> rungs;  // {1 / fidelity, trials}
  const std::vector<Asked> asked = in_short(drive(*strategy, 207, 7));
  for (std::size_t i = 0; i < asked.size(); ++i) {
    EXPECT_NE(asked[i].part, 0);
    const bool begins = asked[i].parent < 0;
    if (i == 0 || asked[i].part != asked[i - 1].part || begins != (asked[i - 1].parent < 0)) {
      rungs.emplace_back(asked[i].part, 0);
    }
    ++rungs.back().second;
  }
  using Rung = std::pair<int, int>;
  EXPECT_THAT(
      rungs, ElementsAre(Rung{81, 81}, Rung{27, 27}, Rung{9, 9}, Rung{3, 3}, Rung{1, 1},
                         Rung{27, 34}, Rung{9, 11}, Rung{3, 3}, Rung{1, 1}, Rung{9, 15}, Rung{3, 5},
                         Rung{1, 1}, Rung{3, 8}, Rung{1, 2}, Rung{1, 5}, Rung{81, 1}));
}

TEST(FidelityOptionTables, ReadAndCheck) {
  const auto table = hyperband_option_table();
  EXPECT_EQ(table.read({{"min_fidelity", 0.01}, {"eta", 4}}, "").eta, 4);
  EXPECT_THAT(throws<ConfigError>([&] {
                table.read({{"min_fidelity", 0}}, "");
              }),
              HasSubstr("/min_fidelity"));
  EXPECT_THAT(throws<ConfigError>([&] { table.read({{"eta", 1}}, ""); }), HasSubstr("/eta"));
}

}  // namespace
}  // namespace espalier
