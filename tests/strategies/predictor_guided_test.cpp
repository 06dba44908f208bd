#include "strategies/predictor_guided.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <set>
#include <span>

#include "predictors/catalogue.hpp"
#include "predictors/gcn.hpp"
#include "search_spaces/sampling.hpp"
#include "strategies/surrogate.hpp"
#include "tests/strategies/toy_search.hpp"

namespace espalier {
namespace {

constexpr EncodingOptions decisions_only{.patterns = Patterns::none, .costs = false};
const Json process{{"type", "gaussian_process"}};

// A strategy, and a model that was told the same and is fitted as the strategy's is.
template <class Options>
class Beside {
 public:
  Beside(const RunContext& context, Options options,
         std::unique_ptr<Strategy> (*make)(const RunContext&, const Options&))
      : context_(context),
        strategy_(make(context, options)),
        model_(context, {.features = options.features, .make = [options](const Rng& rng) {
                           return predictor_registry().create(options.predictor, "",
                                                              PredictorContext{rng});
                         }}) {
    for (int i = 0; i < options.samples; ++i) take(1);
  }

  // The next candidates, told.
  std::vector<Architecture> take(std::size_t count) {
    std::vector<Architecture> taken;
    for (const Candidate& candidate : strategy_->ask(count)) {
      const Trial trial = complete_trial(candidate);
      strategy_->tell(trial);
      model_.tell(trial);
      taken.push_back(candidate.architecture);
      asked_.insert(candidate.architecture);
    }
    EXPECT_EQ(taken.size(), count);
    return taken;
  }

  // Fitted as the strategy will be.
  Surrogate& model() {
    model_.fit({}, context_.rng.fork("fit").fork(asked_.size()));
    return model_;
  }
  Rng draws() const { return context_.rng.fork("draws").fork(asked_.size()); }

  std::vector<Architecture> others() const {
    std::vector<Architecture> others;
    enumerate(*context_.space, [&](const Architecture& a) {
      if (!asked_.contains(a)) others.push_back(a);
      return true;
    });
    return others;
  }
  // Those of others() that are a change away from one of the ten best told.
  std::vector<Architecture> near_best() const {
    std::set<Architecture> near;
    for (const Individual& individual : model_.best(10)) {
      for (const Architecture& a : neighbours(*context_.space, individual.architecture)) {
        if (!asked_.contains(a)) near.insert(a);
      }
    }
    return {near.begin(), near.end()};
  }

