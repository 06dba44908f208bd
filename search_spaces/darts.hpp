#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "core/options.hpp"
#include "search_spaces/compression.hpp"
#include "search_spaces/supergraph.hpp"

namespace espalier {

/// What comes before the cells: a 3x3 convolution, or three strided ones.
enum class DartsStem { cifar, imagenet };

struct DartsOptions {
  std::vector<std::int64_t> input{3, 32, 32};  ///< {C, H, W}, multiples of 4 (imagenet: of 32)
  int classes = 10;
  DartsStem stem = DartsStem::cifar;
  int channels = 36;  ///< of the first cells' nodes; even for the imagenet stem
  int layers = 20;    ///< cells; those at a third and at two thirds are reduction cells
  std::optional<CompressionOptions> compression = {};
};
const OptionTable<DartsOptions>& darts_options();

/// The cell space of DARTS: a normal and a reduction cell of four nodes each, joined along the
/// channels. Node i of a cell adds two of its i + 2 predecessors (the outputs of the two cells
/// before, each brought to the cell's width, and the nodes before it), through one of 7 operators
/// each. In a reduction cell operators on the cell's inputs have stride 2. All normal cells share
/// their decisions, and so do all reduction cells.
///
/// Decisions: normal.nodeJ.inputs (2 of J, node 2 apart, which has no choice), normal.edgeI_J, and
/// the same of "reduce". The size is (1 x 3 x 6 x 10 x 7^8)^2 = about 10^18, as published.
/// The published networks are the default, and for ImageNet input {3, 224, 224}, 1000 classes,
/// 48 channels, 14 layers; the paper searches with 16 channels and 8 layers.
///
/// Architecture strings are the genotypes of the reference code, see search_spaces/genotype.hpp,
/// followed by ",decision=label" for every decision on compression. The pairs of a node may come in
/// any order; to_string() writes the smaller predecessor first.
///
/// Source: Liu et al., "DARTS: Differentiable Architecture Search", ICLR 2019, arXiv 1806.09055,
/// section 2 and appendix A.
/// Test: Darts.PublishedGenotypesHaveThePublishedCosts.
/// Differs from the source: which edges a node keeps is a decision of its own, so that there is no
/// operator "none"; batch norms are affine as in its evaluation, while its search has them without
/// weights; no auxiliary head and no drop path.
/// Throws ConfigError for options that darts_options() refuses, and ShapeError for networks above
/// the limits of graph/graph.hpp.
std::unique_ptr<SupergraphSpace> make_darts(const DartsOptions& options = {});

}  // namespace espalier
