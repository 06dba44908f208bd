#include "search_spaces/autoformer.hpp"

#include <gtest/gtest.h>

#include "core/error.hpp"
#include "tests/search_spaces/labels.hpp"

namespace espalier {
namespace {

TEST(Autoformer, PublishedNetworksHaveThePublishedParams) {
  const auto params = [](const AutoformerOptions& options, const std::string& labels) {
    const auto space = make_autoformer(options);
    return cost(space->build(labelled(*space, labels))).params;
  };
  // Relative positions: 4 tables of 30 x 64 in each block. "22.9M", "53.7M".
  constexpr std::int64_t relative = 4 * 30 * 64;
  EXPECT_EQ(params({.size = AutoformerSize::small},
                   "384 13 6 3 6 3.5 5 3 7 3.5 5 4 5 4 5 4 6 4 6 4 7 4 7 4 6 3.5 7 4") +
                13 * relative,
            22891432);
  EXPECT_EQ(params({.size = AutoformerSize::base},
                   "576 14 9 3.5 9 3.5 9 4 9 3.5 9 4 10 3.5 9 3.5 9 3 10 4 9 4 10 3 9 4 9 3 10 "
                   "3.5") +
                14 * relative,
            53691688);
  // The published tiny network has ratios of 3, which its space has not. It is quoted with 5.7M
  // and 5.8M, which is what it has without its relative positions.
  EXPECT_EQ(params({.mlp_ratios = {3, 3.5, 4}},
                   "192 13 3 3.5 3 3.5 3 3 3 3.5 3 3 3 3 3 4 3 4 3 3.5 3 4 4 3.5 3 4 3 3.5"),
            5768104);
}

TEST(Autoformer, BlocksBeyondTheDepthDoNotCount) {
  const auto space = make_autoformer();
  ASSERT_EQ(space->decisions().size(), 2u + 2 * 14);
  EXPECT_EQ(space->decisions()[0].name, "embed_dim");
  EXPECT_EQ(space->decisions()[1].name, "encoder.depth");
  EXPECT_EQ(space->decisions()[2].name, "block1.heads");
  EXPECT_EQ(space->decisions()[3].name, "block1.mlp_ratio");
  // 3 widths, and 4 variants of each block of 12, 13 or 14.
  EXPECT_EQ(space_size(*space).decimal, std::to_string(3 * (1ll + 4 + 16) << 24));
}

TEST(Autoformer, HeadsAndRatioAreOfTheirBlockOnly) {
  const auto space = make_autoformer({.input = {1, 8, 8},
                                      .classes = 3,
                                      .embed_dims = {12},
                                      .depths = {2},
                                      .heads = {1, 2},
                                      .mlp_ratios = {2, 2.75},
                                      .patch = 4,
                                      .head_width = 6});
  const auto of = [&](const std::string& labels) {
    return cost(space->build(labelled(*space, labels))).params;
  };
  const std::int64_t smallest = of("1 2 1 2");
  EXPECT_EQ(of("2 2 1 2") - smallest, 3 * (12 * 6 + 6) + 6 * 12);
  EXPECT_EQ(of("1 2 1 2.75") - smallest, 9 * (12 + 12 + 1));
  EXPECT_EQ(smallest,
            (16 * 12 + 12) + 12 + 5 * 12 +
                2 * (2 * 24 + 3 * (12 * 6 + 6) + 6 * 12 + 12 + 12 * 24 + 24 + 24 * 12 + 12) + 24 +
                12 * 3 + 3);
}

TEST(Autoformer, ErrorsNameThePlace) {
  const auto pointer_of = [](const AutoformerOptions& options) {
    try {
      make_autoformer(options);
    } catch (const ConfigError& e) {
      return e.pointer();
    }
    return std::string("no error");
  };
  EXPECT_EQ(pointer_of({.input = {3, 32}}), "/input");
  EXPECT_EQ(pointer_of({.input = {3, 32, 15}}), "/input");
  EXPECT_EQ(pointer_of({.input = {3, 15, 32}}), "/input");
  EXPECT_EQ(pointer_of({.embed_dims = {8, 8}}), "/embed_dims");
  EXPECT_EQ(pointer_of({.depths = {2, 1}}), "/depths");
  EXPECT_EQ(pointer_of({.heads = {2, 2}}), "/heads");
  EXPECT_EQ(pointer_of({.mlp_ratios = {4, 4}}), "/mlp_ratios");
}

}  // namespace
}  // namespace espalier
