#include "predictors/catalogue.hpp"

#include <utility>

#include "predictors/ensemble.hpp"
#include "predictors/gates.hpp"
#include "predictors/gaussian_process.hpp"
#include "predictors/gcn.hpp"
#include "predictors/lstm.hpp"
#include "predictors/mlp.hpp"
#include "predictors/normal_scores.hpp"
#include "predictors/random_forest.hpp"
#include "predictors/ridge.hpp"
#include "predictors/xgboost.hpp"

namespace espalier {
namespace {

struct GaussianProcessOptions {};
struct RidgeOptions {};

enum class Values { as_given, normal_scores };
struct SharedOptions {
  Values values = Values::as_given;
};

struct EnsembleConfig {
  Json member = {{"type", "mlp"}};
  EnsembleOptions options;
};

}  // namespace

PredictorRegistry predictor_registry() {
  PredictorRegistry registry("predictor");
  registry.add(
      "gaussian_process",
      OptionTable<GaussianProcessOptions>("Gaussian process on decisions, patterns and costs"),
      [](const GaussianProcessOptions&, const PredictorContext&) {
        return std::make_unique<GaussianProcess>();
      });
  registry.add(
      "ridge", OptionTable<RidgeOptions>("ridge regression, its penalty by leave-one-out errors"),
      [](const RidgeOptions&, const PredictorContext&) { return std::make_unique<Ridge>(); });
  registry.add("random_forest", random_forest_option_table(),
               [](const RandomForestOptions& options, const PredictorContext& context) {
                 return std::make_unique<RandomForest>(options, context.rng);
               });
  registry.add("mlp", mlp_option_table(),
               [](const MlpOptions& options, const PredictorContext& context) {
                 return std::make_unique<MlpPredictor>(options, context.rng);
               });
  registry.add("lstm", lstm_option_table(),
               [](const LstmOptions& options, const PredictorContext& context) {
                 return std::make_unique<LstmPredictor>(options, context.rng);
               });
  registry.add("gcn", gcn_option_table(),
               [](const GcnOptions& options, const PredictorContext& context) {
                 return std::make_unique<GcnPredictor>(options, context.rng);
               });
  registry.add("gates", gates_option_table(),
               [](const GatesOptions& options, const PredictorContext& context) {
                 return std::make_unique<GatesPredictor>(options, context.rng);
               });
  registry.add("ta_gates", ta_gates_option_table(),
               [](const TaGatesOptions& options, const PredictorContext& context) {
                 return std::make_unique<TaGatesPredictor>(options, context.rng);
               });
  registry.add("xgboost", xgboost_option_table(),
               [](const XgBoostOptions& options, const PredictorContext& context) {
                 return std::make_unique<XgBoost>(options, context.rng);
               });
  registry.add_to_all(
      OptionTable<SharedOptions>("what every predictor takes")
          .add("values", &SharedOptions::values,
               "what is learned: the values, or their normal scores, which tell good networks "
               "apart where a few hardly learn",
               named<Values>(
                   {{"as_given", Values::as_given}, {"normal_scores", Values::normal_scores}})),
      [](std::unique_ptr<Predictor> made,
         const SharedOptions& options) -> std::unique_ptr<Predictor> {
        if (options.values == Values::as_given) return made;
        return std::make_unique<NormalScored>(std::move(made));
      });
  add_ensemble(registry);
  return registry;
}

void add_ensemble(PredictorRegistry& registry) {
  const PredictorRegistry known = registry;
  OptionTable<EnsembleOptions> table("several predictors of one kind");
  table.add("members", &EnsembleOptions::members, "predictors", at_least(1))
      .add("bootstrap", &EnsembleOptions::bootstrap,
           "whether each learns from as many networks, drawn with replacement");
  registry.add(
      "ensemble",
      OptionTable<EnsembleConfig>("several predictors of one kind that differ by what they draw")
          .add("member", &EnsembleConfig::member, "config of a predictor",
               known.as_option({{"$ref", "#/$defs/predictor"}}))
          .beside(&EnsembleConfig::options, table),
      [known](const EnsembleConfig& config, const PredictorContext& context) {
        return std::make_unique<Ensemble>(
            config.options,
            [&](const Rng& rng) {
              return known.create(config.member, "/member", PredictorContext{rng});
            },
            context.rng);
      });
}

}  // namespace espalier
