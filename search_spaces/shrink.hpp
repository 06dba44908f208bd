#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <vector>

#include "core/bootstrap.hpp"
#include "core/rng.hpp"
#include "search_spaces/design_space.hpp"
#include "search_spaces/restriction.hpp"

namespace espalier {

/// How a space is shrunk. It ends at whichever of `drop` and `target_size` comes first; one of them
/// must be there.
struct ShrinkOptions {
  int samples = 1000;                      ///< networks scored in each round, >= 2
  int per_round = 1;                       ///< options dropped before scores are taken anew
  std::optional<int> drop = {};            ///< options dropped in all
  std::optional<double> target_size = {};  ///< choice vectors (product of choice counts), >= 1
  Better better = Better::higher;
  CostRanges ranges = {};  ///< only such networks are scored
  BootstrapOptions bootstrap = {};
};

/// The mean score of the networks with an option.
struct OptionScore {
  DecisionId decision = 0;
  std::uint32_t option = 0;  ///< index in the space before any round
  std::size_t networks = 0;  ///< of the sample, with the decision active and this option picked
  Estimate mean = {};        ///< all 0 without networks
  bool dropped = false;
};

struct ShrinkRound {
  double size = 0;                   ///< choice vectors before it
  double mean = 0;                   ///< score of all its networks
  std::vector<OptionScore> options;  ///< worst first; those without networks last
};

struct Shrinking {
  std::shared_ptr<const RestrictedSpace> space;
  std::vector<ShrinkRound> rounds;
  /// False where it ended before `drop` or `target_size`: the last sample left nothing to drop, for
  /// example because what is left is switched off in all networks.
  bool complete = true;
};

/// Shrinks a space: in rounds, scores random networks of what is left, and drops the options whose
/// networks have the worst mean score. A decision keeps as many options that networks of the sample
/// had as it picks; an option that none had stays. `score` gets architectures of `space`; `done`,
/// if there, is called after each round. Throws ConfigError for options out of range, for neither
/// `drop` nor `target_size`, for more to drop than can be, and as sample_in_ranges() does;
/// NumericalError for a score that is not finite; and what `score` throws. A function of the key of
/// `rng`.
/// Source: Hu, Liang, Guo, Wan, Zhang, Wei, Gu, Sun: Angle-Based Search Space Shrinking for Neural
/// Architecture Search, ECCV 2020, arXiv 2004.13431, section 3: an operator's score is the expected
/// score of the networks that have it; the worst are dropped, each edge keeps one.
/// Test: Shrink.AnOptionIsScoredByTheNetworksThatUseIt.
/// Differs from the source: any score instead of the angle of shared weights; all options are
/// scored with one uniform sample; options of any decision, not only operators.
Shrinking shrink(std::shared_ptr<const SearchSpace> space, const Score& score,
                 const ShrinkOptions& options, const Rng& rng,
                 const std::function<void(const ShrinkRound&)>& done = {});

}  // namespace espalier
