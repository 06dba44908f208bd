#include "core/progress.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <vector>

#include "core/log.hpp"

namespace espalier {
namespace {

using testing::ElementsAre;

TEST(ProgressTest, LineShowsBarCountTimeLeftAndNote) {
  EXPECT_EQ(progress_line("search", 0, 40, 0, "", 0), "search [....................] 0/40");
  EXPECT_EQ(progress_line("search", 10, 40, 20, "best 91.2", 0),
            "search [#####...............] 10/40, 60 s left, best 91.2");
  EXPECT_EQ(progress_line("search", 40, 40, 80, "", 0),
            "search [####################] 40/40, 80 s");
  EXPECT_EQ(progress_line("search", 1, 1000, 1, "", 0),
            "search [....................] 1/1000, 17 min left");
  EXPECT_EQ(progress_line("search", 1, 10000, 1.5, "", 0),
            "search [....................] 1/10000, 4.2 h left");
  EXPECT_EQ(progress_line("search", 900, 1000, 30, "", 0, 899),
            "search [##################..] 900/1000, 50 min left");
  EXPECT_EQ(progress_line("search", 900, 1000, 30, "", 0, 900),
            "search [##################..] 900/1000");
}

TEST(ProgressTest, AnUnknownTotalShowsTheCountOnly) {
  EXPECT_EQ(progress_line("search", 7, 0, 3, "x", 0), "search 7, x");
}

TEST(ProgressTest, ACountBeyondTheTotalFillsTheBar) {
  EXPECT_EQ(progress_line("s", 5, 4, 1, "", 0), "s [####################] 5/4, 1 s");
}

TEST(ProgressTest, TheLineIsCutToTheWidth) {
  EXPECT_EQ(progress_line("search", 10, 40, 20, "best", 12), "search [####");
}

// A clock that the test moves, and the lines that were shown.
struct Screen {
  double time = 0;
  std::vector<std::string> lines;
  ProgressOptions options(ProgressOptions::Style style) {
    return {.style = style,
            .now = [this] { return time; },
            .show = [this](const std::string& line) { lines.push_back(line); }};
  }
};

TEST(ProgressTest, LinesAreShownAtMostEveryInterval) {
  Screen screen;
  {
    Progress progress("s", 100, screen.options(ProgressOptions::Style::lines));
    for (std::uint64_t step = 1; step <= 25; ++step) {
      screen.time = static_cast<double>(step);
      progress.update(step);
    }
    EXPECT_THAT(screen.lines, ElementsAre("s [##..................] 10/100, 90 s left",
                                          "s [####................] 20/100, 80 s left"));
  }
  EXPECT_EQ(screen.lines.size(), 3u);
  EXPECT_EQ(screen.lines.back(), "s [#####...............] 25/100, 75 s left");
}

TEST(ProgressTest, TheLastStateIsNotShownTwice) {
  Screen screen;
  {
    Progress progress("s", 2, screen.options(ProgressOptions::Style::lines));
    screen.time = 20;
    progress.update(2, "done");
  }
  EXPECT_EQ(screen.lines.size(), 1u);
}

TEST(ProgressTest, ABarIsDrawnTenTimesASecond) {
  Screen screen;
  Progress progress("s", 100, screen.options(ProgressOptions::Style::bar));
  for (int step = 1; step <= 64; ++step) {
    screen.time = step / 64.0;
    progress.update(static_cast<std::uint64_t>(step));
  }
  EXPECT_EQ(screen.lines.size(), 9u);  // every seventh step
}

TEST(ProgressTest, NoneShowsNothingAndSoDoesTheQuietMode) {
  Screen screen;
  { Progress(std::string("s"), 1, screen.options(ProgressOptions::Style::none)).update(1); }
  const LogLevel level = log_level();
  set_log_level(LogLevel::warning);
  {
    Progress progress("s", 1, screen.options(ProgressOptions::Style::automatic));
    screen.time = 100;
    progress.update(1);
  }
  set_log_level(level);
  EXPECT_TRUE(screen.lines.empty());
}

TEST(ProgressTest, AwayFromATerminalLinesGoToStderr) {
  testing::internal::CaptureStderr();
  {
    Progress("s", 1, {.now = [] { return 0.0; }}).update(1);
  }
  EXPECT_EQ(testing::internal::GetCapturedStderr(), "s [####################] 1/1, 0 s\n");
}

TEST(ProgressTest, MessagesStandAboveTheBar) {
  testing::internal::CaptureStderr();
  {
    Progress progress("s", 1, {.style = ProgressOptions::Style::bar, .bar_interval = 0, .now = [] {
                                 return 0.0;
                               }});
    progress.update(1);
    log_info("a message");
  }
  log_info("after");
  const std::string bar = "s [####################] 1/1, 0 s";
  EXPECT_EQ(testing::internal::GetCapturedStderr(),
            "\r\033[K" + bar + "\r\033[Ka message\n" + bar + "\nafter\n");
}

}  // namespace
}  // namespace espalier
