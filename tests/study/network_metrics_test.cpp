#include "study/network_metrics.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "graph/cost.hpp"
#include "hw_models/roofline.hpp"
#include "tests/evaluators/toy_space.hpp"

namespace espalier {
namespace {

TEST(NetworkMetrics, AreTheCostsAndWhatModelsEstimate) {
  const std::shared_ptr<const SearchSpace> space = toy_space();
  Rng rng(1);
  const Architecture a = sample_uniform(*space, rng);
  const Network network(*space, a);
  const Graph graph = space->build(a);
  const Cost expected = cost(graph);
  std::vector<std::pair<std::string, double>> values;
  for (const NetworkMetric& metric : cost_network_metrics()) {
    values.emplace_back(metric.info.name, metric.value(network));
    EXPECT_EQ(metric.info.direction, Direction::minimize);
  }
  EXPECT_THAT(values,
              testing::ElementsAre(
                  std::pair("params", static_cast<double>(expected.params)),
                  std::pair("macs", static_cast<double>(expected.macs)),
                  std::pair("storage_bytes", static_cast<double>(expected.storage_bytes)),
                  std::pair("peak_memory_bytes", static_cast<double>(expected.peak_memory_bytes))));

  const auto model = std::make_shared<const Roofline>(example_devices()[0], "mine");
  const HardwareCost hardware = model->estimate(graph, 1);
  const std::vector<NetworkMetric> estimates = hardware_network_metrics(model);
  ASSERT_EQ(estimates.size(), 2u);
  EXPECT_EQ(estimates[0].info.name, "latency_ms@mine");
  EXPECT_EQ(estimates[0].info.unit, "ms");
  EXPECT_EQ(estimates[0].value(network), hardware.latency_ms);
  EXPECT_EQ(estimates[1].info.name, "energy_mj@mine");
  EXPECT_EQ(estimates[1].value(network), hardware.energy_mj);
}

}  // namespace
}  // namespace espalier
