// One supernet for a space, or several for its parts.
#pragma once

#include <memory>
#include <span>
#include <vector>

#include "core/rng.hpp"
#include "nets/supernet.hpp"
#include "search_spaces/search_space.hpp"
#include "training/dataset.hpp"
#include "training/supernet_options.hpp"
#include "training/trainer.hpp"

namespace espalier {

/// Throws ConfigError where a space's supernet cannot be split so: (pointer /split/decision) for a
/// decision that it does not have or that is not one on operators, (/split/times) for more splits
/// than there are such decisions, (/split/by) for gradient matching with the rule fair, and
/// (/epochs) for too few epochs.
void check_split(const SearchSpace& space, const SupernetOptions& options);

/// A part of a space with weights of its own.
struct SpacePart {
  std::shared_ptr<const SearchSpace> space;  ///< all of it, or a RestrictedSpace
  std::unique_ptr<Supernet> supernet;        ///< of that space's supergraph
};

/// The weights that architectures share: with all others, or, once they are split, with those of
/// the same part of the space (few-shot). A split supernet hands its weights to its parts, which
/// are then trained apart, each for the epochs that are left.
///
/// By `decision`: one part for each option. Source: Zhao et al., "Few-shot Neural Architecture
/// Search", ICML 2021, arXiv 2006.06863. Differs from the source: the decision is given.
/// Test: SharedWeights.EachOptionHasASupernetOfItsOwn.
///
/// By `gradient_matching`: of the decisions that no split has used in a part, the one with the
/// highest split_options() of its gradient_distances() splits it in two; `times` over, with as many
/// epochs before each. Source: Hu et al., "Generalizing Few-Shot NAS with Gradient Matching", ICLR
/// 2022, arXiv 2203.15207. Differs from the source: weights are handed over at the last split, too,
/// and distances are averaged, so that decisions with more options are not preferred.
/// Test: SharedWeights.GradientMatchingSplitsEachPartByItsOwnDecision.
class SharedWeights {
 public:
  /// The space must have a supergraph. Throws as Supernet.
  SharedWeights(std::shared_ptr<const SearchSpace> space, const ModuleOptions& options,
                const WeightSharing& sharing = {});

  /// Trains new weights, from the generator, and splits them as the options say: see
  /// train_supernet(), whose promises hold. Each part has a checkpoint of its own; what gradient
  /// matching found is kept beside it. Throws as train_supernet and check_split, and ConfigError
  /// (/split/decision) where a part needs weights of other shapes.
  TrainResult train(const Dataset& data, const SupernetOptions& options, const Rng& rng,
                    const TrainRun& run = {});

  /// The architecture's network with its part of the weights; in the mode of the supernet.
  GraphModule extract(const Architecture& a) const;
  std::span<const SpacePart> parts() const { return parts_; }

 private:
  std::shared_ptr<const SearchSpace> space_;
  ModuleOptions options_;
  WeightSharing sharing_;
  std::vector<SpacePart> parts_;
};

}  // namespace espalier
