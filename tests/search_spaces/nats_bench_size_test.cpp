#include "search_spaces/nats_bench_size.hpp"

#include <gtest/gtest.h>

#include "core/error.hpp"
#include "search_spaces/sampling.hpp"

namespace espalier {
namespace {

TEST(NatsBenchSize, ParamsEqualThePublishedOnes) {
  const auto space = make_nats_bench_size();
  EXPECT_EQ(space_size(*space).decimal, "32768");
  const auto params = [&](const char* text) {
    return cost(space->build(space->parse(text))).params;
  };
  // The benchmark's entries for CIFAR-10 are 0.011714, 0.107826 and 0.713674 million. The second
  // has a projection in its second cell: with an identity there the first would still agree.
  EXPECT_EQ(params("8:8:8:8:8"), 11714);
  EXPECT_EQ(params("8:8:16:40:40"), 107826);
  EXPECT_EQ(params("64:64:64:64:64"), 713674);
}

TEST(NatsBenchSize, ASkipIsAProjectionOnlyWhereTheWidthChanges) {
  const auto space = make_nats_bench_size();
  const auto projections = [&](const char* text) {
    int count = 0;
    const Graph graph = space->build(space->parse(text));
    verify(graph);
    for (NodeId i = 0; i < graph.size(); ++i) {
      count += graph.name(i).find("skip") != std::string::npos;
    }
    return count;
  };
  EXPECT_EQ(projections("8:16:16:24:24"), 0);
  EXPECT_EQ(projections("8:16:24:32:32"), 2);  // convolution and batch norm
  EXPECT_EQ(projections("8:16:24:32:40"), 4);
}

TEST(NatsBenchSize, QuickCostsEqualBuiltCosts) {
  const auto space = make_nats_bench_size(
      {.compression = CompressionOptions{.channels = {0.5, 1.0}, .weight_bits = {4, 8}}});
  Rng rng(5);
  for (int i = 0; i < 100; ++i) {
    const Architecture a = sample_uniform(*space, rng);
    const Graph graph = space->build(a);
    if (i < 10) verify(graph);
    const Cost exact = cost(graph);
    const Cost quick = space->quick_cost(a);
    ASSERT_EQ(quick.params, exact.params) << space->to_string(a);
    ASSERT_EQ(quick.macs, exact.macs) << space->to_string(a);
    ASSERT_EQ(space->parse(space->to_string(a)), a);
  }
}

TEST(NatsBenchSize, RefusesMalformedStringsAndOptions) {
  const auto space = make_nats_bench_size();
  for (const char* text : {"", "64", "64:64:64:64", "64:64:64:64:64:64", "64:64:64:64:65",
                           "64:64:64:64:", "64:64:64:64:064", "64,64,64,64,64"}) {
    EXPECT_THROW(space->parse(text), InvalidArchitecture) << text;
  }
  const auto pointer_of = [](const NatsBenchSizeOptions& options) {
    try {
      make_nats_bench_size(options);
    } catch (const ConfigError& e) {
      return e.pointer();
    }
    return std::string("no error");
  };
  EXPECT_EQ(pointer_of({.input = {3, 32, 30}}), "/input");
  EXPECT_EQ(pointer_of({.widths = {8}}), "/widths");
  EXPECT_EQ(pointer_of({.widths = {8, 8}}), "/widths");
}

}  // namespace
}  // namespace espalier
