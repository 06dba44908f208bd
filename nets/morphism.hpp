// Weights of a network from those of a similar one.
#pragma once

#include "core/rng.hpp"
#include "nets/graph_module.hpp"

namespace espalier {

/// Sets all parameters and buffers of a network, the child, from those of a similar one, the
/// parent, and seeds its dropout. Nodes correspond where they have the same name and operator, and
/// convolutions groups of equally many channels. Of each tensor the child takes what both have, the
/// first channels and the centre of the kernel, as a supernet's architectures do; what is new is
/// such that the child computes what the parent does, where one of these is all that has changed:
/// - a larger kernel with same padding, both odd, is the parent's amid zeros;
/// - a new channel (with attention: head) is the copy of a random one, and all copies share the
///   weights that read it, in random parts whose sum is 1. Channels that are tied by sums, products
///   and depthwise convolutions are copied alike, also through concatenations;
/// - a new residual branch adds 0, and so does one in the place of `Zero`: what is added, a batch
///   norm, Scale, linear layer or convolution, is 0;
/// - a new layer in a row is the identity: batch norms (by the statistics that they hold),
///   convolutions of stride 1 and odd kernels and linear layers, all with outputs of the inputs'
///   shape, dropout, and ReLU or ReLU6 of what these leave as it is.
/// So in evaluation mode, up to rounding; all but the last in training mode, too.
///
/// Anything else is new, as from reset_parameters(): other layers without a counterpart, and new
/// channels of grouped convolutions and of what is cut or shuffled. Then, and with smaller kernels
/// or fewer channels or layers, more channels of a layer norm, other activations, bits or
/// resolutions, the child computes something else. Deterministic in the two networks and the
/// generator's key.
///
/// Source: Chen et al., "Net2Net", ICLR 2016, arXiv 1511.05641 (channels, identities); Wei et al.,
/// "Network Morphism", ICML 2016, arXiv 1603.01670 (kernels); Goyal et al., "Accurate, Large
/// Minibatch SGD", 2017, arXiv 1706.02677 (residual branches of 0). Differs from the sources: the
/// parts of copies are random, not equal, so that copies do not learn alike without noise; a batch
/// norm that is the identity does not have the statistics of a batch.
/// Test: Morphism.CopiesShareTheWeightsThatReadThem.
void morph(const GraphModule& parent, GraphModule& child, const Rng& rng);

}  // namespace espalier
