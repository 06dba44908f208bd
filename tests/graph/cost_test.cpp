#include "graph/cost.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/error.hpp"
#include "graph/blocks.hpp"
#include "tests/core/throws.hpp"
#include "tests/graph/test_graphs.hpp"

namespace espalier {
namespace {

TEST(Cost, SmallNetByHand) {
  GraphBuilder b;
  const auto x = b.input(3, 8, 8);                                  // 192 values
  auto y = b.conv(x, 4, {.kernel = 3, .stride = 2, .bias = true});  // {4, 4, 4}
  y = b.batch_norm(y);
  y = b.depthwise(y, {.kernel = {3, 5}});
  y = b.conv(y, 6, {.group_width = 2});  // {6, 4, 4}
  y = b.batch_norm(y, {.affine = false});
  y = b.flatten(b.global_avg_pool(y));
  b.output(b.linear(y, 10));
  const Graph g = b.build();
  const std::int64_t conv = 3 * 9 * 4, depthwise = 4 * 15, grouped = 2 * 6, linear = 6 * 10;
  const Cost c = cost(g);
  EXPECT_EQ(c.params, conv + 4 + 8 + depthwise + grouped + linear + 10);
  EXPECT_EQ(c.macs, conv * 16 + depthwise * 16 + grouped * 16 + linear);
  EXPECT_EQ(c.storage_bytes, 4 * c.params);
  EXPECT_EQ(c.peak_memory_bytes, 4 * (192 + 64));
  EXPECT_EQ(node_macs(g, 1), conv * 16);
  EXPECT_EQ(node_params(g, 1), conv + 4);
  EXPECT_EQ(node_storage_bytes(g, 1), 4 * (conv + 4));
}

TEST(Cost, LinearOnTokens) {
  Graph g;
  // Tokens come from no operator yet, so the shape is set by hand.
  const auto x = g.add(op::Input{1, 1, 1}, {}, "x");
  Graph tokens = Graph::like(g);
  tokens.add_trusted(op::Input{1, 1, 1}, {}, g.node(x).name, no_scope, {}, {7, 5});
  const auto y = tokens.add(op::Linear{3}, std::array{NodeId{0}}, "linear");
  EXPECT_EQ(node_macs(tokens, y), 7 * 5 * 3);
  EXPECT_EQ(node_params(tokens, y), 5 * 3 + 3);
}

TEST(Cost, StorageCountsBitsAndScales) {
  const auto storage = [](Quantization q, bool bias) {
    Graph g;
    g.add(op::Input{3, 4, 4}, {}, "x");
    g.add(op::Conv2d{.out_channels = 5, .kernel = 1, .bias = bias}, std::array{NodeId{0}}, "conv",
          no_scope, {q});
    EXPECT_EQ(node_params(g, 1), 15 + (bias ? 5 : 0));  // scales are no params
    return node_storage_bytes(g, 1);
  };
  EXPECT_EQ(storage({32, 8}, false), 60);
  EXPECT_EQ(storage({8, 8}, false), 15 + 5 * 4);
  EXPECT_EQ(storage({4, 32}, false), 8 + 5 * 4);  // 60 bits
  EXPECT_EQ(storage({3, 8}, false), 6 + 5 * 4);   // 45 bits
  EXPECT_EQ(storage({2, 8}, true), 4 + 5 * 4 + 5 * 4);
}

TEST(Cost, OpenCostsCloseToConcreteOnes) {
  const Dim in = Dim::select(0, std::array{Dim(4), Dim(8)});
  const Dim out = Dim::select(1, std::array{Dim(6), Dim(10), Dim(12)});
  const Dim kernel = Dim::select(2, std::array{Dim(1), Dim(3)});
  const Dim bits = Dim::select(3, std::array{Dim(3), Dim(8), Dim(32)});
  GraphBuilder b;
  auto x = b.conv(b.input(3, 9, 9), in, {.kernel = kernel});
  x = b.append(op::Conv2d{.out_channels = out, .kernel = {kernel, 3}, .padding = 1, .bias = true},
               std::array{x}, "quantized", {Quantization{bits, 8}});
  x = b.batch_norm(x);
  x = b.depthwise(x, {.kernel = 3, .stride = Dim::select(2, std::array{Dim(1), Dim(2)})});
  x = b.conv(x, out * Dim(2), {.group_width = 2});
  x = b.flatten(b.global_avg_pool(x));
  x = b.append(op::Linear{in}, std::array{x}, "linear", {Quantization{bits, bits}});
  b.output(x);
  const Graph graph = b.build();
  for (std::uint32_t a = 0; a < 2 * 3 * 2 * 3; ++a) {
    const std::array<std::uint32_t, 4> choices{a % 2, a / 2 % 3, a / 6 % 2, a / 12};
    const Graph small = closed(graph, choices);
    Cost sum;
    for (NodeId i = 0; i < graph.size(); ++i) {
      const NodeCost c = node_cost(graph, i);
      EXPECT_EQ(c.params.at(choices), node_params(small, i));
      EXPECT_EQ(c.macs.at(choices), node_macs(small, i));
      EXPECT_EQ(c.storage_bytes.at(choices), node_storage_bytes(small, i));
      sum.params += node_params(small, i);
      sum.macs += node_macs(small, i);
      sum.storage_bytes += node_storage_bytes(small, i);
    }
    sum.peak_memory_bytes = peak_memory_bytes(small);
    EXPECT_EQ(cost(small), sum);
  }
  EXPECT_THROW(cost(graph), InvalidArchitecture);
  EXPECT_THROW((void)node_macs(graph, 1), InvalidArchitecture);
}

TEST(Cost, AChoiceIsOpenThoughItsInputsHaveOneShape) {
  GraphBuilder b;
  const auto x = b.input(3, 4, 4);
  const auto choice = b.append(op::Choice{0, 1}, std::array{b.conv(x, 3), b.zero(x)}, "pick");
  b.output(choice);
  const Graph graph = b.build();
  const auto refused = [](auto action) {
    EXPECT_THAT(throws<InvalidArchitecture>(action), testing::HasSubstr("choice 'pick' is open"));
  };
  refused([&] { cost(graph); });
  refused([&] { peak_memory_bytes(graph); });
  refused([&] { node_macs(graph, choice); });
  refused([&] { node_params(graph, choice); });
  refused([&] { node_storage_bytes(graph, choice); });
  EXPECT_EQ(node_cost(graph, choice).params, Dim(0));
}

TEST(Cost, TokensAndDeformableConvolutionsByHand) {
  GraphBuilder b;
  NodeId x = b.input(3, 4, 4);
  const NodeId offsets = b.conv(x, 18);                                       // 54 weights
  x = b.deform_conv(std::array{x, offsets}, 8, {.kernel = 3, .bias = true});  // 216 + 8
  x = b.scale(b.layer_norm(x));                                               // 16 + 8
  x = b.position_embedding(b.class_token(b.tokens(x)));                       // 8 + 17 x 8
  x = b.attention(x, x, b.linear(x, 8, {.bias = false}), 4);                  // 64
  b.output(x);
  const Cost c = cost(b.build());
  EXPECT_EQ(c.params, 54 + 216 + 8 + 16 + 8 + 8 + 17 * 8 + 64);
  EXPECT_EQ(c.storage_bytes, 4 * c.params);
  EXPECT_EQ(c.macs, (54 + 216) * 16 + 64 * 17 + 2 * 17 * 17 * 8);
}

/// The definition, step by step: at each step every value lives that is computed by then and still
/// read then or later, and an operator that only passes its first input on may write over it.
std::int64_t simulated_peak(const Graph& graph) {
  const auto read_after = [&](NodeId value, NodeId step) {
    for (NodeId reader = step + 1; reader < graph.size(); ++reader) {
      if (std::ranges::count(graph.inputs(reader), value) > 0) return true;
    }
    return false;
  };
  std::int64_t peak = 0;
  for (NodeId step = 0; step < graph.size(); ++step) {
    const auto inputs = graph.inputs(step);
    std::int64_t sum = graph.node(step).shape.elements();
    for (NodeId value = 0; value < step; ++value) {
      const bool read_now = std::ranges::count(inputs, value) > 0;
      if (read_now || read_after(value, step)) sum += graph.node(value).shape.elements();
    }
    const std::string_view op = op_name(graph.node(step).op);
    const bool passes_on = op == "batch_norm2d" || op == "activation" || op == "dropout" ||
                           op == "flatten" || op == "output" || op == "add" || op == "multiply" ||
                           op == "layer_norm" || op == "scale" || op == "position_embedding";
    if (passes_on && !read_after(inputs[0], step)) sum -= graph.node(inputs[0]).shape.elements();
    peak = std::max(peak, sum);
  }
  return 4 * peak;
}

TEST(PeakMemory, AgreesWithSimulation) {
  const Rng rng(5);
  for (std::uint64_t round = 0; round < 2000; ++round) {
    Rng r = rng.fork(round);
    const Graph graph = random_graph(r, 2 + r.below(14), all_operators());
    ASSERT_EQ(peak_memory_bytes(graph), simulated_peak(graph)) << round;
  }
}

TEST(PeakMemory, ByHand) {
  GraphBuilder b;
  const auto x = b.input(1, 4, 4);                // 16
  const auto left = b.conv(x, 4, {.kernel = 3});  // 64, with x: 80
  const auto right = b.conv(x, 4);                // 64, with x and left: 144
  const auto sum = b.add(left, right);            // over left
  b.output(b.activation(sum, ActivationKind::relu));
  EXPECT_EQ(peak_memory_bytes(b.build()), 4 * 144);
}

}  // namespace
}  // namespace espalier
