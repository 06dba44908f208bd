#include "study/strategy_comparison.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <limits>
#include <memory>
#include <mutex>
#include <new>
#include <span>
#include <stdexcept>
#include <utility>

#include "core/error.hpp"
#include "core/files.hpp"
#include "core/parallel.hpp"
#include "core/progress.hpp"
#include "core/stats.hpp"
#include "objectives/hypervolume.hpp"
#include "objectives/pareto_archive.hpp"
#include "search_spaces/mixed_radix.hpp"
#include "search_spaces/sampling.hpp"
#include "study/chart.hpp"
#include "study/environment.hpp"
#include "study/json_difference.hpp"
#include "study/metric_layout.hpp"
#include "study/run_parts.hpp"
#include "study/study.hpp"
#include "study/thread_time.hpp"

namespace espalier {
namespace {

constexpr std::uint64_t enumeration_limit = std::uint64_t{1} << 20;
constexpr int colors = 10;
constexpr double infinity = std::numeric_limits<double>::infinity();

// An evaluator that was prepared, for many studies.
class Prepared : public Evaluator {
 public:
  explicit Prepared(std::shared_ptr<Evaluator> inner) : inner_(std::move(inner)) {}
  const std::vector<MetricInfo>& metrics() const override { return inner_->metrics(); }
  std::vector<double> evaluate(const Candidate& candidate, const Network& network,
                               Rng& rng) override {
    return inner_->evaluate(candidate, network, rng);
  }
  bool thread_safe() const override { return inner_->thread_safe(); }

