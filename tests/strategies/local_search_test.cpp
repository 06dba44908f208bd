#include "strategies/local_search.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <set>

#include "objectives/dominance.hpp"
#include "search_spaces/sampling.hpp"
#include "tests/strategies/toy_search.hpp"

namespace espalier {
namespace {

// Scores without order between neighbours, no two of them equal.
Trial rugged_trial(const Candidate& candidate) {
  Trial trial{.candidate = candidate, .metrics = Metrics(test_metrics())};
  trial.metrics[0] = static_cast<double>(ArchitectureHash()(candidate.architecture) % 1'000'003);
  trial.metrics[1] =
      static_cast<double>(ArchitectureHash()(candidate.architecture) / 1'000'003 % 1'000'003);
  return trial;
}

std::set<Architecture> set_of(const std::vector<Architecture>& architectures) {
  return {architectures.begin(), architectures.end()};
}

// Follows a search trial by trial, as algorithm 1 of arXiv 2005.02960 has it: every candidate is a
// neighbour of the best of the climb at that time, and a climb ends when all of these are known.
void expect_hill_climbing(Improvement improvement) {
  const auto space = test_space({4, 3, 4, 3}, true);
  LocalSearchOptions options;
  options.improvement = improvement;
  LocalSearch strategy(test_context(space), options);
  std::map<Architecture, double> known;
  Architecture current, best;  // of the climb
  int climbs = 0;
  const auto unknown_neighbours = [&](const Architecture& a) {
    std::set<Architecture> unknown = set_of(neighbours(*space, a));
    std::erase_if(unknown, [&](const Architecture& other) { return known.contains(other); });
    return unknown;
  };
  // Known neighbours are remembered: the climb goes through them without a trial.
  const auto note_known = [&] {
    for (bool moved = true; moved;) {
      moved = false;
      if (improvement == Improvement::best && !unknown_neighbours(current).empty()) return;
      for (const Architecture& other : neighbours(*space, current)) {
        if (known.contains(other) && known[other] > known[best]) best = other;
      }
      if (best != current) current = best, moved = true;
    }
  };
  for (const Trial& trial : drive(strategy, 10'000, 1, rugged_trial)) {
    const auto& [id, architecture, fidelity, parent, notes] = trial.candidate;
    if (parent) {
      ASSERT_TRUE(unknown_neighbours(current).contains(architecture)) << id;
    } else {
      if (climbs++ > 0) {
        ASSERT_TRUE(unknown_neighbours(current).empty()) << id;
        for (const Architecture& other : neighbours(*space, current)) {
          ASSERT_LT(known[other], known[current]);
        }
      }
      current = best = architecture;
    }
    known[architecture] = trial.metrics[0];
    if (known[architecture] > known[best]) best = architecture;
    note_known();
  }
  EXPECT_EQ(known.size(), 120u);
  EXPECT_TRUE(strategy.finished());
  EXPECT_GT(climbs, 3);
}

TEST(LocalSearch, IsHillClimbing) {
  expect_hill_climbing(Improvement::first);
  expect_hill_climbing(Improvement::best);
}

TEST(LocalSearch, SeveralObjectivesKeepAFront) {
  const auto space = test_space({4, 4, 4, 4});
  const Goals goals(*test_metrics(),
                    {{"score", Direction::maximize}, {"size", Direction::minimize}});
  for (const Improvement improvement : {Improvement::first, Improvement::best}) {
    LocalSearchOptions options;
    options.improvement = improvement;
    LocalSearch strategy(test_context(space, 3, goals), options);
    std::vector<Trial> told;
    std::set<Architecture> known;
    const auto dominated = [&](const Trial& trial) {
      return std::ranges::any_of(told, [&](const Trial& other) {
        return dominates(goals.costs(other.metrics), goals.costs(trial.metrics));
      });
    };
    std::size_t climb = 0, climbs = 0;  // trials before it
    int largest_front = 0;
    for (const Trial& trial : drive(strategy, 200, 1, rugged_trial)) {
      if (trial.candidate.parent) {
        const Trial& parent = told[*trial.candidate.parent];
        EXPECT_TRUE(set_of(neighbours(*space, parent.candidate.architecture))
                        .contains(trial.candidate.architecture));
        // One of another climb may dominate it, but none of this one.
        const bool left = std::any_of(
            told.begin() + static_cast<std::ptrdiff_t>(climb), told.end(), [&](const Trial& other) {
              return dominates(goals.costs(other.metrics), goals.costs(parent.metrics));
            });
        EXPECT_FALSE(improvement == Improvement::first && left);
      } else if (++climbs > 1) {
        int front = 0;
        for (std::size_t id = climb; id < told.size(); ++id) {
          if (dominated(told[id])) continue;
          ++front;
          for (const Architecture& other : neighbours(*space, told[id].candidate.architecture)) {
            EXPECT_TRUE(known.contains(other));
          }
        }
        largest_front = std::max(largest_front, front);
        climb = told.size();
      }
      told.push_back(trial);
      EXPECT_TRUE(known.insert(trial.candidate.architecture).second);
    }
    EXPECT_GT(climbs, 1u);
    EXPECT_GT(largest_front, 2);
  }
}

TEST(LocalSearch, TheFirstClimbStartsAtTheBestKnownArchitecture) {
  LocalSearchOptions options;
  options.initial = {"d1=0,d2=0", "d1=3,d2=2", "d1=1,d2=1"};
  LocalSearch strategy(test_context(test_space({5, 5})), options);
  const auto trials = drive(strategy, 4);
  EXPECT_EQ(trials[1].candidate.architecture, (Architecture{{3, 2}}));
  EXPECT_EQ(trials[3].candidate.parent, 1u);
}

TEST(LocalSearch, KnownArchitecturesThatAreNeighboursAreAskedForOnce) {
  for (const Improvement improvement : {Improvement::first, Improvement::best}) {
    LocalSearchOptions options;
    options.improvement = improvement;
    options.initial = {"d1=1,d2=0", "d1=0,d2=0", "d1=4,d2=4"};
    LocalSearch strategy(test_context(test_space({5, 5})), options);
    const auto trials = drive(strategy, 100);
    EXPECT_EQ(trials.size(), 25u);
    EXPECT_EQ(trials[3].candidate.parent, 2u);
    std::set<Architecture> asked;
    for (const Trial& trial : trials) asked.insert(trial.candidate.architecture);
    EXPECT_EQ(asked.size(), 25u);
  }
}

TEST(LocalSearch, AFailedStartIsFollowedByAnother) {
  LocalSearch strategy(test_context(test_space({5, 5, 5})), {});
  const auto trials = drive(strategy, 10, 1, [](const Candidate& c) {
    return c.trial_id < 5 ? failed_trial(c) : complete_trial(c);
  });
  for (const Trial& trial : trials) {
    EXPECT_EQ(trial.candidate.parent.has_value(), trial.candidate.trial_id > 5);
  }
}

TEST(LocalSearch, ConstraintsComeFirst) {
  const Goals goals(*test_metrics(), {{"score", Direction::maximize}},
                    {{.metric = "size", .upper = 4}});
  LocalSearch strategy(test_context(test_space({6, 6, 6, 6}), 1, goals), {});
  const auto trials = drive(strategy, 60);
  double violation = goals.violation(trials[0].metrics);
  ASSERT_GT(violation, 0);
  for (const Trial& trial : trials) {
    if (!trial.candidate.parent) continue;
    const double its = goals.violation(trials[*trial.candidate.parent].metrics);
    EXPECT_LE(its, violation);
    violation = its;
    if (its == 0) break;
  }
  EXPECT_EQ(violation, 0);
}

TEST(LocalSearchOptionTable, Reads) {
  EXPECT_EQ(local_search_option_table().read({{"improvement", "best"}}, "").improvement,
            Improvement::best);
  EXPECT_THROW(local_search_option_table().read({{"improvement", "worst"}}, ""), ConfigError);
}

}  // namespace
}  // namespace espalier
