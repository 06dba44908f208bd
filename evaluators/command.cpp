#include "evaluators/command.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "core/error.hpp"
#include "core/json.hpp"
#include "evaluators/cost_metrics.hpp"
#include "evaluators/process.hpp"

namespace espalier {

OptionTable<CommandOptions> command_option_table() {
  return OptionTable<CommandOptions>(
             "a program of yours: architecture JSON on its stdin, metrics JSON on its stdout")
      .add("argv", &CommandOptions::argv, "program and arguments", non_empty(), required())
      .add("metrics", &CommandOptions::metrics, "metrics that it writes", non_empty(), required())
      .add("report", &CommandOptions::report,
           "metrics that it writes too and that are only reported, never searched on")
      .add("timeout", &CommandOptions::timeout, "time limit of one trial", greater_than(0),
           unit("s"));
}

CommandEvaluator::CommandEvaluator(std::shared_ptr<const SearchSpace> space, CommandOptions options)
    : space_(std::move(space)), options_(std::move(options)) {
  for (const auto& [names, pointer] :
       {std::pair{&options_.metrics, "/metrics"}, std::pair{&options_.report, "/report"}}) {
    for (std::size_t i = 0; i < names->size(); ++i) {
      const std::string& name = (*names)[i];
      if (std::ranges::find(metrics_, name, &MetricInfo::name) != metrics_.end()) {
        throw ConfigError(pointer_to(pointer, i),
                          fmt::format("the metric \"{}\" is named twice", name));
      }
      metrics_.push_back(metric_info(name));
      metrics_.back().report_only = names == &options_.report;
    }
  }
}

std::vector<double> CommandEvaluator::evaluate(const Candidate& candidate, const Network&,
                                               Rng& rng) {
  if (!space_->valid(candidate.architecture)) {
    throw InvalidArchitecture("the program is only given architectures of the search space");
  }
  const Json input = {{"trial", candidate.trial_id},
                      {"architecture", architecture_to_json(*space_, candidate.architecture)},
                      {"arch", space_->to_string(candidate.architecture)},
                      {"fidelity", candidate.fidelity},
                      // 31 bits: what the generators of all languages take as a seed.
                      {"seed", rng.below(std::uint64_t{1} << 31)}};
  const detail::ProcessResult result =
      detail::run_process(options_.argv, input.dump() + "\n", options_.timeout);
  const auto fail = [&](const std::string& message) {
    throw Error(options_.argv[0] + ": " + message +
                (result.error_tail.empty() ? "; it wrote nothing to stderr"
                                           : "; the end of its stderr:\n" + result.error_tail));
  };
  if (result.timed_out) fail(fmt::format("killed after its {} s", options_.timeout));
  if (result.too_much_output) {
    fail(fmt::format("killed: more than {} bytes on stdout; expected one JSON object",
                     detail::max_output));
  }
  if (result.exit_code != 0) fail(fmt::format("exit code {}", result.exit_code));
  Json output;
  try {
    output = parse_json(result.output, "its stdout");
  } catch (const ConfigError& error) {
    fail(error.what());
  }
  if (!output.is_object()) {
    fail(fmt::format("its stdout is of type {}; expected an object {{metric: number}}",
                     type_name(output)));
  }
  std::vector<double> values;
  for (const MetricInfo& metric : metrics_) {
    const auto found = output.find(metric.name);
    if (found == output.end()) {
      std::vector<std::string> written;
      for (const auto& [key, value] : output.items()) written.push_back(key);
      fail(fmt::format("the metric \"{}\" is not in its output{}", metric.name,
                       suggestion(metric.name, written)));
    }
    if (!found->is_number()) {
      fail(fmt::format("the metric \"{}\" is of type {}; expected a number", metric.name,
                       type_name(*found)));
    }
    values.push_back(found->get<double>());
  }
  return values;
}

}  // namespace espalier
