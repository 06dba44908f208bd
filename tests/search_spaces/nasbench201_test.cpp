#include "search_spaces/nasbench201.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <set>
#include <string>
#include <unordered_map>

#include "core/csv.hpp"
#include "core/error.hpp"
#include "graph/fingerprint.hpp"
#include "search_spaces/sampling.hpp"

namespace espalier {
namespace {

const std::string table_path =
    std::string(ESPALIER_SOURCE_DIR) + "/benchmarks/tables/nasbench201.csv.gz";

/// The benchmark's own string of a cell: a node is its sorted terms joined by '+'; an edge of zero
/// is '#', skip passes the string of its input on, any other operator wraps it.
/// Source: Dong & Yang, NAS-Bench-201, arXiv 2001.00326: the unique string with zeros considered.
std::string unique_string(const Architecture& a) {
  const char* const names[] = {"none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3",
                               "avg_pool_3x3"};
  std::vector<std::string> nodes{"0"};
  std::size_t edge = 0;
  for (std::size_t to = 1; to < 4; ++to) {
    std::vector<std::string> terms;
    for (std::size_t from = 0; from < to; ++from) {
      const std::uint32_t op = a.choices[edge++];
      const std::string& in = nodes[from];
      if (op == 0 || in == "#") {
        terms.emplace_back("#");
      } else if (op == 1) {
        terms.push_back(in);
      } else {
        terms.push_back("(" + in + ")@" + names[op]);
      }
    }
    std::sort(terms.begin(), terms.end());
    std::string joined;
    for (const std::string& t : terms) joined += (joined.empty() ? "" : "+") + t;
    nodes.push_back(joined);
  }
  return nodes.back();
}

struct Table {
  std::vector<std::string> arch;
  std::vector<double> params_m, flops_m, iso_class;
};

const Table& table() {
  static const Table t = [] {
    Table result;
    const CsvTable csv = CsvTable::read(table_path);
    for (std::string_view s : csv.texts("arch")) result.arch.emplace_back(s);
    result.params_m = csv.numbers("params_m");
    result.flops_m = csv.numbers("flops_m");
    result.iso_class = csv.numbers("iso_class");
    return result;
  }();
  return t;
}

TEST(Nasbench201, CostsOfAllCellsEqualThePublishedOnes) {
  const auto space = make_nasbench201();
  ASSERT_EQ(table().arch.size(), 15625u);
  std::set<Architecture> seen;
  for (std::size_t i = 0; i < table().arch.size(); ++i) {
    const Architecture a = space->parse(table().arch[i]);
    ASSERT_EQ(space->to_string(a), table().arch[i]);
    ASSERT_TRUE(seen.insert(space->canonical(a)).second) << "rows must stay distinct";
    const Cost quick = space->quick_cost(a);
    ASSERT_EQ(quick.params, std::llround(table().params_m[i] * 1e6)) << table().arch[i];
    ASSERT_EQ(quick.macs, std::llround(table().flops_m[i] * 1e6) - 10) << table().arch[i];
    if (i % 25 == 0) {  // the rest is covered by the equality of quick and built costs
      const Cost exact = cost(space->build(a));
      ASSERT_EQ(exact.params, quick.params);
      ASSERT_EQ(exact.macs, quick.macs);
    }
  }
}

TEST(Nasbench201, TheBenchmarksOwnStringGivesItsClasses) {
  const auto space = make_nasbench201();
  std::unordered_map<std::string, double> class_of;
  std::set<double> classes;
  for (std::size_t i = 0; i < table().arch.size(); ++i) {
    const std::string s = unique_string(space->parse(table().arch[i]));
    const auto [it, inserted] = class_of.emplace(s, table().iso_class[i]);
    ASSERT_EQ(it->second, table().iso_class[i]) << s;
    if (inserted) {
      ASSERT_TRUE(classes.insert(table().iso_class[i]).second) << s;
    }
  }
  EXPECT_EQ(class_of.size(), 6466u);
}

TEST(Nasbench201, FingerprintsNeverMergeDifferentCosts) {
  // One cell a stage tells cells apart as well as five, five times faster.
  const auto space = make_nasbench201({.channels = 4, .cells = 1});
  using Costs = std::pair<std::int64_t, std::int64_t>;
  std::map<std::string, std::set<Costs>> costs_of_fingerprint, costs_of_class;
  std::map<std::string, std::set<std::string>> fingerprints_of_class, classes_of_fingerprint;
  enumerate(*space, [&](const Architecture& a) {
    const Graph graph = space->build(a);
    const std::string f = fingerprint(graph).to_string();
    const std::string c = unique_string(a);
    const Cost both = cost(graph);
    costs_of_fingerprint[f].insert({both.params, both.macs});
    costs_of_class[c].insert({both.params, both.macs});
    fingerprints_of_class[c].insert(f);
    classes_of_fingerprint[f].insert(c);
    return true;
  });
  const auto more_than_one = [](const auto& sets) {
    return std::count_if(sets.begin(), sets.end(),
                         [](const auto& entry) { return entry.second.size() > 1; });
  };
  EXPECT_EQ(more_than_one(costs_of_fingerprint), 0);
  // The published string writes a node out wherever it is read, so it cannot tell one shared node
  // from two equal ones, and it takes a convolution of zeros for zero although its batch norm has a
  // bias: it merges cells of different cost. On the other side it keeps "zero + x" apart from x.
  EXPECT_EQ(costs_of_class.size(), 6466u);
  EXPECT_EQ(more_than_one(costs_of_class), 578);
  // Regression numbers of our own.
  EXPECT_EQ(costs_of_fingerprint.size(), 7291u);
  EXPECT_EQ(more_than_one(fingerprints_of_class), 935);
  EXPECT_EQ(more_than_one(classes_of_fingerprint), 754);
}

TEST(Nasbench201, TheReductionHasAPooledShortcut) {
  GraphBuilder b;
  const NodeId y = residual_reduction(b, b.input(8, 6, 4), 16, "reduction");
  EXPECT_EQ(b.shape(y).to_string(), "{16, 3, 2}");
  b.output(y);
  const Graph g = b.build();
  // two 3x3 convolutions with batch norm and a 1x1 one without, on pooled maps
  EXPECT_EQ(cost(g).params, 9 * 8 * 16 + 32 + 9 * 16 * 16 + 32 + 8 * 16);
  EXPECT_EQ(cost(g).macs, (9 * 8 * 16 + 9 * 16 * 16 + 8 * 16) * 6);
  GraphBuilder odd;
  const NodeId x = odd.input(8, 5, 4);
  EXPECT_THROW(residual_reduction(odd, x, 16, "reduction"), ShapeError);
}

TEST(Nasbench201, RefusesMalformedStrings) {
  const auto space = make_nasbench201();
  for (const char* text : {"", "|", "|none~0|", "|none~0|+|none~0|none~1|+|none~0|none~1|none~2",
                           "|none~1|+|none~0|none~1|+|none~0|none~1|none~2|",
                           "|nope~0|+|none~0|none~1|+|none~0|none~1|none~2|",
                           "|none~0|+|none~0|none~1|+|none~0|none~1|none~2|x",
                           "|none~0|+|none~0|none~1|+|none~0|none~1|none~2|,edge=1"}) {
    EXPECT_THROW(space->parse(text), InvalidArchitecture) << text;
  }
}

TEST(Nasbench201, StringsCarryCompressionDecisions) {
  const auto space = make_nasbench201(
      {.compression = CompressionOptions{.channels = {0.5, 1.0}, .weight_bits = {4, 8}}});
  Rng rng(3);
  for (int i = 0; i < 50; ++i) {
    const Architecture a = sample_uniform(*space, rng);
    EXPECT_EQ(space->parse(space->to_string(a)), a);
  }
}

}  // namespace
}  // namespace espalier
