// What scores all networks of a space without training, for the subcommands about spaces.
#pragma once

#include <CLI/CLI.hpp>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "core/json.hpp"
#include "evaluators/zero_cost.hpp"
#include "search_spaces/design_space.hpp"
#include "study/catalogue.hpp"

namespace espalier {

struct SpaceScoreArguments {
  std::string table, column, proxy, cost, run, data;
  std::optional<std::string> key, better;
  ZeroCostOptions options;
  CostRanges ranges;
  std::uint64_t seed = 1;
  int samples = 1000;
  int threads = 1;

  /// Adds --table, --proxy, --cost, --run and what goes with them, --samples, --seed, and the
  /// ranges of costs to a subcommand.
  void add_to(CLI::App& verb);
};

struct SpaceScore {
  std::string name;
  Better better = Better::higher;
  Score score;  ///< of the space's architectures
};

/// Makes the score that the arguments say. Throws ConfigError, IoError.
SpaceScore make_space_score(const SpaceScoreArguments& arguments,
                            const std::shared_ptr<const SearchSpace>& space,
                            const Catalogue& catalogue);

/// "higher" or "lower".
std::string better_name(Better better);
/// For example "0.5 [0.4, 0.6]".
std::string estimate_text(const Estimate& estimate);
/// {"value", "low", "high"}.
Json estimate_json(const Estimate& estimate);

}  // namespace espalier
