#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "graph/builder.hpp"
#include "search_spaces/search_space.hpp"

namespace espalier {

/// Blocks of a cell.
inline constexpr std::size_t cell_blocks = 5;

/// What NASNet and ENAS agree on, and where they differ.
struct BlockCellOptions {
  std::vector<std::string> operators;  ///< to choose from, for each of a block's two inputs
  /// Applies an operator with a stride of 1 or 2 to a state of the cell's channels, which stay.
  std::function<NodeId(GraphBuilder&, NodeId, std::size_t op, std::int64_t stride)> apply;
  std::array<std::vector<std::int64_t>, 2> also_joined = {};  ///< of normal and reduction cells
  int input_projections = 1;  ///< 1x1 convolutions on the output of the cell before
  bool classifier_bias = true;
  std::array<std::int64_t, 3> input{3, 32, 32};  ///< {C, H, W}, H and W multiples of 4
  std::int64_t classes = 10;
  std::int64_t channels = 32;  ///< of the first stage; doubled in each of the two others
  int cells = 6;               ///< normal cells in each stage
};

/// A 3x3 convolution to three times the channels, and three stages of normal cells with a reduction
/// cell between. A cell reads the outputs of the two
/// cells before, brought to its channels (states 0, the last but one, and 1), and has five blocks
/// (states 2 to 6): each adds two earlier states through an operator each. The states that no block
/// reads are joined along the channels, and `also_joined` with them. In a reduction cell operators
/// on states 0 and 1 have stride 2, and such a state that is joined is halved.
///
/// Decisions, 20 for each kind of cell: normal.block1.input1, .op1, .input2, .op2, ..., and the
/// same of "reduce". All are always active, as each block ends in the output. The wiring of the
/// output depends on the architecture, so that there is no supergraph.
class BlockCellSpace : public SearchSpace {
 public:
  explicit BlockCellSpace(BlockCellOptions options);

  Graph build(const Architecture& a) const override;

  /// The states that the normal (0) or the reduction cell (1) joins, ascending.
  std::vector<std::int64_t> joined(const Architecture& a, std::size_t kind) const;

 private:
  NodeId cell(GraphBuilder& builder, NodeId before, NodeId last, const Architecture& a,
              std::size_t kind, std::int64_t channels, const std::string& name) const;

  BlockCellOptions options_;
};

}  // namespace espalier
