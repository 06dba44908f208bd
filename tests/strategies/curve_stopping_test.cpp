#include "strategies/curve_stopping.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <fstream>
#include <map>

#include "core/error.hpp"
#include "tests/core/temporary_directory.hpp"
#include "tests/core/throws.hpp"
#include "tests/strategies/rung_trace.hpp"

namespace espalier {
namespace {

using testing::HasSubstr;

const auto space = test_space({10, 10, 10, 10});

CurveStoppingOptions quick() {
  CurveStoppingOptions options;
  options.curve = {.walkers = 98, .burn_in = 60, .samples = 40};
  return options;
}

// Percent after a part of a training that ends near `end`.
double percent_at(double fidelity, double end) {
  return end - 40 * std::pow(10 * fidelity, -1.2) + 40 * std::pow(10.0, -1.2);
}

/// The score of each architecture, numbered as they begin, grows to its end.
class Curves {
 public:
  explicit Curves(std::vector<double> ends) : ends_(std::move(ends)) {}
  Trial operator()(const Candidate& c) {
    const auto [found, is_new] = numbers_.try_emplace(c.architecture, numbers_.size());
    const double end = found->second < ends_.size() ? ends_[found->second] : 50;
    Trial trial{.candidate = c, .metrics = Metrics(test_metrics())};
    trial.metrics[0] = percent_at(c.fidelity, end);
    trial.metrics[1] = 0;
    parts[found->second] = c.fidelity;
    return trial;
  }
  std::map<std::size_t, double> parts;  // how far each one was evaluated

