// Parts of studies that cost nothing.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <ostream>
#include <string>
#include <utility>
#include <vector>

#include "strategies/asha.hpp"
#include "strategies/brackets.hpp"
#include "strategies/random.hpp"
#include "strategies/regularized_evolution.hpp"
#include "study/study.hpp"
#include "tests/strategies/toy_search.hpp"

namespace espalier {

inline void PrintTo(const Trial& trial, std::ostream* out) {
  *out << "trial " << trial.candidate.trial_id << ":";
  for (const std::uint32_t choice : trial.candidate.architecture.choices) *out << " " << choice;
}

/// An evaluator that is a function; it measures "score" and "size" (as in toy_search.hpp) unless
/// told otherwise.
class FunctionEvaluator : public Evaluator {
 public:
  using Function = std::function<std::vector<double>(const Candidate&, const Network&, Rng&)>;
  explicit FunctionEvaluator(Function function) : function_(std::move(function)) {}

  const std::vector<MetricInfo>& metrics() const override { return metrics_; }
  void prepare(const PrepareContext& context) override { prepared.push_back(context.directory); }
  std::vector<double> evaluate(const Candidate& candidate, const Network& network,
                               Rng& rng) override {
    return function_(candidate, network, rng);
  }
  bool thread_safe() const override { return safe; }

  std::vector<MetricInfo> metrics_{{"score", "", Direction::maximize}, {"size"}};
  bool safe = true;
  std::vector<std::filesystem::path> prepared;

 private:
  Function function_;
};

/// What complete_trial of toy_search.hpp says, with some noise from the trial's generator.
inline std::vector<double> toy_values(const Candidate& candidate, const Network&, Rng& rng) {
  const Trial trial = complete_trial(candidate);
  return {trial.metrics[0] + rng.uniform(), trial.metrics[1]};
}

inline std::shared_ptr<FunctionEvaluator> evaluator_of(FunctionEvaluator::Function function) {
  return std::make_shared<FunctionEvaluator>(std::move(function));
}

inline StrategyFactory random_strategy() {
  return [](const RunContext& context) {
    return std::make_unique<RandomSearch>(context, RandomOptions{});
  };
}

inline StrategyFactory evolution_strategy() {
  return [](const RunContext& context) {
    RegularizedEvolutionOptions options;
    options.population = 8;
    options.sample = 3;
    return std::make_unique<RegularizedEvolution>(context, options);
  };
}

inline StrategyFactory asha_strategy() {
  return [](const RunContext& context) { return std::make_unique<Asha>(context, AshaOptions{}); };
}

inline StrategyFactory hyperband_strategy() {
  return [](const RunContext& context) { return hyperband(context, {}); };
}

inline std::vector<Objective> maximize_score() { return {{"score", Direction::maximize}}; }

/// Writes down every call.
class LoggedStrategy : public Strategy {
 public:
  LoggedStrategy(std::unique_ptr<Strategy> inner, std::vector<std::string>& log)
      : inner_(std::move(inner)), log_(&log) {}

  std::vector<Candidate> ask(std::size_t max_count) override {
    log_->push_back("ask " + std::to_string(max_count));
    return inner_->ask(max_count);
  }
  void tell(const Trial& trial) override {
    log_->push_back("tell " + std::to_string(trial.candidate.trial_id));
    inner_->tell(trial);
  }
  bool finished() const override { return inner_->finished(); }

 private:
  std::unique_ptr<Strategy> inner_;
  std::vector<std::string>* log_;
};

inline StrategyFactory logged(StrategyFactory factory, std::vector<std::string>& log) {
  return [factory, &log](const RunContext& context) {
    return std::make_unique<LoggedStrategy>(factory(context), log);
  };
}

}  // namespace espalier
