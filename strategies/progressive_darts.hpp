// P-DARTS: networks that grow deeper from stage to stage, with fewer operators.
#pragma once

#include <memory>
#include <vector>

#include "strategies/differentiable_search.hpp"

namespace espalier {

struct PDartsOptions : DifferentiableOptions {
  PDartsOptions() {
    architecture_learning_rate = 6e-4;
    warmup = 0.4;
  }
  /// Of the stages but the last, which has the space's own; each >= 1, not less than that before
  /// and not more than the own. By default 5/17 and 11/17 of that, where there are three stages, or
  /// what of the space comes nearest from above.
  std::vector<int> depths = {};
  /// What is left of each decision's operators after the stages but the last, as a share of all,
  /// `none` counted, (0, 1]; not more than that before. At least one is, and two of edges whose
  /// operators tell the inputs of a node apart.
  std::vector<double> operator_shares = {5.0 / 8, 3.0 / 8};
  std::vector<double> skip_dropout = {0, 0.4, 0.7};  ///< at the beginning of each stage, [0, 1)
  int most_skips = 2;                                ///< of an architecture's cell, >= 0
};
OptionTable<PDartsOptions> p_darts_option_table();

/// P-DARTS: the epochs are shared out to stages, each of which searches as DARTS does, by the first
/// order, with new weights and new architecture parameters. The network of a stage is as deep as
/// that before, or deeper, and has the strongest operators of that before alone. Values that skip
/// connections pass on are dropped, fewer and fewer within a stage. An architecture has a limited
/// number of skip connections: as long as there are more, the weakest is left out and the
/// architecture derived anew; where nothing else is left of its edge, or a `cost` wants it, it
/// stays. `warmup` is a share of each stage. Until the last stage an evaluation is of the stage's
/// network, which may be less deep than the architecture's own.
/// Source: Chen et al., "Progressive Differentiable Architecture Search: Bridging the Depth Gap
/// between Search and Evaluation", ICCV 2019, arXiv 1904.12760, sections 3.2 and 3.3; the decay of
/// the dropout as in the authors' code, its rates those of the paper on CIFAR-10. Differs from the
/// source: stages differ in nothing but depth and operators (the source does not widen them on
/// CIFAR-10 either), an edge keeps at least one operator that is not zero, and the gradient of the
/// architecture is not clipped. Skips count, as in the authors' code, in cells that keep their
/// input's size alone.
/// Test: PDarts.StagesGrowDeeperAndLoseOperators, PDarts.SkipsDropOutLessAndLess,
/// PDarts.ACellHasFewSkips.
class PDarts : public DifferentiableSearch {
 public:
  /// Throws as DifferentiableSearch; UnsupportedError for a space whose depth cannot be chosen, or
  /// changes its decisions; ConfigError (/early_stopping) with it, (/depths, /operator_shares) for
  /// another number than that of the stages less one, (/operator_shares/N) for a share above that
  /// before, (/depths/N) for a depth that the space cannot have, below that before or above its
  /// own, (/skip_dropout) for more stages than epochs.
  PDarts(const RunContext& context, const PDartsOptions& options);

 protected:
  void begin_epoch() override;
  bool takes_early_stopping() const override { return false; }
  MixedOptions mixed_options() const override;
  Architecture derived(const Strengths& strengths) const override;
  Json save_own() const override;
  void load_own(const Json& state) override;

 private:
  void drop_operators(double share);
  void enter(int stage);

  std::vector<TrainingStage> stages_;
  std::vector<double> operator_shares_, skip_dropout_;
  int most_skips_;
  int stage_ = 0;
};

}  // namespace espalier