 private:
  RunContext context_;
  std::unique_ptr<Strategy> strategy_;
  Surrogate model_;
  std::set<Architecture> asked_;
};

std::set<Architecture> first_of(const std::vector<Individual>& individuals, std::size_t count) {
  std::set<Architecture> first;
  for (const std::size_t place : best_first(individuals)) {
    if (first.size() < count) first.insert(individuals[place].architecture);
  }
  return first;
}

std::set<Architecture> set_of(const std::vector<Architecture>& architectures) {
  return {architectures.begin(), architectures.end()};
}

template <class Options>
Options with_process() {
  Options options;
  options.predictor = process;
  options.features = decisions_only;
  return options;
}

TEST(Bananas, ChoosesByIndependentDraws) {
  auto options = with_process<BananasOptions>();
  options.candidates = 4000;  // all neighbours of the best are among their mutations
  bool by_mean = true;
  for (std::uint64_t seed = 1; seed <= 5; ++seed) {
    Beside beside(test_context(test_space({4, 4, 4, 4}), seed), options, bananas);
    for (int round = 0; round < 3; ++round) {
      const auto drawn = first_of(beside.model().drawn(beside.near_best(), beside.draws()), 10);
      by_mean &= drawn == first_of(beside.model().predicted(beside.near_best()), 10);
      EXPECT_EQ(set_of(beside.take(10)), drawn);
    }
  }
  EXPECT_FALSE(by_mean);
}

TEST(Npenas, ChoosesTheBestPredictedMutations) {
  auto options = with_process<NpenasOptions>();
  options.candidates = 4000;
  Beside beside(test_context(test_space({4, 4, 4, 4})), options, npenas);
  for (int round = 0; round < 5; ++round) {
    const auto best = first_of(beside.model().predicted(beside.near_best()), 10);
    EXPECT_EQ(set_of(beside.take(10)), best);
  }
}

TEST(BrpNas, HalfAreTheFirstAndHalfAreOfTheFirstPart) {
  const auto options = with_process<BrpNasOptions>();
  for (const Goals& goals : {one_goal(), two_goals()}) {
    Beside beside(test_context(test_space({4, 4, 4, 4}), 1, goals), options, brp_nas);
    bool all_first = true;
    for (std::size_t round = 0; round < 5; ++round) {
      const auto others = beside.others();
      const auto predicted = beside.model().predicted(others);
      const auto part = first_of(predicted, std::max<std::size_t>(10, others.size() >> round));
      all_first &= part == first_of(predicted, 10);
      const auto best = first_of(predicted, 5);
      const auto taken = beside.take(10);
      EXPECT_EQ(set_of({taken.begin(), taken.begin() + 5}), best);
      for (const Architecture& a : taken) EXPECT_TRUE(part.contains(a));
      all_first &= set_of(taken) == first_of(predicted, 10);
    }
    EXPECT_FALSE(all_first);
  }
}

TEST(GatesEvolution, ChoosesWhatEvolutionOnPredictionsFinds) {
  auto options = with_process<GatesEvolutionOptions>();
  options.generations = 40;
  int better = 0;
  for (std::uint64_t seed = 1; seed <= 4; ++seed) {
    Beside beside(test_context(test_space({4, 4, 4, 4, 4, 4}), seed), options, gates_evolution);
    for (int round = 0; round < 2; ++round) {
      Surrogate& model = beside.model();
      const auto near = model.predicted(beside.near_best());
      const double best_near = near[best_first(near)[0]].cost;
      const Architecture chosen = beside.take(10)[0];
      const double its = model.predicted({chosen})[0].cost;
      EXPECT_LE(its, best_near);
      better += its < best_near;
    }
  }
  EXPECT_GT(better, 0);  // mutations of the best told alone would not have found them
}

TEST(Linas, ChoosesTheFrontOfWhatIsPredicted) {
  const Goals goals(*test_metrics(),
                    {{"score", Direction::maximize}, {"size", Direction::minimize}});
  auto options = with_process<LinasOptions>();
  options.samples = options.batch = 20;
  options.generations = 80;
  Beside beside(test_context(test_space({4, 4, 4, 4}), 1, goals), options, linas);
  for (int round = 0; round < 3; ++round) {
    const auto predicted = beside.model().predicted(beside.others());
    std::vector<const Individual*> all;
    for (const Individual& individual : predicted) all.push_back(&individual);
    const auto keys = rank_and_crowding(all);
    const auto taken = set_of(beside.take(20));
    std::size_t front = 0, found = 0;
    for (std::size_t i = 0; i < all.size(); ++i) {
      if (keys[i][0] > 0) continue;
      ++front;
      found += taken.contains(predicted[i].architecture);
    }
    EXPECT_EQ(found, std::min<std::size_t>(front, 20)) << front;
  }
}

TEST(PredictorGuided, DefaultsAreTheModelsOfThePapers) {
  EXPECT_EQ(BananasOptions().predictor, Json::parse(R"({"type": "ensemble", "members": 5,
                            "member": {"type": "mlp", "loss": "regression"}})"));
  EXPECT_EQ(BananasOptions().features.patterns, Patterns::paths);
  EXPECT_EQ(NpenasOptions().predictor, Json::parse(R"({"type": "gcn", "loss": "regression"})"));
  EXPECT_EQ(BrpNasOptions().predictor, Json::parse(R"({"type": "gcn"})"));
  EXPECT_EQ(GcnOptions().fit.loss, PredictorLoss::relation);
  EXPECT_EQ(GatesEvolutionOptions().predictor, Json::parse(R"({"type": "gates"})"));
  EXPECT_TRUE(NpenasOptions().features.graphs);
  EXPECT_TRUE(BrpNasOptions().features.graphs);
  EXPECT_TRUE(GatesEvolutionOptions().features.graphs);
}

TEST(PredictorGuidedOptionTables, ReadAndCheck) {
  EXPECT_EQ(bananas_option_table().read(Json::object(), "").predictor.at("members"), 5);
  EXPECT_TRUE(gates_evolution_option_table().read(Json::object(), "").features.graphs);
  EXPECT_EQ(linas_option_table().read({{"predictor", process}}, "").predictor.at("type"),
            "gaussian_process");
  EXPECT_THROW(npenas_option_table().read({{"predictor", {{"type", "gat"}}}}, ""), ConfigError);
  EXPECT_THROW(npenas_option_table().read({{"batch", 0}}, ""), ConfigError);
  EXPECT_THROW(brp_nas_option_table().read({{"samples", 1}}, ""), ConfigError);
}

}  // namespace
}  // namespace espalier
