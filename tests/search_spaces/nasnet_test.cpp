#include "search_spaces/nasnet.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>

#include "core/error.hpp"
#include "search_spaces/sampling.hpp"

namespace espalier {
namespace {

const std::string blocks_of_normal =
    "Genotype(normal=[('sep_conv_5x5', 1), ('sep_conv_3x3', 0), ('sep_conv_5x5', 0), "
    "('sep_conv_3x3', 0), ('avg_pool_3x3', 1), ('skip_connect', 0), ('avg_pool_3x3', 0), "
    "('avg_pool_3x3', 0), ('sep_conv_3x3', 1), ('skip_connect', 1)], ";
const std::string blocks_of_reduce =
    "reduce=[('sep_conv_5x5', 1), ('sep_conv_7x7', 0), ('max_pool_3x3', 1), ('sep_conv_7x7', 0), "
    "('avg_pool_3x3', 1), ('sep_conv_5x5', 0), ('skip_connect', 3), ('avg_pool_3x3', 2), "
    "('sep_conv_3x3', 2), ('max_pool_3x3', 1)], ";
/// NASNet-A as the rule of the paper's text has it.
const std::string nasnet_a = blocks_of_normal + "normal_concat=range(2, 7), " + blocks_of_reduce +
                             "reduce_concat=range(4, 7))";

// NASNet-A (6 @ 768): 3.3 M, the 768 channels being those of the last cell. Without the states that
// its code joins although blocks read them there are 640 channels and 3.1 M params.
TEST(Nasnet, NasnetAHasThePublishedParams) {
  const auto published = make_nasnet({.normal_also_joins = {0}, .reduce_also_joins = {3}});
  const Graph graph =
      published->build(published->parse(blocks_of_normal + "normal_concat=[0, 2, 3, 4, 5, 6], " +
                                        blocks_of_reduce + "reduce_concat=range(3, 7))"));
  EXPECT_EQ(cost(graph).params, 3328234);
  EXPECT_EQ(graph.node(graph.inputs(graph.output())[0]).shape.to_string(), "{10}");
  const auto flatten = std::ranges::find_if(
      graph.nodes(), [](const Node& node) { return std::holds_alternative<op::Flatten>(node.op); });
  EXPECT_EQ(flatten->shape.to_string(), "{768}");
  const auto space = make_nasnet();
  EXPECT_EQ(cost(space->build(space->parse(nasnet_a))).params, 3061738);
}

// Each operator in the first block of the normal cell in place of the first convolution, and in
// that of the reduction cell, where it reads a state that is twice as high.
TEST(Nasnet, OperatorsHaveTheirParams) {
  const auto space = make_nasnet({.input = {3, 8, 8}, .channels = 4, .cells = 1});
  const auto& ops = space->decisions()[1].options;
  ASSERT_EQ(ops.size(), 13u);
  Architecture a{std::vector<std::uint32_t>(40, 0)};
  a.choices[21] = 5;  // a max pooling in place of the reduction cell's identity
  const std::int64_t normal = cost(space->build(a)).params;
  const auto params = [&](std::size_t decision, std::uint32_t op) {
    Architecture b = a;
    b.choices[decision] = op;
    EXPECT_NO_THROW(verify(space->build(b)));
    return cost(space->build(b)).params - normal;
  };
  const auto expected = [](std::int64_t c) {
    const auto separable = [c](std::int64_t k) { return 2 * (k * k * c + c * c + 2 * c); };
    return std::vector<std::int64_t>{0,
                                     6 * c * c + 2 * c,
                                     14 * c * c + 2 * c,
                                     9 * c * c + 2 * c,
                                     0,
                                     0,
                                     0,
                                     0,
                                     c * c + 2 * c,
                                     9 * c * c + 2 * c,
                                     separable(3),
                                     separable(5),
                                     separable(7)};
  };
  for (std::uint32_t op = 0; op < 13; ++op) {
    // The normal cell comes with 4, 8 and 16 channels, the reduction cell with 8 and 16.
    std::int64_t in_normal = 0, in_reduce = 0;
    for (std::int64_t c : {4, 8, 16}) in_normal += expected(c)[op];
    for (std::int64_t c : {8, 16}) in_reduce += op == 0 ? c * c + 2 * c : expected(c)[op];
    EXPECT_EQ(params(1, op), in_normal) << ops[op];
    EXPECT_EQ(params(21, op), in_reduce) << ops[op];
  }
}

TEST(Nasnet, LooseEndsAreJoinedAndHalved) {
  const auto space = make_nasnet({.input = {3, 8, 8}, .channels = 4, .cells = 1});
  const Architecture all_zero{std::vector<std::uint32_t>(40, 0)};
  const std::string text = space->to_string(all_zero);
  EXPECT_NE(text.find("normal_concat=range(1, 7)"), std::string::npos);
  EXPECT_EQ(space->parse(text), all_zero);
  const Graph graph = space->build(all_zero);
  EXPECT_NO_THROW(verify(graph));
  // A chain of blocks leaves one loose end beside the inputs.
  Architecture chain = all_zero;
  for (std::uint32_t block = 0; block < 5; ++block) {
    chain.choices[4 * block] = chain.choices[20 + 4 * block] = block + 1;
  }
  EXPECT_NE(space->to_string(chain).find("normal_concat=[6]"), std::string::npos);
  EXPECT_NO_THROW(verify(space->build(chain)));
}

TEST(Nasnet, RefusesOtherGenotypes) {
  const auto space = make_nasnet();
  const auto error = [&](const std::string& what, const std::string& with) {
    std::string text = nasnet_a;
    text.replace(text.find(what), what.size(), with);
    try {
      space->parse(text);
    } catch (const InvalidArchitecture& e) {
      return std::string(e.what());
    }
    return std::string("no error");
  };
  EXPECT_EQ(error("sep_conv_5x5", "sep_conv_5x6"),
            "unknown operator 'sep_conv_5x6'; did you mean \"sep_conv_5x5\"?");
  EXPECT_EQ(error("('sep_conv_3x3', 0)", "('sep_conv_3x3', 2)"),
            "the normal cell of a NASNet genotype has block 1 read state 2; it may read 0 to 1");
  EXPECT_EQ(error("reduce=[('sep_conv_5x5', 1), ", "reduce=["),
            "the reduce cell of a NASNet genotype has 10 pairs, not 9");
  EXPECT_EQ(error("range(4, 7)", "range(3, 7)"),
            "the reduce cell joins the states 4, 5, 6, which no block reads or reduce_also_joins "
            "names, not 3, 4, 5, 6");
  EXPECT_EQ(error("range(4, 7))", "range(4, 7)) x"),
            "'x' follows the genotype; this space has no other decisions");
}

TEST(Nasnet, RefusesWrongOptions) {
  const auto pointer_of = [](const NasnetOptions& options) {
    try {
      make_nasnet(options);
    } catch (const ConfigError& e) {
      return e.pointer();
    }
    return std::string("no error");
  };
  EXPECT_EQ(pointer_of({.input = {3, 30, 32}}), "/input");
  EXPECT_EQ(pointer_of({.input = {3, 32, 30}}), "/input");
  EXPECT_EQ(pointer_of({.normal_also_joins = {7}}), "/normal_also_joins/0");
  EXPECT_EQ(pointer_of({.normal_also_joins = {1, 1}}), "/normal_also_joins");
  EXPECT_EQ(pointer_of({.reduce_also_joins = {1, 1}}), "/reduce_also_joins");
}

TEST(Nasnet, EveryCombinationCounts) {
  // (2 x 3 x 4 x 5 x 6)^2 inputs and 13^10 operators for each of two cells.
  EXPECT_EQ(space_size(*make_nasnet()).decimal, "5107366597713630212832188866560000");
}

}  // namespace
}  // namespace espalier
