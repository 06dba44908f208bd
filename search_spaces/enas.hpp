#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "core/options.hpp"
#include "search_spaces/search_space.hpp"

namespace espalier {

struct EnasOptions {
  std::vector<std::int64_t> input{3, 32, 32};  ///< {C, H, W}, H and W multiples of 4
  int classes = 10;
  int channels = 36;  ///< of the first stage; doubled in each of the two others
  int cells = 5;      ///< normal cells in each stage
};
const OptionTable<EnasOptions>& enas_options();

/// The micro search space of ENAS: cells of five blocks, see search_spaces/block_cells.hpp, over 5
/// operators: 3x3 and 5x5 separable convolution, 3x3 average and max pooling, identity. The output
/// of the cell before is projected twice; the identity of a reduction cell is a factorized
/// reduction; the classifier has no bias.
///
/// Architecture strings are those of the reference code: for each block of the normal and then of
/// the reduction cell "input1 op1 input2 op2", 40 numbers with spaces between, operators counted in
/// the order above.
///
/// Source: Pham et al., "Efficient Neural Architecture Search via Parameter Sharing", ICML 2018,
/// arXiv 1802.03268, section 2.4, with the details of its code for fixed architectures.
/// Test: Enas.TheFoundCellHasTheParamsOfTheReferenceCode.
/// Differs from the source: no auxiliary head and no drop path. The paper counts (5 x 5!)^4 pairs
/// of cells; all combinations of the inputs and operators are (6!^2 x 5^10)^2.
/// Throws ConfigError for options that enas_options() refuses; build() throws ShapeError for
/// networks above the limits of graph/graph.hpp.
std::unique_ptr<SearchSpace> make_enas(const EnasOptions& options = {});

}  // namespace espalier
