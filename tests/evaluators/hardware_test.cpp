#include "evaluators/hardware.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/error.hpp"
#include "hw_models/roofline.hpp"
#include "tests/core/throws.hpp"
#include "tests/evaluators/toy_space.hpp"

namespace espalier {
namespace {

TEST(HardwareEvaluator, GivesWhatEachModelKnows) {
  const auto space = toy_space();
  const auto slow = std::make_shared<Roofline>(example_devices()[0], "slow");
  const auto fast = std::make_shared<Roofline>(example_devices()[1], "fast");
  HardwareEvaluator evaluator({slow, fast});
  std::vector<std::string> names;
  for (const MetricInfo& metric : evaluator.metrics()) {
    names.push_back(metric.name);
    EXPECT_EQ(metric.direction, Direction::minimize);
  }
  EXPECT_THAT(names, testing::ElementsAre("latency_ms@slow", "energy_mj@slow", "latency_ms@fast",
                                          "energy_mj@fast"));
  const Architecture a{std::vector<std::uint32_t>(space->decisions().size(), 0)};
  const Graph graph = space->build(a);
  EXPECT_THAT(evaluate(evaluator, *space, a),
              testing::ElementsAre(
                  *slow->estimate(graph, 1).latency_ms, *slow->estimate(graph, 1).energy_mj,
                  *fast->estimate(graph, 1).latency_ms, *fast->estimate(graph, 1).energy_mj));
}

TEST(HardwareEvaluator, RefusesTwoModelsOfOneName) {
  const auto model = std::make_shared<Roofline>(example_devices()[0], "phone");
  EXPECT_EQ(throws<ConfigError>([&] {
              HardwareEvaluator({model, model});
            }),
            "two hardware models are named \"phone\"");
}

}  // namespace
}  // namespace espalier
