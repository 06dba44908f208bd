#include "core/log.hpp"

#include <gtest/gtest.h>

namespace espalier {
namespace {

// Restores the level at the end of a test.
class LogTest : public testing::Test {
 protected:
  ~LogTest() override { set_log_level(level_); }
  const LogLevel level_ = log_level();

  static std::string shown() {
    testing::internal::CaptureStderr();
    log_debug("one");
    log_info("two {} %s");
    log_warning("three");
    log_error("four");
    return testing::internal::GetCapturedStderr();
  }
};

TEST_F(LogTest, ShowsInformationUnlessToldOtherwise) {
  EXPECT_EQ(log_level(), LogLevel::info);
  EXPECT_EQ(shown(), "two {} %s\nwarning: three\nerror: four\n");
}

TEST_F(LogTest, ShowsItsLevelAndAbove) {
  set_log_level(LogLevel::debug);
  EXPECT_EQ(log_level(), LogLevel::debug);
  EXPECT_EQ(shown(), "debug: one\ntwo {} %s\nwarning: three\nerror: four\n");
  set_log_level(LogLevel::warning);
  EXPECT_EQ(log_level(), LogLevel::warning);
  EXPECT_EQ(shown(), "warning: three\nerror: four\n");
  set_log_level(LogLevel::error);
  EXPECT_EQ(log_level(), LogLevel::error);
  EXPECT_EQ(shown(), "error: four\n");
}

}  // namespace
}  // namespace espalier
