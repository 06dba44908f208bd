// Where models look for architectures that are worth an evaluation.
#pragma once

#include <cstddef>
#include <vector>

#include "strategies/model_based.hpp"
#include "strategies/variation.hpp"

namespace espalier {

/// Random new architectures, and as many mutations of the ten best told, `candidates` in all, of
/// which the five best climb to neighbours of larger expected improvement, at most 30 times.
std::vector<Architecture> climb(ProposalContext& context, int candidates);

/// Climbs by expected improvement, to the best neighbour each time, from the ten told architectures
/// where it is the largest; what they pass and `candidates` random new architectures, the best
/// first, in turn with random new ones.
std::vector<Architecture> local_and_random(ProposalContext& context, int candidates);

/// How the candidates of mutations_of_best() are compared: by values drawn from the predictions
/// (Thompson sampling), or by predicted means.
enum class Comparison { drawn, predicted };

/// Mutations of the ten best told, as many of each, `candidates` in all; the best first.
std::vector<Architecture> mutations_of_best(ProposalContext& context, int candidates,
                                            Comparison comparison);

/// Of all new architectures of the space, or of `candidates` random ones where it has more: the
/// best by their predictions, and then as many random ones of the best 1/2^round of all.
std::vector<Architecture> best_and_random_of_best(ProposalContext& context, int candidates);

/// An evolution of which predictions are the costs.
struct PredictedEvolution {
  std::size_t population = 20;  ///< individuals: the best told at first
  std::size_t tournament = 5;   ///< individuals drawn for a parent, the best of which it is
  int generations = 20;
  VariationOptions variation = {};
};

/// The best new architectures that it comes across: of parents and children, of which there are as
/// many, the best live on, by rank_and_crowding().
std::vector<Architecture> evolved(ProposalContext& context, const PredictedEvolution& evolution);

}  // namespace espalier
