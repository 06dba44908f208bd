#include "apps/space_score.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "core/error.hpp"
#include "evaluators/cost_metrics.hpp"
#include "evaluators/table.hpp"
#include "graph/fingerprint.hpp"
#include "search_spaces/restriction.hpp"
#include "search_spaces/sampling.hpp"
#include "study/chart.hpp"
#include "study/run_evaluator.hpp"

namespace espalier {
namespace {

Better better_of(const SpaceScoreArguments& arguments, std::optional<Direction> direction) {
  if (arguments.better) return *arguments.better == "lower" ? Better::lower : Better::higher;
  return direction == Direction::minimize ? Better::lower : Better::higher;
}

Score score_with(std::shared_ptr<Evaluator> evaluator, std::shared_ptr<const SearchSpace> space,
                 std::uint64_t seed) {
  return [evaluator = std::move(evaluator), space = std::move(space), seed](const Architecture& a) {
    Rng rng(seed);  // the same for all
    return evaluator->evaluate({.architecture = a}, Network(*space, a), rng)[0];
  };
}

Hash128 fingerprint_of_largest(const SearchSpace& space) {
  return fingerprint(space.build(largest_architecture(space)));
}

// The space may be a part of the run's.
SpaceScore run_score(const SpaceScoreArguments& arguments,
                     const std::shared_ptr<const SearchSpace>& space, const Catalogue& catalogue) {
  const auto evaluator = std::make_shared<RunEvaluator>(arguments.run, catalogue);
  const auto is_runs = [&](const SearchSpace& candidate) {
    const auto same = [](const Decision& a, const Decision& b) {
      return a.name == b.name && a.options == b.options;
    };
    return std::ranges::equal(candidate.decisions(), evaluator->space()->decisions(), same) &&
           fingerprint_of_largest(candidate) == fingerprint_of_largest(*evaluator->space());
  };
  std::shared_ptr<const RestrictedSpace> part;
  if (!is_runs(*space)) {
    part = std::dynamic_pointer_cast<const RestrictedSpace>(space);
    if (part == nullptr || !is_runs(*part->whole())) {
      throw ConfigError("",
                        fmt::format("the run {} is of another space; give its own: --space-file "
                                    "{}/config.json",
                                    arguments.run, arguments.run));
    }
  }
  evaluator->prepare();
  const Objective& objective = evaluator->objective();
  return {.name = objective.metric,
          .better = better_of(arguments, objective.direction),
          .score = [evaluator, part, seed = arguments.seed](const Architecture& a) {
            Rng rng(seed);  // the same for all
            return evaluator->value(0, part ? part->lift(a) : a, rng);
          }};
}

}  // namespace

void SpaceScoreArguments::add_to(CLI::App& verb) {
  verb.add_option("--table", table, "a table of evaluated architectures: .csv, .csv.gz");
  verb.add_option("--column", column, "of the table: the score");
  verb.add_option("--key", key,
                  "of the table: the column of architecture strings; without it, each decision "
                  "has a column of labels");
  verb.add_option("--proxy", proxy, "a score of untrained networks (see espalier list proxies)");
  verb.add_option("--cost", cost, "a cost as the score: params, macs, storage_bytes, ...");
  verb.add_option("--run", run,
                  "a run's directory: its evaluator scores (its shared weights, say), by the first "
                  "objective that it measures");
  verb.add_option("--better", better, "which scores are good; by default as the score says")
      ->check(CLI::IsMember({"higher", "lower"}));
  verb.add_option("--samples", samples, "random networks that are scored")
      ->check(CLI::Range(2, 1 << 24));
  verb.add_option("--params-min", ranges.params_min, "only networks of as many parameters");
  verb.add_option("--params-max", ranges.params_max, "only networks of no more parameters");
  verb.add_option("--macs-min", ranges.macs_min, "only networks of as many MACs");
  verb.add_option("--macs-max", ranges.macs_max, "only networks of no more MACs");
  verb.add_option("--data", data, "images, for the proxies that need them: TYPE or TYPE:DIR");
  verb.add_option("--batch-size", options.batch_size, "images in the batch")
      ->check(CLI::Range(2, 1 << 20));
  verb.add_option("--seed", seed, "of everything random");
  verb.add_option("--threads", threads, "of LibTorch")->check(CLI::Range(1, 1024));
}

SpaceScore make_space_score(const SpaceScoreArguments& arguments,
                            const std::shared_ptr<const SearchSpace>& space,
                            const Catalogue& catalogue) {
  const int kinds = int(!arguments.table.empty()) + int(!arguments.proxy.empty()) +
                    int(!arguments.cost.empty()) + int(!arguments.run.empty());
  if (kinds != 1) throw ConfigError("", "give one of --table, --proxy, --cost, and --run");
  if (arguments.table.empty() != arguments.column.empty()) {
    throw ConfigError("", "--table and --column go together");
  }
  if (!arguments.cost.empty()) {
    const MetricInfo metric = metric_info(arguments.cost);
    if (!is_cost_metric(metric.name)) {
      std::vector<std::string> known;
      for (const MetricInfo& cost : cost_metrics()) known.push_back(cost.name);
      throw ConfigError(
          "", fmt::format("unknown cost \"{}\"{}", metric.name, suggestion(metric.name, known)));
    }
    return {.name = metric.name,
            .better = better_of(arguments, metric.direction),
            .score = [space, name = metric.name](const Architecture& a) {
              return cost_metric(name, Network(*space, a));
            }};
  }
  if (!arguments.run.empty() && !arguments.data.empty()) {
    throw ConfigError("", "--data does not go with --run, whose own images are used");
  }
  if (!arguments.run.empty()) return run_score(arguments, space, catalogue);
  if (!arguments.table.empty()) {
    const auto evaluator = std::make_shared<TableEvaluator>(
        space, TableOptions{.file = arguments.table,
                            .key = arguments.key,
                            .metrics = {{arguments.column, arguments.column}}});
    return {.name = arguments.column,
            .better = better_of(arguments, evaluator->metrics()[0].direction),
            .score = score_with(evaluator, space, arguments.seed)};
  }
  EvaluatorContext context{
      .space = space, .proxies = catalogue.proxies, .threads_per_trial = arguments.threads};
  if (!arguments.data.empty()) {
    context.data = catalogue.datasets.create(dataset_config(arguments.data), "");
  }
  ZeroCostOptions options = arguments.options;
  options.proxies = {arguments.proxy};
  const auto evaluator = std::make_shared<ZeroCostEvaluator>(context, options);
  return {.name = arguments.proxy,
          .better = better_of(arguments, evaluator->metrics()[0].direction),
          .score = score_with(evaluator, space, arguments.seed)};
}

std::string better_name(Better better) { return better == Better::lower ? "lower" : "higher"; }

std::string estimate_text(const Estimate& estimate) {
  return fmt::format("{} [{}, {}]", short_number(estimate.value),
                     short_number(estimate.interval.low), short_number(estimate.interval.high));
}

Json estimate_json(const Estimate& estimate) {
  return {
      {"value", estimate.value}, {"low", estimate.interval.low}, {"high", estimate.interval.high}};
}

}  // namespace espalier
