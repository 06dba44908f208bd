#include <fmt/format.h>

#include <algorithm>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "apps/stop_signals.hpp"
#include "apps/verbs.hpp"
#include "core/error.hpp"
#include "core/log.hpp"
#include "study/config.hpp"
#include "study/results.hpp"
#include "study/search.hpp"

namespace espalier {
namespace {

struct Arguments {
  std::string config, out;
  bool resume = false, continue_as_new = false, json = false;
  std::vector<std::string> set;
  std::optional<int> threads;
};

int search(const Arguments& arguments, const Catalogue& catalogue) {
  Json json = read_json_file(arguments.config);
  for (const std::string& assignment : arguments.set) set_value(json, assignment);
  RunConfig config = read_config(json, catalogue);
  if (arguments.threads) {
    config.compute.workers = std::max(1, *arguments.threads / config.compute.threads_per_trial);
  }
  const StopSignals signals;
  const SearchEnd end = run_search(config, catalogue,
                                   {.directory = arguments.out,
                                    .resume = arguments.resume,
                                    .continue_as_new = arguments.continue_as_new,
                                    .stop_requested = [&signals] { return signals.stopped(); },
                                    .progress = true});
  if (arguments.json) {
    const Results results = read_results(arguments.out, catalogue);
    print_json(results_json(results, results.front()));
  }
  switch (end) {
    case SearchEnd::finished:
      log_info(
          fmt::format("finished; see {0}/report.html, or: espalier pareto {0}", arguments.out));
      return exit_ok;
    case SearchEnd::nothing_feasible:
      log_warning(fmt::format("no trial keeps the constraints, so nothing was chosen; {}",
                              nearest_text(read_results(arguments.out, catalogue))));
      return exit_ok;
    case SearchEnd::all_failed:
      log_error(fmt::format("all trials failed; see espalier trials {}", arguments.out));
      return exit_failed;
    case SearchEnd::interrupted:
      log_warning("stopped; the same command with --resume continues");
      return exit_interrupted;
  }
  return exit_failed;
}

}  // namespace

Verb add_search(CLI::App& app, const Catalogue& catalogue) {
  CLI::App& verb = *app.add_subcommand("search", "runs a search");
  const auto arguments = std::make_shared<Arguments>();
  verb.add_option("config", arguments->config, "the run's config (JSON)")->required();
  verb.add_option("--out", arguments->out, "the run's directory, which must be new or empty")
      ->required();
  verb.add_flag("--resume", arguments->resume,
                "continues the run in the directory, if there is one");
  verb.add_flag("--continue-as-new", arguments->continue_as_new,
                "resumes on another machine or version, where results may differ");
  verb.add_option("--set", arguments->set, "changes the config: /json/pointer=value")
      ->allow_extra_args(false);
  verb.add_option("--threads", arguments->threads,
                  "threads in all: sets compute.workers to this over threads_per_trial")
      ->check(CLI::Range(1, 1024));
  verb.add_flag("--json", arguments->json, "prints the front as JSON");
  return [arguments, &catalogue] { return search(*arguments, catalogue); };
}

}  // namespace espalier
