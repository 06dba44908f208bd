#include "predictors/dense_features.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "core/error.hpp"
#include "core/rng.hpp"
#include "tests/core/throws.hpp"

namespace espalier {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

TEST(DenseFeatures, AreRowsOfEqualLength) {
  const double nan = std::nan("");
  const std::vector<Features> known{
      {.decisions = {1, 0}, .patterns = {{7, 2}, {9, 1}}, .costs = {5}, .scores = {1e9}},
      {.decisions = {0, 1}, .patterns = {{8, 3}}, .costs = {6}, .scores = {nan}},
      {.decisions = {0, 1}, .patterns = {}, .costs = {6}, .scores = {-4}}};
  const DenseFeatures dense(known);
  ASSERT_EQ(dense.width(), 8u);
  // The pattern 10 is that of none; the score 1e9 is the higher one of two.
  const double high = normal_quantile(0.75);
  EXPECT_THAT(dense.rows(known), ElementsAre(1, 0, 2, 1, 0, 5, high, 0,  //
                                             0, 1, 0, 0, 3, 6, 0, 1,     //
                                             0, 1, 0, 0, 0, 6, -high, 0));
  const Features other{
      .decisions = {0.5, 0.5}, .patterns = {{9, 4}, {10, 1}}, .costs = {7}, .scores = {nan}};
  EXPECT_THAT(dense.rows({&other, 1}), ElementsAre(0.5, 0.5, 0, 4, 0, 7, 0, 1));
}

TEST(DenseFeatures, RefuseOtherNumbersOfThem) {
  const Features known{.decisions = {1}, .costs = {2}, .scores = {3}};
  const DenseFeatures dense(std::span(&known, 1));
  for (const Features& other : {Features{.decisions = {}, .costs = {2}, .scores = {3}},
                                Features{.decisions = {1}, .costs = {2, 2}, .scores = {3}},
                                Features{.decisions = {1}, .costs = {2}, .scores = {}}}) {
    EXPECT_THAT(throws<Error>([&] { dense.rows({&other, 1}); }), HasSubstr("as features"));
  }
  const std::vector<Features> unequal{known, {.decisions = {1}, .costs = {2}, .scores = {}}};
  EXPECT_THROW(DenseFeatures{unequal}, Error);
}

}  // namespace
}  // namespace espalier
