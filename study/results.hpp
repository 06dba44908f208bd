// What a recorded run has found.
#pragma once

#include <cstddef>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "core/json.hpp"
#include "objectives/goals.hpp"
#include "objectives/trial.hpp"
#include "search_spaces/search_space.hpp"
#include "study/catalogue.hpp"
#include "study/config.hpp"
#include "study/network_metrics.hpp"
#include "study/store.hpp"

namespace espalier {

/// The highest fidelity of a trial that is complete; 0 where there is none. Only the metrics of
/// trials of this fidelity compare.
double highest_fidelity(std::span<const Trial> trials);

/// The trials that no other dominates, as positions in `trials`, sorted by the costs, the first one
/// first. Of equal ones the earliest. Trials that failed or break a constraint are left out, and so
/// are those below the highest fidelity.
std::vector<std::size_t> pareto_front(const Goals& goals, std::span<const Trial> trials);

/// The member of a front that a rule chooses; nothing of an empty front.
std::optional<std::size_t> choose(const Goals& goals, std::span<const Trial> trials,
                                  std::span<const std::size_t> front, Choose rule);

/// Names and values, in the order in which they are shown.
using NamedValues = std::vector<std::pair<std::string, double>>;

/// A known network, measured as the candidates are.
struct Baseline {
  std::string name;
  NamedValues metrics;
};

/// A run as its directory records it.
struct Results {
  Json config;  ///< resolved
  std::shared_ptr<const SearchSpace> space;
  std::shared_ptr<const MetricTable> metrics;  ///< of the trials
  Goals goals;
  std::vector<Trial> trials;  ///< that were told, by id
  std::vector<TrialTiming> timings;
  std::vector<NetworkMetric> network_metrics;  ///< all that can be had, recorded or not
  std::optional<Baseline> baseline;            ///< once it is measured
  Choose rule = Choose::first_objective;

  std::vector<std::size_t> front() const { return pareto_front(goals, trials); }
  std::optional<std::size_t> chosen() const { return choose(goals, trials, front(), rule); }
  /// Where no trial keeps the constraints: the complete one, of the highest fidelity, that breaks
  /// them the least. Nothing where there is no complete one.
  std::optional<std::size_t> nearest() const;
  /// What the strategy says with the last complete trial; "" for nothing.
  std::string warning() const;
};

/// Reads a run, finished or not, while it is written or not. Throws IoError for a directory without
/// a run and a damaged record, ConfigError where the catalogue lacks its space.
Results read_results(const std::filesystem::path& directory, const Catalogue& catalogue);

/// What nearest() says: "the nearest, trial 3, has params of 250 (at most 100)"; "" for nothing.
std::string nearest_text(const Results& results);

/// The recorded metrics of a trial, then the network metrics that were not recorded. Those that
/// cannot be had are left out.
NamedValues all_metrics(const Results& results, const Trial& trial);
/// The network metrics of a network.
NamedValues network_values(std::span<const NetworkMetric> metrics, const Network& network);

/// The metrics of several trials; network metrics are computed once for each architecture.
std::vector<NamedValues> metrics_of(const Results& results, std::span<const std::size_t> which);
/// All names that occur, in the order of their first occurrence; objectives come first.
std::vector<std::string> column_names(const Results& results,
                                      const std::vector<NamedValues>& metrics);

/// What best/final.json says, where the final training of the chosen trial is done. Throws IoError
/// where it is damaged.
std::optional<Json> final_summary(const Results& results, const std::filesystem::path& directory);

/// {"objectives", "constraints", "trials": [{"id", "state", "architecture", "arch", "metrics",
/// "feasible", "fidelity"?, "error"?, "notes"?}], "chosen"?, "nearest"?, "warning"?, "baseline"?}
/// of some of the trials. The same for every run with the same trials: no time and no path.
Json results_json(const Results& results, std::span<const std::size_t> which);

/// The same as CSV: id, state, feasible, fidelity (where some trial of the run has less than 1),
/// the metrics, arch.
std::string results_csv(const Results& results, std::span<const std::size_t> which);

/// The same for reading: aligned columns, the chosen trial marked.
std::string results_table(const Results& results, std::span<const std::size_t> which);

/// Writes pareto.json and pareto.csv. Throws IoError.
void write_pareto_files(const Results& results, const std::filesystem::path& directory);

}  // namespace espalier
