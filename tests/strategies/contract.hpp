// What every strategy has to keep to. A strategy joins by an entry in contract_test.cpp, the only
// file that includes this one.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <ostream>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "core/stats.hpp"
#include "strategies/random.hpp"
#include "tests/strategies/toy_search.hpp"

namespace espalier {

/// One member of the family: how it is made, and the goals that it is told of.
struct StrategyCase {
  std::string name;
  std::function<std::unique_ptr<Strategy>(const RunContext&)> make;
  Goals goals = one_goal();
  /// Full evaluations in which it beats random search; 0: it does not learn what is planted.
  std::size_t learns_in = 300;
  /// By how much on average, of twelve decisions.
  double margin = 1.5;

  std::unique_ptr<Strategy> operator()(std::shared_ptr<const SearchSpace> space,
                                       std::uint64_t seed = 1) const {
    return make(test_context(std::move(space), seed, goals));
  }
};
inline void PrintTo(const StrategyCase& strategy, std::ostream* out) { *out << strategy.name; }

class StrategyContract : public testing::TestWithParam<StrategyCase> {
 protected:
  /// Valid, canonical, numbered in the order asked, and no more than asked for.
  static void expect_good(const std::vector<Candidate>& candidates, const SearchSpace& space,
                          std::size_t max_count, std::uint64_t first_id) {
    EXPECT_LE(candidates.size(), max_count);
    for (const Candidate& candidate : candidates) {
      EXPECT_EQ(candidate.trial_id, first_id++);
      ASSERT_TRUE(space.valid(candidate.architecture));
      EXPECT_EQ(space.canonical(candidate.architecture), candidate.architecture);
      EXPECT_GT(candidate.fidelity, 0);
      EXPECT_LE(candidate.fidelity, 1);
      EXPECT_LT(candidate.parent.value_or(0), candidate.trial_id + !candidate.parent);
    }
  }
  static void expect_good(const std::vector<Trial>& trials, const SearchSpace& space) {
    std::vector<Candidate> candidates;
    for (const Trial& trial : trials) candidates.push_back(trial.candidate);
    expect_good(candidates, space, candidates.size(), 0);
    for (const Candidate& candidate : candidates) {
      if (!candidate.parent || candidates[*candidate.parent].fidelity == 1) continue;
      // An evaluation that goes on.
      EXPECT_EQ(candidates[*candidate.parent].architecture, candidate.architecture);
      EXPECT_LT(candidates[*candidate.parent].fidelity, candidate.fidelity);
      EXPECT_EQ(trials[*candidate.parent].state, TrialState::complete);
    }
  }
  /// Whether no architecture is evaluated twice at a fidelity.
  static bool all_differ(const std::vector<Trial>& trials) {
    std::set<std::pair<std::vector<std::uint32_t>, double>> seen;
    return std::ranges::all_of(trials, [&](const Trial& trial) {
      return seen.emplace(trial.candidate.architecture.choices, trial.candidate.fidelity).second;
    });
  }
  static std::size_t architectures(const std::vector<Trial>& trials) {
    std::set<std::vector<std::uint32_t>> seen;
    for (const Trial& trial : trials) seen.insert(trial.candidate.architecture.choices);
    return seen.size();
  }
};

TEST_P(StrategyContract, CandidatesAreValidCanonicalAndNumbered) {
  const auto space = std::make_shared<const TestSpace>(std::vector<int>{3, 2, 5, 4}, true,
                                                       Architecture{{1, 1, 1, 1}});
  for (std::size_t batch : {1u, 3u, 200u}) {
    const auto strategy = GetParam()(space);
    const auto trials = drive(*strategy, 60, batch);
    EXPECT_EQ(trials.size(), 60u);
    expect_good(trials, *space);
  }
}

TEST_P(StrategyContract, EqualSeedsGiveEqualSequences) {
  const auto space = test_space({5, 5, 5, 5, 5});
  const auto run = [&](std::uint64_t seed) { return drive(*GetParam()(space, seed), 100, 3); };
  EXPECT_EQ(run(1), run(1));
  EXPECT_NE(run(1), run(2));
}

TEST_P(StrategyContract, ReplayEqualsAnUninterruptedRun) {
  const auto space = test_space({5, 5, 5, 5, 5}, true);
  struct Step {
    std::vector<Candidate> asked;
    std::vector<Trial> told;
  };
  const auto step = [](Strategy& strategy, std::size_t count) {
    Step result{.asked = strategy.ask(count), .told = {}};
    for (const Candidate& c : result.asked) {
      result.told.push_back(c.trial_id % 4 == 2 ? failed_trial(c) : complete_trial(c));
      strategy.tell(result.told.back());
    }
    return result;
  };
  std::vector<Step> whole;
  const auto uninterrupted = GetParam()(space);
  for (std::size_t i = 0; i < 40; ++i) whole.push_back(step(*uninterrupted, 1 + i % 3));
  for (std::size_t kill : {0u, 1u, 7u, 25u}) {
    const auto resumed = GetParam()(space);
    for (std::size_t i = 0; i < kill; ++i) {
      EXPECT_EQ(resumed->ask(1 + i % 3), whole[i].asked);
      for (const Trial& trial : whole[i].told) resumed->tell(trial);
    }
    // Killed between an ask and its tells: the ask is repeated.
    for (std::size_t i = kill; i < whole.size(); ++i) {
      EXPECT_EQ(step(*resumed, 1 + i % 3).asked, whole[i].asked) << i;
    }
  }
}

TEST_P(StrategyContract, FailedTrialsAreSurvived) {
  const auto space = test_space({4, 4, 4, 4});
  const auto some = drive(*GetParam()(space), 120, 2, [](const Candidate& c) {
    return c.trial_id % 3 == 0 ? failed_trial(c) : complete_trial(c);
  });
  EXPECT_EQ(some.size(), 120u);
  expect_good(some, *space);
  const auto all = drive(*GetParam()(space), 120, 2, failed_trial);
  EXPECT_EQ(all.size(), 120u);
  expect_good(all, *space);
}

TEST_P(StrategyContract, MetricsThatAreAllAlikeAreSurvived) {
  const auto space = test_space({5, 5, 5, 5});
  const auto strategy = GetParam()(space);
  const auto trials = drive(*strategy, 60, 4, [](const Candidate& candidate) {
    return Trial{.candidate = candidate, .metrics = Metrics(test_metrics(), {1, 1})};
  });
  EXPECT_EQ(trials.size(), 60u);
  expect_good(trials, *space);
  EXPECT_GT(architectures(trials), 5u);
}

TEST_P(StrategyContract, OneOptionDecisionsAreKept) {
  const auto space = test_space({1, 6, 1, 6, 1});
  const auto trials = drive(*GetParam()(space), 36, 2);
  EXPECT_EQ(trials.size(), 36u);
  expect_good(trials, *space);
}

TEST_P(StrategyContract, ASpaceOfOneArchitectureIsAskedForItOnceOrForEver) {
  for (const std::vector<int>& counts : {std::vector<int>{1, 1}, std::vector<int>{}}) {
    const auto space = test_space(counts);
    const auto strategy = GetParam()(space);
    const auto trials = drive(*strategy, 30);
    expect_good(trials, *space);
    EXPECT_TRUE(trials.size() == 30 || (all_differ(trials) && strategy->finished()));
    EXPECT_EQ(architectures(trials), 1u);
  }
}

TEST_P(StrategyContract, AnExhaustedSpaceEndsTheSearchOrIsAskedForAgain) {
  const auto space = test_space({2, 3, 2}, true);  // 9 canonical architectures
  const auto strategy = GetParam()(space);
  const auto trials = drive(*strategy, 100, 4);
  expect_good(trials, *space);
  if (trials.size() < 100) {
    EXPECT_EQ(architectures(trials), 9u);
    EXPECT_TRUE(all_differ(trials));
    EXPECT_TRUE(strategy->finished());
    EXPECT_TRUE(strategy->ask(1).empty());
  } else {
    EXPECT_FALSE(strategy->finished());
  }
}

TEST_P(StrategyContract, AsksBeforeTellsGiveNewIdsOrNothing) {
  const auto space = test_space({5, 5, 5, 5, 5});
  const auto strategy = GetParam()(space);
  std::vector<Candidate> in_flight;
  for (int i = 0; i < 50; ++i) {
    const auto candidates = strategy->ask(3);
    expect_good(candidates, *space, 3, in_flight.size());
    in_flight.insert(in_flight.end(), candidates.begin(), candidates.end());
  }
  ASSERT_FALSE(in_flight.empty());
  EXPECT_FALSE(strategy->finished());
  for (const Candidate& candidate : in_flight) strategy->tell(complete_trial(candidate));
  expect_good(strategy->ask(3), *space, 3, in_flight.size());
}

TEST_P(StrategyContract, AWindowInFlightNeverStalls) {
  const auto space = test_space({5, 5, 5, 5, 5});
  const auto strategy = GetParam()(space);
  std::deque<Candidate> in_flight;
  std::uint64_t next = 0;
  for (int told = 0; told < 150; ++told) {
    const auto candidates = strategy->ask(4 - in_flight.size());
    expect_good(candidates, *space, 4 - in_flight.size(), next);
    next += candidates.size();
    in_flight.insert(in_flight.end(), candidates.begin(), candidates.end());
    ASSERT_FALSE(in_flight.empty());
    strategy->tell(complete_trial(in_flight.front()));
    in_flight.pop_front();
  }
}

TEST_P(StrategyContract, AnEmptyAskChangesNothing) {
  const auto space = test_space({5, 5, 5, 5, 5});
  const auto plain = GetParam()(space);
  const auto curious = GetParam()(space);
  for (int i = 0; i < 10; ++i) {
    std::vector<Candidate> in_flight;
    for (int j = 0; j < 5; ++j) {
      const auto candidates = plain->ask(8);
      EXPECT_EQ(curious->ask(8), candidates);
      EXPECT_TRUE(curious->ask(0).empty());
      if (candidates.empty()) {
        for (int more = 0; more < 3; ++more) EXPECT_TRUE(curious->ask(8).empty());
        break;
      }
      in_flight.insert(in_flight.end(), candidates.begin(), candidates.end());
    }
    for (const Candidate& candidate : in_flight) {
      plain->tell(complete_trial(candidate));
      curious->tell(complete_trial(candidate));
    }
  }
}

TEST_P(StrategyContract, BeatsRandomSearchOnAPlantedProblem) {
  if (GetParam().learns_in == 0) GTEST_SKIP() << "it learns nothing, or not this";
  const auto space = test_space(std::vector<int>(12, 5));
  const auto best_scores = [&](const auto& make) {
    std::vector<double> bests;
    for (std::uint64_t seed = 0; seed < 10; ++seed) {
      const std::unique_ptr<Strategy> strategy = make(seed);
      double best = 0, evaluations = 0;
      while (evaluations + 1e-9 < static_cast<double>(GetParam().learns_in)) {
        const Candidate candidate = strategy->ask(1).at(0);
        const Trial trial = planted_trial(candidate);
        evaluations += candidate.fidelity;
        if (candidate.fidelity == 1) best = std::max(best, trial.metrics[0]);
        strategy->tell(trial);
      }
      bests.push_back(best);
    }
    return bests;
  };
  const auto its = best_scores([&](std::uint64_t seed) { return GetParam()(space, seed); });
  const auto random = best_scores([&](std::uint64_t seed) {
    return std::make_unique<RandomSearch>(test_context(space, seed, GetParam().goals),
                                          RandomOptions{});
  });
  EXPECT_GT(mean(its), mean(random) + GetParam().margin);
}

}  // namespace espalier
