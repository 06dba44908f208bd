#include "study/rank_check.hpp"

#include <fmt/format.h>

#include <cmath>
#include <memory>
#include <string>
#include <vector>

#include "apps/space_score.hpp"
#include "apps/stop_signals.hpp"
#include "apps/verbs.hpp"
#include "core/log.hpp"
#include "study/chart.hpp"
#include "study/results.hpp"

namespace espalier {
namespace {

struct Arguments {
  RankCheckOptions options;
  std::string run, truth, out;
  bool json = false;
};

// {"value", "low", "high"}, null where it is undefined.
Json json_of(const Estimate& estimate) {
  return std::isnan(estimate.value) ? Json(nullptr) : estimate_json(estimate);
}

std::string text_of(const Estimate& estimate) {
  if (std::isnan(estimate.value)) return "-";
  return fmt::format("{:.3f} [{:.3f}, {:.3f}]", estimate.value, estimate.interval.low,
                     estimate.interval.high);
}

Json to_json(const RankCheck& check, const SearchSpace& space) {
  Json scores = Json::array(), networks = Json::array();
  for (const ScoreRanking& score : check.scores) {
    scores.push_back({{"score", score.score},
                      {"kendall_tau", json_of(score.kendall_tau)},
                      {"spearman", json_of(score.spearman)},
                      {"precision_at_top", json_of(score.precision)},
                      {"kendall_tau_above_params", json_of(score.tau_above_params)}});
  }
  for (const RankedNetwork& network : check.networks) {
    Json json = {{"arch", space.to_string(network.architecture)}, {"truth", network.truth}};
    for (std::size_t s = 0; s < check.scores.size(); ++s) {
      json[check.scores[s].score] = network.scores[s];
    }
    networks.push_back(std::move(json));
  }
  return {{"metric", check.metric},
          {"top", check.top},
          {"scores", std::move(scores)},
          {"networks", std::move(networks)}};
}

std::string to_text(const RankCheck& check, double confidence) {
  std::string text =
      fmt::format("{} networks by {}, {}% intervals; precision at {}, by chance {:.3f}\n",
                  check.networks.size(), check.metric, short_number(100 * confidence), check.top,
                  static_cast<double>(check.top) / static_cast<double>(check.networks.size()));
  const std::string row = "{:<10}  {:<22}  {:<22}  {:<22}  {}\n";
  text += fmt::format(fmt::runtime(row), "", "Kendall's tau-b", "Spearman", "precision",
                      "tau above params");
  for (const ScoreRanking& score : check.scores) {
    text += fmt::format(fmt::runtime(row), score.score, text_of(score.kendall_tau),
                        text_of(score.spearman), text_of(score.precision),
                        score.score == "params" ? "" : text_of(score.tau_above_params));
  }
  return text;
}

// The config of an evaluator: alone, or what a config has under "evaluator".
Json read_truth(const std::string& path) {
  Json json = read_json_file(path);
  if (json.is_object() && json.contains("evaluator")) return json["evaluator"];
  return json;
}

int run(const Arguments& arguments, const Catalogue& catalogue) {
  RankCheckOptions options = arguments.options;
  options.run = arguments.run;
  options.out = arguments.out;
  if (!arguments.truth.empty()) options.truth = read_truth(arguments.truth);
  const StopSignals signals;
  options.stop_requested = [&signals] { return signals.stopped(); };
  options.progress = true;
  const std::optional<RankCheck> check = rank_check(options, catalogue);
  if (!check) {
    log_warning("stopped; the same command continues");
    return exit_interrupted;
  }
  if (arguments.json) {
    print_json(to_json(*check, *read_results(options.run, catalogue).space));
  } else {
    print(to_text(*check, options.bootstrap.confidence));
  }
  return exit_ok;
}

}  // namespace

Verb add_rank_check(CLI::App& app, const Catalogue& catalogue) {
  CLI::App& verb = *app.add_subcommand(
      "rank-check", "how well a run's evaluator ranks random networks, against the truth");
  const auto arguments = std::make_shared<Arguments>();
  verb.add_option("directory", arguments->run, "the run's directory")->required();
  verb.add_option("--truth", arguments->truth,
                  "file with the config of the evaluator that says what networks are worth; by "
                  "default they are trained as the run's \"final\" says");
  verb.add_option("--out", arguments->out,
                  "directory in which the truth is kept, to go on and for other runs of the same "
                  "space; by default rank_check in the run's");
  verb.add_option("--sample", arguments->options.sample, "random networks")
      ->check(CLI::Range(2, 1 << 20));
  verb.add_option("--seed", arguments->options.seed, "of the sample and the intervals");
  verb.add_option("--top", arguments->options.top,
                  "precision: the share of so many networks with the best scores that are among as "
                  "many of the best; by default a fifth of the sample")
      ->check(CLI::Range(1, 1 << 20));
  verb.add_option("--resamples", arguments->options.bootstrap.resamples, "of each interval")
      ->check(CLI::Range(1, 1 << 20));
  verb.add_flag("--json", arguments->json, "prints JSON, with all networks");
  return [arguments, &catalogue] { return run(*arguments, catalogue); };
}

}  // namespace espalier
