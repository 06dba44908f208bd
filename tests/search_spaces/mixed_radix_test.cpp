#include "search_spaces/mixed_radix.hpp"

#include <gtest/gtest.h>

#include "search_spaces/nasbench201.hpp"
#include "search_spaces/sampling.hpp"

namespace espalier {
namespace {

TEST(MixedRadix, NumbersArchitecturesInTheOrderOfEnumerate) {
  const auto space = make_nasbench201({.channels = 4, .cells = 1});
  const auto radix = MixedRadix::of(*space, 15625);
  ASSERT_TRUE(radix);
  EXPECT_EQ(radix->size(), 15625u);
  std::uint64_t next = 0;
  enumerate(*space, [&](const Architecture& a) {
    EXPECT_EQ(radix->index(a), next);
    ++next;
    return !testing::Test::HasFailure();
  });
  EXPECT_EQ(next, 15625u);
}

TEST(MixedRadix, IsEmptyAboveTheLimit) {
  const auto space = make_nasbench201({.channels = 4, .cells = 1});
  EXPECT_FALSE(MixedRadix::of(*space, 15624));
}

}  // namespace
}  // namespace espalier
