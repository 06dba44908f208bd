// Search guided by predictors: BANANAS, NPENAS, BRP-NAS, evolution on GATES, LINAS. All are
// ModelBasedSearch; they differ by the predictor, by where they look for candidates, and by how
// these are compared. Constraints and several objectives have predictors of their own.
#pragma once

#include <memory>

#include "core/json.hpp"
#include "predictors/encoding.hpp"
#include "strategies/start.hpp"
#include "strategies/strategy.hpp"

namespace espalier {

/// What all of them have.
struct PredictorGuidedOptions : StartOptions {
  int samples = 10;               ///< random architectures at first, >= 2
  int batch = 10;                 ///< candidates chosen after one fit, >= 1
  Json predictor;                 ///< config of a predictor, as of predictor_registry()
  EncodingOptions features = {};  ///< what it sees of networks
};

struct BananasOptions : PredictorGuidedOptions {
  BananasOptions();
  int candidates = 100;  ///< mutations of the best that are compared, >= 1
};
OptionTable<BananasOptions> bananas_option_table();

/// BANANAS: an ensemble of five networks on the paths of cells; of 100 mutations of the ten best
/// architectures those are chosen that are best by values drawn from the predictions, each
/// independently (Thompson sampling). Throws ConfigError as Start does.
///
/// Source: C. White, W. Neiswanger, Y. Savani: BANANAS: Bayesian optimization with neural
/// architectures for neural architecture search, AAAI 2021, arXiv 1910.11858, section 5, algorithm
/// 1, and its published code (ten parents, ten candidates at a time). Differs from the source: the
/// networks are those of MlpPredictor, trained on normal scores by their squared errors, and see
/// how often each path occurs; paths are not cut off; several objectives: the drawn values are
/// sorted by rank and crowding.
/// Test: Bananas.ChoosesByIndependentDraws, PredictorGuided.DefaultsAreTheModelsOfThePapers.
std::unique_ptr<Strategy> bananas(const RunContext& context, const BananasOptions& options);

struct NpenasOptions : PredictorGuidedOptions {
  NpenasOptions();
  int candidates = 100;  ///< mutations of the best that are compared, >= 1
};
OptionTable<NpenasOptions> npenas_option_table();

/// NPENAS-NP: a graph network predicts which of 100 mutations of the ten best architectures are the
/// best; those are chosen. Throws ConfigError as Start does.
///
/// Source: C. Wei, C. Niu, Y. Tang, Y. Wang, H. Hu, J. Liang: NPENAS: neural predictor guided
/// evolution for neural architecture search, IEEE TNNLS 2022, arXiv 2003.12857, algorithm 2, and
/// its published code. Differs from the source: graph convolutions (GcnPredictor, learning values)
/// in place of its graph isomorphism network; an architecture changes by one decision at a time.
/// Test: Npenas.ChoosesTheBestPredictedMutations, PredictorGuided.DefaultsAreTheModelsOfThePapers.
std::unique_ptr<Strategy> npenas(const RunContext& context, const NpenasOptions& options);

struct BrpNasOptions : PredictorGuidedOptions {
  BrpNasOptions();
  int candidates = 10'000;  ///< architectures that are sorted, where a space has more than 20,000
};
OptionTable<BrpNasOptions> brp_nas_option_table();

/// BRP-NAS: a graph convolutional network that says which of two architectures is better sorts all
/// architectures of the space; half of those chosen are the first ones, the others random ones of
/// the first 1/2^i, in round i. Throws ConfigError as Start does.
///
/// Source: L. Dudziak et al.: BRP-NAS: prediction-based NAS using GCNs, NeurIPS 2020, arXiv
/// 2007.08668, section 4 (binary relations, iterative data selection). Differs from the source:
/// rounds go on to the end of the budget, so that the last ones choose the first alone; of large
/// spaces a sample is sorted; see GcnPredictor.
/// Test: BrpNas.HalfAreTheFirstAndHalfAreOfTheFirstPart,
/// PredictorGuided.DefaultsAreTheModelsOfThePapers.
std::unique_ptr<Strategy> brp_nas(const RunContext& context, const BrpNasOptions& options);

struct GatesEvolutionOptions : PredictorGuidedOptions {
  GatesEvolutionOptions();
  int generations = 20;  ///< of the evolution on predictions, >= 1
};
OptionTable<GatesEvolutionOptions> gates_evolution_option_table();

/// Evolution on the scores of GATES: after each fit, a population of 20 that begins with the best
/// architectures evolves by tournaments of five and mutations, with predictions for costs; the best
/// new ones that it came across are chosen. Throws ConfigError as Start does.
///
/// Source: X. Ning, Y. Zheng, T. Zhao, Y. Wang, H. Yang: A generic graph-based neural architecture
/// encoding scheme for predictor-based NAS, ECCV 2020, arXiv 2004.01899, section 3.4 (search with a
/// predictor, the inner search an evolution). Differs from the source: 10 architectures at a time;
/// the inner evolution keeps the best of parents and children.
/// Test: GatesEvolution.ChoosesWhatEvolutionOnPredictionsFinds,
/// PredictorGuided.DefaultsAreTheModelsOfThePapers.
std::unique_ptr<Strategy> gates_evolution(const RunContext& context,
                                          const GatesEvolutionOptions& options);

struct LinasOptions : PredictorGuidedOptions {
  LinasOptions();
  int population = 50;   ///< of the evolution on predictions, >= 2
  int generations = 50;  ///< of it, >= 1
};
OptionTable<LinasOptions> linas_option_table();

/// LINAS: a light predictor for each objective, and NSGA-II on what they predict; its best new
/// architectures are evaluated, and the predictors learn from these, too. Throws ConfigError as
/// Start does.
///
/// Source: D. Cummings et al.: A hardware-aware framework for accelerating neural architecture
/// search across modalities, 2022, arXiv 2205.10358, algorithm 1. Differs from the source: NSGA-II
/// begins with the best told, and may ask for what any of its generations came across, not the last
/// one alone.
/// Test: Linas.ChoosesTheFrontOfWhatIsPredicted.
std::unique_ptr<Strategy> linas(const RunContext& context, const LinasOptions& options);

}  // namespace espalier
