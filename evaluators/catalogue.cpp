#include "evaluators/catalogue.hpp"

#include <utility>
#include <vector>

#include "core/error.hpp"
#include "evaluators/command.hpp"
#include "evaluators/composite.hpp"
#include "evaluators/hardware.hpp"
#include "evaluators/hypernetwork.hpp"
#include "evaluators/one_shot.hpp"
#include "evaluators/table.hpp"
#include "evaluators/train.hpp"
#include "evaluators/zero_cost.hpp"

namespace espalier {
namespace {

struct HardwareOptions {};

struct CompositeOptions {
  std::vector<Json> members;
};

}  // namespace

EvaluatorRegistry evaluator_registry() {
  EvaluatorRegistry registry("evaluator");
  registry.add("table", table_option_table(),
               [](const TableOptions& options, const EvaluatorContext& context) {
                 return std::make_unique<TableEvaluator>(context.space, options);
               });
  registry.add("zero_cost", zero_cost_option_table(),
               [](const ZeroCostOptions& options, const EvaluatorContext& context) {
                 return std::make_unique<ZeroCostEvaluator>(context, options);
               });
  registry.add("train", train_evaluator_option_table(),
               [](const TrainEvaluatorOptions& options, const EvaluatorContext& context) {
                 return std::make_unique<TrainEvaluator>(context, options);
               });
  registry.add("one_shot", one_shot_option_table(),
               [](const OneShotOptions& options, const EvaluatorContext& context) {
                 return std::make_unique<OneShotEvaluator>(context, options);
               });
  registry.add("hypernetwork", hypernetwork_evaluator_option_table(),
               [](const HyperNetworkEvaluatorOptions& options, const EvaluatorContext& context) {
                 return std::make_unique<HyperNetworkEvaluator>(context, options);
               });
  registry.add("hardware",
               OptionTable<HardwareOptions>("predictions of all models in the config's hardware"),
               [](const HardwareOptions&, const EvaluatorContext& context) {
                 if (context.hardware.empty()) {
                   throw ConfigError("", "there is no hardware model: add \"hardware\"");
                 }
                 return std::make_unique<HardwareEvaluator>(context.hardware);
               });
  registry.add("command", command_option_table(),
               [](const CommandOptions& options, const EvaluatorContext& context) {
                 return std::make_unique<CommandEvaluator>(context.space, options);
               });
  add_composite(registry);
  return registry;
}

void add_composite(EvaluatorRegistry& registry) {
  const EvaluatorRegistry known = registry;
  registry.add(
      "composite",
      OptionTable<CompositeOptions>("several evaluators, their metrics one after the other")
          .add("members", &CompositeOptions::members, "configs of evaluators", non_empty(),
               required(), known.as_option({{"$ref", "#/$defs/evaluator"}})),
      [known](const CompositeOptions& options, const EvaluatorContext& context) {
        std::vector<std::unique_ptr<Evaluator>> members;
        for (std::size_t i = 0; i < options.members.size(); ++i) {
          members.push_back(known.create(options.members[i], pointer_to("/members", i), context));
        }
        return std::make_unique<CompositeEvaluator>(std::move(members));
      });
}

}  // namespace espalier
