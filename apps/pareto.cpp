#include <memory>
#include <string>

#include "apps/verbs.hpp"
#include "core/log.hpp"
#include "study/results.hpp"

namespace espalier {
namespace {

struct Arguments {
  std::string directory;
  bool json = false, csv = false;
};

int pareto(const Arguments& arguments, const Catalogue& catalogue) {
  const Results results = read_results(arguments.directory, catalogue);
  const std::vector<std::size_t> front = results.front();
  if (front.empty()) {
    const std::string nearest = nearest_text(results);
    log_warning(nearest.empty() ? "no trial is complete yet"
                                : "no trial keeps the constraints yet; " + nearest);
  }
  if (const std::string warning = results.warning(); !warning.empty()) log_warning(warning);
  if (arguments.json) {
    print_json(results_json(results, front));
  } else if (arguments.csv) {
    print(results_csv(results, front));
  } else {
    print(results_table(results, front) + chosen_summary(results, arguments.directory));
  }
  return exit_ok;
}

}  // namespace

Verb add_pareto(CLI::App& app, const Catalogue& catalogue) {
  CLI::App& verb = *app.add_subcommand("pareto", "the best networks of a run, finished or not");
  const auto arguments = std::make_shared<Arguments>();
  verb.add_option("directory", arguments->directory, "the run's directory")->required();
  verb.add_flag("--json", arguments->json, "prints JSON");
  verb.add_flag("--csv", arguments->csv, "prints CSV")->excludes("--json");
  return [arguments, &catalogue] { return pareto(*arguments, catalogue); };
}

}  // namespace espalier
