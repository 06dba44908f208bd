#include "study/run_parts.hpp"

#include <gtest/gtest.h>

#include <memory>

#include "core/error.hpp"
#include "search_spaces/supergraph.hpp"

namespace espalier {
namespace {

std::optional<SpaceDepths> depths_of(const Json& space, const Catalogue& catalogue) {
  RunConfig config;
  config.space = space;
  return space_depths(config, catalogue);
}

TEST(SpaceDepths, AreThoseOfCellSpaces) {
  const Catalogue catalogue;
  const auto cells = depths_of({{"type", "nasbench201"}, {"cells", 3}, {"channels", 4}}, catalogue);
  ASSERT_TRUE(cells.has_value());
  EXPECT_EQ(cells->own, 3);
  EXPECT_LT(cells->make(1)->supergraph()->graph().size(),
            cells->make(2)->supergraph()->graph().size());
  const auto layers = depths_of({{"type", "darts"}}, catalogue);
  ASSERT_TRUE(layers.has_value());
  EXPECT_EQ(layers->own, 20);
  EXPECT_THROW(layers->make(2), ConfigError);
  EXPECT_FALSE(depths_of({{"type", "mobilenet_v3"}}, catalogue).has_value());
}

}  // namespace
}  // namespace espalier
