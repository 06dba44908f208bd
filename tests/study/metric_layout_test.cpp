#include "study/metric_layout.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/error.hpp"
#include "tests/core/throws.hpp"

namespace espalier::detail {
namespace {

using testing::ElementsAre;

std::vector<std::string> names(const MetricTable& table) {
  std::vector<std::string> names;
  for (const MetricInfo& info : table.metrics()) names.push_back(info.name);
  return names;
}

NetworkMetric network_metric(const std::string& name) {
  return {.info = {name}, .value = [](const Network&) { return 0.0; }};
}

const std::vector<NetworkMetric> known{network_metric("params"), network_metric("macs"),
                                       network_metric("latency_ms@a")};

TEST(MetricLayout, HasWhatIsMeasuredThenWhatIsNamedThenReports) {
  const MetricLayout layout(
      {{"accuracy"}, {.name = "test", .report_only = true}, {"macs"}}, known,
      {{"accuracy", Direction::maximize}, {"latency_ms@a", Direction::minimize}},
      {{.metric = "params", .upper = 5}, {.metric = "macs", .upper = 5}});
  EXPECT_THAT(names(*layout.table()),
              ElementsAre("accuracy", "macs", "params", "latency_ms@a", "test"));
  EXPECT_THAT(names(*layout.search_table()),
              ElementsAre("accuracy", "macs", "params", "latency_ms@a"));
  ASSERT_EQ(layout.network().size(), 2u);  // macs is measured
  EXPECT_TRUE(layout.has_report_only());
  EXPECT_THAT(layout.arrange({90, 95, 7}, {3, 0.5}), ElementsAre(90, 7, 3, 0.5, 95));
}

TEST(MetricLayout, WithoutReportsThereIsOneTable) {
  const MetricLayout layout({{"accuracy"}}, known, {{"accuracy", Direction::maximize}}, {});
  EXPECT_EQ(layout.table(), layout.search_table());
  EXPECT_FALSE(layout.has_report_only());
  EXPECT_THAT(layout.arrange({90}, {}), ElementsAre(90));
}

TEST(MetricLayout, RefusesWhatIsUnknownOrForReports) {
  const std::vector<MetricInfo> measured{{"accuracy"}, {.name = "test", .report_only = true}};
  EXPECT_EQ(throws<ConfigError>([&] {
              MetricLayout(measured, known,
                           {{"accuracy", Direction::maximize}, {"latency_ms@b", {}}}, {});
            }),
            "/objectives/1/metric: unknown metric \"latency_ms@b\"; did you mean "
            "\"latency_ms@a\"?");
  EXPECT_EQ(throws<ConfigError>([&] {
              MetricLayout(measured, known, {{"accuracy", Direction::maximize}},
                           {{.metric = "test", .upper = 1}});
            }),
            "/constraints/0/metric: the metric \"test\" is for reports only: no objective and no "
            "constraint may use it");
}

}  // namespace
}  // namespace espalier::detail
