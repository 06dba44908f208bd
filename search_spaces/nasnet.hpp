#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "core/options.hpp"
#include "search_spaces/search_space.hpp"

namespace espalier {

struct NasnetOptions {
  std::vector<std::int64_t> input{3, 32, 32};  ///< {C, H, W}, H and W multiples of 4
  int classes = 10;
  int channels = 32;  ///< of the first stage; doubled in each of the two others
  int cells = 6;      ///< normal cells in each stage
  /// States (0 to 6) that the cells join although a block reads them.
  std::vector<std::int64_t> normal_also_joins = {};
  std::vector<std::int64_t> reduce_also_joins = {};
};
const OptionTable<NasnetOptions>& nasnet_options();

/// The cell space of NASNet with its network for CIFAR: cells of five blocks, see
/// search_spaces/block_cells.hpp, over 13 operators: identity, 1x3 and 3x1 convolution, 1x7 and 7x1
/// convolution, dilated 3x3 convolution, 3x3 average pooling, 3x3, 5x5 and 7x7 max pooling, 1x1 and
/// 3x3 convolution, and 3x3, 5x5 and 7x7 separable convolution, each convolution between
/// ReLU and batch norm. The identity of a reduction cell is a strided 1x1 convolution.
///
/// Architecture strings are genotypes, see search_spaces/genotype.hpp. What a cell joins follows
/// from its blocks; parse() holds the states that the text gives against it. The published
/// NASNet-A joins state 0 of the normal and state 3 of the reduction cell although blocks read
/// them: give these as `normal_also_joins` and `reduce_also_joins` to get its 3.3 M params.
///
/// Source: Zoph et al., "Learning Transferable Architectures for Scalable Image Recognition", CVPR
/// 2018, arXiv 1707.07012, section 3 and appendix A.
/// Test: Nasnet.NasnetAHasThePublishedParams.
/// Differs from the source: blocks only add, they do not choose to join; the first cell's earlier
/// input, the stem, is brought to the cell's channels like that of every other cell; no auxiliary
/// head and no drop path.
/// Throws ConfigError for options that nasnet_options() refuses; build() throws ShapeError for
/// networks above the limits of graph/graph.hpp.
std::unique_ptr<SearchSpace> make_nasnet(const NasnetOptions& options = {});

}  // namespace espalier