 private:
  std::shared_ptr<Evaluator> inner_;
};

// What a whole space holds, of what keeps the constraints.
struct Truth {
  double best = 0;                // cost of the first objective
  std::vector<double> reference;  // beyond the worst of each cost
  double hypervolume = 0;         // of the front, with several objectives
};

// Nothing where it cannot be known, and when it was stopped.
std::optional<Truth> truth_of(const RunConfig& config, const RunParts& parts, Evaluator& evaluator,
                              const std::vector<Objective>& objectives,
                              const std::vector<Constraint>& constraints,
                              const std::function<bool()>& stop_requested) {
  if (config.evaluator.at("type") != "table") return std::nullopt;
  if (!MixedRadix::of(*parts.space, enumeration_limit)) return std::nullopt;
  const detail::MetricLayout layout(evaluator.metrics(), parts.network_metrics, objectives,
                                    constraints);
  const Goals& goals = layout.goals();
  ParetoArchive front(goals.size());
  std::vector<double> low, high;
  std::uint64_t id = 0;
  const auto values_of = [&](const Architecture& a) -> std::optional<std::vector<double>> {
    const Network network(*parts.space, a);
    Rng rng(0);
    try {
      std::vector<double> measured = evaluator.evaluate({.architecture = a}, network, rng);
      std::vector<double> needed;
      for (const NetworkMetric& metric : layout.network()) needed.push_back(metric.value(network));
      return layout.arrange(std::move(measured), needed);
    } catch (const std::bad_alloc&) {
      throw;
    } catch (const std::logic_error&) {
      throw;
    } catch (const std::exception&) {
      return std::nullopt;  // a trial of it fails, too
    }
  };
  bool stopped = false;
  enumerate(*parts.space, [&](const Architecture& a) {
    stopped = id++ % 1024 == 0 && stop_requested && stop_requested();
    std::optional<std::vector<double>> values = values_of(a);
    if (!values) return !stopped;
    const auto searched = std::span(*values).first(layout.search_table()->size());
    if (!std::ranges::all_of(searched, [](double v) { return std::isfinite(v); })) return !stopped;
    const Metrics metrics(layout.table(), *std::move(values));
    if (goals.violation(metrics) > 0) return !stopped;
    const std::vector<double> costs = goals.costs(metrics);
    if (low.empty()) low = high = costs;
    for (std::size_t d = 0; d < costs.size(); ++d) {
      low[d] = std::min(low[d], costs[d]);
      high[d] = std::max(high[d], costs[d]);
    }
    front.insert(id, costs);
    return !stopped;
  });
  if (stopped || low.empty()) return std::nullopt;
  Truth truth{.best = low[0], .reference = {}};
  for (std::size_t d = 0; d < low.size(); ++d) {
    truth.reference.push_back(high[d] + (high[d] > low[d] ? 0.1 * (high[d] - low[d]) : 1));
  }
  if (low.size() > 1) {
    truth.hypervolume = hypervolume({front.costs(), low.size()}, truth.reference);
  }
  return truth;
}

// The steps of a search.
std::vector<SearchStep> steps_of(const std::vector<Trial>& trials, const Goals& goals,
                                 const std::vector<std::string>& reported,
                                 const std::optional<Truth>& truth) {
  std::vector<SearchStep> steps;
  double best = std::numeric_limits<double>::infinity();
  double sum = 0;
  ParetoArchive front(goals.size());
  for (const Trial& trial : trials) {
    sum += trial.candidate.fidelity;
    if (!goals.feasible(trial) || trial.candidate.fidelity < 1) continue;
    const double count = std::round(sum * 1e9) / 1e9;  // thirds do not sum up to one exactly
    if (goals.size() > 1) {
      if (!front.insert(trial.candidate.trial_id, goals.costs(trial.metrics))) continue;
      const double volume = hypervolume({front.costs(), goals.size()}, truth->reference);
      const double share = volume / truth->hypervolume;
      if (steps.empty() || share > steps.back().value) {
        steps.push_back({.evaluations = count, .value = share, .reported = {}});
      }
      continue;
    }
    const double cost = goals.first_cost(trial.metrics);
    if (cost >= best) continue;
    best = cost;
    SearchStep step{.evaluations = count,
                    .value = trial.metrics.at(goals.objectives()[0].metric),
                    .reported = {}};
    for (const std::string& metric : reported) step.reported.push_back(trial.metrics.at(metric));
    steps.push_back(std::move(step));
  }
  return steps;
}

// --- Kept searches

struct Search {
  std::vector<SearchStep> steps;
  double seconds = 0;
  std::uint64_t failed = 0;
  std::string first_error;
};
// By seed; those that are not done are empty.
using Searches = std::vector<std::optional<Search>>;

Json to_json(const Searches& searches) {
  Json seeds = Json::array();
  for (const auto& search : searches) {
    if (!search) {
      seeds.push_back(nullptr);
      continue;
    }
    Json steps = Json::array();
    for (const SearchStep& step : search->steps) {
      steps.push_back({step.evaluations, step.value, step.reported});  // NaN becomes null
    }
    seeds.push_back({{"seconds", search->seconds},
                     {"failed", search->failed},
                     {"first_error", search->first_error},
                     {"steps", std::move(steps)}});
  }
  return seeds;
}

Searches searches_from_json(const Json& json) {
  Searches searches;
  for (const Json& seed : json) {
    auto& search = searches.emplace_back();
    if (seed.is_null()) continue;
    search = Search{.steps = {},
                    .seconds = seed.at("seconds").get<double>(),
                    .failed = seed.at("failed").get<std::uint64_t>(),
                    .first_error = seed.at("first_error").get<std::string>()};
    for (const Json& step : seed.at("steps")) {
      SearchStep& added = search->steps.emplace_back();
      added.evaluations = step.at(0).get<double>();
      added.value = step.at(1).get<double>();
      for (const Json& value : step.at(2)) {
        added.reported.push_back(value.is_null() ? std::numeric_limits<double>::quiet_NaN()
                                                 : value.get<double>());
      }
    }
  }
  return searches;
}

// The searches of a file, of `seeds` seeds or more; empty ones where there is no file.
Searches kept_searches(const std::filesystem::path& path, const Json& identity, std::size_t seeds) {
  Searches searches;
  if (!path.empty() && std::filesystem::exists(path)) {
    const Json json = read_json_file(path.string());
    try {
      if (const auto difference = first_difference(json.at("of"), identity)) {
        throw IoError(
            path.string(),
            fmt::format("holds searches of another problem ({} was {} and is {} now); "
                        "choose another directory, or remove the file",
                        difference->pointer, brief(difference->before), brief(difference->after)));
      }
      searches = searches_from_json(json.at("searches"));
    } catch (const Json::exception& error) {
      throw IoError(
          path.string(),
          std::string("is no record of searches of this form; choose another directory, or "
                      "remove the file: ") +
              error.what());
    }
  }
  searches.resize(std::max(seeds, searches.size()));
  return searches;
}

// What searches depend on, and nothing else.
Json identity_of(RunConfig config, const Json& strategy, const std::optional<Truth>& truth,
                 const Catalogue& catalogue) {
  config.strategy = strategy;
  config.schema.reset();
  config.baseline.reset();
  config.final = {};
  config.budget.minutes.reset();
  Json identity = {{"espalier", environment().at("espalier")},
                   {"config", write_config(config, catalogue)}};
  if (truth) identity["best"] = {truth->best, truth->hypervolume};
  return identity;
}

void require_file_name(const std::string& name, const std::string& pointer) {
  const auto good = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
           c == '-' || c == '.';
  };
  if (name.empty() || name.size() > 100 || name[0] == '.' || !std::ranges::all_of(name, good)) {
    throw ConfigError(pointer,
                      "names a strategy and a file: write letters, digits, \"_\", \"-\" or "
                      "\".\", no \".\" first, at most 100");
  }
}

}  // namespace

