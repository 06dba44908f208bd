// A run from its config to its results.
#pragma once

#include <filesystem>
#include <functional>

#include "study/catalogue.hpp"
#include "study/config.hpp"

namespace espalier {

/// How a config is run.
struct SearchOptions {
  std::filesystem::path directory = {};  ///< of the run
  bool resume = false;                   ///< as StudyOptions::resume
  bool continue_as_new = false;          ///< as StudyOptions::continue_as_new
  std::function<bool()> stop_requested = {};
  bool progress = false;  ///< shown on stderr
};

/// How a run ended.
enum class SearchEnd {
  finished,
  nothing_feasible,  ///< no trial keeps the constraints: nothing was chosen
  all_failed,
  interrupted,
};

/// Runs a config: the search, the baseline, pareto.json and pareto.csv, the final training and the
/// exports of the chosen network, and report.html. When it is stopped, the files show what there is
/// until then. A finished run that is resumed is left as it is. Throws ConfigError before the
/// directory is touched where the parts of the config do not fit together, and what Study, training
/// and exporters throw.
SearchEnd run_search(const RunConfig& config, const Catalogue& catalogue,
                     const SearchOptions& options);

}  // namespace espalier
