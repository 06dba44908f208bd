#include "study/strategy_comparison.hpp"

#include <fmt/format.h>
#include <time.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <memory>
#include <mutex>
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
#include "study/metric_layout.hpp"
#include "study/run_parts.hpp"
#include "study/study.hpp"

namespace espalier {
namespace {

constexpr std::uint64_t enumeration_limit = std::uint64_t{1} << 20;
constexpr int colors = 10;

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

double thread_seconds() {
  timespec time{};
  ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
  return static_cast<double>(time.tv_sec) + 1e-9 * static_cast<double>(time.tv_nsec);
}

// What a whole space holds.
struct Truth {
  std::optional<double> best;     // cost of the first objective
  std::vector<double> reference;  // the worst of each cost
  double hypervolume = 0;
};

std::optional<Truth> truth_of(const RunConfig& config, const RunParts& parts, Evaluator& evaluator,
                              const std::vector<Objective>& objectives,
                              const std::vector<Constraint>& constraints) {
  if (config.evaluator.at("type") != "table") return std::nullopt;
  if (!MixedRadix::of(*parts.space, enumeration_limit)) return std::nullopt;
  const detail::MetricLayout layout(evaluator.metrics(), parts.network_metrics, objectives,
                                    constraints);
  const Goals& goals = layout.goals();
  Truth truth;
  std::vector<double> all;
  enumerate(*parts.space, [&](const Architecture& a) {
    const Network network(*parts.space, a);
    Rng rng(0);
    std::vector<double> measured;
    try {
      measured = evaluator.evaluate({.architecture = a}, network, rng);
    } catch (const InvalidArchitecture&) {
      return true;  // the table has no row or an empty field: a trial of it fails, too
    }
    std::vector<double> needed;
    for (const NetworkMetric& metric : layout.network()) needed.push_back(metric.value(network));
    const Metrics metrics(layout.table(), layout.arrange(std::move(measured), needed));
    if (goals.violation(metrics) > 0) return true;
    const std::vector<double> costs = goals.costs(metrics);
    truth.best = std::min(truth.best.value_or(costs[0]), costs[0]);
    if (truth.reference.empty()) truth.reference = costs;
    for (std::size_t d = 0; d < costs.size(); ++d) {
      truth.reference[d] = std::max(truth.reference[d], costs[d]);
    }
    if (costs.size() > 1) all.insert(all.end(), costs.begin(), costs.end());
    return true;
  });
  if (!all.empty()) {
    truth.hypervolume = hypervolume({all, truth.reference.size()}, truth.reference);
  }
  return truth;
}

// The steps of a search.
std::vector<SearchStep> steps_of(const std::vector<Trial>& trials, const Goals& goals,
                                 const std::vector<std::string>& reported,
                                 const std::optional<Truth>& truth) {
  std::vector<SearchStep> steps;
  double best = std::numeric_limits<double>::infinity();
  ParetoArchive front(goals.size());
  for (const Trial& trial : trials) {
    if (!goals.feasible(trial)) continue;
    const std::uint64_t count = trial.candidate.trial_id + 1;
    if (goals.size() > 1) {
      if (!front.insert(trial.candidate.trial_id, goals.costs(trial.metrics))) continue;
      const double volume = hypervolume({front.costs(), goals.size()}, truth->reference);
      const double share = truth->hypervolume > 0 ? volume / truth->hypervolume : 1;
      if (steps.empty() || share > steps.back().value) {
        steps.push_back({.trials = count, .value = share, .reported = {}});
      }
      continue;
    }
    const double cost = goals.first_cost(trial.metrics);
    if (cost >= best) continue;
    best = cost;
    SearchStep step{
        .trials = count, .value = trial.metrics.at(goals.objectives()[0].metric), .reported = {}};
    for (const std::string& metric : reported) step.reported.push_back(trial.metrics.at(metric));
    steps.push_back(std::move(step));
  }
  return steps;
}

// --- Kept searches

Json to_json(const StrategySearches& searches) {
  Json seeds = Json::array();
  for (const auto& search : searches.seeds) {
    Json steps = Json::array();
    for (const SearchStep& step : search) {
      steps.push_back({step.trials, step.value, step.reported});
    }
    seeds.push_back(std::move(steps));
  }
  return {{"seconds", searches.seconds}, {"seeds", std::move(seeds)}};
}

StrategySearches searches_from_json(const Json& json, const std::string& name) {
  StrategySearches searches{.name = name, .seeds = {}, .seconds = json.at("seconds").get<double>()};
  for (const Json& seed : json.at("seeds")) {
    auto& search = searches.seeds.emplace_back();
    for (const Json& step : seed) {
      search.push_back({.trials = step.at(0).get<std::uint64_t>(),
                        .value = step.at(1).get<double>(),
                        .reported = step.at(2).get<std::vector<double>>()});
    }
  }
  return searches;
}

// The searches of a file, if they are those that `identity` says.
std::optional<StrategySearches> kept_searches(const std::filesystem::path& path,
                                              const Json& identity, const std::string& name) {
  if (!std::filesystem::exists(path)) return std::nullopt;
  const Json json = read_json_file(path.string());
  if (!json.is_object() || json.value("of", Json()) != identity) return std::nullopt;
  try {
    return searches_from_json(json.at("searches"), name);
  } catch (const Json::exception& error) {
    throw IoError(path.string(), std::string("is no record of searches: ") + error.what());
  }
}

}  // namespace

Problem read_problem(const Json& json, const std::string& name, const Catalogue& catalogue) {
  Problem problem{.name = name, .config = {}, .strategies = {}};
  if (!json.is_object() || !json.contains("strategies")) {
    problem.config = read_config(json, catalogue);
    problem.strategies.emplace_back(problem.config.strategy.at("type").get<std::string>(),
                                    problem.config.strategy);
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
    Json config = json;
    config.erase("strategies");
    config["strategy"] = strategy;
    try {
      RunConfig read = read_config(config, catalogue);
      problem.strategies.emplace_back(key, read.strategy);
      if (problem.strategies.size() == 1) problem.config = std::move(read);
    } catch (const ConfigError& error) {
      const std::string& pointer = error.pointer();
      if (!pointer.starts_with("/strategy")) throw;
      throw ConfigError(pointer_to("/strategies", key) + pointer.substr(9), error.message());
    }
  }
  return problem;
}

const SearchStep* StrategyComparison::step_at(const std::vector<SearchStep>& search,
                                              std::uint64_t trials) {
  const auto next = std::ranges::upper_bound(search, trials, {}, &SearchStep::trials);
  return next == search.begin() ? nullptr : &*std::prev(next);
}

bool StrategyComparison::reaches(double found, double distance) const {
  // Published accuracies have few digits: a sum of theirs is exact to far less than this.
  const double slack = 1e-9 * std::max(1.0, std::abs(*optimum));
  return (higher_is_better ? *optimum - found : found - *optimum) <= distance + slack;
}

std::optional<std::uint64_t> StrategyComparison::trials_to(const std::vector<SearchStep>& search,
                                                           double distance) const {
  for (const SearchStep& step : search) {
    if (reaches(step.value, distance)) return step.trials;
  }
  return std::nullopt;
}

std::optional<StrategyComparison> compare_strategies(const Problem& problem,
                                                     const Catalogue& catalogue,
                                                     const StrategyComparisonOptions& options) {
  const RunConfig& config = problem.config;
  if (!config.budget.trials) {
    throw ConfigError("/budget/trials", "is missing: strategies are compared by trials");
  }
  const RunParts parts = make_run_parts(config, catalogue);
  const std::vector<Objective> goals = objectives(config, parts);
  const std::vector<Constraint> bounds = constraints(config);
  parts.evaluator->prepare(prepare_context(config.seed, {}, options.stop_requested));
  if (options.stop_requested && options.stop_requested()) return std::nullopt;
  const auto evaluator = std::make_shared<Prepared>(parts.evaluator);
  const std::optional<Truth> truth = truth_of(config, parts, *evaluator, goals, bounds);
  if (goals.size() > 1 && !(truth && truth->best)) {
    throw ConfigError("/objectives",
                      "several objectives are compared by the share of the true front's "
                      "hypervolume, which only a table of a space of up to 2^20 choices gives, if "
                      "anything in it keeps the constraints: leave one objective, or use a table");
  }
  StrategyComparison comparison{.problem = problem.name,
                                .value = goals.size() > 1 ? "hypervolume" : goals[0].metric,
                                .budget = *config.budget.trials};
  if (goals.size() > 1) {
    comparison.optimum = 1;
  } else {
    comparison.higher_is_better = goals[0].direction == Direction::maximize;
    if (truth && truth->best) {
      comparison.optimum = comparison.higher_is_better ? -*truth->best : *truth->best;
    }
    for (const MetricInfo& metric : evaluator->metrics()) {
      if (metric.report_only) comparison.reported.push_back(metric.name);
    }
  }
  const std::size_t threads = evaluator->thread_safe() ? options.threads : 1;
  std::unique_ptr<Progress> progress;
  if (options.progress) {
    progress = std::make_unique<Progress>(problem.name, problem.strategies.size() * options.seeds);
  }
  std::mutex mutex;
  std::uint64_t done = 0;
  for (const auto& [name, strategy] : problem.strategies) {
    RunConfig with = config;
    with.strategy = strategy;
    Json identity = {{"config", write_config(with, catalogue)}, {"seeds", options.seeds}};
    std::filesystem::path path;
    if (!options.out.empty()) {
      path = options.out / problem.name / (name + ".json");
      if (auto kept = kept_searches(path, identity, name)) {
        comparison.strategies.push_back(*std::move(kept));
        done += options.seeds;
        if (progress) progress->update(done, name);
        continue;
      }
    }
    StrategySearches searches{.name = name, .seeds = {}};
    searches.seeds.resize(options.seeds);
    bool stopped = false;
    parallel_for(options.seeds, threads, [&, &strategy = strategy, &name = name](std::size_t i) {
      if (options.stop_requested && options.stop_requested()) {
        const std::lock_guard lock(mutex);
        stopped = true;
        return;
      }
      const double begin = thread_seconds();
      RunConfig seeded = config;
      seeded.seed = i + 1;
      Study study(parts.space,
                  [&](const RunContext& context) {
                    return catalogue.strategies.create(strategy, "/strategies/" + name, context);
                  },
                  evaluator, goals, bounds,
                  {.seed = seeded.seed,
                   .budget = {.trials = config.budget.trials},
                   .batch = static_cast<std::size_t>(config.compute.batch),
                   .threads_per_trial = config.compute.threads_per_trial,
                   .network_metrics = parts.network_metrics,
                   .screen =
                       [&](const std::string& metric) {
                         return proxy_screen(metric, seeded, catalogue, parts);
                       },
                   .stop_requested = options.stop_requested});
      const std::vector<Trial> trials = study.run();
      searches.seeds[i] = steps_of(trials, study.goals(), comparison.reported, truth);
      const double seconds = thread_seconds() - begin;
      const std::lock_guard lock(mutex);
      searches.seconds += seconds;
      stopped = stopped || study.interrupted();
      ++done;
      if (progress) progress->update(done, name);
    });
    if (stopped) return std::nullopt;
    if (!path.empty()) {
      make_directories(path.parent_path());
      write_file_atomically(path,
                            Json{{"of", identity}, {"searches", to_json(searches)}}.dump() + "\n");
    }
    comparison.strategies.push_back(std::move(searches));
  }
  return comparison;
}

std::vector<std::uint64_t> usual_checkpoints(std::uint64_t budget) {
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
    Chart chart{.x_label = "trials", .y_label = comparison.value, .x_scale = AxisScale::log};
    if (comparison.optimum) {
      chart.y_label = fmt::format("distance from the best {}, {}", comparison.value,
                                  short_number(*comparison.optimum));
      chart.y_scale = AxisScale::log;
    }
    // About 20 points a decade.
    std::vector<std::uint64_t> points;
    for (double x = 1; x < static_cast<double>(comparison.budget); x *= 1.12) {
      const auto trials = static_cast<std::uint64_t>(x);
      if (points.empty() || points.back() < trials) points.push_back(trials);
    }
    points.push_back(comparison.budget);
    std::vector<ChartSeries> bands, lines;
    // Zero has no place on a logarithmic axis: distances end at the least one above it.
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
      for (const std::uint64_t trials : points) {
        std::vector<double> values;
        for (const auto& search : searches.seeds) {
          const SearchStep* step = StrategyComparison::step_at(search, trials);
          if (step != nullptr) values.push_back(shown(step->value));
        }
        if (values.size() < searches.seeds.size()) continue;
        const auto x = static_cast<double>(trials);
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
          if (comparison.optimum) point.y = std::max(point.y, std::isfinite(least) ? least : 1);
        }
        chart.series.push_back(std::move(series));
      }
    }
    html += fmt::format("<h2>{}</h2>\n<p>Median and quartiles of {} seeds.</p>\n{}",
                        escape_html(comparison.problem),
                        comparison.strategies.empty() ? 0 : comparison.strategies[0].seeds.size(),
                        to_svg(chart));
  }
  return html_page("Strategies", html);
}

}  // namespace espalier
