// Architectures that need about as many MACs as each other. No LibTorch here.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "core/rng.hpp"
#include "search_spaces/search_space.hpp"

namespace espalier {

/// Draws architectures by their MACs: first a number of MACs, as often as uniform samples of the
/// space have about as many, then each decision's choice, as often as samples of about as many MACs
/// in which it is active have it. What comes of that is drawn again, up to 100 times, until it has
/// about as many MACs itself; the last one is then taken as it is. Immutable.
///
/// Source: Wang et al., "AttentiveNAS: Improving Neural Architecture Search via Attentive
/// Sampling", CVPR 2021, arXiv 2011.09011, section 4.2. Differs from the source: 50 equal ranges
/// between the fewest and the most MACs of 20,000 samples, where the authors' code rounds to 25
/// million MACs; samples that a space's constraints forbid are drawn again.
/// Test: AttentiveSampling.DrawsHaveTheMacsThatWereDrawnFirst.
class MacsConditionedSampler {
 public:
  /// Draws the samples from the generator. Throws as sample_uniform().
  MacsConditionedSampler(std::shared_ptr<const SearchSpace> space, Rng rng, int samples = 20'000,
                         int ranges = 50);

  /// Valid, canonical architectures, of one range but for those that were not found in time.
  std::vector<Architecture> draw(std::size_t count, Rng& rng) const;
  /// The range of an architecture, from 0.
  std::size_t range_of(const Architecture& a) const;

 private:
  Architecture draw_in(std::size_t range, Rng& rng) const;

  std::shared_ptr<const SearchSpace> space_;
  std::size_t ranges_;
  std::int64_t least_ = 0, most_ = 0;
  std::vector<double> range_counts_;
  /// By range and decision: how often each choice was seen.
  std::vector<std::vector<std::vector<double>>> choice_counts_;
};

}  // namespace espalier
