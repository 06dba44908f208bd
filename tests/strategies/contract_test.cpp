#include "tests/strategies/contract.hpp"

#include "strategies/bayesian.hpp"
#include "strategies/ddpg.hpp"
#include "strategies/evolution.hpp"
#include "strategies/local_search.hpp"
#include "strategies/moead.hpp"
#include "strategies/nsga3.hpp"
#include "strategies/q_learning.hpp"
#include "strategies/random.hpp"
#include "strategies/regularized_evolution.hpp"
#include "strategies/reinforce.hpp"
#include "strategies/simulated_annealing.hpp"
#include "strategies/tpe.hpp"

namespace espalier {
namespace {

template <class S, class Options>
std::function<std::unique_ptr<Strategy>(const RunContext&)> maker(Options options) {
  return [options](const RunContext& context) { return std::make_unique<S>(context, options); };
}

// Of strategies that a function makes.
template <class Options>
std::function<std::unique_ptr<Strategy>(const RunContext&)> function(
    std::unique_ptr<Strategy> (*make)(const RunContext&, const Options&), Options options) {
  return [make, options](const RunContext& context) { return make(context, options); };
}

RandomOptions random_options(bool replacement, std::optional<ScreenOptions> screen = {}) {
  RandomOptions options;
  options.replacement = replacement;
  options.screen = std::move(screen);
  return options;
}

RegularizedEvolutionOptions evolution_options(std::optional<ScreenOptions> screen = {}) {
  RegularizedEvolutionOptions options;
  options.population = 10;
  options.sample = 3;
  options.screen = std::move(screen);
  return options;
}

LocalSearchOptions local_search_options(Improvement improvement,
                                        std::optional<ScreenOptions> screen = {}) {
  LocalSearchOptions options;
  options.improvement = improvement;
  options.screen = std::move(screen);
  return options;
}

// Of strategies that have a population.
template <class Options>
Options population_of(int population) {
  Options options;
  options.population = population;
  return options;
}

// The networks of the tests' spaces are all alike.
BayesianOptions bayesian_options() {
  BayesianOptions options;
  options.candidates = 40;
  options.features = {.patterns = Patterns::none, .costs = false};
  return options;
}

MuPlusLambdaOptions mu_plus_lambda_options(int population, int children) {
  auto options = population_of<MuPlusLambdaOptions>(population);
  options.children = children;
  return options;
}

ReinforceOptions reinforce_options(PolicyKind policy, RewardKind reward = RewardKind::rank) {
  ReinforceOptions options;
  options.policy = policy;
  options.reward = reward;
  return options;
}

PpoOptions ppo_options(PolicyKind policy) {
  PpoOptions options;
  options.policy = policy;
  return options;
}

std::unique_ptr<Strategy> small_ddpg(const RunContext& context) {
  DdpgOptions options;
  options.warmup = 60;
  options.decay = 0.98;
  options.networks = {.hidden = 16, .batch = 16, .actor_rate = 2e-3, .critic_rate = 5e-3};
  RunContext ordinal = context;
  ordinal.space = std::make_shared<OrdinalSpace>(context.space);
  return std::make_unique<Ddpg>(ordinal, options);
}

const ScreenOptions screen{.metric = "sum", .samples = 3};

INSTANTIATE_TEST_SUITE_P(
    All, StrategyContract,
    testing::Values(
        StrategyCase{"random", maker<RandomSearch>(random_options(false)), one_goal(), 0},
        StrategyCase{"random_replacement", maker<RandomSearch>(random_options(true)), one_goal(),
                     0},
        StrategyCase{"random_screen", maker<RandomSearch>(random_options(false, screen)),
                     one_goal(), 0},
        StrategyCase{"evolution", maker<RegularizedEvolution>(evolution_options())},
        StrategyCase{"evolution_screen", maker<RegularizedEvolution>(evolution_options(screen))},
        StrategyCase{"evolution_two_goals", maker<RegularizedEvolution>(evolution_options()),
                     two_goals()},
        StrategyCase{"mu_plus_lambda", function(mu_plus_lambda, mu_plus_lambda_options(10, 10))},
        StrategyCase{"mu_plus_one", function(mu_plus_lambda, mu_plus_lambda_options(10, 1))},
        StrategyCase{"nsga2", function(nsga2, population_of<Nsga2Options>(10)), two_goals()},
        StrategyCase{"nsga3", function(nsga3, population_of<Nsga3Options>(10)), two_goals()},
        StrategyCase{"nsga3_one_goal", function(nsga3, population_of<Nsga3Options>(10))},
        StrategyCase{"moead", maker<Moead>(population_of<MoeadOptions>(10)), two_goals()},
        StrategyCase{"moead_one_goal", maker<Moead>(population_of<MoeadOptions>(10))},
        StrategyCase{"local_search", maker<LocalSearch>(local_search_options(Improvement::first))},
        StrategyCase{"local_search_best",
                     maker<LocalSearch>(local_search_options(Improvement::best, screen))},
        StrategyCase{"local_search_two_goals",
                     maker<LocalSearch>(local_search_options(Improvement::first)), two_goals()},
        StrategyCase{"simulated_annealing", maker<SimulatedAnnealing>(SimulatedAnnealingOptions())},
        StrategyCase{"simulated_annealing_two_goals",
                     maker<SimulatedAnnealing>(SimulatedAnnealingOptions()), two_goals()},
        StrategyCase{"tpe", maker<Tpe>(TpeOptions())},
        StrategyCase{"tpe_two_goals", maker<Tpe>(TpeOptions()), two_goals()},
        StrategyCase{"bayesian", maker<Bayesian>(bayesian_options()), one_goal(), 80},
        StrategyCase{"bayesian_two_goals", maker<Bayesian>(bayesian_options()), two_goals(), 80},
        StrategyCase{"reinforce", function(reinforce, reinforce_options(PolicyKind::lstm))},
        StrategyCase{"reinforce_two_goals",
                     function(reinforce, reinforce_options(PolicyKind::lstm)), two_goals()},
        StrategyCase{"reinforce_independent",
                     function(reinforce, reinforce_options(PolicyKind::independent))},
        StrategyCase{
            "reinforce_value",
            function(reinforce, reinforce_options(PolicyKind::independent, RewardKind::value))},
        StrategyCase{"ppo", function(ppo, ppo_options(PolicyKind::lstm))},
        StrategyCase{"ppo_independent", function(ppo, ppo_options(PolicyKind::independent))},
        // The values of an option are apart for each option before it: slow where decisions are
        // alone.
        StrategyCase{"q_learning", maker<QLearning>(QLearningOptions()), one_goal(), 300, 0.5},
        StrategyCase{"q_learning_two_goals", maker<QLearning>(QLearningOptions()), two_goals(), 300,
                     0.5},
        // What is planted is no smooth function of the actions.
        StrategyCase{"ddpg", small_ddpg, one_goal(), 300, 0.5},
        StrategyCase{"ddpg_two_goals", small_ddpg, two_goals(), 300, 0.5}),
    [](const auto& test) { return test.param.name; });

}  // namespace
}  // namespace espalier