 private:
  std::vector<double> ends_;
  std::map<Architecture, std::size_t> numbers_;
};

TEST(CurveStopping, StopsWhatTheForecastSays) {
  // The first is evaluated fully, whatever it is like; then what is far behind is stopped after
  // four parts, and what may become better goes on.
  Curves curves({70, 40, 90, 60});
  CurveStopping strategy(test_context(space), quick());
  drive(strategy, 28, 1, [&](const Candidate& c) { return curves(c); });
  EXPECT_EQ(curves.parts.at(0), 1);
  EXPECT_EQ(curves.parts.at(1), 0.4);
  EXPECT_EQ(curves.parts.at(2), 1);
  EXPECT_EQ(curves.parts.at(3), 0.4);
  // With a rival that it may overtake it is the forecast that decides, not the last value.
  std::vector<CurvePoint> points;
  for (int part = 1; part <= 4; ++part) {
    points.push_back({part / 10.0, percent_at(part / 10.0, 60) / 100});
  }
  const double rival = percent_at(1, 90) / 100;
  EXPECT_LT(forecast_curve(points, quick().curve, Rng(1)).probability_above(rival), 0.05);
  EXPECT_GT(forecast_curve(points, quick().curve, Rng(1)).probability_above(points[3].value), 0.5);
}

TEST(CurveStopping, TheProbabilityCountsNotTheMean) {
  // Its end is expected below that of its rival, and may yet be above it.
  for (const double threshold : {1e-3, 0.9}) {
    Curves curves({70, 67});
    CurveStoppingOptions options = quick();
    options.threshold = threshold;
    CurveStopping strategy(test_context(space), options);
    drive(strategy, 14, 1, [&](const Candidate& c) { return curves(c); });
    EXPECT_EQ(curves.parts.at(0), 1);
    drive(strategy, 2, 1, [&](const Candidate& c) { return curves(c); });
    if (threshold < 0.5) {
      EXPECT_GT(curves.parts.at(1), 0.4);
    } else {
      EXPECT_EQ(curves.parts.at(1), 0.4);
    }
  }
  std::vector<CurvePoint> points;
  for (int part = 1; part <= 4; ++part) {
    points.push_back({part / 10.0, percent_at(part / 10.0, 67) / 100});
  }
  const double above =
      forecast_curve(points, quick().curve, Rng(1)).probability_above(percent_at(1, 70) / 100);
  EXPECT_GT(above, 1e-2);
  EXPECT_LT(above, 0.5);
}

TEST(CurveStopping, CrossingCurvesAreNotStoppedForBeingBehind) {
  // The second one is behind after four parts, but steeper.
  CurveStopping strategy(test_context(space), quick());
  std::map<Architecture, bool> seen;
  double second = 0;
  drive(strategy, 20, 1, [&](const Candidate& c) {
    const bool first = seen.empty() || seen.begin()->first == c.architecture;
    if (seen.empty()) seen[c.architecture] = true;
    Trial trial{.candidate = c, .metrics = Metrics(test_metrics())};
    trial.metrics[0] = first ? 60 - 5 / (10 * c.fidelity) : 90 * c.fidelity;
    trial.metrics[1] = 0;
    if (!first) second = std::max(second, c.fidelity);
    return trial;
  });
  EXPECT_GT(second, 0.4);
}

TEST(CurveStopping, LowerIsBetterWhereItIsMinimized) {
  const Goals errors(*test_metrics(), {{"score", Direction::minimize}});
  Curves curves({70, 40, 90, 60});
  CurveStopping strategy(test_context(space, 1, errors), quick());
  drive(strategy, 28, 1, [&](const Candidate& c) {
    Trial trial = curves(c);
    trial.metrics[0] = 100 - trial.metrics[0];
    return trial;
  });
  EXPECT_EQ(curves.parts.at(1), 0.4);
  EXPECT_EQ(curves.parts.at(2), 1);
}

TEST(CurveStopping, OtherObjectivesAndConstraintsDecideWhoIsARival) {
  // Smaller than all full ones: no rival.
  Curves curves({70, 40});
  CurveStopping strategy(test_context(space, 1, two_goals()), quick());
  drive(strategy, 20, 1, [&](const Candidate& c) {
    Trial trial = curves(c);
    trial.metrics[1] = c.trial_id < 10 ? 5 : 4;
    return trial;
  });
  EXPECT_EQ(curves.parts.at(1), 1);
  // It breaks the constraint, whatever it learns.
  Curves better({70, 90});
  const Goals constrained(*test_metrics(), {{"score", Direction::maximize}},
                          {{.metric = "size", .upper = 8}});
  CurveStopping other(test_context(space, 1, constrained), quick());
  drive(other, 15, 1, [&](const Candidate& c) {
    Trial trial = better(c);
    trial.metrics[1] = c.trial_id >= 10 && c.trial_id < 14 ? 9 : 4;
    return trial;
  });
  EXPECT_EQ(better.parts.at(1), 0.4);
}

TEST(CurveStopping, ValuesBeyondTheScaleAreNotForecast) {
  Curves curves({70, 40});
  CurveStoppingOptions options = quick();
  options.scale = 10;
  CurveStopping strategy(test_context(space), options);
  drive(strategy, 20, 1, [&](const Candidate& c) { return curves(c); });
  EXPECT_EQ(curves.parts.at(1), 1);
}

TEST(CurveStopping, ASnapshotGoesOnAsIfNothingHadHappened) {
  const auto small = test_space({2, 3, 2}, true);  // 9 architectures: to the end
  StartOptions start;
  CurveStoppingOptions options = quick();
  options.parts = 5;
  options.initial = {{{"d1", "1"}, {"d2", "2"}, {"d3", "1"}}};
  const auto outcome = [](const Candidate& c) {
    if (c.trial_id % 11 == 7) return failed_trial(c);
    Trial trial = complete_trial(c);
    trial.metrics[0] = percent_at(c.fidelity, 30 + 3 * trial.metrics[0]);
    return trial;
  };
  for (const std::size_t at : {0u, 1u, 3u, 6u, 9u}) {
    const TemporaryDirectory directory;
    CurveStopping uninterrupted(test_context(small), options),
        resumed(test_context(small), options);
    std::vector<Candidate> in_flight;
    for (std::size_t i = 0; i < at; ++i) {
      in_flight = uninterrupted.ask(2);
      if (i + 1 == at) break;
      for (const Candidate& c : in_flight) uninterrupted.tell(outcome(c));
    }
    ASSERT_TRUE(uninterrupted.save(directory.path()));
    resumed.load(directory.path());
    std::vector<std::vector<Candidate>> sequences;
    for (CurveStopping* strategy : {&uninterrupted, &resumed}) {
      auto& sequence = sequences.emplace_back();
      for (const Candidate& c : in_flight) strategy->tell(outcome(c));
      for (const Trial& trial : drive(*strategy, 100, 3, outcome)) {
        sequence.push_back(trial.candidate);
      }
      EXPECT_TRUE(strategy->finished());
    }
    EXPECT_EQ(sequences[0], sequences[1]) << at;
  }
  const TemporaryDirectory directory;
  CurveStopping broken(test_context(small), options);
  EXPECT_THROW(broken.load(directory.path()), IoError);
  for (const char* text : {R"({"format": 2})", R"({"format": 1})"}) {
    std::ofstream(directory.path() / "search.json") << text;
    EXPECT_THROW(broken.load(directory.path()), IoError);
  }
}

TEST(CurveStoppingOptionTable, ReadsAndChecks) {
  const auto table = curve_stopping_option_table();
  EXPECT_EQ(table.read({{"parts", 5}}, "").parts, 5);
  EXPECT_THAT(throws<ConfigError>([&] {
                table.read({{"parts", 4}, {"min_parts", 4}}, "");
              }),
              HasSubstr("/min_parts: must be less than \"parts\""));
}

}  // namespace
}  // namespace espalier
