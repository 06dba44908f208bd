#pragma once

#include <memory>
#include <string>
#include <vector>

#include "core/options.hpp"
#include "evaluators/evaluator.hpp"

namespace espalier {

struct CommandOptions {
  std::vector<std::string> argv;     ///< program and arguments; the program is looked up in PATH
  std::vector<std::string> metrics;  ///< that the program writes
  std::vector<std::string> report = {};  ///< the same, for reports only
  double timeout = 3600;                 ///< seconds for one trial, > 0
};
OptionTable<CommandOptions> command_option_table();

/// Evaluates with a program of the user's, in any language.
///
/// The program reads one JSON object from stdin:
/// {"trial": id, "architecture": {decision: label}, "arch": the space's string, "fidelity": number
/// in (0, 1], "seed": integer}, and writes one JSON object {metric: number} to stdout; other keys
/// in it are left out. Messages belong on stderr. It runs in a process group of its own, which is
/// killed at the time limit, when the program ends, and when this process does, however. The first
/// Ctrl-C of a search waits for the trials in flight, the second one ends them. A run is as
/// repeatable as the program is.
class CommandEvaluator : public Evaluator {
 public:
  /// Throws ConfigError for a metric named twice.
  CommandEvaluator(std::shared_ptr<const SearchSpace> space, CommandOptions options);

  const std::vector<MetricInfo>& metrics() const override { return metrics_; }
  /// Throws IoError when the program cannot be started, and Error, with the end of its stderr, when
  /// it exits with another code than 0, exceeds its time, or does not write what it should.
  std::vector<double> evaluate(const Candidate& candidate, const Network& network,
                               Rng& rng) override;

 private:
  std::shared_ptr<const SearchSpace> space_;
  CommandOptions options_;
  std::vector<MetricInfo> metrics_;
};

}  // namespace espalier
