#include "strategies/start.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/error.hpp"
#include "tests/core/throws.hpp"
#include "tests/strategies/toy_search.hpp"

namespace espalier {
namespace {

using testing::HasSubstr;

TEST(Start, GivesKnownArchitecturesCanonicalAndOnce) {
  const RunContext context = test_context(test_space({2, 3, 4}, true));
  StartOptions options;
  options.initial = {"d1=1,d2=2,d3=3", {{"d2", "1"}, {"d3", "2"}}, "d1=0,d2=1,d3=0"};
  Start start(context, options);
  EXPECT_EQ(start.known_count(), 2u);
  EXPECT_EQ(start.next_known(), (Architecture{{1, 2, 3}}));
  EXPECT_EQ(start.next_known(), (Architecture{{0, 1, 0}}));
  EXPECT_EQ(start.next_known(), std::nullopt);
}

TEST(Start, RefusesWhatIsNotOfTheSpace) {
  const auto space =
      std::make_shared<const TestSpace>(std::vector<int>{2, 3}, false, Architecture{{1, 1}});
  const auto message = [&](Json second) {
    StartOptions options;
    options.initial = {"d1=0,d2=0", std::move(second)};
    return throws<ConfigError>([&] { Start(test_context(space), options); });
  };
  EXPECT_THAT(message("d1=0,d2=3"), HasSubstr("/initial/1: "));
  EXPECT_THAT(message({{"d3", "0"}}), HasSubstr("/initial/1: "));
  EXPECT_THAT(message("d1=1,d2=1"), HasSubstr("breaks a constraint"));
  EXPECT_THAT(message(7), HasSubstr("/initial/1: "));
}

// Draws 0, 1, 2, ... of one decision.
auto counting_draw() {
  return [next = 0u]() mutable { return std::optional(Architecture{{next++}}); };
}

TEST(Start, WithoutAScreenTakesTheFirstDraw) {
  const Start start(test_context(test_space({9})), {});
  EXPECT_EQ(start.draw_screened(counting_draw()), (Architecture{{0}}));
}

TEST(Start, AScreenTakesTheBestOfItsDraws) {
  RunContext context = test_context(test_space({9}));
  std::vector<double> scores{1, 5, 2, 5};
  std::optional<Direction> direction = Direction::maximize;
  context.screen = [&](const std::string& metric) -> Screen {
    EXPECT_EQ(metric, "quality");
    return {.score =
                [&](std::span<const Architecture> drawn) {
                  EXPECT_EQ(drawn.size(), 4u);
                  return scores;
                },
            .direction = direction};
  };
  StartOptions options;
  options.screen = {.metrics = {"quality"}, .samples = 4};
  const auto choice = [&] {
    return Start(context, options).draw_screened(counting_draw())->choices[0];
  };
  EXPECT_EQ(choice(), 1u);  // the first of equals
  options.screen->goal = Direction::minimize;
  EXPECT_EQ(choice(), 0u);  // the option beats the metric's own direction
  direction = std::nullopt;
  EXPECT_EQ(choice(), 0u);
  const double nan = std::numeric_limits<double>::quiet_NaN();
  scores = {nan, 7, nan, 6};
  EXPECT_EQ(choice(), 3u);
  scores = {nan, nan, nan, nan};
  EXPECT_EQ(choice(), 0u);
}

TEST(Start, AScreenTakesWhatThereIs) {
  StartOptions options;
  options.screen = {.metrics = {"sum"}, .samples = 4};
  const Start start(test_context(test_space({9})), options);
  EXPECT_EQ(start.draw_screened([n = 2u]() mutable -> std::optional<Architecture> {
    if (n == 0) return std::nullopt;
    return Architecture{{n--}};
  }),
            (Architecture{{2}}));
  EXPECT_EQ(start.draw_screened([]() -> std::optional<Architecture> { return std::nullopt; }),
            std::nullopt);
}

TEST(Start, SeveralMetricsAreJoinedByRanks) {
  RunContext context = test_context(test_space({9}));
  context.screen = [](const std::string& metric) -> Screen {
    return {.score =
                [metric](std::span<const Architecture>) {
                  return metric == "a" ? std::vector<double>{1e9, 3, 2, 0}  // ranks 4 3 2 1
                                       : std::vector<double>{0, 5, 5, 70};  // ranks 1 2.5 2.5 4
                },
            .direction = metric == "a" ? Direction::minimize : Direction::maximize};
  };
  StartOptions options;
  // The larger scale does not decide: sums of ranks 8, 5.5, 4.5, 2, then 4, 3, 2, 1 alone.
  options.screen = {.metrics = {"a", "b"}, .samples = 4};
  EXPECT_EQ(Start(context, options).draw_screened(counting_draw())->choices[0], 3u);
  options.screen->goal = Direction::maximize;  // 1 + 4, 2 + 2.5, 3 + 2.5, 4 + 1
  EXPECT_EQ(Start(context, options).draw_screened(counting_draw())->choices[0], 1u);
}

TEST(Start, MovesAreScreenedWhereTheOptionsSaySo) {
  const RunContext context = test_context(test_space({9}));
  StartOptions options;
  options.screen = {.metrics = {"sum"}, .samples = 4};
  std::vector<Architecture> moves{{{3}}, {{8}}, {{1}}};
  const Start plain(context, options, Moves::screened);
  EXPECT_EQ(plain.draw_move(counting_draw())->choices[0], 0u);
  plain.sort_moves(moves);
  EXPECT_EQ(moves[0].choices[0], 3u);
  options.screen->moves = true;
  const Start screened(context, options, Moves::screened);
  EXPECT_EQ(screened.draw_move(counting_draw())->choices[0], 3u);
  screened.sort_moves(moves);
  EXPECT_EQ(moves, (std::vector<Architecture>{{{1}}, {{3}}, {{8}}}));
  EXPECT_THAT(throws<ConfigError>([&] { Start(context, options); }),
              HasSubstr("/screen/moves: this strategy screens random candidates alone"));
}

TEST(Start, RefusesAScreenThatCannotWork) {
  RunContext context = test_context(test_space({9}));
  StartOptions options;
  options.screen = {.metrics = {"quality"}};
  context.screen = [](const std::string&) { return Screen{}; };
  EXPECT_THAT(throws<ConfigError>([&] { Start(context, options); }),
              HasSubstr("/screen/goal: the metric \"quality\" does not say"));
  context.screen = {};
  EXPECT_THAT(throws<ConfigError>([&] { Start(context, options); }), HasSubstr("/screen: "));
}

TEST(ScreenOptionTable, ReadsAndChecks) {
  const auto table = screen_option_table();
  const ScreenOptions options = table.read(
      {{"metrics", {"synflow", "naswot"}}, {"samples", 20}, {"goal", "minimize"}, {"moves", true}},
      "");
  EXPECT_EQ(options.metrics, (std::vector<std::string>{"synflow", "naswot"}));
  EXPECT_TRUE(options.moves);
  EXPECT_EQ(options.samples, 20);
  EXPECT_EQ(options.goal, Direction::minimize);
  throws<ConfigError>([&] { table.read({{"metrics", {"synflow"}}, {"samples", 1}}, ""); });
  throws<ConfigError>([&] { table.read({{"samples", 2}}, ""); });
  throws<ConfigError>([&] { table.read({{"metrics", Json::array()}}, ""); });
}

}  // namespace
}  // namespace espalier
