// Which options of a decision disagree about the weights that they share.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "core/rng.hpp"
#include "search_spaces/search_space.hpp"
#include "training/dataset.hpp"
#include "training/supernet_options.hpp"

namespace espalier {

class Supernet;

/// Two groups of options, and how far apart they are.
struct OptionGroups {
  std::vector<std::uint32_t> first, second;  ///< ascending
  double score = 0;                          ///< mean of the distances between the groups
};

/// The two groups, of equal size or with one more in the second, of which distances within are
/// smallest in sum; among equals the one whose first group comes first. `distances` is a symmetric
/// {n, n}, n from 2 to 20.
OptionGroups split_options(const std::vector<std::vector<double>>& distances);

/// How much options of a decision disagree: 1 minus the cosine between the gradients that two of
/// them give to the weights which both use, everything else of the network being alike, mean over
/// `options.split.batches` draws of a batch of images and an architecture. 0 where no draw in 1,000
/// has the decision active. The supernet is in training mode meanwhile, with the ranges of its
/// activations as they are; gradients are dropped, and its state stays as it was.
///
/// Source: Hu et al., "Generalizing Few-Shot NAS with Gradient Matching", ICLR 2022, arXiv
/// 2203.15207 (gradient matching score; groups of two of five options as in the authors' code).
/// Differs from the source: what is shared is what both options give a gradient.
/// Test: GradientMatching.OptionsThatPullApartAreSeparated.
std::vector<std::vector<double>> gradient_distances(Supernet& supernet, const SearchSpace& space,
                                                    DecisionId decision, const Dataset& data,
                                                    const SupernetOptions& options, const Rng& rng);

}  // namespace espalier
