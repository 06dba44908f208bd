#include <memory>
#include <numeric>
#include <string>

#include "apps/verbs.hpp"
#include "study/results.hpp"

namespace espalier {
namespace {

struct Arguments {
  std::string directory;
  bool json = false, csv = false;
};

int trials(const Arguments& arguments, const Catalogue& catalogue) {
  const Results results = read_results(arguments.directory, catalogue);
  std::vector<std::size_t> all(results.trials.size());
  std::iota(all.begin(), all.end(), std::size_t{0});
  if (arguments.json) {
    print_json(results_json(results, all));
  } else if (arguments.csv) {
    print(results_csv(results, all));
  } else {
    print(results_table(results, all));
  }
  return exit_ok;
}

}  // namespace

Verb add_trials(CLI::App& app, const Catalogue& catalogue) {
  CLI::App& verb = *app.add_subcommand("trials", "all trials of a run, finished or not");
  const auto arguments = std::make_shared<Arguments>();
  verb.add_option("directory", arguments->directory, "the run's directory")->required();
  verb.add_flag("--json", arguments->json, "prints JSON");
  verb.add_flag("--csv", arguments->csv, "prints CSV")->excludes("--json");
  return [arguments, &catalogue] { return trials(*arguments, catalogue); };
}

}  // namespace espalier
