#include "study/report.hpp"

#include <memory>
#include <string>

#include "apps/verbs.hpp"
#include "core/json.hpp"

namespace espalier {

Verb add_report(CLI::App& app, const Catalogue& catalogue) {
  CLI::App& verb = *app.add_subcommand("report", "one self-contained page about a run");
  struct Arguments {
    std::string directory, out;
  };
  const auto arguments = std::make_shared<Arguments>();
  verb.add_option("directory", arguments->directory, "the run's directory")->required();
  verb.add_option("--out", arguments->out, "the page's file (.html)")->required();
  return [arguments, &catalogue] {
    const Results results = read_results(arguments->directory, catalogue);
    write_file_atomically(arguments->out, report_html(results, arguments->directory));
    return exit_ok;
  };
}

}  // namespace espalier
