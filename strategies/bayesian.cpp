#include "strategies/bayesian.hpp"

#include "predictors/gaussian_process.hpp"
#include "strategies/model_based.hpp"
#include "strategies/proposers.hpp"

namespace espalier {

OptionTable<BayesianOptions> bayesian_option_table() {
  using Options = BayesianOptions;
  OptionTable<Options> table("Bayesian optimization: Gaussian processes, expected improvement");
  table.add("samples", &Options::samples, "random architectures at first", at_least(2))
      .add("candidates", &Options::candidates,
           "architectures for which improvement is predicted, before the best of them climb",
           at_least(2))
      .add("features", &Options::features, "what the models compare networks by",
           encoding_option_table());
  return add_start_options(table);
}

std::unique_ptr<Strategy> bayesian(const RunContext& context, const BayesianOptions& options) {
  return std::make_unique<ModelBasedSearch>(
      context, options,
      ModelBasedPlan{
          .samples = static_cast<std::size_t>(options.samples),
          // The processes keep the lengths that they found, and seek them again now and then.
          .surrogate = {.features = options.features,
                        .make = [](const Rng&) { return std::make_unique<GaussianProcess>(); },
                        .anew = false,
                        .believes = true},
          .propose = [candidates = options.candidates](ProposalContext& proposal) {
            return climb(proposal, candidates);
          }});
}

OptionTable<SmacOptions> smac_option_table() {
  using Options = SmacOptions;
  OptionTable<Options> table("SMAC: a random forest, expected improvement, random candidates");
  table.add("samples", &Options::samples, "random architectures at first", at_least(2))
      .add("candidates", &Options::candidates,
           "random architectures for which improvement is predicted", at_least(1))
      .add("forest", &Options::forest, "the model", random_forest_option_table())
      .add("features", &Options::features, "what the model compares networks by",
           encoding_option_table());
  return add_start_options(table);
}

std::unique_ptr<Strategy> smac(const RunContext& context, const SmacOptions& options) {
  return std::make_unique<ModelBasedSearch>(
      context, options,
      ModelBasedPlan{.samples = static_cast<std::size_t>(options.samples),
                     .batch = 2,
                     .surrogate = {.features = options.features,
                                   .make =
                                       [forest = options.forest](const Rng& rng) {
                                         return std::make_unique<RandomForest>(forest, rng);
                                       },
                                   .believes = true},
                     .propose = [candidates = options.candidates](ProposalContext& proposal) {
                       return local_and_random(proposal, candidates);
                     }});
}

}  // namespace espalier
