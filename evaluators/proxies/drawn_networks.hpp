// What proxies read of a candidate: networks with normal weights, and batches of images. LibTorch's
// tensors are in it; not for the headers of proxies.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <functional>
#include <optional>
#include <utility>
#include <vector>

#include "evaluators/proxies/degenerate.hpp"
#include "evaluators/proxies/proxy.hpp"
#include "nets/graph_module.hpp"

namespace espalier {

/// Standard deviation of drawn weights: 1, or the square root of 2 / fan-in or 2 / fan-out.
enum class Deviation { one, fan_in, fan_out };

/// Draws the weights of convolutions and linear layers from normal distributions, by the node's
/// name; their biases become 0. All else is as reset_parameters(rng) leaves it.
/// Source: He et al., "Delving Deep into Rectifiers", ICCV 2015, arXiv 1502.01852, section 2.2.
/// Test: DrawnNetworks.WeightsHaveTheirDeviationAndNoBias.
void draw_normal_weights(GraphModule& module, const Rng& rng, Deviation deviation);

/// The weights of all convolutions and linear layers, in the order of the nodes.
std::vector<at::Tensor> layer_weights(const GraphModule& module);

/// The images, {N, C, H, W}, on the device of the input.
at::Tensor image_tensor(const ProxyInput& input);
/// Their classes, {N}. Throws ShapeError for a class that the network has no output for.
at::Tensor label_tensor(const ProxyInput& input);
/// Standard normal numbers in the shape of `count` inputs of the graph.
at::Tensor normal_images(const Graph& graph, std::int64_t count, Rng rng, const at::Device& device);

/// The graph with each operator replaced by what `replace` returns for it; where that is nothing,
/// readers take its first input instead; and for each node the one that stands for it. Shapes stay;
/// so does what compresses operators if `keep` says so.
enum class Compressions { kept, dropped };
std::pair<Graph, std::vector<NodeId>> with_operators(
    const Graph& graph, const std::function<std::optional<Op>(const Op&)>& replace,
    Compressions keep);

/// The last feature map: the input of the global pooling in front of the classifier or, without
/// one, of the first Flatten or Linear there.
NodeId last_feature_map(const Graph& graph);

/// Throws UnsupportedError, naming the proxy and the operator, for a network with attention or
/// layer norms, for which proxies of convolutional networks are not defined.
void check_convolutional(const Graph& graph, std::string_view proxy);

}  // namespace espalier
