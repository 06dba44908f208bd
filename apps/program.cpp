#include "apps/program.hpp"

#include <algorithm>
#include <csignal>
#include <exception>
#include <filesystem>
#include <new>
#include <string>
#include <utility>
#include <vector>

#include "apps/verbs.hpp"
#include "core/error.hpp"
#include "core/log.hpp"
#include "core/memory.hpp"
#include "study/environment.hpp"

namespace espalier {
namespace {

int report(int code, const std::string& message) {
  log_error(message);
  return code;
}

// CLI11 would only say that a subcommand is missing.
void check_verb(const CLI::App& app, int argc, char** argv) {
  std::vector<std::string> known;
  for (const CLI::App* verb : app.get_subcommands({})) known.push_back(verb->get_name());
  for (int i = 1; i < argc; ++i) {
    const std::string argument = argv[i];
    if (argument.starts_with('-')) continue;
    if (std::ranges::find(known, argument) != known.end()) return;
    throw ConfigError("", "unknown subcommand \"" + argument + "\"" + suggestion(argument, known));
  }
}

int run(int argc, char** argv, const Catalogue& catalogue) {
  CLI::App app("Neural architecture search: graphs with open decisions, closed by search.",
               "espalier");
  app.require_subcommand(1);
  app.set_version_flag("--version", "espalier " + environment()["espalier"].get<std::string>());
  bool quiet = false, verbose = false;
  app.add_flag("-q,--quiet", quiet, "only warnings and errors");
  app.add_flag("-v,--verbose", verbose, "details for debugging")->excludes("--quiet");
  app.fallthrough();
  app.option_defaults()->always_capture_default();
  std::vector<std::pair<CLI::App*, Verb>> verbs;
  for (const auto add : {add_search, add_pareto, add_trials, add_describe, add_estimate, add_score,
                         add_compare_spaces, add_shrink, add_compare, add_rank_check, add_predict,
                         add_export, add_list, add_schema, add_report}) {
    Verb verb = add(app, catalogue);
    CLI::App* subcommand = app.get_subcommands({}).back();
    for (CLI::Option* option : subcommand->get_options()) {
      if (option->get_default_str() == "[]") option->default_str("");
    }
    verbs.emplace_back(subcommand, std::move(verb));
  }
  check_verb(app, argc, argv);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    // Help and version are answers, everything else is a mistake.
    return app.exit(error) == 0 ? exit_ok : exit_usage;
  }
  if (quiet) set_log_level(LogLevel::warning);
  if (verbose) set_log_level(LogLevel::debug);
  for (const auto& [subcommand, verb] : verbs) {
    if (subcommand->parsed()) return verb();
  }
  return exit_usage;
}

}  // namespace

int run_program(int argc, char** argv, const Catalogue& catalogue) {
  keep_freed_memory();
  std::signal(SIGCHLD, SIG_DFL);  // a parent may have ignored it, and programs are waited for
  try {
    return run(argc, argv, catalogue);
  } catch (const ConfigError& error) {
    return report(exit_usage, error.what());
  } catch (const InvalidArchitecture& error) {
    return report(exit_usage, error.what());
  } catch (const ShapeError& error) {
    return report(exit_usage, error.what());
  } catch (const UnsupportedError& error) {
    return report(exit_usage, error.what());
  } catch (const IoError& error) {
    return report(exit_file, error.what());
  } catch (const std::filesystem::filesystem_error& error) {
    // Its own text names the function of the C++ library.
    return report(exit_file,
                  error.path1().string() + ": cannot be used: " + error.code().message());
  } catch (const std::bad_alloc&) {
    return report(exit_failed, "out of memory");
  } catch (const std::exception& error) {
    return report(exit_failed, error.what());
  }
}

}  // namespace espalier
