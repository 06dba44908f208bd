#include "strategies/regularized_evolution.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <deque>
#include <set>

#include "objectives/dominance.hpp"
#include "search_spaces/sampling.hpp"
#include "tests/strategies/toy_search.hpp"

namespace espalier {
namespace {

RegularizedEvolutionOptions sizes(int population, int sample) {
  RegularizedEvolutionOptions options;
  options.population = population;
  options.sample = sample;
  return options;
}

// Algorithm 1 of arXiv 1802.01548 as it is printed, with the same generator.
std::vector<Architecture> algorithm_1(const SearchSpace& space, std::size_t p, std::size_t s,
                                      std::size_t c, Rng rng) {
  struct Model {
    Architecture arch;
    double accuracy;
  };
  const auto train_and_eval = [](const Architecture& a) {
    return complete_trial({.architecture = a}).metrics[0];
  };
  std::deque<Model> population;
  std::vector<Architecture> history;
  while (population.size() < p) {
    Model model{.arch = sample_uniform(space, rng), .accuracy = 0};
    model.accuracy = train_and_eval(model.arch);
    population.push_back(model);
    history.push_back(model.arch);
  }
  while (history.size() < c) {
    std::vector<Model> sample;
    while (sample.size() < s) sample.push_back(population[rng.below(population.size())]);
    const Model parent = *std::ranges::max_element(sample, {}, &Model::accuracy);
    Model child{.arch = mutate(space, parent.arch, rng), .accuracy = 0};
    child.accuracy = train_and_eval(child.arch);
    population.push_back(child);
    history.push_back(child.arch);
    population.pop_front();
  }
  return history;
}

TEST(RegularizedEvolution, IsAlgorithm1) {
  const auto space = test_space({5, 4, 3, 5, 6, 2}, true);
  for (const auto& [population, sample] : {std::pair{10, 3}, std::pair{50, 10}, std::pair{1, 1}}) {
    RegularizedEvolution strategy(test_context(space, 7), sizes(population, sample));
    std::vector<Architecture> asked;
    for (const Trial& trial : drive(strategy, 2000)) {
      asked.push_back(trial.candidate.architecture);
    }
    EXPECT_EQ(asked, algorithm_1(*space, static_cast<std::size_t>(population),
                                 static_cast<std::size_t>(sample), 2000, Rng(7)));
  }
}

TEST(RegularizedEvolution, TheOldestDiesNotTheWorst) {
  // The very best comes first. While it lives every tournament is nearly surely its own; after
  // `population` further trials it is dead, which it would not be if the worst died.
  const auto space = test_space({6, 6, 6, 6});
  auto options = sizes(10, 100);
  options.initial = {"d1=5,d2=5,d3=5,d4=5"};
  RegularizedEvolution strategy(test_context(space), options);
  const auto trials = drive(strategy, 300);
  int children_of_the_best = 0;
  for (const Trial& trial : trials) {
    const auto& [id, architecture, fidelity, parent, notes] = trial.candidate;
    if (!parent) continue;
    EXPECT_LT(*parent, id);
    EXPECT_GE(*parent + 10, id) << "a parent that is dead";
    children_of_the_best += *parent == 0;
  }
  EXPECT_EQ(children_of_the_best, 1);  // trial 10; then trial 0 is the oldest of 11
}

TEST(RegularizedEvolution, AllKnownArchitecturesAreInTheFirstGeneration) {
  auto options = sizes(2, 2);
  options.initial = {"d1=0,d2=0", "d1=1,d2=1", "d1=2,d2=2"};
  RegularizedEvolution strategy(test_context(test_space({3, 3})), options);
  const auto first = strategy.ask(10);
  ASSERT_EQ(first.size(), 3u);
  for (std::uint32_t i = 0; i < 3; ++i) {
    EXPECT_EQ(first[i].architecture, (Architecture{{i, i}}));
    strategy.tell(complete_trial(first[i]));
  }
  EXPECT_THAT(strategy.ask(1)[0].parent, testing::AnyOf(1u, 2u));
}

TEST(RegularizedEvolution, AChildDiffersFromItsParentByItsMutations) {
  for (int mutations : {1, 3}) {
    auto options = sizes(10, 3);
    options.mutations = mutations;
    RegularizedEvolution strategy(test_context(test_space({5, 5, 5, 5, 5, 5})), options);
    const auto trials = drive(strategy, 500);
    int most = 0;
    for (const Trial& trial : trials) {
      if (!trial.candidate.parent) continue;
      const auto& child = trial.candidate.architecture.choices;
      const auto& parent = trials[*trial.candidate.parent].candidate.architecture.choices;
      int changed = 0;
      for (std::size_t d = 0; d < child.size(); ++d) changed += child[d] != parent[d];
      EXPECT_LE(changed, mutations);
      EXPECT_TRUE(changed == 1 || mutations > 1);
      most = std::max(most, changed);
    }
    EXPECT_EQ(most, mutations);
  }
}

TEST(RegularizedEvolution, AsksForNothingTwiceWhereToldSo) {
  RegularizedEvolutionOptions options;
  options.population = 5;
  options.sample = 2;
  options.repeats = false;
  RegularizedEvolution strategy(test_context(test_space({4, 4, 4}, true)), options);
  const auto trials = drive(strategy, 100, 2);
  EXPECT_EQ(trials.size(), 52u);  // all of the space
  EXPECT_TRUE(strategy.finished());
  std::set<std::vector<std::uint32_t>> seen;
  int children = 0;
  for (const Trial& trial : trials) {
    EXPECT_TRUE(seen.insert(trial.candidate.architecture.choices).second);
    children += trial.candidate.parent.has_value();
  }
  EXPECT_GT(children, 25);
}

TEST(RegularizedEvolution, AScreenOfMovesChoosesAmongNewOnes) {
  RegularizedEvolutionOptions options = sizes(10, 3);
  options.repeats = false;
  options.screen = {.metrics = {"sum"}, .samples = 10, .moves = true};
  RegularizedEvolution strategy(test_context(test_space({4, 4, 4, 4})), options);
  int children = 0;
  std::set<Architecture> seen;
  for (const Trial& trial : drive(strategy, 110)) {
    children += trial.candidate.parent.has_value();
    EXPECT_TRUE(seen.insert(trial.candidate.architecture).second);
  }
  EXPECT_GE(children, 95);
}

TEST(RegularizedEvolution, FailedTrialsAgeButAreNeverParents) {
  RegularizedEvolution strategy(test_context(test_space({5, 5, 5, 5})), sizes(8, 2));
  const auto trials = drive(strategy, 600, 1, [](const Candidate& c) {
    return c.trial_id % 2 == 0 || c.trial_id % 5 == 0 ? failed_trial(c) : complete_trial(c);
  });
  int children = 0;
  for (const Trial& trial : trials) {
    const auto& [id, architecture, fidelity, parent, notes] = trial.candidate;
    if (!parent) continue;
    ++children;
    EXPECT_EQ(trials[*parent].state, TrialState::complete);
    EXPECT_GE(*parent + 8, id);
  }
  EXPECT_EQ(children, 592);
}

TEST(RegularizedEvolution, StartsAnewWhenAllOfThePopulationFailed) {
  RegularizedEvolution strategy(test_context(test_space({5, 5, 5, 5})), sizes(4, 2));
  const auto trials = drive(strategy, 40, 1, [](const Candidate& c) {
    return c.trial_id < 20 ? failed_trial(c) : complete_trial(c);
  });
  for (const Trial& trial : trials) {
    const auto& [id, architecture, fidelity, parent, notes] = trial.candidate;
    EXPECT_EQ(parent.has_value(), id > 20);
  }
}

TEST(RegularizedEvolution, ConstraintsComeBeforeTheObjective) {
  // With 200 draws from 10 individuals the tournament sees nearly surely all of them.
  const auto space = test_space({6, 6, 6, 6});
  const Goals goals(*test_metrics(), {{"score", Direction::maximize}},
                    {{.metric = "size", .upper = 6}});
  RegularizedEvolution strategy(test_context(space, 3, goals), sizes(10, 200));
  const auto trials = drive(strategy, 300);
  for (const Trial& trial : trials) {
    if (!trial.candidate.parent) continue;
    const auto key = [&](std::uint64_t id) {
      return std::pair(goals.violation(trials[id].metrics), goals.first_cost(trials[id].metrics));
    };
    for (std::uint64_t id = trial.candidate.trial_id - 10; id < trial.candidate.trial_id; ++id) {
      EXPECT_LE(key(*trial.candidate.parent), key(id));
    }
  }
  EXPECT_TRUE(goals.feasible(trials.back()));
}

TEST(RegularizedEvolution, WithSeveralObjectivesAParentIsNotDominated) {
  const auto space = test_space({6, 6, 6, 6});
  const Goals goals = two_goals();
  RegularizedEvolution strategy(test_context(space, 3, goals), sizes(10, 200));
  const auto trials = drive(strategy, 300);
  for (const Trial& trial : trials) {
    if (!trial.candidate.parent) continue;
    const Metrics& parent = trials[*trial.candidate.parent].metrics;
    for (std::uint64_t id = trial.candidate.trial_id - 10; id < trial.candidate.trial_id; ++id) {
      const Metrics& other = trials[id].metrics;
      EXPECT_FALSE(constrained_dominates(goals.costs(other), goals.violation(other),
                                         goals.costs(parent), goals.violation(parent)));
    }
  }
}

TEST(RegularizedEvolutionOptionTable, ReadsAndChecks) {
  const auto table = regularized_evolution_option_table();
  const auto options = table.read({{"population", 100}, {"sample", 25}, {"mutations", 2}}, "");
  EXPECT_EQ(options.population, 100);
  EXPECT_EQ(options.sample, 25);
  EXPECT_EQ(options.mutations, 2);
  for (const char* key : {"population", "sample", "mutations"}) {
    EXPECT_THROW(table.read({{key, 0}}, ""), ConfigError);
  }
}

}  // namespace
}  // namespace espalier
