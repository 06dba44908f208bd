// A space, metrics and trials that cost nothing, for the tests of strategies.
#pragma once

#include <fmt/format.h>

#include <algorithm>
#include <functional>
#include <limits>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "graph/builder.hpp"
#include "strategies/run_context.hpp"
#include "strategies/strategy.hpp"

namespace espalier {

/// Independent decisions with given numbers of options, but for an optional dependence: the last
/// decision is active only while the first one is not 0. `forbidden` breaks a constraint.
class TestSpace : public SearchSpace {
 public:
  explicit TestSpace(const std::vector<int>& counts, bool conditional = false,
                     std::optional<Architecture> forbidden = std::nullopt)
      : SearchSpace(decisions_of(counts)), conditional_(conditional), forbidden_(forbidden) {}

  bool valid(const Architecture& a) const override {
    return SearchSpace::valid(a) && a != forbidden_;
  }
  Architecture canonical(const Architecture& a) const override {
    Architecture result = a;
    if (conditional_ && a.choices.front() == 0) result.choices.back() = 0;
    return result;
  }
  bool active(const Architecture& a, DecisionId d) const override {
    return !conditional_ || d + 1 != a.choices.size() || a.choices.front() != 0;
  }
  Graph build(const Architecture& a) const override {
    require_valid(a);
    GraphBuilder builder;
    builder.output(builder.input(1, 1, 1));
    return builder.build();
  }

 private:
  static std::vector<Decision> decisions_of(const std::vector<int>& counts) {
    std::vector<Decision> decisions;
    for (int count : counts) {
      Decision& decision = decisions.emplace_back();
      decision.name = fmt::format("d{}", decisions.size());
      for (int i = 0; i < count; ++i) decision.options.push_back(std::to_string(i));
    }
    return decisions;
  }
  bool conditional_;
  std::optional<Architecture> forbidden_;
};

inline std::shared_ptr<const SearchSpace> test_space(const std::vector<int>& counts,
                                                     bool conditional = false) {
  return std::make_shared<TestSpace>(counts, conditional);
}

/// The same space with all decisions ordinal.
class OrdinalSpace : public SearchSpace {
 public:
  explicit OrdinalSpace(std::shared_ptr<const SearchSpace> space)
      : SearchSpace(ordinal(space->decisions())), space_(std::move(space)) {}

  bool valid(const Architecture& a) const override { return space_->valid(a); }
  Architecture canonical(const Architecture& a) const override { return space_->canonical(a); }
  bool active(const Architecture& a, DecisionId d) const override { return space_->active(a, d); }
  Graph build(const Architecture& a) const override { return space_->build(a); }

 private:
  static std::vector<Decision> ordinal(std::vector<Decision> decisions) {
    for (Decision& decision : decisions) decision.ordinal = true;
    return decisions;
  }
  std::shared_ptr<const SearchSpace> space_;
};

/// The metrics of the tests: "score", to be maximized, and "size".
inline std::shared_ptr<const MetricTable> test_metrics() {
  static const auto table = std::make_shared<const MetricTable>(
      std::vector<MetricInfo>{{"score", "", Direction::maximize}, {"size"}});
  return table;
}
inline Goals one_goal() { return Goals(*test_metrics(), {{"score", Direction::maximize}}); }
inline Goals two_goals() {
  return Goals(*test_metrics(), {{"score", Direction::maximize}, {"size", Direction::minimize}},
               {{.metric = "size", .upper = 8}});
}

/// A context with a screen for the metric "sum": the sum of all choices.
inline RunContext test_context(std::shared_ptr<const SearchSpace> space, std::uint64_t seed = 1,
                               Goals goals = one_goal()) {
  return {.space = std::move(space),
          .goals = std::move(goals),
          .rng = Rng(seed),
          .screen = [](const std::string&) -> Screen {
            return {.score =
                        [](std::span<const Architecture> architectures) {
                          std::vector<double> sums;
                          for (const Architecture& a : architectures) {
                            double& sum = sums.emplace_back();
                            for (std::uint32_t c : a.choices) sum += c;
                          }
                          return sums;
                        },
                    .direction = Direction::maximize};
          }};
}

/// The result of a trial: score is the sum of the choices weighted by their place, size their sum.
inline Trial complete_trial(const Candidate& candidate) {
  Trial trial{.candidate = candidate, .metrics = Metrics(test_metrics())};
  double score = 0, size = 0;
  for (std::size_t d = 0; d < candidate.architecture.choices.size(); ++d) {
    const double choice = candidate.architecture.choices[d];
    score += choice * static_cast<double>(1 + (d * 7) % 5);
    size += choice;
  }
  trial.metrics[0] = score;
  trial.metrics[1] = size;
  return trial;
}
inline Trial failed_trial(const Candidate& candidate) {
  return {.candidate = candidate,
          .state = TrialState::failed,
          .metrics = Metrics(test_metrics()),
          .error = "it failed"};
}

/// The result of a trial of a problem that can be solved decision by decision: the score is how
/// many of the choices are those of a hidden architecture; decisions have 5 options. Below full
/// fidelity it has an error, the same each time, whose deviation is 1 - fidelity.
inline Trial planted_trial(const Candidate& candidate) {
  Trial trial{.candidate = candidate, .metrics = Metrics(test_metrics())};
  double score = 0;
  for (std::size_t d = 0; d < candidate.architecture.choices.size(); ++d) {
    score += candidate.architecture.choices[d] == (d * 7) % 5;
  }
  Rng error(1);
  for (const std::uint32_t choice : candidate.architecture.choices) error = error.fork(choice);
  if (candidate.fidelity < 1) score += (1 - candidate.fidelity) * error.normal();
  trial.metrics[0] = score;
  trial.metrics[1] = 0;
  return trial;
}

using Outcome = std::function<Trial(const Candidate&)>;

/// Asks for batches of up to `batch` and tells them, until `trials` are told or the strategy gives
/// nothing.
inline std::vector<Trial> drive(Strategy& strategy, std::size_t trials, std::size_t batch = 1,
                                const Outcome& outcome = complete_trial) {
  std::vector<Trial> told;
  while (told.size() < trials) {
    const auto candidates = strategy.ask(std::min(batch, trials - told.size()));
    if (candidates.empty()) break;
    for (const Candidate& candidate : candidates) {
      told.push_back(outcome(candidate));
      strategy.tell(told.back());
    }
  }
  return told;
}

}  // namespace espalier