Problem read_problem(const Json& json, const std::string& name, const Catalogue& catalogue) {
  Problem problem{.name = name, .config = {}, .strategies = {}};
  if (!json.is_object() || !json.contains("strategies")) {
    problem.config = read_config(json, catalogue);
    problem.strategies.push_back({.name = problem.config.strategy.at("type").get<std::string>(),
                                  .config = problem.config.strategy,
                                  .pointer = "/strategy"});
    return problem;
  }
  if (json.contains("strategy")) {
    throw ConfigError("/strategy", "there are \"strategies\", too; leave one of them out");
  }
  const Json strategies = json.at("strategies");
  if (!strategies.is_object() || strategies.empty()) {
    throw ConfigError("/strategies", "expected an object, {name: strategy, ...}");
  }
  for (const auto& [key, strategy] : strategies.items()) {
    const std::string place = pointer_to("/strategies", key);
    require_file_name(key, place);
    Json config = json;
    config.erase("strategies");
    config["strategy"] = strategy;
    try {
      RunConfig read = read_config(config, catalogue);
      problem.strategies.push_back({.name = key, .config = read.strategy, .pointer = place});
      if (problem.strategies.size() == 1) problem.config = std::move(read);
    } catch (const ConfigError& error) {
      const std::string& pointer = error.pointer();
      if (!pointer.starts_with("/strategy")) throw;
      throw ConfigError(place + pointer.substr(9), error.message());
    }
  }
  return problem;
}

const SearchStep* StrategyComparison::step_at(const std::vector<SearchStep>& search,
                                              double evaluations) {
  const auto next = std::ranges::upper_bound(search, evaluations, {}, &SearchStep::evaluations);
  return next == search.begin() ? nullptr : &*std::prev(next);
}

bool StrategyComparison::reaches(double found, double distance) const {
  // Published accuracies have few digits: a sum of theirs is exact to far less than this.
  const double slack = 1e-9 * std::max(1.0, std::abs(*optimum));
  return (higher_is_better ? *optimum - found : found - *optimum) <= distance + slack;
}

std::optional<double> StrategyComparison::evaluations_to(const std::vector<SearchStep>& search,
                                                         double distance) const {
  for (const SearchStep& step : search) {
    if (reaches(step.value, distance)) return step.evaluations;
  }
  return std::nullopt;
}

