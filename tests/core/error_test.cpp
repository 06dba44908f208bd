#include "core/error.hpp"

#include <gtest/gtest.h>

#include <vector>

namespace espalier {
namespace {

TEST(ErrorTest, ConfigErrorShowsThePointerOnce) {
  const ConfigError error("/strategy/population", "expected a value >= 2, got 1");
  EXPECT_STREQ(error.what(), "/strategy/population: expected a value >= 2, got 1");
  EXPECT_EQ(error.pointer(), "/strategy/population");
  EXPECT_EQ(error.message(), "expected a value >= 2, got 1");
  EXPECT_STREQ(ConfigError("", "text").what(), "text");
}

TEST(ErrorTest, ConfigErrorsMoveIntoALargerDocumentWithBothPointers) {
  const ConfigError one = ConfigError("/a", "wrong").within("/space");
  EXPECT_EQ(one.pointer(), "/space/a");
  EXPECT_STREQ(one.what(), "/space/a: wrong");
  const ConfigError two = ConfigError("/a", "not as", "/b/0").within("/space").within("/run");
  EXPECT_EQ(two.pointer(), "/run/space/a");
  EXPECT_EQ(two.message(), "not as at /run/space/b/0");
  EXPECT_STREQ(two.what(), "/run/space/a: not as at /run/space/b/0");
}

TEST(ErrorTest, IoErrorShowsThePath) {
  const IoError error("a/b.json", "cannot open: no such file");
  EXPECT_STREQ(error.what(), "a/b.json: cannot open: no such file");
  EXPECT_EQ(error.path(), "a/b.json");
}

TEST(ErrorTest, NearestTakesTheSmallestDistanceAndTheFirstOfEqualOnes) {
  const std::vector<std::string> names = {"population", "sample", "mutation", "simple"};
  EXPECT_EQ(nearest("populaton", names), "population");
  EXPECT_EQ(nearest("POPULATION", names), "population");
  EXPECT_EQ(nearest("smaple", names), "sample");  // one swap of neighbours
  EXPECT_EQ(nearest("s_mple", names), "sample");  // as near as "simple"
  EXPECT_EQ(nearest("epochs", names), "");
  EXPECT_EQ(nearest("x", {}), "");
}

TEST(ErrorTest, SuggestionListsTheNamesWhenNoneIsNear) {
  const std::vector<std::string> names = {"adam", "sgd"};
  EXPECT_EQ(suggestion("adma", names), "; did you mean \"adam\"?");
  EXPECT_EQ(suggestion("momentum", names), "; known: adam, sgd");
  EXPECT_EQ(suggestion("momentum", {}), "");
}

}  // namespace
}  // namespace espalier
