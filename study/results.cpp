#include "study/results.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <unordered_map>

#include "core/csv.hpp"
#include "core/error.hpp"
#include "objectives/pareto_archive.hpp"
#include "study/chart.hpp"

namespace espalier {
namespace {

// What Study writes of its metrics and goals, read back.
struct StudyDescription {
  std::vector<MetricInfo> metrics;
  std::vector<Objective> objectives;
  std::vector<Constraint> constraints;
};

Direction read_direction(const Json& json) {
  return json.get<std::string>() == "maximize" ? Direction::maximize : Direction::minimize;
}

StudyDescription read_description(const Json& study) {
  StudyDescription description;
  for (const Json& metric : study.at("metrics")) {
    MetricInfo info{.name = metric.at("name").get<std::string>(),
                    .unit = metric.at("unit").get<std::string>(),
                    .report_only = metric.at("report_only").get<bool>()};
    if (metric.contains("goal")) info.direction = read_direction(metric.at("goal"));
    description.metrics.push_back(std::move(info));
  }
  for (const Json& objective : study.at("objectives")) {
    description.objectives.push_back({.metric = objective.at("metric").get<std::string>(),
                                      .direction = read_direction(objective.at("goal"))});
  }
  for (const Json& constraint : study.at("constraints")) {
    Constraint bounds{.metric = constraint.at("metric").get<std::string>()};
    if (constraint.contains("min")) bounds.lower = constraint.at("min").get<double>();
    if (constraint.contains("max")) bounds.upper = constraint.at("max").get<double>();
    description.constraints.push_back(std::move(bounds));
  }
  return description;
}

std::optional<Baseline> read_baseline(const std::filesystem::path& directory) {
  const std::filesystem::path path = directory / "baseline.json";
  if (!std::filesystem::exists(path)) return std::nullopt;
  const Json json = read_json_file(path);
  Baseline baseline;
  try {
    baseline.name = json.at("name").get<std::string>();
    for (const auto& [name, value] : json.at("metrics").items()) {
      baseline.metrics.emplace_back(name, value.get<double>());
    }
  } catch (const Json::exception& exception) {
    throw IoError(path.string(), fmt::format("is damaged: {}", exception.what()));
  }
  return baseline;
}

Json values_json(const NamedValues& values) {
  Json json = Json::object();
  for (const auto& [name, value] : values) json[name] = value;
  return json;
}

std::optional<double> find(const NamedValues& values, const std::string& name) {
  for (const auto& [known, value] : values) {
    if (known == name) return value;
  }
  return std::nullopt;
}

}  // namespace

std::optional<std::size_t> Results::nearest() const {
  if (!front().empty()) return std::nullopt;
  const double fidelity = highest_fidelity(trials);
  std::optional<std::size_t> nearest;
  double least = 0;
  for (std::size_t i = 0; i < trials.size(); ++i) {
    if (trials[i].state != TrialState::complete || trials[i].candidate.fidelity != fidelity) {
      continue;
    }
    const double violation = goals.violation(trials[i].metrics);
    if (nearest && violation >= least) continue;
    nearest = i;
    least = violation;
  }
  return nearest;
}

std::string nearest_text(const Results& results) {
  const std::optional<std::size_t> nearest = results.nearest();
  if (!nearest) return "";
  const Trial& trial = results.trials[*nearest];
  std::string broken;
  for (const Constraint& constraint : results.goals.constraints()) {
    const double value = trial.metrics[results.metrics->index(constraint.metric)];
    if (violation(constraint, value) == 0) continue;
    // Of a value that is not a number, the bound that there is.
    const bool above = value > constraint.upper || std::isinf(constraint.lower);
    broken +=
        fmt::format("{}{} of {:.6g} (at {} {:.6g})", broken.empty() ? "" : ", ", constraint.metric,
                    value, above ? "most" : "least", above ? constraint.upper : constraint.lower);
  }
  return fmt::format("the nearest, trial {}, has {}", trial.candidate.trial_id, broken);
}

std::string Results::warning() const {
  for (auto trial = trials.rbegin(); trial != trials.rend(); ++trial) {
    if (trial->state == TrialState::complete) return trial->candidate.notes.warning;
  }
  return "";
}

double highest_fidelity(std::span<const Trial> trials) {
  double fidelity = 0;
  for (const Trial& trial : trials) {
    if (trial.state == TrialState::complete) {
      fidelity = std::max(fidelity, trial.candidate.fidelity);
    }
  }
  return fidelity;
}

std::vector<std::size_t> pareto_front(const Goals& goals, std::span<const Trial> trials) {
  const double fidelity = highest_fidelity(trials);
  ParetoArchive archive(goals.size());
  for (std::size_t i = 0; i < trials.size(); ++i) {
    if (trials[i].candidate.fidelity == fidelity && goals.feasible(trials[i])) {
      archive.insert(i, goals.costs(trials[i].metrics));
    }
  }
  const std::vector<std::uint64_t> ids = archive.ids();
  return {ids.begin(), ids.end()};
}

std::optional<std::size_t> choose(const Goals& goals, std::span<const Trial> trials,
                                  std::span<const std::size_t> front, Choose rule) {
  if (front.empty()) return std::nullopt;
  if (rule == Choose::first_objective) return front[0];  // sorted by the first cost
  const double infinity = std::numeric_limits<double>::infinity();
  std::vector<double> low(goals.size(), infinity), high(goals.size(), -infinity);
  std::vector<std::vector<double>> costs;
  for (const std::size_t i : front) {
    costs.push_back(goals.costs(trials[i].metrics));
    for (std::size_t k = 0; k < goals.size(); ++k) {
      low[k] = std::min(low[k], costs.back()[k]);
      high[k] = std::max(high[k], costs.back()[k]);
    }
  }
  std::size_t best = 0;
  double nearest = infinity;
  for (std::size_t j = 0; j < front.size(); ++j) {
    double distance = 0;
    for (std::size_t k = 0; k < goals.size(); ++k) {
      if (high[k] > low[k]) {
        const double share = (costs[j][k] - low[k]) / (high[k] - low[k]);
        distance += share * share;
      }
    }
    if (distance < nearest) {
      nearest = distance;
      best = j;
    }
  }
  return front[best];
}

Results read_results(const std::filesystem::path& directory, const Catalogue& catalogue) {
  const RunStore store = RunStore::open(directory, RunStore::Access::read);
  const std::string file = (directory / "run.db").string();
  const Json meta = store.meta();
  if (!meta.contains("config") || meta["config"].is_null()) {
    throw IoError(file,
                  "holds no config: it was recorded by another program, which alone can read "
                  "its search space");
  }
  const RunConfig config = read_config(meta["config"], catalogue);
  std::shared_ptr<const MetricTable> metrics;
  std::optional<Goals> goals;
  try {
    const StudyDescription description = read_description(meta.at("study"));
    metrics = std::make_shared<const MetricTable>(description.metrics);
    goals.emplace(*metrics, description.objectives, description.constraints);
  } catch (const Json::exception& exception) {
    throw IoError(file, fmt::format("is damaged: {}", exception.what()));
  } catch (const ConfigError& error) {
    throw IoError(file, fmt::format("is damaged: {}", error.what()));
  }
  Results results{
      .config = meta["config"],
      .space = catalogue.spaces.create(config.space, "/space"),
      .metrics = metrics,
      .goals = *goals,
      .trials = {},
      .timings = {},
      .network_metrics = network_metrics(hardware_models(config, catalogue, MissingFiles::skipped)),
      .baseline = read_baseline(directory),
      .rule = config.final.choose,
  };
  // A writer may add rows between the two: then more is asked than told.
  std::vector<TellRecord> told = store.told();
  for (const TellRecord& record : told) results.timings.push_back(record.timing);
  results.trials = recorded_trials(store.asked(), std::move(told), metrics, file);
  for (const Trial& trial : results.trials) {
    if (!results.space->valid(trial.candidate.architecture)) {
      throw IoError(
          file, fmt::format("is damaged: trial {} does not fit the run", trial.candidate.trial_id));
    }
  }
  return results;
}

std::vector<NamedValues> metrics_of(const Results& results, std::span<const std::size_t> which) {
  std::vector<NamedValues> metrics;
  std::unordered_map<Architecture, NamedValues, ArchitectureHash> known;
  for (const std::size_t i : which) {
    const Trial& trial = results.trials[i];
    NamedValues values;
    for (std::size_t m = 0; m < trial.metrics.size(); ++m) {
      if (!std::isnan(trial.metrics[m])) {
        values.emplace_back((*results.metrics)[m].name, trial.metrics[m]);
      }
    }
    const Architecture& a = trial.candidate.architecture;
    auto [network, added] = known.try_emplace(a);
    if (added) {
      network->second = network_values(results.network_metrics, Network(*results.space, a));
    }
    for (const auto& [name, value] : network->second) {
      const auto same = [&](const auto& recorded) { return recorded.first == name; };
      if (std::ranges::none_of(values, same)) values.emplace_back(name, value);
    }
    metrics.push_back(std::move(values));
  }
  return metrics;
}

std::vector<std::string> column_names(const Results& results,
                                      const std::vector<NamedValues>& metrics) {
  std::vector<std::string> names;
  const auto add = [&](const std::string& name) {
    if (std::ranges::find(names, name) == names.end()) names.push_back(name);
  };
  for (const Objective& objective : results.goals.objectives()) add(objective.metric);
  for (const NamedValues& values : metrics) {
    for (const auto& [name, value] : values) add(name);
  }
  return names;
}

NamedValues all_metrics(const Results& results, const Trial& trial) {
  const std::size_t position = static_cast<std::size_t>(&trial - results.trials.data());
  return metrics_of(results, {&position, 1})[0];
}

NamedValues network_values(std::span<const NetworkMetric> metrics, const Network& network) {
  NamedValues values;
  for (const NetworkMetric& metric : metrics) {
    try {
      values.emplace_back(metric.info.name, metric.value(network));
    } catch (const UnsupportedError&) {
      // A table may lack a part of this network; the metric is then unknown for it.
    }
  }
  return values;
}

std::optional<Json> final_summary(const Results& results, const std::filesystem::path& directory) {
  const auto chosen = results.chosen();
  const std::filesystem::path path = directory / "best" / "final.json";
  if (!chosen || !std::filesystem::exists(path)) return std::nullopt;
  Json json = read_json_file(path);
  if (!json.is_object() || !json.contains("trial") || !json["trial"].is_number_unsigned()) {
    throw IoError(path.string(), "is damaged: it names no trial");
  }
  if (json["trial"] != results.trials[*chosen].candidate.trial_id) return std::nullopt;
  return json;
}

Json results_json(const Results& results, std::span<const std::size_t> which) {
  Json trials = Json::array();
  const std::vector<NamedValues> metrics = metrics_of(results, which);
  for (std::size_t j = 0; j < which.size(); ++j) {
    const Trial& trial = results.trials[which[j]];
    const Architecture& a = trial.candidate.architecture;
    Json json = {{"id", trial.candidate.trial_id},
                 {"state", trial_state_name(trial.state)},
                 {"architecture", architecture_to_json(*results.space, a)},
                 {"arch", results.space->to_string(a)},
                 {"metrics", values_json(metrics[j])},
                 {"feasible", results.goals.feasible(trial)}};
    if (trial.candidate.fidelity != 1) json["fidelity"] = trial.candidate.fidelity;
    if (trial.state == TrialState::failed) json["error"] = trial.error;
    if (!trial.candidate.notes.empty()) json["notes"] = to_json(trial.candidate.notes);
    trials.push_back(std::move(json));
  }
  Json json = to_json(results.goals);
  json["trials"] = std::move(trials);
  if (const auto chosen = results.chosen()) {
    json["chosen"] = results.trials[*chosen].candidate.trial_id;
  }
  if (const auto nearest = results.nearest()) {
    json["nearest"] = results.trials[*nearest].candidate.trial_id;
  }
  if (const std::string warning = results.warning(); !warning.empty()) json["warning"] = warning;
  if (results.baseline) {
    json["baseline"] = {{"name", results.baseline->name},
                        {"metrics", values_json(results.baseline->metrics)}};
  }
  return json;
}

std::string results_csv(const Results& results, std::span<const std::size_t> which) {
  const std::vector<NamedValues> metrics = metrics_of(results, which);
  const std::vector<std::string> names = column_names(results, metrics);
  std::vector<std::string> row{"id", "state", "feasible"};
  const bool partial = std::ranges::any_of(
      results.trials, [](const Trial& trial) { return trial.candidate.fidelity != 1; });
  if (partial) row.push_back("fidelity");
  row.insert(row.end(), names.begin(), names.end());
  row.push_back("arch");
  std::string csv = csv_row(row);
  for (std::size_t j = 0; j < which.size(); ++j) {
    const Trial& trial = results.trials[which[j]];
    row = {fmt::format("{}", trial.candidate.trial_id), std::string(trial_state_name(trial.state)),
           results.goals.feasible(trial) ? "true" : "false"};
    if (partial) row.push_back(fmt::format("{}", trial.candidate.fidelity));
    for (const std::string& name : names) {
      const auto value = find(metrics[j], name);
      row.push_back(value ? fmt::format("{}", *value) : "");
    }
    row.push_back(results.space->to_string(trial.candidate.architecture));
    csv += csv_row(row);
  }
  return csv;
}

std::string results_table(const Results& results, std::span<const std::size_t> which) {
  std::vector<NamedValues> metrics = metrics_of(results, which);
  const std::vector<std::string> names = column_names(results, metrics);
  std::vector<std::vector<std::string>> rows{{"trial"}};
  rows[0].insert(rows[0].end(), names.begin(), names.end());
  rows[0].push_back("");
  const auto chosen = results.chosen();
  const double highest = highest_fidelity(results.trials);
  const auto add = [&](std::string name, const NamedValues& values, std::string note) {
    std::vector<std::string> row{std::move(name)};
    for (const std::string& column : names) {
      const auto value = find(values, column);
      row.push_back(value ? short_number(*value) : "-");
    }
    row.push_back(std::move(note));
    rows.push_back(std::move(row));
  };
  for (std::size_t j = 0; j < which.size(); ++j) {
    const Trial& trial = results.trials[which[j]];
    std::string note;
    if (trial.state == TrialState::failed) {
      note = "failed: " + trial.error.substr(0, trial.error.find('\n'));
    } else if (!results.goals.feasible(trial)) {
      note = "breaks a constraint";
    } else if (trial.candidate.fidelity < highest) {
      note = fmt::format("fidelity {}", short_number(trial.candidate.fidelity));
    } else if (chosen == which[j]) {
      note = "chosen";
    }
    add(fmt::format("{}", trial.candidate.trial_id), metrics[j], note);
  }
  if (results.baseline) add(results.baseline->name, results.baseline->metrics, "baseline");
  std::vector<std::size_t> widths(rows[0].size(), 0);
  for (const auto& row : rows) {
    for (std::size_t c = 0; c < row.size(); ++c) widths[c] = std::max(widths[c], row[c].size());
  }
  std::string text;
  for (const auto& row : rows) {
    std::string line;
    for (std::size_t c = 0; c + 1 < row.size(); ++c) {
      line += fmt::format("{}{:>{}}", c == 0 ? "" : "  ", row[c], widths[c]);
    }
    if (!row.back().empty()) line += "  " + row.back();
    text += line + "\n";
  }
  return text;
}

void write_pareto_files(const Results& results, const std::filesystem::path& directory) {
  const std::vector<std::size_t> front = results.front();
  write_file_atomically(
      directory / "pareto.json",
      results_json(results, front).dump(2, ' ', false, Json::error_handler_t::replace) + "\n");
  write_file_atomically(directory / "pareto.csv", results_csv(results, front));
}

}  // namespace espalier
