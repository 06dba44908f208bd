#include "objectives/pareto_archive.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "core/rng.hpp"

namespace espalier {
namespace {

using testing::ElementsAre;
using Values = std::vector<double>;

TEST(ParetoArchiveTest, KeepsTheFrontSortedByCosts) {
  ParetoArchive archive(2);
  EXPECT_TRUE(archive.insert(0, Values{3, 3}));
  EXPECT_FALSE(archive.insert(1, Values{3, 4}));
  EXPECT_TRUE(archive.insert(2, Values{1, 5}));
  EXPECT_TRUE(archive.insert(3, Values{5, 1}));
  EXPECT_TRUE(archive.insert(4, Values{2, 2}));  // removes 0
  EXPECT_THAT(archive.ids(), ElementsAre(2, 4, 3));
  EXPECT_THAT(archive.costs(), ElementsAre(1, 5, 2, 2, 5, 1));
  EXPECT_TRUE(archive.insert(5, Values{0, 0}));
  EXPECT_THAT(archive.ids(), ElementsAre(5));
}

TEST(ParetoArchiveTest, OfEqualPointsTheLowestIdStays) {
  for (const std::size_t dimension : {1u, 2u, 3u}) {
    const Values point(dimension, 1.0);
    ParetoArchive archive(dimension);
    EXPECT_TRUE(archive.insert(5, point));
    EXPECT_FALSE(archive.insert(7, point));
    EXPECT_FALSE(archive.insert(5, point));
    EXPECT_TRUE(archive.insert(3, point));
    EXPECT_THAT(archive.ids(), ElementsAre(3));
    EXPECT_EQ(archive.size(), 1u);
  }
}

TEST(ParetoArchiveTest, OneCostKeepsTheBest) {
  ParetoArchive archive(1);
  EXPECT_TRUE(archive.insert(0, Values{2}));
  EXPECT_FALSE(archive.insert(1, Values{3}));
  EXPECT_TRUE(archive.insert(2, Values{1}));
  EXPECT_THAT(archive.ids(), ElementsAre(2));
}

// The definition: the points that no other one dominates, of equal ones the first.
std::vector<std::uint64_t> front_by_definition(const Values& values, std::size_t dimension) {
  const PointsView points{values, dimension};
  std::vector<std::uint64_t> ids;
  for (std::size_t i = 0; i < points.size(); ++i) {
    bool keep = true;
    for (std::size_t j = 0; j < points.size(); ++j) {
      keep &= !dominates(points[j], points[i]);
      keep &= !(j < i && std::ranges::equal(points[j], points[i]));
    }
    if (keep) ids.push_back(i);
  }
  return ids;
}

TEST(ParetoArchiveTest, AgreesWithTheDefinitionInEveryOrderOfInsertion) {
  Rng rng(1);
  for (int round = 0; round < 500; ++round) {
    const std::size_t dimension = 1 + rng.below(4);
    const std::size_t n = 1 + rng.below(40);
    const std::uint64_t levels = 2 + rng.below(15);
    Values values(n * dimension);
    for (double& value : values) value = static_cast<double>(rng.below(levels));
    const PointsView points{values, dimension};
    const std::vector<std::uint64_t> expected = front_by_definition(values, dimension);
    Values sorted_costs;
    for (int order = 0; order < 3; ++order) {
      ParetoArchive archive(dimension);
      for (const std::size_t i : rng.sample_without_replacement(n, n)) archive.insert(i, points[i]);
      EXPECT_THAT(archive.ids(), testing::UnorderedElementsAreArray(expected));
      if (order > 0) {
        EXPECT_EQ(archive.costs(), sorted_costs);
      }
      sorted_costs = archive.costs();
    }
  }
}

TEST(ParetoArchiveTest, InsertSaysWhetherItChanged) {
  Rng rng(2);
  for (const std::size_t dimension : {1u, 2u, 3u}) {
    ParetoArchive archive(dimension);
    for (std::uint64_t id = 0; id < 300; ++id) {
      Values point(dimension);
      for (double& value : point) value = static_cast<double>(rng.below(20));
      const auto before = archive.ids();
      const bool changed = archive.insert(id, point);
      EXPECT_EQ(changed, archive.ids() != before);
    }
  }
}

}  // namespace
}  // namespace espalier
