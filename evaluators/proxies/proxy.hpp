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

/// What a proxy sees of a candidate.
struct ProxyInput {
  const Network& network;
  /// Of weights and whatever else is random. All proxies of a candidate get the same.
  const Rng& rng;
  /// Of the network's input size; empty unless the proxy needs data.
  const ImageBatch& images;
  std::string device = "cpu";  ///< where it may compute: "cpu", "cuda:0"
};

/// A score of an untrained network.
struct Proxy {
  std::string doc;
  std::string unit = "";
  /// Which scores are better; empty for plain costs of the network.
  std::optional<Direction> direction = Direction::maximize;
  bool needs_data = false;
  /// A function of its input alone, called from several threads at once.
  std::function<double(const ProxyInput&)> score;
};

/// Proxies by name.
using ProxyCatalogue = std::map<std::string, Proxy>;

/// params, macs, synflow, naswot. A value: extend a copy with your own.
ProxyCatalogue proxy_catalogue();

/// SynFlow: the sum over the weights of convolutions and linear layers of |weight x gradient| of R,
/// the sum of the outputs for an input of ones, where all parameters are replaced by their absolute
/// values; in float64, in which it spans hundreds of orders of magnitude between networks. Batch
/// norms, quantizers and dropout pass their input on unchanged. 0 for a network whose output does
/// not depend on its input; infinite (a failed trial) beyond 1e308.
///
/// Source: Tanaka et al., "Pruning neural networks without any data by iteratively conserving
/// synaptic flow", NeurIPS 2020, arXiv 2006.05467, equation 2; as a proxy with batch norms left
/// out: Abdelfattah et al., "Zero-cost proxies for lightweight NAS", ICLR 2021, arXiv 2101.08134.
/// Differs from the source: a ReLU6 is a ReLU, as it has no gradient beyond 6; weights are drawn as
/// GraphModule::reset_parameters says.
/// Test: Synflow.IsTheGradientTimesTheWeight.
double synflow(const ProxyInput& input);

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
