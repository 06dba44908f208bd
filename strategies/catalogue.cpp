#include "strategies/catalogue.hpp"

#include "strategies/random.hpp"
#include "strategies/regularized_evolution.hpp"

namespace espalier {

StrategyRegistry strategy_registry() {
  StrategyRegistry registry("strategy");
  registry.add("random", random_option_table(),
               [](const RandomOptions& options, const RunContext& context) {
                 return std::make_unique<RandomSearch>(context, options);
               });
  registry.add("regularized_evolution", regularized_evolution_option_table(),
               [](const RegularizedEvolutionOptions& options, const RunContext& context) {
                 return std::make_unique<RegularizedEvolution>(context, options);
               });
  return registry;
}

}  // namespace espalier
