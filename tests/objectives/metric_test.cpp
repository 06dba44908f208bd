#include "objectives/metric.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "core/error.hpp"
#include "tests/core/throws.hpp"

namespace espalier {
namespace {

using testing::HasSubstr;

std::shared_ptr<const MetricTable> table() {
  return std::make_shared<const MetricTable>(std::vector<MetricInfo>{
      {"accuracy", "%", Direction::maximize}, {"latency_ms@pixel1", "ms"}, {"params"}});
}

TEST(MetricTest, NamesArePositions) {
  const auto metrics = table();
  EXPECT_EQ(metrics->size(), 3u);
  EXPECT_EQ(metrics->index("params"), 2u);
  EXPECT_EQ(metrics->find("latency_ms@pixel1"), 1u);
  EXPECT_EQ(metrics->find("macs"), std::nullopt);
  EXPECT_EQ((*metrics)[0].direction, Direction::maximize);
  EXPECT_EQ(throws<ConfigError>([&] { metrics->index("acuracy"); }),
            "unknown metric \"acuracy\"; did you mean \"accuracy\"?");
}

TEST(MetricTest, ATableRefusesNamesTwiceAndEmptyNames) {
  EXPECT_THAT(throws<ConfigError>([] {
                MetricTable({{"a"}, {"b"}, {"a"}});
              }),
              HasSubstr("\"a\" is declared twice"));
  EXPECT_THAT(throws<ConfigError>([] {
                MetricTable({{"a"}, {""}});
              }),
              HasSubstr("metric 1 has no name"));
}

TEST(MetricTest, WhatIsNotMeasuredIsNaN) {
  Metrics metrics(table());
  EXPECT_TRUE(std::isnan(metrics[0]));
  EXPECT_EQ(metrics.find("accuracy"), std::nullopt);
  metrics.set("accuracy", 91.5);
  EXPECT_EQ(metrics.find("accuracy"), 91.5);
  EXPECT_EQ(metrics.at("accuracy"), 91.5);
  EXPECT_EQ(metrics.find("macs"), std::nullopt);
  const Metrics first(table(), {90});
  EXPECT_EQ(first[0], 90);
  EXPECT_EQ(first.size(), 3u);
  EXPECT_TRUE(std::isnan(first[2]));
}

TEST(MetricTest, UndeclaredNamesAndTooManyValuesAreErrors) {
  Metrics metrics(table());
  throws<ConfigError>([&] { metrics.at("macs"); });
  throws<ConfigError>([&] { metrics.set("macs", 1); });
  throws<ConfigError>([] { Metrics().at("macs"); });
  EXPECT_EQ(Metrics().find("macs"), std::nullopt);
  EXPECT_THAT(throws<Error>([] {
                Metrics(table(), {1, 2, 3, 4});
              }),
              HasSubstr("4 values for 3 metrics"));
}

TEST(MetricTest, EqualityComparesNamesAndValues) {
  const Metrics a(table(), {1, 2}), b(table(), {1, 2});
  EXPECT_EQ(a, b);
  EXPECT_NE(a, Metrics(table(), {1, 2, 3}));
  EXPECT_NE(a, Metrics(table(), {1, 3}));
  const auto others =
      std::make_shared<const MetricTable>(std::vector<MetricInfo>{{"a"}, {"b"}, {"c"}});
  EXPECT_NE(a, Metrics(others, {1, 2}));
  EXPECT_NE(a, Metrics());
  EXPECT_EQ(Metrics(), Metrics());
}

}  // namespace
}  // namespace espalier
