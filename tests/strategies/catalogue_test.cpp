#include "strategies/catalogue.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <string_view>

#include "core/error.hpp"
#include "tests/core/throws.hpp"
#include "tests/strategies/differentiable_probe.hpp"
#include "tests/strategies/fake_training.hpp"
#include "tests/strategies/toy_search.hpp"

namespace espalier {
namespace {

TEST(StrategyRegistry, MakesEveryStrategyFromItsSample) {
  const StrategyRegistry registry = strategy_registry();
  EXPECT_THAT(registry.names(),
              testing::ElementsAre(
                  "random", "regularized_evolution", "mu_plus_lambda", "nsga2", "nsga3", "moead",
                  "local_search", "simulated_annealing", "bayesian", "smac", "bananas", "npenas",
                  "brp_nas", "gates_evolution", "nao", "semi_nas", "linas", "tpe", "reinforce",
                  "ppo", "q_learning", "ddpg", "enas", "cars", "darts", "pc_darts", "fair_darts",
                  "dr_nas", "darts_minus", "gdas", "snas", "fbnet", "dsnas", "proxyless", "sdarts",
                  "r_darts", "p_darts", "sgas", "darts_pt", "successive_halving", "hyperband",
                  "asha", "bohb", "median_stopping", "curve_stopping"));
  constexpr std::array<std::string_view, 15> relaxes{
      "darts", "pc_darts",  "fair_darts", "dr_nas",  "darts_minus", "gdas", "snas",    "fbnet",
      "dsnas", "proxyless", "sdarts",     "r_darts", "p_darts",     "sgas", "darts_pt"};
  for (const std::string& name : registry.names()) {
    if (std::ranges::find(relaxes, name) != relaxes.end()) {
      SmallSearch small(small_cells(), 30);
      small.context.depths = SpaceDepths{.own = 1, .make = {}};
      const auto strategy = registry.create(registry.sample(name), "/strategy", small.context);
      const std::vector<Candidate> asked = strategy->ask(5);
      EXPECT_EQ(asked.size(), 1u) << name;
      EXPECT_TRUE(small.space->valid(asked.at(0).architecture)) << name;
      continue;
    }
    const auto space = std::make_shared<OrdinalSpace>(test_space({3, 3}));
    const bool shares = name == "enas" || name == "cars";
    const auto strategy = registry.create(
        registry.sample(name), "/strategy",
        shares ? sharing_context(space, std::make_shared<FakeTraining>(20)) : test_context(space));
    EXPECT_EQ(drive(*strategy, 5).size(), 5u) << name;
  }
}

TEST(StrategyRegistry, NamesThePlaceOfAnError) {
  const Json config = {{"type", "random"}, {"initial", {"d1=0,d2=9"}}};
  EXPECT_THAT(throws<ConfigError>([&] {
                strategy_registry().create(config, "/strategy", test_context(test_space({3, 3})));
              }),
              testing::StartsWith("/strategy/initial/0: "));
}

}  // namespace
}  // namespace espalier
