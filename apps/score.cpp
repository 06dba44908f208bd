#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "apps/stop_signals.hpp"
#include "apps/verbs.hpp"
#include "core/error.hpp"
#include "core/parallel.hpp"
#include "core/progress.hpp"
#include "evaluators/proxies/az_nas.hpp"
#include "evaluators/zero_cost.hpp"
#include "study/chart.hpp"

namespace espalier {
namespace {

struct Arguments {
  NetworkArguments networks;
  std::vector<std::string> proxies;
  std::string data;
  ZeroCostOptions options;
  std::uint64_t seed = 1;
  int threads = 1;
  int workers = static_cast<int>(hardware_threads());
  bool aggregate = false;
  bool json = false;
};

void check_directions(const std::vector<MetricInfo>& metrics) {
  for (const MetricInfo& metric : metrics) {
    if (metric.direction) continue;
    throw ConfigError("", fmt::format("--aggregate ranks networks, but of {} no direction is the "
                                      "better one; az_complexity is that of more macs",
                                      metric.name));
  }
}

// What the first scores, those of `metrics`, say of each network together. `scores` has one list a
// network.
std::vector<double> aggregate(const std::vector<std::vector<double>>& scores,
                              const std::vector<MetricInfo>& metrics) {
  std::vector<std::vector<double>> columns(metrics.size());
  for (std::size_t p = 0; p < metrics.size(); ++p) {
    for (const std::vector<double>& row : scores) {
      columns[p].push_back(metrics[p].direction == Direction::minimize ? -row[p] : row[p]);
    }
  }
  return aggregate_ranks(columns);
}

int score(const Arguments& arguments, const Catalogue& catalogue) {
  const Networks networks = read_networks(arguments.networks, catalogue);
  if (networks.architectures.empty()) throw ConfigError("", "give --arch or --arch-file");
  EvaluatorContext context{.space = networks.space,
                           .proxies = catalogue.proxies,
                           .threads_per_trial = arguments.threads};
  if (!arguments.data.empty()) {
    context.data = catalogue.datasets.create(dataset_config(arguments.data), "");
  }
  ZeroCostOptions options = arguments.options;
  options.proxies = arguments.proxies;
  // What a score is worth shows beside what counting alone says.
  std::size_t added = 0;
  for (const char* const count : {"params", "macs"}) {
    if (std::ranges::find(options.proxies, count) != options.proxies.end()) continue;
    options.proxies.emplace_back(count);
    ++added;
  }
  ZeroCostEvaluator evaluator(context, options);
  const std::vector<MetricInfo> asked(
      evaluator.metrics().begin(), evaluator.metrics().end() - static_cast<std::ptrdiff_t>(added));
  if (arguments.aggregate) check_directions(asked);
  const std::size_t count = networks.architectures.size();
  std::vector<std::vector<double>> scores(count);
  const StopSignals signals;
  {
    std::optional<Progress> progress;
    if (count > 1) progress.emplace("networks", count);
    std::atomic<std::uint64_t> done = 0;
    parallel_for(count, static_cast<std::size_t>(arguments.workers), [&](std::size_t i) {
      if (signals.stopped()) return;
      const Candidate candidate{.architecture = networks.architectures[i]};
      Rng rng(arguments.seed);  // the same for all
      scores[i] =
          evaluator.evaluate(candidate, Network(*networks.space, candidate.architecture), rng);
      if (progress) progress->update(++done);
    });
  }
  if (signals.stopped()) return exit_interrupted;
  std::vector<double> together;
  if (arguments.aggregate) together = aggregate(scores, asked);
  Json json = Json::array();
  std::string text;
  for (std::size_t i = 0; i < count; ++i) {
    Json values = {{"arch", networks.names[i]}};
    text += networks.names[i] + "\n";
    const auto add = [&](const std::string& name, double value) {
      values[name] = value;
      text += fmt::format("  {:<16} {}\n", name, short_number(value));
    };
    for (std::size_t p = 0; p < scores[i].size(); ++p) {
      add(evaluator.metrics()[p].name, scores[i][p]);
    }
    if (arguments.aggregate) add("aggregate", together[i]);
    json.push_back(std::move(values));
  }
  arguments.json ? print_json(json) : print(text);
  return exit_ok;
}

}  // namespace

Verb add_score(CLI::App& app, const Catalogue& catalogue) {
  CLI::App& verb = *app.add_subcommand("score", "zero-cost scores of untrained networks");
  const auto arguments = std::make_shared<Arguments>();
  arguments->networks.add_to(verb);
  verb.add_option("--proxy", arguments->proxies,
                  "scores (see espalier list proxies); params and macs are shown beside them")
      ->required();
  verb.add_option("--data", arguments->data,
                  "images, for the scores that need them: TYPE or TYPE:DIR");
  verb.add_option("--batch-size", arguments->options.batch_size, "images in the batch")
      ->check(CLI::Range(2, 1 << 20));
  verb.add_option("--seed", arguments->seed, "of the random weights");
  verb.add_option("--threads", arguments->threads, "of LibTorch, for each network at work")
      ->check(CLI::Range(1, 1024));
  verb.add_option("--workers", arguments->workers,
                  "networks at work at once, which scores do not depend on; one a processor unless "
                  "given")
      ->check(CLI::Range(1, 1024));
  verb.add_flag("--aggregate", arguments->aggregate,
                "adds what all scores say together of several networks: the sum of the logarithms "
                "of a network's ranks (of the proxies az_*: AZ-NAS)");
  verb.add_flag("--json", arguments->json, "prints JSON");
  return [arguments, &catalogue] { return score(*arguments, catalogue); };
}

}  // namespace espalier
