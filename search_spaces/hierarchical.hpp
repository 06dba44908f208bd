#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "core/options.hpp"
#include "search_spaces/search_space.hpp"

namespace espalier {

struct HierarchicalOptions {
  std::vector<std::int64_t> input{3, 32, 32};  ///< {C, H, W}
  int classes = 10;
  int channels = 16;  ///< of the first group of cells; doubled in each of the two others
  int cells = 1;      ///< in each of three groups
};
const OptionTable<HierarchicalOptions>& hierarchical_options();

/// Hierarchical cells. Level 1: identity, 1x1 convolution, 3x3 depthwise and 3x3 separable
/// convolution (each of them with batch norm and ReLU, the separable one after both of its
/// convolutions), 3x3 max and average pooling. Level 2: six motifs, graphs of 4 nodes whose edges
/// hold one of these operators or none. Level 3: the cell, a graph of 5 nodes whose edges hold one
/// of the motifs or none. A node joins along the channels what its edges bring; each motif ends in
/// a 1x1 convolution to the channels that it was given. 1x1 and separable convolutions have the
/// group's channels, the other operators those of what they read. Cells are followed by 3x3
/// separable convolutions: within a group of stride 1, between groups of stride 2, which double the
/// channels, and one of stride 1 at the end.
///
/// Decisions: motif1.edge1_2 to motif6.edge3_4 and cell.edge1_2 to cell.edge4_5. Their first option
/// is "none" but on the edges from a graph's first node, where it is "identity" or "motif1". So
/// what is not used, whose choices are all 0, takes part as soon as one edge leaves or holds it. A
/// motif without a path from its first to its last node counts as none; a cell without one is
/// invalid. A node that no path reaches adds nothing. There is no supergraph, as what is joined
/// depends on the architecture.
///
/// The default is the small network of the paper's searches; it evaluates what it finds with 64
/// channels and 2 cells.
///
/// Source: Liu et al., "Hierarchical Representations for Efficient Architecture Search", ICLR 2018,
/// arXiv 1711.00436, sections 2 and 4.
/// Test: Hierarchical.TheFoundCellHasThePublishedParams.
/// Throws ConfigError for options that hierarchical_options() refuses; build() throws ShapeError
/// for networks above the limits of graph/graph.hpp.
std::unique_ptr<SearchSpace> make_hierarchical(const HierarchicalOptions& options = {});

}  // namespace espalier
