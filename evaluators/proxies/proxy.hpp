// Zero-cost proxies: scores of untrained networks. No LibTorch here.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "core/rng.hpp"
#include "objectives/metric.hpp"
#include "search_spaces/search_space.hpp"

namespace espalier {

/// Normalized training images with their classes.
struct ImageBatch {
  std::array<std::int64_t, 4> shape{};  ///< {N, H, W, C}
  std::vector<float> pixels;            ///< in that order
  std::vector<std::int64_t> labels;     ///< {N}
};

/// Passes through a candidate's network that several proxies read: see ProxyPasses, whose members
/// have these names.
enum class ProxyPass {
  loss_gradients,
  channel_saliencies,
  hessian_gradient_products,
  input_gradients,
  agreements,
  synaptic_flow
};
class ProxyPasses;

/// What a proxy sees of a candidate.
struct ProxyInput {
  const Network& network;
  /// Of weights and whatever else is random. All proxies of a candidate get the same.
  const Rng& rng;
  /// Of the network's input size; empty unless the proxy needs data.
  const ImageBatch& images;
  std::string device = "cpu";  ///< where it may compute: "cpu", "cuda:0"
  /// Of this candidate, shared by its proxies; null where none are (evaluators/proxies/passes.hpp).
  ProxyPasses* passes = nullptr;
};

/// A score of an untrained network.
struct Proxy {
  std::string doc;
  std::string unit = "";
  /// Which scores are better; empty for plain costs of the network.
  std::optional<Direction> direction = Direction::maximize;
  bool needs_data = false;
  /// Those that it reads of the input's, so that they can be made together with those of others.
  std::vector<ProxyPass> passes = {};
  /// A function of its input alone, called from several threads at once.
  std::function<double(const ProxyInput&)> score;
};

/// Proxies by name.
using ProxyCatalogue = std::map<std::string, Proxy>;

/// params, macs and the proxies below. A value: extend a copy with your own.
ProxyCatalogue proxy_catalogue();

/// Weights below are those of convolutions and linear layers, without biases, drawn as LibTorch's
/// layers draw them (ConvolutionInit::libtorch), as in the public code of these; the loss is the
/// mean cross entropy of the batch, of a network in training. Gradients of what does not reach the
/// output count 0, as in the source.

/// The sum over the layers of the Euclidean norms of their weights.
///
/// Source: Abdelfattah et al., "Zero-cost proxies for lightweight NAS", ICLR 2021, arXiv
/// 2101.08134, in its code alone.
/// Test: L2Norm.IsTheSumOfTheLayersNorms.
double l2_norm(const ProxyInput& input);

/// The sum over the weights of weight x gradient of the loss, with its sign.
///
/// Source: Mozer & Smolensky, "Skeletonization", NIPS 1988; summed as in Abdelfattah et al., arXiv
/// 2101.08134, in its code.
/// Differs from the source: of weights, where the first has units.
/// Test: LossProxies.EqualFiniteDifferences.
double plain(const ProxyInput& input);

/// The sum over the layers of the Euclidean norms of the loss's gradient at their weights.
///
/// Source: Abdelfattah et al., arXiv 2101.08134, section 3.2.
/// Differs from the source: norms of layers are added, as in its code; the text has one norm.
/// Test: LossProxies.EqualFiniteDifferences.
double grad_norm(const ProxyInput& input);

/// The sum over the weights of |weight x gradient of the loss|.
///
/// Source: Lee et al., "SNIP: single-shot network pruning based on connection sensitivity", ICLR
/// 2019, arXiv 1810.02340; summed as in Abdelfattah et al., arXiv 2101.08134, section 3.2.
/// Differs from the source: sensitivities are not divided by their sum, as in the latter.
/// Test: LossProxies.EqualFiniteDifferences.
double snip(const ProxyInput& input);

/// The sum over the weights of -weight x (H g), with g the gradient of the loss and H its Hessian.
///
/// Source: Wang et al., "Picking winning tickets before training by preserving gradient flow", ICLR
/// 2020, arXiv 2002.07376; summed as in Abdelfattah et al., arXiv 2101.08134, section 3.2.
/// Differs from the source: one batch for g and H and outputs as they are, as in the latter's code;
/// the first has batches of ten images a class, and divides outputs by 200.
/// Throws UnsupportedError for a network with hard sigmoids.
/// Test: Grasp.IsTheChangeOfTheGradientAlongItself.
double grasp(const ProxyInput& input);

/// The sum over the channels k of a layer's output y of half the mean over the images of (sum over
/// places of y_k x dloss/dy_k)^2, times the weights that make the channel; over all layers.
///
/// Source: Theis et al., "Faster gaze prediction with dense networks and Fisher pruning", 2018,
/// arXiv 1801.05787; Turner et al., "BlockSwap", ICLR 2020, arXiv 1906.04113; summed as in
/// Abdelfattah et al., arXiv 2101.08134, section 3.2.
/// Differs from the source: a channel counts once for each of its weights, as in the latter's code,
/// and the loss is the batch's mean, so that the gradients of an image have its share.
/// Test: Fisher.SquaresTheSumsOfImagesFoundByFiniteDifferences.
double fisher(const ProxyInput& input);

/// How little the gradients of the outputs' sum at different images correlate: with v the
/// eigenvalues of their correlation matrix, the sum of -(log(v + k) + 1 / (v + k)), k = 1e-5.
///
/// Source: Mellor et al., "Neural architecture search without training", the first version of 2020,
/// arXiv 2006.04647v1; as in Abdelfattah et al., arXiv 2101.08134, section 3.2.
/// Differs from the source: a gradient of equal numbers (up to 1e-6 of its length), as without a
/// path, has no correlations, and the source not a number; the score is then the lowest that there
/// is, that of images which all correlate fully.
/// Test: JacobCov.IsTheSumOverTheEigenvaluesOfCorrelations.
double jacob_cov(const ProxyInput& input);

/// SynFlow: the sum over the weights of convolutions and linear layers of |weight x gradient| of R,
/// the sum of the outputs for an input of ones, where all parameters are replaced by their absolute
/// values; it spans hundreds of orders of magnitude between networks. Without gradients where all
/// operators are linear on positive numbers, see synaptic_flow_sum(), else with them in float64.
/// Batch norms, quantizers and dropout pass their input on unchanged. 0 where the output does
/// not depend on its input and no layer on the way has a bias; infinite (a failed trial) beyond
/// 1e308.
///
/// Source: Tanaka et al., "Pruning neural networks without any data by iteratively conserving
/// synaptic flow", NeurIPS 2020, arXiv 2006.05467, equation 2; as a proxy with batch norms left
/// out: Abdelfattah et al., "Zero-cost proxies for lightweight NAS", ICLR 2021, arXiv 2101.08134.
/// Differs from the source: a ReLU6 is a ReLU, as it has no gradient beyond 6.
/// Test: Synflow.IsTheGradientTimesTheWeight.
double synflow(const ProxyInput& input);

/// As synflow, of |weight x log(1 + |gradient|)|: gradients explode with depth, their logarithms do
/// not.
///
/// Source: Cavagnero et al., "FreeREA: training-free evolution-based architecture search", WACV
/// 2023, arXiv 2207.05135.
/// Differs from the source: as synflow.
/// Test: LogSynflow.TakesTheLogarithmOfEachGradient.
double log_synflow(const ProxyInput& input);

/// NASWOT: the log determinant of K, where K[i][j] is the number of rectifier units at which images
/// i and j agree in being positive or not; batch norms use the batch's statistics. Units are the
/// inputs of ReLU, ReLU6 and hard swish.
///
/// Source: Mellor et al., "Neural architecture search without training", ICML 2021, arXiv
/// 2006.04647, equation 2.
/// Differs from the source: hard swish counts as a rectifier; 0 where K is singular up to rounding
/// (its smallest eigenvalue is at most 2^-52 of the largest times the number of images), as where
/// no unit tells two images apart, or units + 1 are fewer than the images: the source has minus
/// infinity there, or what rounding makes of it. As K holds integers, no other network is below 0.
/// Test: Naswot.IsTheLogDeterminantOfAgreements.
double naswot(const ProxyInput& input);

}  // namespace espalier
