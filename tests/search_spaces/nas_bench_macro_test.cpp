#include "search_spaces/nas_bench_macro.hpp"

#include <gtest/gtest.h>

#include <set>
#include <string>

#include "core/csv.hpp"
#include "core/error.hpp"
#include "search_spaces/sampling.hpp"

namespace espalier {
namespace {

TEST(NasBenchMacro, CostsOfAllNetworksEqualThePublishedOnes) {
  const CsvTable table = CsvTable::read(std::string(ESPALIER_SOURCE_DIR) +
                                        "/benchmarks/tables/nas_bench_macro.csv.gz");
  const auto arch = table.texts("arch");
  const auto params = table.numbers("params");
  const auto flops = table.numbers("flops");
  const auto space = make_nas_bench_macro();
  ASSERT_EQ(arch.size(), 6561u);
  std::set<Architecture> seen;
  for (std::size_t i = 0; i < arch.size(); ++i) {
    const Architecture a = space->parse(arch[i]);
    ASSERT_EQ(space->to_string(a), arch[i]);
    ASSERT_TRUE(seen.insert(space->canonical(a)).second);
    // No constant between them: batch norms and the classifier's bias are params in both, and
    // neither counts biases as multiply-accumulates.
    const Cost quick = space->quick_cost(a);
    ASSERT_EQ(static_cast<double>(quick.params), params[i]) << arch[i];
    ASSERT_EQ(static_cast<double>(quick.macs), flops[i]) << arch[i];
    if (i % 25 == 0) {  // the rest is covered by the equality of quick and built costs
      const Cost exact = cost(space->build(a));
      ASSERT_EQ(exact.params, quick.params);
      ASSERT_EQ(exact.macs, quick.macs);
    }
  }
}

TEST(NasBenchMacro, OnlyLayersThatKeepTheShapeHaveAShortcut) {
  const auto space = make_nas_bench_macro({.channels = 4});
  const auto adds = [&](const char* text) {
    int count = 0;
    const Graph graph = space->build(space->parse(text));
    for (const Node& n : graph.nodes()) count += std::holds_alternative<op::Add>(n.op);
    return count;
  };
  EXPECT_EQ(adds("00000000"), 0);
  EXPECT_EQ(adds("20100200"), 0);  // the layers that open a stage
  EXPECT_EQ(adds("01021012"), 5);
}

TEST(NasBenchMacro, RefusesMalformedStrings) {
  const auto space = make_nas_bench_macro({.channels = 4});
  for (const char* text : {"", "0000000", "000000000", "00000003", "0000000a", "00000000,"}) {
    EXPECT_THROW(space->parse(text), InvalidArchitecture) << text;
  }
}

}  // namespace
}  // namespace espalier
