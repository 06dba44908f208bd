#include "search_spaces/darts.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>

#include "core/error.hpp"
#include "search_spaces/sampling.hpp"

namespace espalier {
namespace {

const std::string darts_v1 =
    "Genotype(normal=[('sep_conv_3x3', 1), ('sep_conv_3x3', 0), ('skip_connect', 0), "
    "('sep_conv_3x3', 1), ('skip_connect', 0), ('sep_conv_3x3', 1), ('sep_conv_3x3', 0), "
    "('skip_connect', 2)], normal_concat=[2, 3, 4, 5], reduce=[('max_pool_3x3', 0), "
    "('max_pool_3x3', 1), ('skip_connect', 2), ('max_pool_3x3', 0), ('max_pool_3x3', 0), "
    "('skip_connect', 2), ('skip_connect', 2), ('avg_pool_3x3', 0)], reduce_concat=[2, 3, 4, 5])";
const std::string darts_v2 =
    "Genotype(normal=[('sep_conv_3x3', 0), ('sep_conv_3x3', 1), ('sep_conv_3x3', 0), "
    "('sep_conv_3x3', 1), ('sep_conv_3x3', 1), ('skip_connect', 0), ('skip_connect', 0), "
    "('dil_conv_3x3', 2)], normal_concat=range(2, 6), reduce=[('max_pool_3x3', 0), "
    "('max_pool_3x3', 1), ('skip_connect', 2), ('max_pool_3x3', 1), ('max_pool_3x3', 0), "
    "('skip_connect', 2), ('skip_connect', 2), ('max_pool_3x3', 1)], reduce_concat=range(2, 6))";

const DartsOptions small{.input = {3, 8, 8}, .channels = 4, .layers = 3};

// Without the auxiliary head.
TEST(Darts, PublishedGenotypesHaveThePublishedCosts) {
  const auto space = make_darts();
  const Cost first = cost(space->build(space->parse(darts_v1)));
  EXPECT_EQ(first.params, 3169414);
  EXPECT_EQ(first.macs, 500987520);
  const Cost second = cost(space->build(space->parse(darts_v2)));
  EXPECT_EQ(second.params, 3349342);
  EXPECT_EQ(second.macs, 528359040);
}

// The paper's table 2 says 4.7 M params. Its 574 M multiply-adds hold more than those of
// convolutions and linear layers: users of its code, too, counted 523 M to 545 M for them.
TEST(Darts, TheImagenetNetworkHasThePublishedParams) {
  const auto space = make_darts({.input = {3, 224, 224},
                                 .classes = 1000,
                                 .stem = DartsStem::imagenet,
                                 .channels = 48,
                                 .layers = 14});
  const Cost second = cost(space->build(space->parse(darts_v2)));
  EXPECT_EQ(second.params, 4718752);
  EXPECT_EQ(second.macs, 529911552);
}

// The paper: about 10^9 cells of each kind, the product of k (k + 1) / 2 x 7^2 for k = 1 to 4.
TEST(Darts, TheSpaceIsAsLargeAsPublished) {
  const SpaceSize size = space_size(*make_darts(small));
  EXPECT_FALSE(size.estimate);
  EXPECT_EQ(size.decimal, "1076746950455072400");  // (180 x 7^8)^2
}

TEST(Darts, CellsOfOneKindShareTheirDecisions) {
  const auto space = make_darts(small);
  ASSERT_EQ(space->decisions().size(), 34u);
  EXPECT_EQ(space->decisions()[0].name, "normal.edge0_2");
  EXPECT_EQ(space->decisions()[2].name, "normal.node3.inputs");
  EXPECT_EQ(space->decisions()[17].name, "reduce.edge0_2");
  const auto convs = [&](const Architecture& a) {
    const Graph graph = space->build(a);
    return std::ranges::count_if(graph.nodes(), [](const Node& node) {
      return std::holds_alternative<op::Conv2d>(node.op);
    });
  };
  const Architecture pools{std::vector<std::uint32_t>(34, 0)};
  Architecture normal = pools, reduce = pools;
  normal.choices[0] = 3;   // a separable convolution is four, in one normal cell
  reduce.choices[17] = 3;  // and in two reduction cells
  EXPECT_EQ(convs(normal), convs(pools) + 4);
  EXPECT_EQ(convs(reduce), convs(pools) + 8);
}

TEST(Darts, StringsRoundTrip) {
  const auto space = make_darts(small);
  const Architecture a = space->parse(darts_v2);
  EXPECT_EQ(space->canonical(a), a);
  EXPECT_EQ(space->parse(space->to_string(a)), a);
  EXPECT_TRUE(space->to_string(a).ends_with("reduce_concat=range(2, 6))"));
  EXPECT_EQ(choice_label(space->decisions()[11], a.choices[11]), "0+2");  // normal.node5.inputs
  DartsOptions options = small;
  options.compression = CompressionOptions{.weight_bits = {4, 8}};
  const auto compressed = make_darts(options);
  ASSERT_GT(compressed->decisions().size(), 34u);
  Rng rng(3);
  for (int i = 0; i < 20; ++i) {
    const Architecture b = sample_uniform(*compressed, rng);
    EXPECT_EQ(compressed->parse(compressed->to_string(b)), b);
  }
}

TEST(Darts, RefusesOtherGenotypes) {
  const auto space = make_darts(small);
  const auto error = [&](std::string text, const std::string& what, const std::string& with) {
    text.replace(text.find(what), what.size(), with);
    try {
      space->parse(text);
    } catch (const InvalidArchitecture& e) {
      return std::string(e.what());
    }
    return std::string("no error");
  };
  EXPECT_EQ(error(darts_v2, "dil_conv_3x3", "dil_conv_3x4"),
            "unknown operator 'dil_conv_3x4'; did you mean \"dil_conv_3x3\"?");
  EXPECT_EQ(error(darts_v2, "('sep_conv_3x3', 0)", "('sep_conv_3x3', 2)"),
            "the normal cell of a DARTS genotype has node 2 read state 2; it may read 0 to 1");
  EXPECT_EQ(error(darts_v2, "('sep_conv_3x3', 0)", "('sep_conv_3x3', 1)"),
            "the normal cell of a DARTS genotype has node 2 read state 1 twice; its two "
            "predecessors differ");
  EXPECT_EQ(error(darts_v2, "reduce=[('max_pool_3x3', 0), ", "reduce=["),
            "the reduce cell of a DARTS genotype has 8 pairs, not 7");
  EXPECT_EQ(error(darts_v2, "reduce_concat=range(2, 6)", "reduce_concat=range(3, 6)"),
            "the reduce cell of a DARTS genotype joins range(2, 6)");
  EXPECT_EQ(error(darts_v2, "range(2, 6))", "range(2, 6)) "), "no error");
  EXPECT_EQ(space->parse(darts_v1 + " \n"), space->parse(darts_v1));
  EXPECT_THROW(space->parse(darts_v1 + ",bits=4"), InvalidArchitecture);
}

TEST(Darts, RefusesShapesThatReductionsCannotHalve) {
  const auto pointer_of = [](const DartsOptions& options) {
    try {
      make_darts(options);
    } catch (const ConfigError& e) {
      return e.pointer();
    }
    return std::string("no error");
  };
  EXPECT_EQ(pointer_of({.input = {3, 34, 32}}), "/input");
  EXPECT_EQ(pointer_of({.input = {3, 32, 34}}), "/input");
  EXPECT_EQ(pointer_of({.input = {3, 48, 32}, .stem = DartsStem::imagenet}), "/input");
  EXPECT_EQ(pointer_of({.stem = DartsStem::imagenet, .channels = 7}), "/channels");
  EXPECT_EQ(pointer_of({.layers = 2}), "/layers");
  EXPECT_EQ(pointer_of({.input = {3, 8, 8}, .channels = 5, .layers = 3}), "no error");
  EXPECT_EQ(
      pointer_of({.input = {3, 32, 64}, .stem = DartsStem::imagenet, .channels = 6, .layers = 3}),
      "no error");
}

}  // namespace
}  // namespace espalier
