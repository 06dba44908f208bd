#include "study/json_difference.hpp"

#include <gtest/gtest.h>

namespace espalier {
namespace {

std::string pointer_of(const Json& before, const Json& after) {
  const auto difference = first_difference(before, after);
  return difference ? difference->pointer : "none";
}

TEST(JsonDifference, NamesTheFirstPlace) {
  EXPECT_EQ(pointer_of({{"a", 1}, {"b", {1, 2}}}, {{"b", {1, 2}}, {"a", 1}}), "none");
  EXPECT_EQ(pointer_of({{"a", 1}}, {{"a", 2}}), "/a");
  EXPECT_EQ(pointer_of({{"a", {{"b/c", {1, 2, 3}}}}}, {{"a", {{"b/c", {1, 5, 3}}}}}), "/a/b~1c/1");
  EXPECT_EQ(pointer_of({{"a", 1}}, {{"a", 1}, {"b", nullptr}}), "/b");
  EXPECT_EQ(pointer_of({{"a", 1}, {"b", nullptr}}, {{"a", 1}}), "/b");
  EXPECT_EQ(pointer_of(Json::array({1}), Json::array({1, 2})), "/1");
  EXPECT_EQ(pointer_of(Json::array({1, 2}), Json::array({1})), "/1");
  EXPECT_EQ(pointer_of(1, 1.0), "none");
  EXPECT_EQ(pointer_of({{"a", 1}}, 1), "");
  EXPECT_EQ(pointer_of(nullptr, nullptr), "none");
}

TEST(JsonDifference, ValuesAreBrief) {
  const auto difference = first_difference({{"a", "x"}}, Json::object());
  ASSERT_TRUE(difference);
  EXPECT_EQ(brief(difference->before), "\"x\"");
  EXPECT_EQ(brief(difference->after), "nothing");
  EXPECT_EQ(brief(std::string(200, 'a')), "\"" + std::string(96, 'a') + "...");
}

}  // namespace
}  // namespace espalier
