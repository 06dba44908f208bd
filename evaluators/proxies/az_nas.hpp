// The four proxies of AZ-NAS, which are added up as ranks among candidates. Degenerate networks
// score degenerate_score. No LibTorch here.
#pragma once

#include <span>
#include <vector>

#include "evaluators/proxies/degenerate.hpp"
#include "evaluators/proxies/proxy.hpp"

namespace espalier {

/// Expressivity: the sum over blocks of the entropy of the eigenvalues, as shares of their sum, of
/// the covariance of the channels of a block's output over all pixels of 64 normal images.
///
/// Blocks of all proxies of AZ-NAS are the parts of the network that the space names: the outermost
/// scopes that end in front of the classifier, of a stage its parts, as far as their output is a
/// feature map; where that gives less than two, the scopes one level deeper. Weights are normal of
/// variance 2 / fan-in, batch norms use the batch's statistics.
///
/// Source: Lee & Ham, "AZ-NAS: Assembling Zero-Cost Proxies for Network Architecture Search", CVPR
/// 2024, arXiv 2403.19232, and its code.
/// Test: AzNas.ExpressivityIsTheEntropyOfPrincipalComponents.
///
/// Throws UnsupportedError for networks of less than two such blocks. Degenerate where the output
/// of a block is constant.
double az_expressivity(const ProxyInput& input);

/// Progressivity: the smallest difference of the expressivity of a block to that of the one before.
/// Source: Lee & Ham, as above.
/// Test: AzNas.ProgressivityIsTheSmallestStep.
///
/// Throws, and is degenerate, where az_expressivity is.
double az_progressivity(const ProxyInput& input);

/// Trainability: the mean over neighbouring blocks of 2 - s - 1 / (s + 1e-6), where s is the
/// spectral norm of how a random gradient of 1 and -1 at the block's output relates to what it
/// becomes at its input: their products of channels, in the mean over pixels and images. Inputs of
/// more pixels have them as channels. Degenerate where a block passes its gradient on unchanged.
/// Source: Lee & Ham, as above.
/// Differs from the source: a block whose input or output is constant has s = 0.
/// Test: AzNas.TrainabilityIsTheSpectralNormBetweenGradients,
/// AzNas.TrainabilityIsTheMeanOverTheBlocks.
///
/// Throws where az_expressivity does.
double az_trainability(const ProxyInput& input);

/// What several scores say of a set of candidates together: of each candidate the sum over scores
/// of the log of its rank, 1 for the worst, over the number of candidates. `scores` has a list for
/// each score, of one number a candidate, where larger is better; equal numbers share the mean of
/// their ranks. At most 0. O(n log n).
///
/// Source: Lee & Ham, as above, its non-linear ranking aggregation.
/// Test: AzNas.RanksAreAddedUpAsLogarithms.
///
/// Throws NumericalError for lists of unequal lengths and for a NaN or an infinite value.
std::vector<double> aggregate_ranks(std::span<const std::vector<double>> scores);

}  // namespace espalier
