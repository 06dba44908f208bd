#include <gtest/gtest.h>

#include "graph/cost.hpp"
#include "graph/nets.hpp"

namespace espalier {
namespace {

TEST(ShufflenetNets, CostsAreThePublishedOnes) {
  const Cost v2 = cost(shufflenet_v2_x1_0());
  EXPECT_EQ(v2.params, 2278604);
  EXPECT_EQ(v2.macs, 144907992);
  const Cost v1 = cost(shufflenet_v1_x1_0());
  EXPECT_EQ(v1.params, 1865728);  // 1.9M in the authors' repository
  EXPECT_GE(v1.macs, 137000000);  // 140M in the paper, 137M in ShuffleNet v2's, 138M there
  EXPECT_LE(v1.macs, 140000000);
}

}  // namespace
}  // namespace espalier
