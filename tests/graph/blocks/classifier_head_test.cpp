#include "graph/blocks/classifier_head.hpp"

#include <gtest/gtest.h>

#include "graph/cost.hpp"
#include "tests/graph/blocks/operators.hpp"

namespace espalier {
namespace {

Graph head(const ClassifierHeadOptions& options) {
  GraphBuilder b;
  b.output(classifier_head(b, b.input(8, 4, 4), 10, options));
  return b.build();
}

TEST(ClassifierHead, DropoutAndBiasAreOptions) {
  const Graph plain = head({.channels = 16});
  EXPECT_EQ(operators(plain),
            "input conv2d batch_norm2d activation global_avg_pool flatten linear output ");
  EXPECT_EQ(cost(plain).params, 8 * 16 + 32 + 16 * 10 + 10);
  const Graph other = head({.channels = 16, .dropout = 0.1, .bias = false});
  EXPECT_EQ(operators(other),
            "input conv2d batch_norm2d activation global_avg_pool flatten dropout linear output ");
  EXPECT_EQ(cost(other).params, 8 * 16 + 32 + 16 * 10);
}

}  // namespace
}  // namespace espalier
