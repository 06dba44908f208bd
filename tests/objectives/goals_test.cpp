#include "objectives/goals.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "core/error.hpp"
#include "core/json.hpp"
#include "tests/core/throws.hpp"

namespace espalier {
namespace {

using testing::HasSubstr;

const auto table = std::make_shared<const MetricTable>(
    std::vector<MetricInfo>{{"params"}, {"accuracy", "%"}, {"latency_ms", "ms"}});

TEST(GoalsTest, CostsAreMinimized) {
  const Goals goals(*table,
                    {{"accuracy", Direction::maximize}, {"latency_ms", Direction::minimize}});
  const Metrics metrics(table, {1000, 91, 7});
  EXPECT_THAT(goals.costs(metrics), testing::ElementsAre(-91, 7));
  EXPECT_EQ(goals.first_cost(metrics), -91);
  EXPECT_EQ(goals.violation(metrics), 0);
  EXPECT_EQ(goals.size(), 2u);
}

TEST(GoalsTest, ViolationsAddUp) {
  const Goals goals(*table, {{"accuracy", Direction::maximize}},
                    {{.metric = "params", .upper = 1000}, {.metric = "latency_ms", .lower = 8}});
  EXPECT_EQ(goals.violation(Metrics(table, {1000, 0, 8})), 0);
  EXPECT_DOUBLE_EQ(goals.violation(Metrics(table, {1500, 0, 8})), 0.5);
  EXPECT_DOUBLE_EQ(goals.violation(Metrics(table, {1500, 0, 6})), 0.75);
  EXPECT_EQ(goals.violation(Metrics(table, {1, 1})), std::numeric_limits<double>::infinity());
}

TEST(GoalsTest, ATrialIsFeasibleWhenItIsCompleteAndKeepsTheConstraints) {
  const Goals goals(*table, {{"accuracy", Direction::maximize}},
                    {{.metric = "params", .upper = 1000}});
  Trial trial;
  trial.metrics = Metrics(table, {1000, 90, 1});
  EXPECT_TRUE(goals.feasible(trial));
  trial.metrics.set("params", 1001);
  EXPECT_FALSE(goals.feasible(trial));
  trial.metrics.set("params", 1);
  trial.state = TrialState::failed;
  EXPECT_FALSE(goals.feasible(trial));
}

TEST(GoalsTest, BadGoalsAreRefused) {
  EXPECT_THAT(throws<ConfigError>([] { Goals(*table, {}); }),
              HasSubstr("/objectives: there is no objective"));
  EXPECT_THAT(
      throws<ConfigError>([] { Goals(*table, {{"parms"}}); }),
      HasSubstr("/objectives/0/metric: unknown metric \"parms\"; did you mean \"params\"?"));
  EXPECT_THAT(throws<ConfigError>([] { Goals(*table, {{"params"}}, {{.metric = "latency"}}); }),
              HasSubstr("/constraints/0/metric: unknown metric \"latency\""));
  EXPECT_THAT(throws<ConfigError>([] {
                Goals(*table, {{"params"}, {"params", Direction::maximize}});
              }),
              HasSubstr("/objectives/1/metric: the metric \"params\" is an objective twice"));
  EXPECT_THAT(
      throws<ConfigError>([] {
        Goals(*table, {{"params"}}, {{"accuracy", 2, 1}});
      }),
      HasSubstr("/constraints/0: the lower bound 2 of \"accuracy\" is above its upper bound 1"));
}

TEST(GoalsTest, AreWrittenAsJson) {
  const Goals goals(*table, {{"accuracy", Direction::maximize}, {"latency_ms"}},
                    {{.metric = "params", .upper = 1000}, {"latency_ms", 1, 2}});
  EXPECT_EQ(to_json(goals).dump(), R"({"objectives":[{"metric":"accuracy","goal":"maximize"},)"
                                   R"({"metric":"latency_ms","goal":"minimize"}],)"
                                   R"("constraints":[{"metric":"params","max":1000.0},)"
                                   R"({"metric":"latency_ms","min":1.0,"max":2.0}]})");
}

TEST(GoalsTest, AReportOnlyMetricIsNotSearchedOn) {
  MetricInfo test_accuracy{"test_accuracy", "%"};
  test_accuracy.report_only = true;
  const MetricTable metrics({{"params"}, test_accuracy});
  EXPECT_THAT(throws<ConfigError>([&] { Goals(metrics, {{"test_accuracy"}}); }),
              HasSubstr("/objectives/0/metric: the metric \"test_accuracy\" is for reports only"));
  throws<ConfigError>([&] { Goals(metrics, {{"params"}}, {{.metric = "test_accuracy"}}); });
}

TEST(ConstraintTest, ViolationIsRelativeToTheBound) {
  const Constraint both{"m", -4, 10};
  EXPECT_EQ(violation(both, -4), 0);
  EXPECT_EQ(violation(both, 10), 0);
  EXPECT_DOUBLE_EQ(violation(both, 15), 0.5);
  EXPECT_DOUBLE_EQ(violation(both, -5), 0.25);
  EXPECT_DOUBLE_EQ(violation({.metric = "m", .upper = 0}, 3), 3);
  EXPECT_EQ(violation({.metric = "m"}, 1e300), 0);
  EXPECT_TRUE(std::isinf(violation({.metric = "m"}, std::nan(""))));
}

}  // namespace
}  // namespace espalier
