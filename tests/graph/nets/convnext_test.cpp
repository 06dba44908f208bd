#include <gtest/gtest.h>

#include "graph/cost.hpp"
#include "graph/nets.hpp"

namespace espalier {
namespace {

TEST(ConvnextNets, CostsAreThePublishedOnes) {
  const Cost c = cost(convnext_tiny());
  EXPECT_EQ(c.params, 28589128);
  EXPECT_EQ(c.macs, 4455531264);
}

}  // namespace
}  // namespace espalier
