#include "objectives/candidate.hpp"

#include <gtest/gtest.h>

#include "core/json.hpp"

namespace espalier {
namespace {

TEST(Notes, AreReadAsTheyWereWritten) {
  const Notes notes{.numbers = {{"b", 0.1}, {"a", -3}}, .warning = "of something"};
  EXPECT_EQ(to_json(notes).dump(), R"({"b":0.1,"a":-3.0,"warning":"of something"})");
  EXPECT_EQ(notes_from_json(Json::parse(to_json(notes).dump())), notes);
  EXPECT_EQ(notes_from_json(to_json(Notes{})), Notes{});
  EXPECT_TRUE(Notes{}.empty());
  EXPECT_FALSE(notes.empty());
  EXPECT_THROW(notes_from_json(Json::parse(R"({"a": "text"})")), Json::exception);
}

}  // namespace
}  // namespace espalier
