#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <csignal>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "apps/verbs.hpp"
#include "core/error.hpp"
#include "core/log.hpp"
#include "study/config.hpp"
#include "study/results.hpp"
#include "study/search.hpp"

namespace espalier {
namespace {

std::atomic<bool> stop = false;
static_assert(std::atomic<bool>::is_always_lock_free, "a signal handler may set it");

extern "C" void on_stop_signal(int) {
  if (stop.exchange(true)) _exit(exit_interrupted);
}

// Until the end of the scope, the first Ctrl-C asks the search to stop, and a second one ends the
// program at once.
class StopSignals {
 public:
  StopSignals() {
    stop = false;
    struct sigaction action {};
    action.sa_handler = on_stop_signal;
    sigemptyset(&action.sa_mask);
    action.sa_flags = SA_RESTART;
    sigaction(SIGINT, &action, &interrupt_);
    sigaction(SIGTERM, &action, &terminate_);
  }
  ~StopSignals() {
    sigaction(SIGINT, &interrupt_, nullptr);
    sigaction(SIGTERM, &terminate_, nullptr);
  }
  StopSignals(const StopSignals&) = delete;
  StopSignals& operator=(const StopSignals&) = delete;

 private:
  struct sigaction interrupt_ {
  }, terminate_{};
};

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
                                    .stop_requested = [] { return stop.load(); },
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
      log_warning("no trial keeps the constraints, so nothing was chosen");
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
