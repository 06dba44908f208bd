// The phases in which a supernet's smaller architectures join its training. No LibTorch here.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "core/rng.hpp"
#include "search_spaces/search_space.hpp"

namespace espalier {

/// A part of a supernet's training with a learning rate schedule of its own.
struct ShrinkingPhase {
  std::string name;        ///< for example "largest", "depth 1 of 2"
  int epochs = 1;          ///< >= 1
  double rate_factor = 1;  ///< of the learning rate
  int architectures = 1;   ///< in each step, >= 1
  bool distilled = true;   ///< whether they also learn from the network after the first phase
  bool sorted = false;     ///< whether channels are sorted by importance before it
  /// The choices of each decision that are open, ascending, never none.
  std::vector<std::vector<std::uint32_t>> choices = {};
};

/// Progressive shrinking: the largest network alone, then kernels, depths and at last widths (with
/// expansions, bits and whatever else is a number). Kernels open all at once, depths and widths one
/// option after the other, from the largest down, in all blocks together; before each phase of
/// widths, channels are sorted (Supernet::sort_channels). Resolutions are open from the start, and
/// so is what is not ordered, such as operators, once the first phase is over. Epochs are shared
/// out as in the source, 180 : 120 : 25 for each but the last of a kind's options and 120 for that,
/// each phase at least one; so are learning rates, 1 : 0.37 : 0.031 : 0.092, and architectures in a
/// step, 1 : 1 : 2 : 4.
///
/// Throws UnsupportedError for a space without ordered kernels, depths or widths, and ConfigError
/// (pointer /epochs) for fewer epochs than phases.
///
/// Source: Cai et al., "Once-for-All: Train One Network and Specialize it for Efficient
/// Deployment", ICLR 2020, arXiv 1908.09791; phases, epochs and rates as in the authors'
/// code. Differs from the source: the learning rate of the first phase, to which the others relate,
/// is 2.6 at a batch of 2048.
/// Test: ShrinkingPhases.OpenKernelsThenDepthsThenWidths.
std::vector<ShrinkingPhase> shrinking_phases(const SearchSpace& space, int epochs);

/// An architecture whose decisions are drawn uniformly from the open choices of a phase, canonical.
/// Throws UnsupportedError where constraints leave none in 100,000 draws.
Architecture sample_open(const SearchSpace& space, const ShrinkingPhase& phase, Rng& rng);

}  // namespace espalier
