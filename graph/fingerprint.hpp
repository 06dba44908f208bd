#pragma once

#include "core/hash.hpp"
#include "graph/graph.hpp"

namespace espalier {

/// A hash that is equal for isomorphic concrete graphs, on every machine.
///
/// It is taken of the simplified graph, and mixes in params and macs of the graph before. Operators
/// with their attributes, shapes, bits and the wiring count; names, scopes, stored order, the order
/// of the inputs of Add and Multiply, and what zeros are made from do not.
///
/// Colours are refined downwards (by the inputs) and upwards (by the readers) until no class splits
/// any more; both sweeps follow the stored order, so a few suffice. The hash is of the colours,
/// gathered by the connected parts of the nodes whose colour is not unique: two nodes of equal
/// colour are then told apart by what they are connected to, so that x + f(x), y + f(y) differs
/// from x + f(y), y + f(x). Where no part repeats a colour, graphs of equal fingerprint are
/// isomorphic (but for a collision of 128-bit hashes); others could in principle share one.
///
/// Throws InvalidArchitecture on an open graph. Time O(nodes x log nodes) per sweep.
/// Source: Weisfeiler and Leman, "The reduction of a graph to canonical form and the algebra which
/// appears therein", 1968; Shervashidze et al., "Weisfeiler-Lehman Graph Kernels", JMLR 2011.
/// Differs from the source: directed, both ways; inputs keep their order where it matters, and a
/// node that reads another twice is told from one that reads two equal nodes; parts, as above.
/// Test: Fingerprint.TellsAllSmallGraphsApartExactly.
Hash128 fingerprint(const Graph& graph);

/// A hash of an operator with its attributes and bits, equal on every machine; its name, its scope
/// and its inputs do not count. Throws InvalidArchitecture where an attribute is open.
Hash128 operator_hash(const Node& node);

}  // namespace espalier
