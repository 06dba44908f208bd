#include "tests/strategies/contract.hpp"

#include "strategies/asha.hpp"
#include "strategies/bayesian.hpp"
#include "strategies/bohb.hpp"
#include "strategies/brackets.hpp"
#include "strategies/cars.hpp"
#include "strategies/curve_stopping.hpp"
#include "strategies/ddpg.hpp"
#include "strategies/enas.hpp"
#include "strategies/evolution.hpp"
#include "strategies/local_search.hpp"
#include "strategies/median_stopping.hpp"
#include "strategies/moead.hpp"
#include "strategies/nao.hpp"
#include "strategies/nsga3.hpp"
#include "strategies/predictor_guided.hpp"
#include "strategies/q_learning.hpp"
#include "strategies/random.hpp"
#include "strategies/regularized_evolution.hpp"
#include "strategies/reinforce.hpp"
#include "strategies/simulated_annealing.hpp"
#include "strategies/tpe.hpp"
#include "tests/strategies/fake_training.hpp"

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

RegularizedEvolutionOptions evolution_options(std::optional<ScreenOptions> screen = {},
                                              bool repeats = true) {
  RegularizedEvolutionOptions options;
  options.population = 10;
  options.sample = 3;
  options.screen = std::move(screen);
  options.repeats = repeats;
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

SmacOptions smac_options() {
  SmacOptions options;
  options.candidates = 40;
  options.forest.trees = 10;
  options.features = {.patterns = Patterns::none, .costs = false};
  return options;
}

NaoOptions nao_options() {
  NaoOptions options;
  options.samples = options.batch = 40;
  options.unlabelled = 20;
  options.network = {.width = 12, .epochs = 15, .batch = 60, .learning_rate = 1e-2};
  return options;
}

// With a predictor that is quickly fitted.
template <class Options>
Options guided_options() {
  Options options;
  options.predictor = {{"type", "gaussian_process"}};
  options.features = {.patterns = Patterns::none, .costs = false};
  return options;
}

MuPlusLambdaOptions mu_plus_lambda_options(int population, int children,
                                           std::optional<ScreenOptions> screen = {}) {
  auto options = population_of<MuPlusLambdaOptions>(population);
  options.children = children;
  options.screen = std::move(screen);
  return options;
}

const ScreenOptions screen{.metrics = {"sum"}, .samples = 3};
const ScreenOptions screen_of_moves{.metrics = {"sum"}, .samples = 3, .moves = true};
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
// Of strategies that train shared weights, with weights that know what is planted.
template <class S, class Options>
std::unique_ptr<Strategy> with_weights(const RunContext& context, const Options& options) {
  RunContext sharing = context;
  const auto training = std::make_shared<FakeTraining>(1000);
  training->accuracy = [](const Architecture& a, int) {
    return planted_trial({.architecture = a}).metrics[0];
  };
  sharing.shared_training = training;
  // The contract's metrics, under the name that these strategies need.
  static const auto table = std::make_shared<const MetricTable>(
      std::vector<MetricInfo>{{"accuracy", "%", Direction::maximize}, {"size"}});
  std::vector<Objective> objectives{{"accuracy", Direction::maximize}};
  if (context.goals.size() > 1) objectives.push_back({"size", Direction::minimize});
  sharing.goals = Goals(*table, objectives);
  sharing.known_metrics = [](const Architecture& a) {
    return Metrics(table, {0, complete_trial({.architecture = a}).metrics[1]});
  };
  return std::make_unique<S>(sharing, options);
}

std::unique_ptr<Strategy> small_enas(const RunContext& context) {
  EnasSearchOptions options;
  options.hidden = 8;
  options.updates = 5;
  options.candidates = 5;
  options.learning_rate = 0.02;
  return with_weights<Enas>(context, options);
}

std::unique_ptr<Strategy> small_cars(const RunContext& context) {
  CarsOptions options;
  options.population = 10;
  options.warmup = options.epochs = 1;
  return with_weights<Cars>(context, options);
}

// Of strategies that begin at lower fidelities.
template <class Options>
Options down_to(double min_fidelity) {
  Options options;
  options.min_fidelity = min_fidelity;
  return options;
}

CurveStoppingOptions curve_stopping_options() {
  CurveStoppingOptions options;
  options.parts = 4;
  options.min_parts = 2;
  options.curve = {.walkers = 98, .burn_in = 2, .samples = 2};
  return options;
}

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
        StrategyCase{"evolution_no_repeats",
                     maker<RegularizedEvolution>(evolution_options({}, false))},
        StrategyCase{"evolution_two_goals", maker<RegularizedEvolution>(evolution_options()),
                     two_goals()},
        StrategyCase{"mu_plus_lambda", function(mu_plus_lambda, mu_plus_lambda_options(10, 10))},
        StrategyCase{"mu_plus_lambda_screen",
                     function(mu_plus_lambda, mu_plus_lambda_options(10, 10, screen_of_moves)),
                     one_goal(), 0},
        StrategyCase{"mu_plus_one", function(mu_plus_lambda, mu_plus_lambda_options(10, 1))},
        StrategyCase{"nsga2", function(nsga2, population_of<Nsga2Options>(10)), two_goals()},
        StrategyCase{"nsga3", function(nsga3, population_of<Nsga3Options>(10)), two_goals()},
        StrategyCase{"nsga3_one_goal", function(nsga3, population_of<Nsga3Options>(10))},
        StrategyCase{"moead", maker<Moead>(population_of<MoeadOptions>(10)), two_goals()},
        StrategyCase{"moead_one_goal", maker<Moead>(population_of<MoeadOptions>(10))},
        StrategyCase{"local_search", maker<LocalSearch>(local_search_options(Improvement::first))},
        StrategyCase{"local_search_best",
                     maker<LocalSearch>(local_search_options(Improvement::best, screen_of_moves))},
        StrategyCase{"local_search_two_goals",
                     maker<LocalSearch>(local_search_options(Improvement::first)), two_goals()},
        StrategyCase{"simulated_annealing", maker<SimulatedAnnealing>(SimulatedAnnealingOptions())},
        StrategyCase{"simulated_annealing_two_goals",
                     maker<SimulatedAnnealing>(SimulatedAnnealingOptions()), two_goals()},
        StrategyCase{"tpe", maker<Tpe>(TpeOptions())},
        StrategyCase{"tpe_two_goals", maker<Tpe>(TpeOptions()), two_goals()},
        StrategyCase{"bayesian", function(bayesian, bayesian_options()), one_goal(), 80},
        StrategyCase{"bayesian_two_goals", function(bayesian, bayesian_options()), two_goals(), 80},
        StrategyCase{"smac", function(smac, smac_options()), one_goal(), 200},
        StrategyCase{"smac_two_goals", function(smac, smac_options()), two_goals(), 200},
        StrategyCase{"bananas", function(bananas, guided_options<BananasOptions>()), one_goal(),
                     100},
        StrategyCase{"npenas", function(npenas, guided_options<NpenasOptions>()), one_goal(), 100},
        StrategyCase{"brp_nas", function(brp_nas, guided_options<BrpNasOptions>()), one_goal(),
                     100},
        StrategyCase{"gates_evolution",
                     function(gates_evolution, guided_options<GatesEvolutionOptions>()), one_goal(),
                     100},
        StrategyCase{"bananas_two_goals", function(bananas, guided_options<BananasOptions>()),
                     two_goals(), 100},
        StrategyCase{"npenas_two_goals", function(npenas, guided_options<NpenasOptions>()),
                     two_goals(), 100},
        StrategyCase{"gates_evolution_two_goals",
                     function(gates_evolution, guided_options<GatesEvolutionOptions>()),
                     two_goals(), 100},
        StrategyCase{"nao", function(nao, nao_options()), one_goal(), 200},
        StrategyCase{"nao_two_goals", function(nao, nao_options()), two_goals(), 0},
        StrategyCase{"linas", function(linas, guided_options<LinasOptions>()), one_goal(), 150},
        StrategyCase{"linas_two_goals", function(linas, guided_options<LinasOptions>()),
                     two_goals(), 150},
        StrategyCase{"enas", small_enas},
        StrategyCase{"enas_two_goals", small_enas, two_goals(), 0},
        // Every second evaluation is of one that lives already.
        StrategyCase{"cars", small_cars, one_goal(), 600, 0.5},
        StrategyCase{"cars_two_goals", small_cars, two_goals(), 0},
        StrategyCase{"reinforce", function(reinforce, reinforce_options(PolicyKind::lstm))},
        StrategyCase{"reinforce_two_goals",
                     function(reinforce, reinforce_options(PolicyKind::lstm)), two_goals()},
        StrategyCase{"reinforce_independent",
                     function(reinforce, reinforce_options(PolicyKind::independent))},
        StrategyCase{
            "reinforce_value",
            function(reinforce, reinforce_options(PolicyKind::independent, RewardKind::value))},
        StrategyCase{"ppo", function(ppo, ppo_options(PolicyKind::lstm))},
        StrategyCase{"ppo_two_goals", function(ppo, ppo_options(PolicyKind::lstm)), two_goals()},
        StrategyCase{"ppo_independent", function(ppo, ppo_options(PolicyKind::independent))},
        // The values of an option are apart for each option before it: slow where decisions are
        // alone.
        StrategyCase{"q_learning", maker<QLearning>(QLearningOptions()), one_goal(), 300, 0.5},
        StrategyCase{"q_learning_two_goals", maker<QLearning>(QLearningOptions()), two_goals(), 300,
                     0.5},
        // What is planted is no smooth function of the actions.
        StrategyCase{"ddpg", small_ddpg, one_goal(), 300, 0.5},
        StrategyCase{"ddpg_two_goals", small_ddpg, two_goals(), 300, 0.5},
        StrategyCase{"successive_halving",
                     function(successive_halving, down_to<SuccessiveHalvingOptions>(0.01)),
                     one_goal(), 30},
        StrategyCase{"successive_halving_two_goals",
                     function(successive_halving, SuccessiveHalvingOptions()), two_goals(), 30,
                     0.5},
        StrategyCase{"hyperband", function(hyperband, down_to<HyperbandOptions>(0.01)), one_goal(),
                     30, 0.5},
        StrategyCase{"hyperband_two_goals", function(hyperband, HyperbandOptions()), two_goals(),
                     30, 0.2},
        StrategyCase{"asha", maker<Asha>(down_to<AshaOptions>(0.01)), one_goal(), 30, 1},
        StrategyCase{"asha_two_goals", maker<Asha>(AshaOptions()), two_goals(), 30, 0.5},
        StrategyCase{"bohb", maker<Bohb>(BohbOptions()), one_goal(), 150},
        StrategyCase{"bohb_two_goals", maker<Bohb>(BohbOptions()), two_goals(), 150},
        StrategyCase{"curve_stopping", maker<CurveStopping>(curve_stopping_options()), one_goal(),
                     0},
        StrategyCase{"curve_stopping_two_goals", maker<CurveStopping>(curve_stopping_options()),
                     two_goals(), 0},
        StrategyCase{"median_stopping", maker<MedianStopping>(MedianStoppingOptions()), one_goal(),
                     30, 0.2},
        StrategyCase{"median_stopping_two_goals", maker<MedianStopping>(MedianStoppingOptions()),
                     two_goals(), 30, 0}),
    [](const auto& test) { return test.param.name; });

}  // namespace
}  // namespace espalier
