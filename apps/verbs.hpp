// The subcommands of the program.
#pragma once

#include <CLI/CLI.hpp>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "core/json.hpp"
#include "search_spaces/search_space.hpp"
#include "study/catalogue.hpp"
#include "study/results.hpp"

namespace espalier {

inline constexpr int exit_ok = 0;
inline constexpr int exit_usage = 2;
inline constexpr int exit_file = 3;
inline constexpr int exit_failed = 4;
inline constexpr int exit_interrupted = 130;

/// What runs a subcommand once its arguments are read; returns the exit code.
using Verb = std::function<int()>;

/// Each adds one subcommand to the program, and returns what runs it. The catalogue outlives both.
Verb add_search(CLI::App& app, const Catalogue& catalogue);
Verb add_pareto(CLI::App& app, const Catalogue& catalogue);
Verb add_trials(CLI::App& app, const Catalogue& catalogue);
Verb add_describe(CLI::App& app, const Catalogue& catalogue);
Verb add_estimate(CLI::App& app, const Catalogue& catalogue);
Verb add_score(CLI::App& app, const Catalogue& catalogue);
Verb add_compare(CLI::App& app, const Catalogue& catalogue);
Verb add_compare_spaces(CLI::App& app, const Catalogue& catalogue);
Verb add_shrink(CLI::App& app, const Catalogue& catalogue);
Verb add_rank_check(CLI::App& app, const Catalogue& catalogue);
Verb add_predict(CLI::App& app, const Catalogue& catalogue);
Verb add_export(CLI::App& app, const Catalogue& catalogue);
Verb add_list(CLI::App& app, const Catalogue& catalogue);
Verb add_schema(CLI::App& app, const Catalogue& catalogue);
Verb add_report(CLI::App& app, const Catalogue& catalogue);

/// Writes to stdout. Throws IoError.
void print(const std::string& text);
/// Writes one JSON document to stdout. Throws IoError.
void print_json(const Json& json);

/// The config of a space by a registered name, or as a JSON object. Throws ConfigError, which ends
/// with `files`: how a file is given.
Json read_space_config(const std::string& text, const Catalogue& catalogue,
                       const std::string& files);
/// The same from a file: a space of the user's own, whose "type" may be left out, or what has a
/// space (a run's config, an architecture, what espalier shrink --json printed). Throws IoError,
/// ConfigError.
Json read_space_file(const std::string& path);

/// The space that the user means.
struct SpaceArguments {
  std::string space, file;

  /// Adds --space and --space-file to a subcommand.
  void add_to(CLI::App& verb);
  /// How many of the two are given.
  int given() const { return int(!space.empty()) + int(!file.empty()); }
  /// One of them must be given. Throws ConfigError, IoError.
  Json config(const Catalogue& catalogue) const;
};

/// Which networks the user means: architectures of a space, a reference network, or a file.
struct NetworkArguments {
  SpaceArguments space;
  std::string net, file, arch_file;
  std::vector<std::string> archs;

  /// Adds --space, --space-file, --arch, --arch-file, --net and the file to a subcommand.
  void add_to(CLI::App& verb);
};

/// A space and some of its architectures, each with the text that stands for it in results.
struct Networks {
  std::shared_ptr<const SearchSpace> space;
  std::vector<Architecture> architectures;
  std::vector<std::string> names;
};

/// The valid architectures, as they are written, of texts and of files with one each. Throws
/// InvalidArchitecture, IoError, ConfigError.
std::vector<Architecture> read_architectures(const SearchSpace& space,
                                             std::vector<std::string> texts,
                                             std::span<const std::string> files);

/// Reads what the user means; without an architecture, there are none. Throws ConfigError,
/// InvalidArchitecture, IoError.
Networks read_networks(const NetworkArguments& arguments, const Catalogue& catalogue);

/// Sums up a run's best network after its table: what the final training came to and where its
/// files are.
std::string chosen_summary(const Results& results, const std::string& directory);

}  // namespace espalier
