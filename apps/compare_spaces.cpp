#include <fmt/format.h>

#include <array>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "apps/space_score.hpp"
#include "apps/verbs.hpp"
#include "core/error.hpp"
#include "core/progress.hpp"
#include "study/chart.hpp"

namespace espalier {
namespace {

constexpr std::array<double, 5> shown_quantiles{0.05, 0.25, 0.5, 0.75, 0.95};

struct Arguments {
  std::string a, b, normalize;
  SpaceScoreArguments score;
  std::vector<double> levels;
  int bins = 10;
  bool json = false;
};

struct Sample {
  std::vector<double> scores, complexities;
  std::string name;
  Better better = Better::higher;
};

Sample sample_space(const std::string& text, const std::string& stream, const Arguments& arguments,
                    const Catalogue& catalogue) {
  const std::shared_ptr<const SearchSpace> space = catalogue.spaces.create(
      text.ends_with(".json")
          ? read_space_file(text)
          : read_space_config(text, catalogue, "the name of a file ends in .json"),
      "");
  const SpaceScore score = make_space_score(arguments.score, space, catalogue);
  Sample sample{.scores = {}, .complexities = {}, .name = score.name, .better = score.better};
  Rng rng = Rng(arguments.score.seed).fork(stream);
  Progress progress(stream == "a" ? "networks of A" : "networks of B",
                    static_cast<std::uint64_t>(arguments.score.samples));
  for (const Architecture& a :
       sample_in_ranges(*space, static_cast<std::size_t>(arguments.score.samples),
                        arguments.score.ranges, rng)) {
    sample.scores.push_back(score.score(a));
    progress.update(sample.scores.size());
    if (arguments.normalize.empty()) continue;
    const Cost cost = space->quick_cost(a);
    sample.complexities.push_back(
        static_cast<double>(arguments.normalize == "params" ? cost.params : cost.macs));
  }
  return sample;
}

Json distribution_json(const std::string& space, const ErrorDistribution& scores) {
  Json quantiles = Json::object();
  for (const double p : shown_quantiles) {
    quantiles[fmt::format("{}", p)] = scores.quantile(p);
  }
  return {{"space", space},
          {"mean", scores.mean()},
          {"quantiles", std::move(quantiles)},
          {"scores", std::vector<double>(scores.scores().begin(), scores.scores().end())},
          {"weights", std::vector<double>(scores.weights().begin(), scores.weights().end())}};
}

std::string text_of(const ErrorDistribution& a, const ErrorDistribution& b,
                    const SpaceComparison& comparison, const Sample& sample) {
  std::string text = fmt::format("{} ({} is better)\n{:<14} {:>14} {:>14}\n", sample.name,
                                 better_name(sample.better), "", "A", "B");
  const auto row = [&](const std::string& name, double of_a, double of_b) {
    text += fmt::format("{:<14} {:>14} {:>14}\n", name, short_number(of_a), short_number(of_b));
  };
  row("networks", static_cast<double>(a.scores().size()), static_cast<double>(b.scores().size()));
  row("mean", a.mean(), b.mean());
  for (const double p : shown_quantiles) {
    row(fmt::format("{:.0f}%", 100 * p), a.quantile(p), b.quantile(p));
  }
  for (const LevelComparison& level : comparison.levels) {
    row("below " + short_number(level.level), level.a, level.b);
  }
  text += "\nwith the interval that holds the true value in 95 of 100 cases:\n";
  const auto estimate = [&](const std::string& name, const Estimate& value) {
    text += fmt::format("{:<38} {}\n", name, estimate_text(value));
  };
  estimate("a network of A beats one of B", comparison.win_probability);
  estimate("mean of A - mean of B", comparison.mean_difference);
  for (const LevelComparison& level : comparison.levels) {
    estimate(fmt::format("share below {}, A - B", short_number(level.level)), level.difference);
  }
  estimate("largest distance (Kolmogorov-Smirnov)", comparison.kolmogorov_smirnov);
  return text;
}

int run(const Arguments& arguments, const Catalogue& catalogue) {
  const Sample a = sample_space(arguments.a, "a", arguments, catalogue);
  const Sample b = sample_space(arguments.b, "b", arguments, catalogue);
  std::vector<std::vector<double>> weights(2);
  if (!arguments.normalize.empty()) {
    weights = complexity_weights(std::array{a.complexities, b.complexities}, arguments.bins);
  }
  const ErrorDistribution scores_a(a.scores, weights[0]), scores_b(b.scores, weights[1]);
  ComparisonOptions options{.better = a.better, .levels = arguments.levels};
  if (options.levels.empty()) {
    std::vector<double> all = a.scores;
    all.insert(all.end(), b.scores.begin(), b.scores.end());
    const ErrorDistribution both(std::move(all));
    for (const double p : {0.25, 0.5, 0.75}) options.levels.push_back(both.quantile(p));
  }
  const SpaceComparison comparison =
      compare_spaces(scores_a, scores_b, options, Rng(arguments.score.seed).fork("bootstrap"));
  if (!arguments.json) {
    print(text_of(scores_a, scores_b, comparison, a));
    return exit_ok;
  }
  Json json = {{"score", a.name},
               {"better", better_name(a.better)},
               {"a", distribution_json(arguments.a, scores_a)},
               {"b", distribution_json(arguments.b, scores_b)},
               {"win_probability", estimate_json(comparison.win_probability)},
               {"mean_difference", estimate_json(comparison.mean_difference)},
               {"kolmogorov_smirnov", estimate_json(comparison.kolmogorov_smirnov)},
               {"levels", Json::array()}};
  for (const LevelComparison& level : comparison.levels) {
    json["levels"].push_back({{"level", level.level},
                              {"a", level.a},
                              {"b", level.b},
                              {"difference", estimate_json(level.difference)}});
  }
  print_json(json);
  return exit_ok;
}

}  // namespace

Verb add_compare_spaces(CLI::App& app, const Catalogue& catalogue) {
  CLI::App& verb =
      *app.add_subcommand("compare-spaces", "two search spaces, by the scores of their random networks");
  const auto arguments = std::make_shared<Arguments>();
  verb.add_option("a", arguments->a, "search space: a name, a JSON object, or a .json file")
      ->required();
  verb.add_option("b", arguments->b, "the other one")->required();
  arguments->score.add_to(verb);
  verb.add_option("--level", arguments->levels,
                  "scores below which networks are counted; by default the quartiles of both")
      ->allow_extra_args(false);
  verb.add_option("--normalize", arguments->normalize,
                  "weighs networks so that both spaces have as many of each size")
      ->check(CLI::IsMember({"params", "macs"}));
  verb.add_option("--bins", arguments->bins, "sizes that --normalize tells apart")
      ->check(CLI::Range(1, 1 << 20));
  verb.add_flag("--json", arguments->json, "prints JSON, with all scores");
  return [arguments, &catalogue] { return run(*arguments, catalogue); };
}

}  // namespace espalier
