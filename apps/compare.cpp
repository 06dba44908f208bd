#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "apps/space_score.hpp"
#include "apps/stop_signals.hpp"
#include "apps/verbs.hpp"
#include "core/bootstrap.hpp"
#include "core/error.hpp"
#include "core/files.hpp"
#include "core/log.hpp"
#include "core/parallel.hpp"
#include "core/stats.hpp"
#include "study/chart.hpp"
#include "study/config.hpp"
#include "study/strategy_comparison.hpp"

namespace espalier {
namespace {

struct Arguments {
  std::vector<std::string> configs, set;
  std::vector<std::uint64_t> at;
  std::size_t seeds = 20;
  std::optional<std::uint64_t> trials;
  double within = 0;
  std::string out;
  int threads = 0;
  bool json = false;
};

// The bests of all seeds after so many evaluations: of those that found anything.
std::vector<double> values_at(const StrategySearches& searches, std::uint64_t evaluations) {
  std::vector<double> values;
  for (const auto& search : searches.seeds) {
    if (const auto* step = StrategyComparison::step_at(search, static_cast<double>(evaluations))) {
      values.push_back(step->value);
    }
  }
  return values;
}

std::vector<double> reported_at(const StrategySearches& searches, std::uint64_t evaluations,
                                std::size_t metric) {
  std::vector<double> values;
  for (const auto& search : searches.seeds) {
    const auto* step = StrategyComparison::step_at(search, static_cast<double>(evaluations));
    if (step != nullptr && std::isfinite(step->reported[metric])) {
      values.push_back(step->reported[metric]);
    }
  }
  return values;
}

double share_at_optimum(const StrategyComparison& comparison, const StrategySearches& searches,
                        std::uint64_t evaluations) {
  const auto at = [&](const auto& search) {
    const auto* step = StrategyComparison::step_at(search, static_cast<double>(evaluations));
    return step != nullptr && comparison.reaches(step->value, 0);
  };
  return static_cast<double>(std::ranges::count_if(searches.seeds, at)) /
         static_cast<double>(searches.seeds.size());
}

// Evaluations until within a distance of the optimum, the budget for seeds that never are.
std::vector<double> evaluations_to(const StrategyComparison& comparison,
                                   const StrategySearches& searches, double distance) {
  std::vector<double> result;
  for (const auto& search : searches.seeds) {
    result.push_back(comparison.evaluations_to(search, distance).value_or(comparison.budget));
  }
  return result;
}

// Seeds that never were.
std::size_t never(const StrategyComparison& comparison, const StrategySearches& searches,
                  double distance) {
  return static_cast<std::size_t>(std::ranges::count_if(searches.seeds, [&](const auto& search) {
    return !comparison.evaluations_to(search, distance);
  }));
}

double deviation(const std::vector<double>& values) {
  return values.size() > 1 ? standard_deviation(values) : 0;
}

// Mean and standard deviation, and of how many seeds where it is not all.
std::string cell(const std::vector<double>& values, std::size_t seeds) {
  std::string text = fmt::format("{:.3f}+-{:.3f}", mean(values), deviation(values));
  if (values.size() < seeds) text += fmt::format(" ({})", values.size());
  return text;
}

Json summary(const std::vector<double>& values) {
  if (values.empty()) return nullptr;
  return {{"seeds", values.size()},
          {"mean", mean(values)},
          {"standard_deviation", deviation(values)},
          {"quartiles", {quantile(values, 0.25), quantile(values, 0.5), quantile(values, 0.75)}}};
}

std::vector<std::uint64_t> checkpoints(const Arguments& arguments,
                                       const StrategyComparison& comparison) {
  if (arguments.at.empty()) return usual_checkpoints(comparison.budget);
  std::vector<std::uint64_t> at = arguments.at;
  const auto last = static_cast<std::uint64_t>(std::ceil(comparison.budget));
  for (std::uint64_t& evaluations : at) evaluations = std::min(evaluations, last);
  at.erase(std::ranges::unique(at).begin(), at.end());
  return at;
}

// Mean evaluations to the distance, with its interval, and less those of the first strategy.
struct Effort {
  Estimate evaluations, beside_first;
};
Effort effort(const StrategyComparison& comparison, std::size_t strategy, double distance) {
  const auto its = evaluations_to(comparison, comparison.strategies[strategy], distance);
  const auto first = evaluations_to(comparison, comparison.strategies[0], distance);
  const Rng rng = Rng(0).fork(comparison.problem).fork(strategy);
  std::vector<double> differences;
  for (std::size_t i = 0; i < its.size(); ++i) differences.push_back(its[i] - first[i]);
  return {.evaluations = bootstrap_mean(its, {}, rng.fork("trials")),
          .beside_first = bootstrap_mean(differences, {}, rng.fork("difference"))};
}

Json to_json(const StrategyComparison& comparison, const Arguments& arguments) {
  Json strategies = Json::array();
  for (std::size_t s = 0; s < comparison.strategies.size(); ++s) {
    const StrategySearches& searches = comparison.strategies[s];
    Json rows = Json::array();
    for (const std::uint64_t evaluations : checkpoints(arguments, comparison)) {
      Json row = {{"evaluations", evaluations},
                  {comparison.value, summary(values_at(searches, evaluations))}};
      for (std::size_t m = 0; m < comparison.reported.size(); ++m) {
        row[comparison.reported[m]] = summary(reported_at(searches, evaluations, m));
      }
      if (comparison.optimum)
        row["at_optimum"] = share_at_optimum(comparison, searches, evaluations);
      rows.push_back(std::move(row));
    }
    Json json = {{"name", searches.name}, {"seconds", searches.seconds}, {"after", rows}};
    if (comparison.optimum) {
      const Effort its = effort(comparison, s, arguments.within);
      json["evaluations_to"] = Json{{"within", arguments.within},
                                    {"mean", estimate_json(its.evaluations)},
                                    {"minus_first", estimate_json(its.beside_first)},
                                    {"never", never(comparison, searches, arguments.within)}};
    }
    strategies.push_back(std::move(json));
  }
  Json json = {{"problem", comparison.problem},
               {"value", comparison.value},
               {"seeds", arguments.seeds},
               {"budget", comparison.budget},
               {"strategies", std::move(strategies)}};
  json["optimum"] = comparison.optimum ? Json(*comparison.optimum) : Json(nullptr);
  return json;
}

std::string to_csv(const std::vector<StrategyComparison>& comparisons, const Arguments& arguments) {
  std::string csv =
      "problem,strategy,evaluations,metric,seeds,mean,standard_deviation,quartile1,median,"
      "quartile3,"
      "at_optimum\n";
  for (const StrategyComparison& comparison : comparisons) {
    for (const StrategySearches& searches : comparison.strategies) {
      for (const std::uint64_t evaluations : checkpoints(arguments, comparison)) {
        const auto add = [&](const std::string& metric, const std::vector<double>& values,
                             const std::string& at_optimum) {
          csv += fmt::format("\"{}\",{},{},\"{}\",{}", comparison.problem, searches.name,
                             evaluations, metric, values.size());
          if (values.empty()) {
            csv += ",,,,,";
          } else {
            csv +=
                fmt::format(",{:.6g},{:.4g},{:.6g},{:.6g},{:.6g}", mean(values), deviation(values),
                            quantile(values, 0.25), quantile(values, 0.5), quantile(values, 0.75));
          }
          csv += "," + at_optimum + "\n";
        };
        add(comparison.value, values_at(searches, evaluations),
            comparison.optimum
                ? fmt::format("{:.4g}", share_at_optimum(comparison, searches, evaluations))
                : "");
        for (std::size_t m = 0; m < comparison.reported.size(); ++m) {
          add(comparison.reported[m], reported_at(searches, evaluations, m), "");
        }
      }
    }
  }
  return csv;
}

std::string to_text(const StrategyComparison& comparison, const Arguments& arguments) {
  const bool reports = !comparison.reported.empty();
  std::string text = comparison.problem + ": ";
  text += reports
              ? fmt::format("{} of the best {} so far", comparison.reported[0], comparison.value)
              : fmt::format("the best {} so far", comparison.value);
  if (comparison.optimum) text += fmt::format(", optimum {}", short_number(*comparison.optimum));
  text += fmt::format("; mean and standard deviation of {} seeds\n{:<24}", arguments.seeds,
                      "after evaluations");
  const auto at = checkpoints(arguments, comparison);
  const auto last = static_cast<std::uint64_t>(std::ceil(comparison.budget));
  std::vector<std::vector<std::string>> cells;
  std::size_t width = 15;
  for (const StrategySearches& searches : comparison.strategies) {
    auto& row = cells.emplace_back();
    for (const std::uint64_t evaluations : at) {
      const auto values =
          reports ? reported_at(searches, evaluations, 0) : values_at(searches, evaluations);
      row.push_back(values.empty() ? "-" : cell(values, searches.seeds.size()));
      width = std::max(width, row.back().size() + 2);
    }
  }
  for (const std::uint64_t evaluations : at) text += fmt::format("{:>{}}", evaluations, width);
  if (comparison.optimum) {
    text += fmt::format("{:>12}  {:<28}  {:<28}  {}", "at optimum",
                        arguments.within > 0 ? fmt::format("evaluations to within {}",
                                                           short_number(arguments.within))
                                             : "evaluations to it",
                        "less those of " + comparison.strategies[0].name, "never");
  }
  text += "\n";
  const auto interval = [](const Estimate& e) {
    return fmt::format("{:.1f} [{:.1f}, {:.1f}]", e.value, e.interval.low, e.interval.high);
  };
  for (std::size_t s = 0; s < comparison.strategies.size(); ++s) {
    const StrategySearches& searches = comparison.strategies[s];
    text += fmt::format("{:<24}", searches.name);
    for (const std::string& its : cells[s]) text += fmt::format("{:>{}}", its, width);
    if (comparison.optimum) {
      const Effort its = effort(comparison, s, arguments.within);
      text += fmt::format("{:>11.1f}%  {:<28}  {:<28}  {}",
                          100 * share_at_optimum(comparison, searches, last),
                          interval(its.evaluations), s == 0 ? "" : interval(its.beside_first),
                          never(comparison, searches, arguments.within));
    }
    text += "\n";
  }
  return text;
}

int compare(const Arguments& arguments, const Catalogue& catalogue) {
  std::vector<Problem> problems;
  for (const std::string& path : arguments.configs) {
    Json json = read_json_file(path);
    for (const std::string& assignment : arguments.set) set_value(json, assignment);
    if (arguments.trials) set_value(json, fmt::format("/budget/trials={}", *arguments.trials));
    problems.push_back(read_problem(json, std::filesystem::path(path).stem(), catalogue));
    const auto same = [&](const Problem& other) { return other.name == problems.back().name; };
    if (std::ranges::count_if(problems, same) > 1) {
      throw ConfigError("", fmt::format("two configs are named {}: results are named by their file",
                                        problems.back().name));
    }
  }
  const StopSignals signals;
  const std::size_t threads =
      arguments.threads > 0 ? static_cast<std::size_t>(arguments.threads) : hardware_threads();
  std::vector<StrategyComparison> comparisons;
  for (const Problem& problem : problems) {
    auto comparison =
        compare_strategies(problem, catalogue,
                           {.seeds = arguments.seeds,
                            .threads = threads,
                            .out = arguments.out,
                            .stop_requested = [&signals] { return signals.stopped(); },
                            .progress = true});
    if (!comparison) {
      log_warning(arguments.out.empty() ? "stopped; with --out, what is done would be kept"
                                        : "stopped; the same command continues");
      return exit_interrupted;
    }
    for (const StrategySearches& searches : comparison->strategies) {
      if (searches.failed == 0) continue;
      log_warning(fmt::format("{}, {}: {} trials failed, for example: {}", comparison->problem,
                              searches.name, searches.failed, searches.first_error));
    }
    if (!comparison->optimum && arguments.within > 0) {
      log_warning(
          fmt::format("{}: --within counts only where the optimum is known, which is where "
                      "the evaluator is a table",
                      comparison->problem));
    }
    if (!arguments.json) print(to_text(*comparison, arguments) + "\n");
    comparisons.push_back(*std::move(comparison));
  }
  if (!arguments.out.empty()) {
    const std::filesystem::path out = arguments.out;
    make_directories(out);
    write_file_atomically(out / "comparison.csv", to_csv(comparisons, arguments));
    write_file_atomically(out / "comparison.html", comparison_html(comparisons));
  }
  if (arguments.json) {
    Json json = Json::array();
    for (const auto& comparison : comparisons) json.push_back(to_json(comparison, arguments));
    print_json(json);
  }
  return exit_ok;
}

}  // namespace

Verb add_compare(CLI::App& app, const Catalogue& catalogue) {
  CLI::App& verb =
      *app.add_subcommand("compare", "strategies, on the same problem with many seeds");
  const auto arguments = std::make_shared<Arguments>();
  verb.add_option("configs", arguments->configs,
                  "configs of runs; \"strategies\", {name: strategy, ...}, may stand in the place "
                  "of \"strategy\"")
      ->required();
  verb.add_option("--seeds", arguments->seeds, "searches of each strategy: seeds 1, 2, ...")
      ->check(CLI::Range(1, 1 << 20));
  verb.add_option("--trials", arguments->trials, "of each search, in the place of budget.trials")
      ->check(CLI::Range(1, 1 << 30));
  verb.add_option(
          "--at", arguments->at,
          "evaluations after which results are shown; by default 10, 20, 50, ... and the last")
      ->allow_extra_args(false);
  verb.add_option("--within", arguments->within,
                  "distance from the optimum that counts as found, where the optimum is known")
      ->check(CLI::NonNegativeNumber);
  verb.add_option("--out", arguments->out,
                  "directory for comparison.csv, comparison.html with a chart, and the searches, "
                  "so that the same command goes on after a stop");
  verb.add_option("--threads", arguments->threads, "searches at a time; by default all processors")
      ->check(CLI::Range(1, 1024));
  verb.add_option("--set", arguments->set, "changes the configs: /json/pointer=value")
      ->allow_extra_args(false);
  verb.add_flag("--json", arguments->json, "prints JSON");
  return [arguments, &catalogue] { return compare(*arguments, catalogue); };
}

}  // namespace espalier
