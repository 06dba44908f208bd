#include "strategies/predictor_guided.hpp"

#include <utility>

#include "predictors/catalogue.hpp"
#include "strategies/model_based.hpp"
#include "strategies/proposers.hpp"

namespace espalier {
namespace {

// Adds what all have, last.
template <class T>
OptionTable<T>& add_guided_options(OptionTable<T>& table) {
  using Options = PredictorGuidedOptions;
  table
      .add("samples", static_cast<int T::*>(&Options::samples), "random architectures at first",
           at_least(2))
      .add("batch", static_cast<int T::*>(&Options::batch), "candidates chosen after one fit",
           at_least(1))
      .add("predictor", static_cast<Json T::*>(&Options::predictor), "config of a predictor",
           predictor_registry().as_option({{"$ref", "#/$defs/predictor"}}))
      .add("features", static_cast<EncodingOptions T::*>(&Options::features),
           "what the predictor sees of networks", encoding_option_table());
  return add_start_options(table);
}

std::unique_ptr<Strategy> guided(const RunContext& context, const PredictorGuidedOptions& options,
                                 Proposer propose) {
  return std::make_unique<ModelBasedSearch>(
      context, options,
      ModelBasedPlan{.samples = static_cast<std::size_t>(options.samples),
                     .batch = static_cast<std::size_t>(options.batch),
                     .surrogate = {.features = options.features,
                                   .make =
                                       [config = options.predictor](const Rng& rng) {
                                         return predictor_registry().create(config, "/predictor",
                                                                            PredictorContext{rng});
                                       }},
                     .propose = std::move(propose)});
}

constexpr EncodingOptions graphs{.patterns = Patterns::none, .costs = false, .graphs = true};

}  // namespace

BananasOptions::BananasOptions() {
  predictor = {
      {"type", "ensemble"}, {"members", 5}, {"member", {{"type", "mlp"}, {"loss", "regression"}}}};
  features = {.patterns = Patterns::paths, .costs = false};
}

OptionTable<BananasOptions> bananas_option_table() {
  OptionTable<BananasOptions> table("BANANAS: an ensemble on paths, Thompson sampling, mutations");
  table.add("candidates", &BananasOptions::candidates, "mutations of the best that are compared",
            at_least(1));
  return add_guided_options(table);
}

std::unique_ptr<Strategy> bananas(const RunContext& context, const BananasOptions& options) {
  return guided(context, options, [candidates = options.candidates](ProposalContext& proposal) {
    return mutations_of_best(proposal, candidates, Comparison::drawn);
  });
}

NpenasOptions::NpenasOptions() {
  predictor = {{"type", "gcn"}, {"loss", "regression"}};
  features = graphs;
}

OptionTable<NpenasOptions> npenas_option_table() {
  OptionTable<NpenasOptions> table("NPENAS: evolution guided by a graph network");
  table.add("candidates", &NpenasOptions::candidates, "mutations of the best that are compared",
            at_least(1));
  return add_guided_options(table);
}

std::unique_ptr<Strategy> npenas(const RunContext& context, const NpenasOptions& options) {
  return guided(context, options, [candidates = options.candidates](ProposalContext& proposal) {
    return mutations_of_best(proposal, candidates, Comparison::predicted);
  });
}

BrpNasOptions::BrpNasOptions() {
  predictor = {{"type", "gcn"}};
  features = graphs;
}

OptionTable<BrpNasOptions> brp_nas_option_table() {
  OptionTable<BrpNasOptions> table("BRP-NAS: a network of binary relations sorts the space");
  table.add("candidates", &BrpNasOptions::candidates,
            "architectures that are sorted, where a space has more than 20,000", at_least(1));
  return add_guided_options(table);
}

std::unique_ptr<Strategy> brp_nas(const RunContext& context, const BrpNasOptions& options) {
  return guided(context, options, [candidates = options.candidates](ProposalContext& proposal) {
    return best_and_random_of_best(proposal, candidates);
  });
}

GatesEvolutionOptions::GatesEvolutionOptions() {
  predictor = {{"type", "gates"}};
  features = graphs;
}

OptionTable<GatesEvolutionOptions> gates_evolution_option_table() {
  OptionTable<GatesEvolutionOptions> table("evolution on the scores of GATES");
  table.add("generations", &GatesEvolutionOptions::generations, "of the evolution on predictions",
            at_least(1));
  return add_guided_options(table);
}

std::unique_ptr<Strategy> gates_evolution(const RunContext& context,
                                          const GatesEvolutionOptions& options) {
  const PredictedEvolution evolution{.generations = options.generations,
                                     .variation = {.crossover = 0, .mutations = 1}};
  return guided(context, options,
                [evolution](ProposalContext& proposal) { return evolved(proposal, evolution); });
}

LinasOptions::LinasOptions() {
  samples = 50;
  batch = 50;
  predictor = {{"type", "ridge"}};
  features = {.patterns = Patterns::none, .costs = true};
}

OptionTable<LinasOptions> linas_option_table() {
  OptionTable<LinasOptions> table("LINAS: NSGA-II on what light predictors say, again and again");
  table.add("population", &LinasOptions::population, "of the evolution on predictions", at_least(2))
      .add("generations", &LinasOptions::generations, "of the evolution on predictions",
           at_least(1));
  return add_guided_options(table);
}

std::unique_ptr<Strategy> linas(const RunContext& context, const LinasOptions& options) {
  const PredictedEvolution evolution{.population = static_cast<std::size_t>(options.population),
                                     .tournament = 2,
                                     .generations = options.generations};
  return guided(context, options,
                [evolution](ProposalContext& proposal) { return evolved(proposal, evolution); });
}

}  // namespace espalier
