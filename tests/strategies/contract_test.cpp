#include "tests/strategies/contract.hpp"

#include "strategies/random.hpp"
#include "strategies/regularized_evolution.hpp"

namespace espalier {
namespace {

template <class S, class Options>
std::function<std::unique_ptr<Strategy>(const RunContext&)> maker(Options options) {
  return [options](const RunContext& context) { return std::make_unique<S>(context, options); };
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

const ScreenOptions screen{.metric = "sum", .samples = 3};

INSTANTIATE_TEST_SUITE_P(
    All, StrategyContract,
    testing::Values(
        StrategyCase{"random", maker<RandomSearch>(random_options(false))},
        StrategyCase{"random_replacement", maker<RandomSearch>(random_options(true))},
        StrategyCase{"random_screen", maker<RandomSearch>(random_options(false, screen))},
        StrategyCase{"evolution", maker<RegularizedEvolution>(evolution_options())},
        StrategyCase{"evolution_screen", maker<RegularizedEvolution>(evolution_options(screen))},
        StrategyCase{"evolution_two_goals", maker<RegularizedEvolution>(evolution_options()),
                     two_goals()}),
    [](const auto& test) { return test.param.name; });

}  // namespace
}  // namespace espalier
