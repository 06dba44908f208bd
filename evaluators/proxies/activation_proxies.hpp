// Zero-cost proxies that look at the activations of a forward pass. Degenerate networks score
// degenerate_score. No LibTorch here.
#pragma once

#include "evaluators/proxies/degenerate.hpp"
#include "evaluators/proxies/proxy.hpp"

namespace espalier {

/// Zen score: log of how far the last feature map moves, in the mean over images the sum of
/// absolute differences, when 0.01 times normal noise is added to normal images, plus for each
/// batch norm the log of its input's standard deviation (square root of the mean over channels of
/// the batch's variances). All weights are standard normal; the mean of 4 draws of 16 images.
/// Degenerate where the feature map does not move.
///
/// Source: Lin et al., "Zen-NAS: A Zero-Shot NAS for High-Performance Image Recognition", ICCV
/// 2021, arXiv 2102.01063, algorithm 1.
/// Differs from the source: residual links stay (the source's algorithm removes them, its scores of
/// NAS-Bench-201 that others published keep them); the variance is the batch's, as algorithm 1
/// says, where the source's code reads running variances; 4 draws, not 32; a batch norm whose input
/// is constant adds nothing, where the source has minus infinity.
/// Test: Zen.CompensatesForBatchNorms.
///
/// Throws UnsupportedError for networks with attention or layer norms.
double zen(const ProxyInput& input);

/// Entropy score: the differential entropy, up to constants, of the last feature map of the linear
/// network that is left without batch norms, activations, gates and dropout, for standard normal
/// weights and images: the log of its standard deviation plus the log of its channels. In float64;
/// the mean of 4 draws of 16 images. Degenerate where the feature map is constant.
///
/// Source: Sun et al., "MAE-DET: Revisiting Maximum Entropy Principle in Zero-Shot NAS for
/// Efficient Object Detection", ICML 2022, arXiv 2111.13336, with the weights that its code has for
/// classification: only the last stage counts.
/// Differs from the source: residual links and branches stay, as a general graph has no main path;
/// instead of dividing by the deviation after every layer and adding up the logs, which is the same
/// in a chain, the last deviation is taken; max pooling stays.
/// Test: Entropy.OfAChainIsTheSumOfTheLogDeviations.
///
/// Throws UnsupportedError for networks with attention or layer norms.
double entropy_score(const ProxyInput& input);

/// SWAP: the number of different sample-wise activation patterns. The pattern of a rectifier unit
/// is on which of the images it is positive. Weights are standard normal, batch norms use the
/// batch's statistics, images are the input's.
///
/// Source: Peng et al., "SWAP-NAS: Sample-Wise Activation Patterns for Ultra-fast NAS", ICLR 2024,
/// arXiv 2403.04161, and its code.
/// Differs from the source: relu6 and hard swish count as rectifiers; one draw of the weights,
/// where its code takes the mean of 32.
/// Test: Swap.CountsPatternsOverImagesNotOverUnits.
///
/// Throws UnsupportedError for a network without a rectifier on a feature map.
double swap_score(const ProxyInput& input);

/// What the regularized SWAP prefers, in thousands of parameters.
struct SwapSize {
  double mu = 40;     ///< where the factor is 1
  double sigma = 40;  ///< how fast it falls, > 0
};
/// The SWAP score times exp(-(params / 1000 - mu)^2 / sigma), for a catalogue of your own.
/// Source: Peng et al., as above, the regularized score.
/// Test: Swap.RegularizedPrefersASize.
///
/// Throws ConfigError unless sigma > 0.
Proxy regularized_swap(const SwapSize& size);

/// The number of linear regions that 3,000 small images fall into: of different activation patterns
/// of all rectifiers, in a thin network. That is the network with channels divided by those of its
/// narrowest convolution, for crops of one channel of the images, of the smallest of 4, 8, 16, ...
/// pixels a side that all of its operators take. Weights are normal of variance 2
/// / fan-in; batches of 1,000; the mean of 3 draws. Regions are at most 3,000.
///
/// Source: Chen et al., "Neural Architecture Search on ImageNet in Four GPU Hours: A Theoretically
/// Inspired Perspective", ICLR 2021, arXiv 2102.11535, section 3.1.2, and its code: 3 batches of
/// 1,000 crops of 3x3 pixels, thin networks whose first stage has one channel.
/// Differs from the source: crops have 4 pixels a side or more, as halves of 3 pixels do not fit
/// each other; it scores the network alone, where the source scores a supernet with and without an
/// operator; relu6 and hard swish count as rectifiers; convolutions of several groups that are not
/// depthwise have one group in the thin network, whose channels would often not divide.
/// Test: LinearRegions.AreThePatternsOfSmallImages.
///
/// Throws UnsupportedError for a network without a rectifier on a feature map, or that has no thin
/// form: where channels are sliced, shuffled or added that do not fit when divided.
double linear_regions(const ProxyInput& input);

/// MeCo: the sum over operators of the smallest eigenvalue of the correlation matrix of their
/// output's channels, for one normal image. Weights are drawn by ConvolutionInit::libtorch, batch
/// norms use the image's statistics. Channels that are constant correlate with nothing, themselves
/// included, as in the source.
///
/// Source: Jiang et al., "MeCo: Zero-Shot NAS with One Data and Single Forward Pass via Minimum
/// Eigenvalue of Correlation", NeurIPS 2023, and its code.
/// Differs from the source: each operator whose output is a feature map counts once, sums and
/// concatenations included, where its code counts the modules of its own networks, containers too;
/// an image of the network's input size, where its code always has 64x64 pixels.
/// Test: Meco.IsTheSumOfSmallestEigenvalues.
///
/// Throws UnsupportedError for a network without feature maps behind its input, NumericalError for
/// a batch norm of a single value.
double meco(const ProxyInput& input);

}  // namespace espalier
