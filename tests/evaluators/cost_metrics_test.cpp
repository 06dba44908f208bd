#include "evaluators/cost_metrics.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/error.hpp"
#include "tests/core/throws.hpp"
#include "tests/evaluators/toy_space.hpp"

namespace espalier {
namespace {

TEST(CostMetrics, AreThoseOfTheGraph) {
  const auto space = toy_space();
  Rng rng(1);
  for (int i = 0; i < 20; ++i) {
    const Architecture a = sample_uniform(*space, rng);
    const Network network(*space, a);
    const Cost expected = cost(space->build(a));
    EXPECT_EQ(cost_metric("params", network), expected.params);
    EXPECT_EQ(cost_metric("macs", network), expected.macs);
    EXPECT_EQ(cost_metric("storage_bytes", network), expected.storage_bytes);
    EXPECT_EQ(cost_metric("peak_memory_bytes", network), expected.peak_memory_bytes);
  }
  EXPECT_EQ(cost_metrics().size(), 4u);
  for (const MetricInfo& metric : cost_metrics()) {
    EXPECT_TRUE(is_cost_metric(metric.name));
    EXPECT_EQ(metric, metric_info(metric.name));
  }
  EXPECT_FALSE(is_cost_metric("accuracy"));
}

TEST(CostMetrics, RefuseOtherNames) {
  const auto space = toy_space();
  const Architecture a{std::vector<std::uint32_t>(space->decisions().size(), 0)};
  EXPECT_EQ(throws<ConfigError>([&] { cost_metric("parms", Network(*space, a)); }),
            "\"parms\" is no cost metric; did you mean \"params\"?");
}

TEST(MetricInfoOfAName, TellsUnitAndDirection) {
  using enum Direction;
  const auto expect = [](const MetricInfo& info) { EXPECT_EQ(metric_info(info.name), info); };
  expect({"accuracy", "%", maximize});
  expect({"test_accuracy", "%", maximize});
  expect({"latency_ms", "ms", minimize});
  expect({"latency_ms@my_bytes", "ms", minimize});
  expect({"energy_mj@phone", "mJ", minimize});
  expect({"flash_bytes", "B", minimize});
  expect({"inaccuracy"});
  expect({"loss"});
}

}  // namespace
}  // namespace espalier
