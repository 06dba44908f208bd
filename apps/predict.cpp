#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <memory>
#include <string>
#include <vector>

#include "apps/space_score.hpp"
#include "apps/stop_signals.hpp"
#include "apps/verbs.hpp"
#include "core/bootstrap.hpp"
#include "core/error.hpp"
#include "core/log.hpp"
#include "core/parallel.hpp"
#include "core/stats.hpp"
#include "study/chart.hpp"
#include "study/prediction.hpp"

namespace espalier {
namespace {

constexpr std::size_t most_by_default = 1000;  // networks that are learned from

struct Arguments {
  std::string source, features;
  std::vector<std::string> predictors{"gaussian_process"}, proxies, archs, arch_files;
  std::optional<std::string> metric;
  std::vector<std::size_t> train;
  PredictionCheckOptions check;
  int threads = 0;
  bool json = false;
};

std::vector<NamedPredictor> read_predictors(const Arguments& arguments,
                                            const Catalogue& catalogue) {
  std::vector<NamedPredictor> predictors;
  for (const std::string& text : arguments.predictors) {
    NamedPredictor predictor{.name = text, .config = {{"type", text}}};
    if (text.starts_with('{')) {
      predictor.config = parse_json(text, "--predictor");
      predictor.name = predictor.config.dump();
    }
    try {
      catalogue.predictors.resolve(predictor.config, "");
    } catch (const ConfigError& error) {
      throw ConfigError("", fmt::format("--predictor: {}", error.what()));
    }
    predictors.push_back(std::move(predictor));
  }
  return predictors;
}

EncodingOptions read_features(const Arguments& arguments) {
  if (arguments.features.empty()) return {};
  const Json json = parse_json(arguments.features, "--features");
  try {
    return encoding_option_table().read(json, "");
  } catch (const ConfigError& error) {
    throw ConfigError("", fmt::format("--features: {}", error.what()));
  }
}

// --- Checks

Json summary(const std::vector<double>& values, const Estimate& mean) {
  return {{"mean", estimate_json(mean)},
          {"quartiles", {quantile(values, 0.25), quantile(values, 0.5), quantile(values, 0.75)}}};
}

Estimate mean_of(const std::vector<double>& values, const char* name, const Arguments& arguments) {
  return bootstrap_mean(values, {}, Rng(arguments.check.seed).fork("bootstrap").fork(name));
}

Json to_json(const PredictorCheck& check, const Arguments& arguments) {
  const auto statistic = [&](const std::vector<double>& values, const char* name) {
    return summary(values, mean_of(values, name, arguments));
  };
  return {{"predictor", check.predictor},
          {"train", check.train},
          {"held_out", check.held_out},
          {"splits", check.kendall_tau.size()},
          {"kendall_tau", statistic(check.kendall_tau, "kendall_tau")},
          {"spearman", statistic(check.spearman, "spearman")},
          {"rmse", statistic(check.rmse, "rmse")},
          {"seconds", check.seconds}};
}

std::string heading(const KnownNetworks& known, const Arguments& arguments, std::size_t width) {
  return fmt::format(
             "{} of {} networks, {} splits; mean over splits, its 95% interval, and quartiles\n",
             known.metric, known.values.size(), arguments.check.splits) +
         fmt::format("{:<{}}  {:>6}  {:<21}  {:<19}  {:>8}  {:>9}  {:>9}\n", "predictor", width,
                     "train", "Kendall's tau-b", "quartiles", "Spearman", "RMSE", "seconds");
}

std::string to_text(const PredictorCheck& check, const Arguments& arguments, std::size_t width) {
  const Estimate tau = mean_of(check.kendall_tau, "kendall_tau", arguments);
  const auto at = [&](double p) { return quantile(check.kendall_tau, p); };
  return fmt::format(
      "{:<{}}  {:>6}  {:<21}  {:<19}  {:>8.3f}  {:>9}  {:>9.3f}\n", check.predictor, width,
      check.train,
      fmt::format("{:.3f} [{:.3f}, {:.3f}]", tau.value, tau.interval.low, tau.interval.high),
      fmt::format("{:.3f} {:.3f} {:.3f}", at(0.25), at(0.5), at(0.75)), mean(check.spearman),
      short_number(mean(check.rmse)),
      check.seconds / static_cast<double>(check.kendall_tau.size()));
}

int check(Arguments arguments, const KnownNetworks& known,
          const std::vector<NamedPredictor>& predictors, const Catalogue& catalogue) {
  PredictionCheckOptions& options = arguments.check;
  options.train = arguments.train;
  if (options.train.empty()) {
    options.train = {std::clamp<std::size_t>(known.values.size() / 2, 1, 100)};
  }
  options.features = read_features(arguments);
  options.threads =
      arguments.threads > 0 ? static_cast<std::size_t>(arguments.threads) : hardware_threads();
  options.progress = true;
  const StopSignals signals;
  options.stop_requested = [&signals] { return signals.stopped(); };
  std::size_t width = 9;
  for (const NamedPredictor& predictor : predictors) {
    width = std::max(width, predictor.name.size());
  }
  Json checks = Json::array();
  bool begun = false;
  const bool complete =
      check_predictors(known, predictors, options, catalogue, [&](const PredictorCheck& its) {
        if (arguments.json) return checks.push_back(to_json(its, arguments));
        if (!begun) print(heading(known, arguments, width));
        begun = true;
        print(to_text(its, arguments, width));
      });
  if (!complete) {
    log_warning("stopped");
    return exit_interrupted;
  }
  if (arguments.json) {
    print_json({{"metric", known.metric},
                {"networks", known.values.size()},
                {"checks", std::move(checks)}});
  }
  return exit_ok;
}

// --- Predictions

int predict(const Arguments& arguments, const KnownNetworks& known,
            const std::vector<NamedPredictor>& predictors, const Catalogue& catalogue) {
  if (arguments.train.size() > 1) {
    throw ConfigError("", "--train takes one number of networks where networks are predicted");
  }
  std::vector<Architecture> networks =
      read_architectures(*known.space, arguments.archs, arguments.arch_files);
  const std::size_t most = arguments.train.empty() ? most_by_default : arguments.train[0];
  Json json = Json::array();
  for (Architecture& a : networks) {
    json.push_back({{"arch", known.space->to_string(a)}, {"predictions", Json::array()}});
    a = known.space->canonical(a);
  }
  for (const NamedPredictor& predictor : predictors) {
    const std::vector<Prediction> predictions =
        predict_networks(known, predictor, networks, most, arguments.check.seed,
                         read_features(arguments), catalogue);
    for (std::size_t i = 0; i < networks.size(); ++i) {
      json[i]["predictions"].push_back(
          {{"predictor", predictor.name},
           {"mean", predictions[i].mean},
           {"standard_deviation", std::sqrt(predictions[i].variance)}});
    }
  }
  const std::size_t learned = std::min(most, known.values.size());
  if (arguments.json) {
    print_json({{"metric", known.metric}, {"train", learned}, {"networks", std::move(json)}});
    return exit_ok;
  }
  std::string text = fmt::format("{}, learned from {} networks\n", known.metric, learned);
  for (const Json& network : json) {
    text += network["arch"].get<std::string>() + "\n";
    for (const Json& its : network["predictions"]) {
      text += fmt::format("  {:<16} {} +- {}\n", its["predictor"].get<std::string>(),
                          short_number(its["mean"].get<double>()),
                          short_number(its["standard_deviation"].get<double>()));
    }
  }
  print(text);
  return exit_ok;
}

int run(const Arguments& arguments, const Catalogue& catalogue) {
  const std::vector<NamedPredictor> predictors = read_predictors(arguments, catalogue);
  read_features(arguments);
  const KnownNetworks known =
      read_known_networks(arguments.source, arguments.metric, arguments.proxies, catalogue);
  const bool asked = !arguments.archs.empty() || !arguments.arch_files.empty();
  return asked ? predict(arguments, known, predictors, catalogue)
               : check(arguments, known, predictors, catalogue);
}

}  // namespace

Verb add_predict(CLI::App& app, const Catalogue& catalogue) {
  CLI::App& verb = *app.add_subcommand(
      "predict", "metrics of networks from those of others, or how well that can be done");
  const auto arguments = std::make_shared<Arguments>();
  verb.add_option("source", arguments->source,
                  "what is learned from: a run's directory, or a config whose evaluator is a table")
      ->required();
  verb.add_option("--predictor", arguments->predictors,
                  "predictors (see espalier list predictors): a name, or a JSON object")
      ->allow_extra_args(false);
  verb.add_option("--metric", arguments->metric, "what is learned; by default the first objective");
  verb.add_option("--arch", arguments->archs,
                  "network to predict: the space's own string, or a JSON object of decision: "
                  "label; without any, random splits show how well others are predicted")
      ->allow_extra_args(false);
  verb.add_option("--arch-file", arguments->arch_files,
                  "the same from a file, such as best/architecture.json")
      ->allow_extra_args(false);
  verb.add_option("--train", arguments->train,
                  "networks to learn from, several numbers for a check: 78,156; by default 100, or "
                  "half of them where there are fewer than 200; to predict, at most 1000")
      ->delimiter(',')
      ->allow_extra_args(false)
      ->check(CLI::Range(1, 1 << 20));
  verb.add_option("--splits", arguments->check.splits, "random splits of a check")
      ->check(CLI::Range(1, 1 << 20));
  verb.add_option("--held-out", arguments->check.held_out,
                  "networks of each split that are predicted, at most")
      ->check(CLI::Range(2, 1 << 24));
  verb.add_option("--features", arguments->features,
                  "what networks are compared by, as a JSON object (see docs/predictors.md)");
  verb.add_option("--proxy", arguments->proxies,
                  "scores of untrained networks as further features (see espalier list proxies)")
      ->allow_extra_args(false);
  verb.add_option("--seed", arguments->check.seed, "of splits, samples and predictors");
  verb.add_option("--threads", arguments->threads, "splits at a time; by default all processors")
      ->check(CLI::Range(1, 1024));
  verb.add_flag("--json", arguments->json, "prints JSON");
  return [arguments, &catalogue] { return run(*arguments, catalogue); };
}

}  // namespace espalier
