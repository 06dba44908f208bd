// Zero-cost proxies that compare the gradients of images. Degenerate networks score
// degenerate_score. No LibTorch here.
#pragma once

#include "evaluators/proxies/degenerate.hpp"
#include "evaluators/proxies/proxy.hpp"

namespace espalier {

/// EPE-NAS: how the gradients of the outputs' sum at the images correlate within each class. Of a
/// class, s is the sum over all pairs of its images of log(|correlation| + 1e-5); up to 100 outputs
/// the score is the sum of |s|, above it the mean over classes of the sum of differences |s - s'|
/// to the others, with s divided by the class's images. Weights are drawn by
/// ConvolutionInit::libtorch, batch norms use the batch's statistics. Degenerate where a
/// correlation is undefined, as where a gradient is 0.
///
/// Source: Lopes et al., "EPE-NAS: Efficient Performance Estimation Without Training for Neural
/// Architecture Search", ICANN 2021, arXiv 2102.08099, and its code; above 100 outputs its code
/// leaves out classes of one image, and so does this (0 where no class is left).
/// Test: EpeNas.ComparesImagesOfOneClassOnly.
double epe_nas(const ProxyInput& input);

/// The condition number of the neural tangent kernel: the largest eigenvalue of K over the
/// smallest, where K[i][j] is the scalar product of the gradients, at all weights, of the sums of
/// the outputs for images i and j. Lower is better. At most 1e8, also where K is singular or zero:
/// beyond it float32 gradients cannot tell. Weights are normal of variance 2 / fan-out, batch norms
/// use the batch's statistics, so that each gradient is one backward pass of the whole batch: O(N)
/// passes, and memory for N gradients.
///
/// Source: Chen et al., "Neural Architecture Search on ImageNet in Four GPU Hours: A Theoretically
/// Inspired Perspective", ICLR 2021, arXiv 2102.11535, section 3.1.1.
/// Differs from the source: the network's own condition number, where the source searches by how it
/// changes when an operator leaves a supernet; one draw, not three; singular kernels count as
/// 1e8, where the source has 1e5 or the largest float.
/// Test: Ntk.IsTheConditionNumberOfTheKernel.
double ntk(const ProxyInput& input);

/// ZiCo: the sum over convolutions and linear layers of the log of the sum over their weights of
/// mean |gradient| / standard deviation of the gradient, over two batches: the halves of the images
/// (the last one of an odd number is left out).
/// The loss is the mean cross entropy. Weights whose gradients are equal in both are left out, and
/// so are layers where all are: 0 where no layer is left.
///
/// Source: Li et al., "ZiCo: Zero-shot NAS via Inverse Coefficient of Variation on Gradients", ICLR
/// 2023, arXiv 2301.11300, and its code; two batches as in its section 4.
/// Differs from the source: weights are drawn by ConvolutionInit::libtorch.
/// Test: Zico.IsTheInverseCoefficientOfVariation.
double zico(const ProxyInput& input);

/// GradSign: the sum over the weights of convolutions and linear layers of the absolute value of
/// the sum over images of the sign of the gradient of the cross entropy. Each image is a batch of
/// its own, also for batch norms.
///
/// Source: Zhang & Jia, "GradSign: Model Performance Inference with Theoretical Insights", ICLR
/// 2022, arXiv 2110.08616, algorithm 1.
/// Differs from the source: weights are drawn by ConvolutionInit::libtorch.
/// Test: GradSign.CountsHowImagesAgreeOnTheDirection.
///
/// Throws NumericalError where a batch norm has a single value of an image.
double gradsign(const ProxyInput& input);

}  // namespace espalier
