#pragma once

#include "core/options.hpp"
#include "core/rng.hpp"
#include "predictors/neural.hpp"

namespace espalier {

struct MlpOptions {
  int layers = 3;   ///< hidden ones
  int width = 128;  ///< of each
  double dropout = 0.1;
  FitOptions fit = {};
};
OptionTable<MlpOptions> mlp_option_table();

/// A network of linear layers and ReLUs on the numbers of a network (DenseFeatures), each in
/// standard deviations from its mean in fit().
///
/// Source: C. White, W. Neiswanger, Y. Savani: BANANAS: Bayesian optimization with neural
/// architectures for neural architecture search, AAAI 2021, arXiv 1910.11858, section 4.2 (a
/// feed-forward network on the paths of a cell). Differs from the source: 3 layers of 128 in place
/// of 10 of 20; all features beside the paths, which are counted; an order is learned unless
/// told otherwise; dropout.
/// Test: Mlp.ReadsEachKindOfFeature.
class MlpPredictor : public NeuralPredictor {
 public:
  MlpPredictor(const MlpOptions& options, Rng rng);

 private:
  std::unique_ptr<ScoreNetwork> network(std::span<const Features> networks, Rng rng) const override;
  MlpOptions options_;
};

}  // namespace espalier
