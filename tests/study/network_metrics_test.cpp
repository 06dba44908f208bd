#include "study/network_metrics.hpp"

#include <ATen/ATen.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "core/csv.hpp"
#include "core/error.hpp"
#include "graph/cost.hpp"
#include "hw_models/lookup_table.hpp"
#include "hw_models/roofline.hpp"
#include "search_spaces/nasbench201.hpp"
#include "search_spaces/sampling.hpp"
#include "strategies/expected_cost.hpp"
#include "tests/core/throws.hpp"
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

TEST(NetworkMetrics, ExpectationsOverARelaxationAreThoseOfTheMetrics) {
  const std::shared_ptr<const SearchSpace> space =
      make_nasbench201({.input = {3, 8, 8}, .channels = 4, .cells = 1});
  // A table of edges, of some operators only; all else is by a device.
  const Device device = example_devices()[0];
  const std::string rows =
      make_lookup_table(std::array{space->build(Architecture{{3, 2, 1, 0, 3, 2}})},
                        {.scope_kinds = {"edge"}}, [](const Graph& graph, const Part& part) {
                          double total = 0.01;
                          for (const NodeId id : part.nodes) {
                            total += 1e-6 * static_cast<double>(node_macs(graph, id));
                          }
                          return HardwareCost{.latency_ms = total, .energy_mj = 2 * total};
                        });
  std::vector<NetworkMetric> metrics = cost_network_metrics();
  for (const std::shared_ptr<const HardwareModel>& model :
       {std::shared_ptr<const HardwareModel>(std::make_shared<Roofline>(device, "line")),
        std::shared_ptr<const HardwareModel>(std::make_shared<LookupTable>(
            "table", CsvTable::parse(rows, "t.csv"), std::make_unique<Roofline>(device)))}) {
    for (NetworkMetric& metric : hardware_network_metrics(model)) {
      metrics.push_back(std::move(metric));
    }
  }
  Rng rng(3);
  std::vector<at::Tensor> weights;
  for (const Decision& d : space->decisions()) {
    at::Tensor own = at::empty({static_cast<std::int64_t>(d.options.size())}, at::kDouble);
    // Two options each, so that few architectures are to be counted.
    own.zero_();
    for (int i = 0; i < 2; ++i) {
      own[static_cast<std::int64_t>((weights.size() + 2 * i) % d.options.size())] =
          0.1 + rng.uniform();
    }
    weights.push_back(own / own.sum());
  }
  int sums = 0;
  for (const NetworkMetric& metric : metrics) {
    if (!metric.parts) continue;
    ++sums;
    SCOPED_TRACE(metric.info.name);
    const ExpectedCost expected(*space->supergraph(), metric.parts, metric.info.name);
    for (int i = 0; i < 5; ++i) {
      const Architecture a = sample_uniform(*space, rng);
      const double value = metric.value(Network(*space, a));
      EXPECT_NEAR(expected.of(a), value, 1e-6 * value);
    }
    if (metric.info.name != "latency_ms@table") continue;
    double mean = 0;
    enumerate(*space, [&](const Architecture& a) {
      double p = 1;
      for (std::size_t d = 0; d < weights.size(); ++d) p *= weights[d][a.choices[d]].item<double>();
      if (p > 0) mean += p * metric.value(Network(*space, a));
      return true;
    });
    EXPECT_NEAR(expected.of(weights).item<double>(), mean, 1e-6 * mean);
  }
  EXPECT_EQ(sums, 7);
}

TEST(NetworkMetrics, AModelWithoutPartsHasNoExpectation) {
  class Whole : public HardwareModel {
   public:
    Whole() : HardwareModel("whole") {}
    std::vector<HardwareMetric> metrics() const override { return {hardware_metrics[0]}; }
    HardwareCost estimate(const Graph&, int) const override { return {.latency_ms = 1}; }
  };
  const std::shared_ptr<const SearchSpace> space = make_nasbench201({.channels = 4, .cells = 1});
  const NetworkMetric metric = hardware_network_metrics(std::make_shared<Whole>()).at(0);
  EXPECT_THAT(throws<UnsupportedError>([&] {
                const ExpectedCost cost(*space->supergraph(), metric.parts, metric.info.name);
              }),
              testing::HasSubstr("the hardware model 'whole' is no sum over the parts"));
}

}  // namespace
}  // namespace espalier
