// Which architectures of a supernet learn in a step. No LibTorch here.
#pragma once

#include <memory>
#include <vector>

#include "core/rng.hpp"
#include "search_spaces/search_space.hpp"
#include "training/attentive_sampling.hpp"
#include "training/progressive_shrinking.hpp"
#include "training/supernet_options.hpp"

namespace espalier {

/// What an architecture learns: the labels, what the step's first architecture says, or both the
/// labels and what the largest network said when it had been trained alone.
enum class Lesson { labels, first, labels_and_teacher };

/// One architecture's part in a step.
struct SupernetPass {
  Architecture architecture;  ///< empty where it is one of the candidates
  Lesson lesson = Lesson::labels;
  /// That of the lowest loss (`best_up`) or the highest (`worst_up`) on the step's images learns.
  std::vector<Architecture> candidates = {};
};

/// Draws the architectures of each step; their gradients are summed up before the weights change.
///
/// `uniform`: one architecture, sample_uniform(). Source: Guo et al., "Single Path One-Shot Neural
/// Architecture Search with Uniform Sampling", ECCV 2020, arXiv 1904.00420.
/// Test: SupernetRule.UniformDrawsOneArchitecture.
///
/// `fair`: as many architectures as the decisions have options; each decision goes through all of
/// its options in an order of its own (strict fairness). Source: Chu et al., "FairNAS", ICCV 2021,
/// arXiv 1907.01845, algorithm 1. Differs from the source: a decision whose number of options
/// divides the largest one goes through them several times; options of decisions that are inactive
/// in their architecture do not learn.
/// Test: SupernetRule.FairnessIsStrict.
///
/// `sandwich`: the largest architecture, which learns the labels, then the smallest and some at
/// random, which learn the largest one's outputs (in-place distillation). Source: Yu et al.,
/// "BigNAS", ECCV 2020, arXiv 2003.11142, section 3.1; Yu and Huang, "Universally Slimmable
/// Networks and Improved Training Techniques", ICCV 2019, arXiv 1903.05134. Differs from BigNAS:
/// weight decay and dropout act on all architectures, not on the largest alone; first weights and
/// learning rates are those of every training here.
/// Test: TrainSupernet.SandwichTeachesByTheLargestArchitecture.
///
/// `attentive`: as `sandwich`, but each architecture at random is that of `candidates` of as many
/// MACs, see MacsConditionedSampler, whose loss on the step's images is the lowest (best_up) or the
/// highest (worst_up). Source: Wang et al., "AttentiveNAS", CVPR 2021, arXiv 2011.09011, sections
/// 3.2 and 4 (loss on the batch as the performance).
/// Test: TrainSupernet.AttentiveSamplingTeachesTheBestOfItsCandidates.
///
/// `progressive`: the phases of shrinking_phases(); in all but the first, architectures learn the
/// labels and, with the same weight, the outputs of the network that the first phase left, which
/// stays as it is and normalizes by the statistics of each batch. Source: Cai et al., as there.
/// Differs from the source: each architecture of a step has a resolution of its own; in the
/// authors' code one holds for the step.
/// Test: TrainSupernet.ProgressiveShrinkingTeachesByTheFirstPhase.
class SupernetRule {
 public:
  /// Not for `strategy`, which has no rule. Throws UnsupportedError for strict fairness in a space
  /// with constraints, or where a decision's number of choices does not divide the largest one,
  /// naming the decision, and as shrinking_phases().
  SupernetRule(std::shared_ptr<const SearchSpace> space, const SupernetOptions& options);

  /// Never empty; the first one learns the labels. `phase` is one of phases().
  std::vector<SupernetPass> passes(Rng rng, std::size_t phase = 0) const;
  /// Those of `progressive`; none where all epochs are alike.
  const std::vector<ShrinkingPhase>& phases() const { return phases_; }
  /// The architecture that `progressive` trains first, at the resolution that `a` has.
  Architecture teacher_of(const Architecture& a) const;

 private:
  std::vector<SupernetPass> fair_passes(Rng& rng) const;

  std::shared_ptr<const SearchSpace> space_;
  SupernetOptions options_;
  std::uint32_t most_choices_ = 1;
  Architecture largest_, smallest_;
  std::shared_ptr<const MacsConditionedSampler> by_macs_;  // of `attentive`
  std::vector<ShrinkingPhase> phases_;
};

}  // namespace espalier
