#include "study/prediction.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <mutex>
#include <numeric>
#include <set>
#include <utility>

#include "core/error.hpp"
#include "core/parallel.hpp"
#include "core/progress.hpp"
#include "core/rng.hpp"
#include "core/stats.hpp"
#include "evaluators/table.hpp"
#include "study/results.hpp"
#include "study/run_parts.hpp"
#include "study/strategy_comparison.hpp"
#include "study/thread_time.hpp"
#include "training/threads.hpp"

namespace espalier {
namespace {

[[noreturn]] void throw_unknown_metric(const std::string& metric, std::vector<std::string> known) {
  throw ConfigError("", fmt::format("unknown metric \"{}\"{}", metric, suggestion(metric, known)));
}

void add(KnownNetworks& known, const Architecture& a, double value) {
  if (!std::isfinite(value)) return;
  known.architectures.push_back(a);
  known.values.push_back(value);
}

void add_trials(KnownNetworks& known, const Results& results) {
  std::vector<std::size_t> complete;
  double fidelity = 0;
  for (std::size_t t = 0; t < results.trials.size(); ++t) {
    const Trial& trial = results.trials[t];
    if (trial.state == TrialState::failed) continue;
    if (trial.candidate.fidelity > fidelity) complete.clear();
    fidelity = std::max(fidelity, trial.candidate.fidelity);
    if (trial.candidate.fidelity == fidelity) complete.push_back(t);
  }
  const std::vector<NamedValues> metrics = metrics_of(results, complete);
  std::set<Architecture> seen;
  bool found = complete.empty();
  for (std::size_t i = 0; i < complete.size(); ++i) {
    const Architecture& a = results.trials[complete[i]].candidate.architecture;
    for (const auto& [name, value] : metrics[i]) {
      if (name != known.metric) continue;
      found = true;
      if (seen.insert(a).second) add(known, a, value);
    }
  }
  if (!found) throw_unknown_metric(known.metric, column_names(results, metrics));
}

void add_table(KnownNetworks& known, const RunConfig& config, const RunParts& parts) {
  const auto table = std::dynamic_pointer_cast<TableEvaluator>(parts.evaluator);
  if (table == nullptr) {
    throw ConfigError("/evaluator/type",
                      fmt::format("is \"{}\"; predictors learn from a table, or from the trials of "
                                  "a run: give its directory",
                                  config.evaluator.at("type").get<std::string>()));
  }
  std::vector<std::string> names;
  for (const MetricInfo& metric : table->metrics()) names.push_back(metric.name);
  const auto place = std::ranges::find(names, known.metric);
  const NetworkMetric* of_network = nullptr;
  if (place == names.end()) {
    for (const NetworkMetric& metric : parts.network_metrics) {
      names.push_back(metric.info.name);
      if (metric.info.name == known.metric) of_network = &metric;
    }
    if (of_network == nullptr) throw_unknown_metric(known.metric, names);
  }
  for (const Architecture& a : table->architectures()) {
    const Network network(*parts.space, a);
    Rng unused(0);
    try {
      if (of_network != nullptr) {
        add(known, a, of_network->value(network));
        continue;
      }
      const auto values = table->evaluate({.architecture = a}, network, unused);
      add(known, a, values[static_cast<std::size_t>(place - names.begin())]);
    } catch (const InvalidArchitecture&) {
      // An empty field.
    } catch (const UnsupportedError&) {
      // A part that the hardware model does not know.
    }
  }
}

std::unique_ptr<Predictor> make_predictor(const NamedPredictor& predictor, const Rng& rng,
                                          const Catalogue& catalogue) {
  try {
    return catalogue.predictors.create(predictor.config, "", {rng});
  } catch (const ConfigError& error) {
    throw ConfigError("", fmt::format("predictor {}: {}", predictor.name, error.what()));
  }
}

// 0 where it is undefined: what tells nothing apart orders as chance does.
double or_zero(double correlation) { return std::isnan(correlation) ? 0 : correlation; }

}  // namespace

KnownNetworks read_known_networks(const std::filesystem::path& source,
                                  const std::optional<std::string>& metric,
                                  std::span<const std::string> proxies,
                                  const Catalogue& catalogue) {
  KnownNetworks known;
  RunConfig config;
  std::optional<RunParts> parts;
  if (std::filesystem::is_directory(source)) {
    const Results results = read_results(source, catalogue);
    config = read_config(results.config, catalogue);
    known.space = results.space;
    known.metric = metric.value_or(results.goals.objectives()[0].metric);
    add_trials(known, results);
  } else {
    config = read_problem(read_json_file(source), source.stem(), catalogue).config;
    parts = make_run_parts(config, catalogue);
    known.space = parts->space;
    known.metric = metric.value_or(config.objectives[0].metric);
    add_table(known, config, *parts);
  }
  if (known.values.size() < 2) {
    throw Error(fmt::format("{} has {} networks with the metric {}; expected at least 2",
                            source.string(), known.values.size(), known.metric));
  }
  if (proxies.empty()) return known;
  if (!parts) parts = make_run_parts(config, catalogue);
  std::vector<Screen> screens;
  for (const std::string& proxy : proxies) {
    try {
      screens.push_back(proxy_screen(proxy, config, catalogue, *parts));
    } catch (const ConfigError& error) {
      throw ConfigError("", error.message());
    }
  }
  known.scores = [screens](const Architecture& a) {
    std::vector<double> scores;
    for (const Screen& screen : screens) scores.push_back(screen.score({&a, 1})[0]);
    return scores;
  };
  return known;
}

bool check_predictors(const KnownNetworks& known, std::span<const NamedPredictor> predictors,
                      const PredictionCheckOptions& options, const Catalogue& catalogue,
                      const std::function<void(const PredictorCheck&)>& done) {
  const std::size_t count = known.architectures.size();
  const std::size_t most = std::ranges::max(options.train);
  if (most + 2 > count) {
    throw Error(
        fmt::format("{} networks are known: {} of them to learn from leave fewer than 2 "
                    "to be held out",
                    count, most));
  }
  for (const NamedPredictor& predictor : predictors) make_predictor(predictor, Rng(0), catalogue);
  const std::size_t held_out = std::min(options.held_out, count - most);
  const Rng rng(options.seed);

  // What the splits use, encoded once.
  std::vector<std::vector<std::size_t>> orders;
  std::set<std::size_t> used;
  for (std::size_t s = 0; s < options.splits; ++s) {
    Rng its = rng.fork("split").fork(s);
    std::vector<std::size_t>& order = orders.emplace_back();
    order = its.sample_without_replacement(count, most + held_out);
    used.insert(order.begin(), order.end());
  }
  const auto stopping = [&] { return options.stop_requested && options.stop_requested(); };
  std::unique_ptr<Progress> progress;
  if (options.progress) progress = std::make_unique<Progress>("networks", used.size());
  Encoder encoder(known.space, options.features, known.scores);
  std::vector<Features> features(count);
  std::uint64_t encoded = 0;
  for (const std::size_t i : used) {
    if (stopping()) return false;
    features[i] = encoder.encode({&known.architectures[i], 1})[0];
    if (progress) progress->update(++encoded);
  }
  progress.reset();

  for (const NamedPredictor& predictor : predictors) {
    for (const std::size_t train : options.train) {
      PredictorCheck check{.predictor = predictor.name, .train = train, .held_out = held_out};
      check.kendall_tau.resize(options.splits);
      check.spearman.resize(options.splits);
      check.rmse.resize(options.splits);
      if (options.progress) {
        progress = std::make_unique<Progress>(fmt::format("{}, {} networks", predictor.name, train),
                                              options.splits);
      }
      std::uint64_t finished = 0;
      std::mutex mutex;
      std::atomic<bool> stopped = false;
      const auto run_split = [&](std::size_t s) {
        const TorchThreads one_thread(1);
        const double begin = thread_seconds();
        std::vector<Features> learned, asked;
        std::vector<double> values, truth, predicted;
        for (std::size_t i = 0; i < train; ++i) {
          learned.push_back(features[orders[s][i]]);
          values.push_back(known.values[orders[s][i]]);
        }
        for (std::size_t i = most; i < orders[s].size(); ++i) {
          asked.push_back(features[orders[s][i]]);
          truth.push_back(known.values[orders[s][i]]);
        }
        const auto model = make_predictor(predictor, rng.fork("predictor").fork(s), catalogue);
        model->fit(learned, values);
        double squares = 0;
        for (const Prediction& p : model->predict(asked)) {
          squares += (p.mean - truth[predicted.size()]) * (p.mean - truth[predicted.size()]);
          predicted.push_back(p.mean);
        }
        check.kendall_tau[s] = or_zero(kendall_tau_b(predicted, truth));
        check.spearman[s] = or_zero(spearman(predicted, truth));
        check.rmse[s] = std::sqrt(squares / static_cast<double>(held_out));
        const double seconds = thread_seconds() - begin;
        const std::lock_guard lock(mutex);
        check.seconds += seconds;
        if (progress) progress->update(++finished);
      };
      parallel_for(options.splits, options.threads, [&](std::size_t s) {
        if (stopping()) stopped = true;
        if (stopped) return;
        try {
          run_split(s);
        } catch (const Error& error) {
          throw Error(fmt::format("predictor {}, {} networks, split {}: {}", predictor.name, train,
                                  s, error.what()));
        }
      });
      progress.reset();
      if (stopped) return false;
      done(check);
    }
  }
  return true;
}

std::vector<Prediction> predict_networks(const KnownNetworks& known,
                                         const NamedPredictor& predictor,
                                         std::span<const Architecture> networks, std::size_t most,
                                         std::uint64_t seed, const EncodingOptions& features,
                                         const Catalogue& catalogue) {
  const TorchThreads one_thread(1);
  const Rng rng(seed);
  const auto model = make_predictor(predictor, rng.fork("predictor"), catalogue);
  std::vector<std::size_t> order(known.architectures.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  if (order.size() > most) {
    order = rng.fork("sample").sample_without_replacement(order.size(), most);
  }
  std::vector<Architecture> learned;
  std::vector<double> values;
  for (const std::size_t i : order) {
    learned.push_back(known.architectures[i]);
    values.push_back(known.values[i]);
  }
  Encoder encoder(known.space, features, known.scores);
  model->fit(encoder.encode(learned), values);
  return model->predict(encoder.encode(networks));
}

}  // namespace espalier
