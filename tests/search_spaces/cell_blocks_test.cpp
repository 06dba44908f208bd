#include "search_spaces/cell_blocks.hpp"

#include <gtest/gtest.h>

#include <functional>
#include <string>
#include <vector>

#include "core/error.hpp"
#include "graph/cost.hpp"

namespace espalier {
namespace {

Graph network(std::int64_t size, const std::function<NodeId(GraphBuilder&, NodeId)>& block) {
  GraphBuilder builder;
  builder.output(block(builder, builder.input(6, size, size)));
  return builder.build();
}

std::vector<std::string> operators(const Graph& graph) {
  std::vector<std::string> names;
  for (const Node& node : graph.nodes()) names.emplace_back(op_name(node.op));
  return names;
}

TEST(CellBlocks, SeparableConvolutionsAreAppliedTwice) {
  const Graph graph =
      network(8, [](GraphBuilder& b, NodeId x) { return sep_conv(b, x, 5, 2, "op"); });
  EXPECT_EQ(operators(graph),
            (std::vector<std::string>{"input", "activation", "conv2d", "conv2d", "batch_norm2d",
                                      "activation", "conv2d", "conv2d", "batch_norm2d", "output"}));
  EXPECT_EQ(cost(graph).params, 2 * (25 * 6 + 36 + 12));
  EXPECT_EQ(cost(graph).macs, 16 * 2 * (25 * 6 + 36));
  EXPECT_EQ(graph.node(graph.output()).shape.to_string(), "{6, 4, 4}");
}

TEST(CellBlocks, DilatedConvolutionsAreAppliedOnce) {
  const Graph graph =
      network(8, [](GraphBuilder& b, NodeId x) { return dil_conv(b, x, 3, 1, "op"); });
  EXPECT_EQ(cost(graph).params, 9 * 6 + 36 + 12);
  EXPECT_EQ(graph.node(graph.output()).shape.to_string(), "{6, 8, 8}");
  EXPECT_EQ(std::get<op::Conv2d>(graph.node(2).op).dilation, Extent(2));
}

TEST(CellBlocks, FactorizedReductionReadsAllPixels) {
  const auto reduce = [](GraphBuilder& b, NodeId x) { return factorized_reduce(b, x, 5, "op"); };
  const Graph graph = network(8, reduce);
  EXPECT_EQ(operators(graph),
            (std::vector<std::string>{"input", "conv2d", "slice", "slice", "conv2d", "concat",
                                      "batch_norm2d", "output"}));
  EXPECT_EQ(cost(graph).params, 6 * 5 + 10);
  EXPECT_EQ(graph.node(graph.output()).shape.to_string(), "{5, 4, 4}");
  // The second half sees the pixels of odd rows and columns.
  EXPECT_EQ(graph.node(graph.inputs(4)[0]).shape.to_string(), "{6, 7, 7}");
  EXPECT_THROW(network(7, reduce), ShapeError);
}

TEST(CellBlocks, ConvolutionsComeBeforeOrAfterTheirActivation) {
  const Graph before =
      network(8, [](GraphBuilder& b, NodeId x) { return relu_conv_bn(b, x, 4, 3, 2, "op"); });
  EXPECT_EQ(operators(before),
            (std::vector<std::string>{"input", "activation", "conv2d", "batch_norm2d", "output"}));
  EXPECT_EQ(cost(before).params, 9 * 6 * 4 + 8);
  EXPECT_EQ(before.node(before.output()).shape.to_string(), "{4, 4, 4}");
  const Graph after =
      network(8, [](GraphBuilder& b, NodeId x) { return conv_bn_relu(b, x, 4, 3, 1, "op"); });
  EXPECT_EQ(operators(after),
            (std::vector<std::string>{"input", "conv2d", "batch_norm2d", "activation", "output"}));
  EXPECT_EQ(after.node(after.output()).shape.to_string(), "{4, 8, 8}");
}

}  // namespace
}  // namespace espalier