std::optional<StrategyComparison> compare_strategies(const Problem& problem,
                                                     const Catalogue& catalogue,
                                                     const StrategyComparisonOptions& options) {
  RunConfig config = problem.config;
  if (!config.budget.trials && !config.budget.evaluations) {
    throw ConfigError("/budget/trials",
                      "is missing, and so is \"evaluations\": strategies are compared by what they "
                      "evaluate");
  }
  // As in a run; searches run beside each other, so that their screens do not.
  if (!config.compute.prepare_threads) config.compute.prepare_threads = all_threads(config.compute);
  config.compute.workers = 1;
  const auto stopping = [&] { return options.stop_requested && options.stop_requested(); };
  const RunParts parts = make_run_parts(config, catalogue);
  if (parts.evaluator->shared_training()) {
    throw ConfigError("/evaluator/train/rule",
                      "searches that train the weights themselves cannot share the evaluator here; "
                      "run each of them with espalier search");
  }
  const std::vector<Objective> goals = objectives(config, parts);
  const std::vector<Constraint> bounds = constraints(config);
  const auto evaluator = std::make_shared<Prepared>(parts.evaluator);
  const auto make_study = [&](const ComparedStrategy& strategy, std::uint64_t seed) {
    RunConfig seeded = config;
    seeded.seed = seed;
    return std::make_unique<Study>(
        parts.space,
        [&](const RunContext& context) {
          return catalogue.strategies.create(strategy.config, strategy.pointer, context);
        },
        evaluator, goals, bounds,
        StudyOptions{
            .seed = seed,
            .budget = {.trials = config.budget.trials, .evaluations = config.budget.evaluations},
            .batch = static_cast<std::size_t>(config.compute.batch),
            .threads_per_trial = config.compute.threads_per_trial,
            .network_metrics = parts.network_metrics,
            .screen =
                [seeded, &catalogue, &parts](const std::string& metric) {
                  return proxy_screen(metric, seeded, catalogue, parts);
                },
            .stop_requested = options.stop_requested});
  };
  // What does not fit is said before anything runs.
  for (const ComparedStrategy& strategy : problem.strategies) make_study(strategy, 1);
  const std::filesystem::path directory =
      options.out.empty() ? std::filesystem::path() : options.out / problem.name;
  if (!directory.empty()) make_directories(directory);

  const std::optional<Truth> truth =
      truth_of(config, parts, *evaluator, goals, bounds, options.stop_requested);
  if (stopping()) return std::nullopt;
  if (goals.size() > 1 && !truth) {
    throw ConfigError("/objectives",
                      "several objectives are compared by the share of the true front's "
                      "hypervolume, which only a table of a space of up to 2^20 choices gives, if "
                      "anything in it keeps the constraints: leave one objective, or use a table");
  }
  StrategyComparison comparison{
      .problem = problem.name,
      .value = goals.size() > 1 ? "hypervolume" : goals[0].metric,
      .budget =
          std::min(config.budget.evaluations.value_or(infinity),
                   config.budget.trials ? static_cast<double>(*config.budget.trials) : infinity)};
  if (goals.size() > 1) {
    comparison.optimum = 1;
  } else {
    comparison.higher_is_better = goals[0].direction == Direction::maximize;
    if (truth) comparison.optimum = comparison.higher_is_better ? -truth->best : truth->best;
    for (const MetricInfo& metric : evaluator->metrics()) {
      if (metric.report_only) comparison.reported.push_back(metric.name);
    }
  }

  const std::size_t threads = evaluator->thread_safe() ? options.threads : 1;
  std::unique_ptr<Progress> progress;
  if (options.progress) {
    progress = std::make_unique<Progress>(problem.name, problem.strategies.size() * options.seeds);
  }
  bool prepared = false;
  std::uint64_t done = 0;
  for (const ComparedStrategy& strategy : problem.strategies) {
    const std::filesystem::path path =
        directory.empty() ? directory : directory / (strategy.name + ".json");
    const Json identity = identity_of(config, strategy.config, truth, catalogue);
    Searches searches = kept_searches(path, identity, options.seeds);
    std::vector<std::size_t> missing;
    for (std::size_t i = 0; i < options.seeds; ++i) {
      if (!searches[i]) missing.push_back(i);
    }
    done += options.seeds - missing.size();
    if (!missing.empty() && !prepared) {
      PrepareContext context = prepare_context(config.seed, directory, options.stop_requested);
      context.several_searches = true;
      parts.evaluator->prepare(context);
      prepared = true;
      if (stopping()) return std::nullopt;
    }
    std::mutex mutex;
    bool stopped = false;
    const auto keep = [&] {
      if (path.empty()) return;
      const Json json{{"of", identity}, {"searches", to_json(searches)}};
      // What a program wrote before it failed is text of any kind.
      write_file_atomically(path, json.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n");
    };
    auto kept_at = std::chrono::steady_clock::now();
    const auto search = [&](std::size_t i) {
      const std::uint64_t seed = missing[i] + 1;
      if (stopping()) {
        const std::lock_guard lock(mutex);
        stopped = true;
        return;
      }
      const double begin = thread_seconds();
      const std::unique_ptr<Study> study = make_study(strategy, seed);
      std::vector<Trial> trials;
      try {
        trials = study->run();
      } catch (const Error& error) {
        throw Error(fmt::format("strategy {}, seed {}: {}", strategy.name, seed, error.what()));
      }
      Search its;
      its.steps = steps_of(trials, study->goals(), comparison.reported, truth);
      for (const Trial& trial : trials) {
        if (trial.state != TrialState::failed) continue;
        if (its.failed++ == 0) its.first_error = trial.error;
      }
      its.seconds = thread_seconds() - begin;
      const std::lock_guard lock(mutex);
      if (study->interrupted()) {
        stopped = true;
        return;
      }
      searches[missing[i]] = std::move(its);
      ++done;
      if (progress) progress->update(done, strategy.name);
      const auto now = std::chrono::steady_clock::now();
      if (now - kept_at > std::chrono::seconds(5)) {
        keep();
        kept_at = now;
      }
    };
    try {
      parallel_for(missing.size(), threads, search);
    } catch (...) {
      keep();
      throw;
    }
    if (!missing.empty()) keep();
    if (stopped) return std::nullopt;
    StrategySearches& result = comparison.strategies.emplace_back();
    result.name = strategy.name;
    for (std::size_t i = 0; i < options.seeds; ++i) {
      Search& its = *searches[i];
      result.seconds += its.seconds;
      result.failed += its.failed;
      if (result.first_error.empty()) result.first_error = its.first_error;
      result.seeds.push_back(std::move(its.steps));
    }
  }
  return comparison;
}

std::vector<std::uint64_t> usual_checkpoints(double exact_budget) {
  const auto budget = static_cast<std::uint64_t>(std::ceil(exact_budget));
  std::vector<std::uint64_t> checkpoints;
  for (std::uint64_t power = 10; power < budget; power *= 10) {
    for (const std::uint64_t factor : {1, 2, 5}) {
      if (factor * power < budget) checkpoints.push_back(factor * power);
    }
  }
  checkpoints.push_back(budget);
  return checkpoints;
}

std::string comparison_html(const std::vector<StrategyComparison>& comparisons) {
  std::string html = "<h1>Strategies</h1>\n";
  for (const StrategyComparison& comparison : comparisons) {
    Chart chart{.x_label = "evaluations", .y_label = comparison.value, .x_scale = AxisScale::log};
    if (comparison.optimum) {
      chart.y_label = fmt::format("distance from the best {}, {}", comparison.value,
                                  short_number(*comparison.optimum));
      chart.y_scale = AxisScale::log;
    }
    // About 20 points a decade.
    std::vector<std::uint64_t> points;
    for (double x = 1; x < comparison.budget; x *= 1.12) {
      const auto evaluations = static_cast<std::uint64_t>(x);
      if (points.empty() || points.back() < evaluations) points.push_back(evaluations);
    }
    points.push_back(static_cast<std::uint64_t>(std::ceil(comparison.budget)));
    std::vector<ChartSeries> bands, lines;
    // Zero has no place on a logarithmic axis: it is drawn below the least distance above it.
    double least = std::numeric_limits<double>::infinity();
    const auto shown = [&](double value) {
      if (!comparison.optimum) return value;
      return std::abs(*comparison.optimum - value);
    };
    for (const StrategySearches& searches : comparison.strategies) {
      const int color = static_cast<int>(lines.size()) % colors;
      ChartSeries line{.name = searches.name, .mark = ChartMark::line, .color = color};
      ChartSeries band{.mark = ChartMark::band, .color = color};
      std::vector<ChartPoint> upper;
      for (const std::uint64_t evaluations : points) {
        std::vector<double> values;
        for (const auto& search : searches.seeds) {
          const SearchStep* step =
              StrategyComparison::step_at(search, static_cast<double>(evaluations));
          if (step != nullptr) values.push_back(shown(step->value));
        }
        if (values.size() < searches.seeds.size()) continue;
        const auto x = static_cast<double>(evaluations);
        line.points.push_back({x, quantile(values, 0.5)});
        band.points.push_back({x, quantile(values, 0.25)});
        upper.push_back({x, quantile(values, 0.75)});
        for (const double value : {line.points.back().y, band.points.back().y, upper.back().y}) {
          if (value > 1e-9) least = std::min(least, value);
        }
      }
      band.points.insert(band.points.end(), upper.rbegin(), upper.rend());
      bands.push_back(std::move(band));
      lines.push_back(std::move(line));
    }
    for (auto* group : {&bands, &lines}) {
      for (ChartSeries& series : *group) {
        for (ChartPoint& point : series.points) {
          if (!comparison.optimum) continue;
          point.y = std::max(point.y, std::isfinite(least) ? least / 3 : 1e-9);
        }
        chart.series.push_back(std::move(series));
      }
    }
    html += fmt::format("<h2>{}</h2>\n<p>Median and quartiles of {} seeds{}.</p>\n{}",
                        escape_html(comparison.problem),
                        comparison.strategies.empty() ? 0 : comparison.strategies[0].seeds.size(),
                        comparison.optimum ? "; the lowest line is the optimum itself" : "",
                        to_svg(chart));
  }
  return html_page("Strategies", html);
}

}  // namespace espalier
