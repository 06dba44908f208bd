#include "study/rank_check.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <limits>
#include <mutex>
#include <new>
#include <span>
#include <stdexcept>
#include <utility>

#include "core/error.hpp"
#include "core/log.hpp"
#include "core/parallel.hpp"
#include "core/progress.hpp"
#include "core/stats.hpp"
#include "study/config.hpp"
#include "study/results.hpp"
#include "study/run_evaluator.hpp"
#include "study/search.hpp"
#include "study/store.hpp"

namespace espalier {
namespace {

constexpr double undefined = std::numeric_limits<double>::quiet_NaN();

void check_options(const RankCheckOptions& options) {
  bootstrap_options().validate(options.bootstrap);
  if (options.sample < 2) {
    throw ConfigError(
        "", fmt::format("a sample of {} cannot be ranked; take 2 or more", options.sample));
  }
  if (options.top && (*options.top < 1 || *options.top > options.sample)) {
    throw ConfigError("", fmt::format("the top {} of a sample of {}; take 1 to {}", *options.top,
                                      options.sample, options.sample));
  }
}

Json truth_evaluator(const RunConfig& run, const RankCheckOptions& options) {
  if (options.truth) return *options.truth;
  if (!run.final.train) {
    throw ConfigError("",
                      "the run has no final training, so it has to be said what networks are "
                      "worth: give the config of an evaluator (--truth), such as {\"type\": "
                      "\"train\", \"train\": "
                      "{\"epochs\": 10}}");
  }
  return {{"type", "train"}, {"train", train_option_table().write(*run.final.train)}};
}

// The run that measures what the sample is worth.
RunConfig truth_config(const RunConfig& run, const Objective& objective,
                       const RankCheckOptions& options, const std::filesystem::path& directory,
                       const Catalogue& catalogue) {
  // As many in flight for every run, so that all can share a sample.
  constexpr int in_flight = 64;
  const int threads = run.compute.workers * run.compute.threads_per_trial;
  RunConfig truth;
  truth.seed = options.seed;
  truth.space = run.space;
  truth.data = run.data;
  truth.evaluator = truth_evaluator(run, options);
  truth.strategy = {{"type", "random"}};
  truth.compute = {
      .device = run.compute.device, .workers = std::min(threads, in_flight), .batch = in_flight};
  truth.objectives = {{.metric = objective.metric, .goal = objective.direction}};
  truth.budget.trials = static_cast<std::uint64_t>(options.sample);
  if (RunStore::exists(directory)) {
    // A smaller sample than that of an earlier check is the first part of it.
    const Json meta = RunStore::open(directory, RunStore::Access::read).meta();
    const Json::json_pointer place("/config/budget/trials");
    if (meta.contains(place) && meta[place].is_number_unsigned()) {
      truth.budget.trials = std::max(*truth.budget.trials, meta[place].get<std::uint64_t>());
    }
  }
  return read_config(write_config(truth, catalogue), catalogue);
}

// The metric of each network by the run's own evaluator; NaN where it fails. Nothing when it was
// stopped.
std::optional<std::vector<double>> evaluate_all(const RunEvaluator& evaluator,
                                                std::span<const RankedNetwork> networks,
                                                const RankCheckOptions& options) {
  const Rng rng = Rng(evaluator.config().seed).fork("rank check");
  std::vector<double> values(networks.size(), undefined);
  std::optional<Progress> progress;
  if (options.progress) progress.emplace("scores", networks.size());
  std::mutex mutex;
  std::uint64_t done = 0;
  const auto workers =
      static_cast<std::size_t>(evaluator.thread_safe() ? evaluator.config().compute.workers : 1);
  std::atomic<bool> stopped = false;
  parallel_for(networks.size(), workers, [&](std::size_t i) {
    if (options.stop_requested && options.stop_requested()) stopped = true;
    if (stopped) return;
    const Architecture& a = networks[i].architecture;
    Rng own = rng.fork(i);
    try {
      values[i] = evaluator.value(i, a, own);
    } catch (const std::bad_alloc&) {
      throw;
    } catch (const std::logic_error&) {
      throw;  // a bug, as in a trial
    } catch (const std::exception& error) {
      log_warning(
          fmt::format("no score for {}: {}", evaluator.space()->to_string(a), error.what()));
    }
    const std::lock_guard lock(mutex);
    if (progress) progress->update(++done);
  });
  if (stopped) return std::nullopt;
  return values;
}

std::vector<double> picked(std::span<const double> values, std::span<const std::size_t> which) {
  std::vector<double> result;
  for (const std::size_t i : which) result.push_back(values[i]);
  return result;
}

ScoreRanking rank(std::string name, std::span<const double> scores, std::span<const double> params,
                  std::span<const double> values, int top, const RankCheckOptions& options) {
  // All statistics see the same resamples.
  const auto estimate = [&](auto statistic) {
    return bootstrap(
        values.size(),
        [&](std::span<const std::size_t> drawn) {
          return statistic(picked(scores, drawn), picked(params, drawn), picked(values, drawn));
        },
        options.bootstrap, Rng(options.seed).fork("bootstrap"));
  };
  using Values = std::vector<double>;
  return {.score = std::move(name),
          .kendall_tau = estimate(
              [](const Values& x, const Values&, const Values& y) { return kendall_tau_b(x, y); }),
          .spearman = estimate(
              [](const Values& x, const Values&, const Values& y) { return spearman(x, y); }),
          .precision = estimate([top](const Values& x, const Values&, const Values& y) {
            return precision_at_top(x, y, static_cast<std::size_t>(top));
          }),
          .tau_above_params = estimate([](const Values& x, const Values& p, const Values& y) {
            return kendall_tau_b(x, y) - kendall_tau_b(p, y);
          })};
}

// False when it was stopped.
bool measure_truth(const RunConfig& truth, const std::filesystem::path& directory,
                   const RankCheckOptions& options, const Catalogue& catalogue) {
  try {
    return run_search(truth, catalogue,
                      {.directory = directory,
                       .resume = true,
                       .stop_requested = options.stop_requested,
                       .progress = options.progress}) != SearchEnd::interrupted;
  } catch (const ConfigError& error) {
    const std::string metric = truth.objectives.front().metric;
    throw ConfigError(
        error.pointer(),
        fmt::format("{} (of what networks are worth: --truth, which must measure \"{}\"; what was "
                    "measured is kept in {}, --out names another directory)",
                    error.message(), metric, directory.string()));
  }
}

void require_enough(const RankCheck& check, const RankCheckOptions& options,
                    const std::filesystem::path& directory) {
  if (check.networks.size() >= 2) return;
  throw Error(fmt::format(
      "{} of {} networks could be measured, too few to rank; what failed is kept in {}, and --out "
      "names another directory",
      check.networks.size(), options.sample, directory.string()));
}

}  // namespace

std::optional<RankCheck> rank_check(const RankCheckOptions& options, const Catalogue& catalogue) {
  check_options(options);
  RunEvaluator evaluator(options.run, catalogue);
  const RunConfig& run = evaluator.config();
  const Objective& objective = evaluator.objective();
  RankCheck check{.metric = objective.metric,
                  .top = options.top.value_or(std::max(1, options.sample / 5)),
                  .scores = {},
                  .networks = {}};

  const std::filesystem::path out = options.out.empty() ? options.run / "rank_check" : options.out;
  const RunConfig truth = truth_config(run, objective, options, out, catalogue);
  if (!measure_truth(truth, out, options, catalogue)) return std::nullopt;
  const Results measured = read_results(out, catalogue);
  const std::size_t position = measured.metrics->find(check.metric).value();
  const auto wanted = std::min(measured.trials.size(), static_cast<std::size_t>(options.sample));
  for (const Trial& trial : std::span(measured.trials).first(wanted)) {
    if (trial.state != TrialState::complete) {
      log_warning(fmt::format("left out, since trial {} of {} failed: {}", trial.candidate.trial_id,
                              out.string(), trial.error));
      continue;
    }
    check.networks.push_back(
        {.architecture = trial.candidate.architecture, .truth = trial.metrics[position]});
  }

  require_enough(check, options, out);
  if (!evaluator.prepare(options.stop_requested)) return std::nullopt;
  const auto measured_now = evaluate_all(evaluator, check.networks, options);
  if (!measured_now) return std::nullopt;
  const std::vector<double>& scores = *measured_now;
  std::vector<RankedNetwork> kept;
  for (std::size_t i = 0; i < check.networks.size(); ++i) {
    if (!std::isfinite(scores[i])) continue;
    RankedNetwork network = std::move(check.networks[i]);
    const Network built(*evaluator.space(), network.architecture);
    network.scores = {scores[i], static_cast<double>(built.cost().params),
                      static_cast<double>(built.cost().macs)};
    kept.push_back(std::move(network));
  }
  check.networks = std::move(kept);
  require_enough(check, options, out);
  check.top = std::min(check.top, static_cast<int>(check.networks.size()));

  // Larger is better from here on.
  const double sign = objective.direction == Direction::maximize ? 1 : -1;
  std::vector<double> values;
  for (const RankedNetwork& network : check.networks) values.push_back(network.truth * sign);
  const auto score = [&](std::size_t s, double factor) {
    std::vector<double> of;
    for (const RankedNetwork& network : check.networks) of.push_back(network.scores[s] * factor);
    return of;
  };
  const std::vector<double> params = score(1, 1);
  check.scores = {rank("evaluator", score(0, sign), params, values, check.top, options),
                  rank("params", params, params, values, check.top, options),
                  rank("macs", score(2, 1), params, values, check.top, options)};
  return check;
}

}  // namespace espalier
