#include "study/search.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <memory>
#include <new>
#include <span>
#include <stdexcept>
#include <string>
#include <vector>

#include "core/error.hpp"
#include "core/log.hpp"
#include "graph/nets.hpp"
#include "search_spaces/sampling.hpp"
#include "strategies/start.hpp"
#include "study/final_training.hpp"
#include "study/one_network.hpp"
#include "study/report.hpp"
#include "study/results.hpp"
#include "study/run_parts.hpp"
#include "study/store.hpp"
#include "study/study.hpp"

namespace espalier {
namespace {

// Thread counts that the config leaves open. A resumed run keeps its own, however many workers it
// has now; one that has none stays without.
void settle_threads(RunConfig& config, const std::filesystem::path& directory) {
  const bool exists = RunStore::exists(directory);
  const Json meta =
      exists ? RunStore::open(directory, RunStore::Access::read).meta() : Json::object();
  const auto settle = [&](std::optional<int>& threads, const std::string& pointer) {
    if (threads) return;
    const Json::json_pointer place("/config" + pointer);
    if (!exists) {
      threads = all_threads(config.compute);
    } else if (meta.contains(place) && meta[place].is_number_integer()) {
      threads = meta[place].get<int>();
    }
  };
  settle(config.compute.prepare_threads, "/compute/prepare_threads");
  if (config.final.train) settle(config.final.threads, "/final/threads");
}

// The network to compare with.
struct BaselineNetwork {
  std::string name = "baseline";
  std::shared_ptr<const SearchSpace> space;  // it is one of these
  Architecture architecture = {};
};

// Throws ConfigError where the space has no such architecture.
BaselineNetwork baseline_network(const BaselineOptions& options, const RunParts& parts) {
  BaselineNetwork baseline{.space = parts.space};
  const SearchSpace& space = *parts.space;
  if (options.architecture) {
    try {
      baseline.architecture = known_architecture(space, *options.architecture);
    } catch (const InvalidArchitecture& error) {
      throw ConfigError("/baseline/architecture", error.what());
    }
  } else {
    baseline.name = *options.net;
    Rng rng(0);
    const Graph like = space.build(sample_uniform(space, rng));
    const Shape& input = like.node(like.input()).shape;
    NetOptions net{.input = {input[0].value(), input[1].value(), input[2].value()},
                   .classes = like.node(like.output()).shape.elements()};
    if (parts.data) net.input = parts.data->shape();
    baseline.space = std::make_shared<OneNetwork>(build_net(baseline.name, net));
  }
  return baseline;
}

// Measures the baseline into baseline.json. Its number is that of no trial so far, so that
// what the evaluator keeps of these is not overwritten.
void measure_baseline(const BaselineNetwork& baseline, std::uint64_t trial_id,
                      const RunConfig& config, const RunParts& parts,
                      const std::filesystem::path& directory) {
  const Candidate candidate{.trial_id = trial_id, .architecture = baseline.architecture};
  const Network network(*baseline.space, baseline.architecture);
  NamedValues values;
  try {
    Rng rng = Rng(config.seed).fork("baseline");
    const std::vector<double> measured = parts.evaluator->evaluate(candidate, network, rng);
    for (std::size_t i = 0; i < measured.size(); ++i) {
      if (std::isfinite(measured[i])) {
        values.emplace_back(parts.evaluator->metrics()[i].name, measured[i]);
      }
    }
  } catch (const std::bad_alloc&) {
    throw;
  } catch (const std::logic_error&) {
    throw;  // a bug, as in a trial
  } catch (const std::exception& error) {
    log_warning(fmt::format("the evaluator cannot measure the baseline {}: {}", baseline.name,
                            error.what()));
  }
  for (auto& [metric, value] : network_values(parts.network_metrics, network)) {
    const auto same = [&](const auto& known) { return known.first == metric; };
    if (std::ranges::none_of(values, same)) values.emplace_back(metric, value);
  }
  Json metrics = Json::object();
  for (const auto& [metric, value] : values) metrics[metric] = value;
  write_file_atomically(directory / "baseline.json",
                        Json{{"name", baseline.name}, {"metrics", metrics}}.dump(2) + "\n");
}

void write_report(const Results& results, const std::filesystem::path& directory) {
  write_file_atomically(directory / "report.html", report_html(results, directory));
}

void warn_of_failures(std::span<const Trial> trials) {
  const auto failed = [](const Trial& trial) { return trial.state == TrialState::failed; };
  const auto first = std::ranges::find_if(trials, failed);
  if (first == trials.end()) return;
  log_warning(fmt::format("{} of {} trials failed, the first ({}): {}",
                          std::ranges::count_if(trials, failed), trials.size(),
                          first->candidate.trial_id, first->error));
}

void warn_of_fidelity(std::span<const Trial> trials) {
  const auto full = [](const Trial& trial) { return trial.candidate.fidelity >= 1; };
  const double highest = highest_fidelity(trials);
  if (highest == 0 || std::ranges::any_of(trials, full)) return;
  log_warning(
      fmt::format("the budget ended before the search did: no trial has a fidelity of more "
                  "than {:.3g}; with a larger budget, --resume goes on",
                  highest));
}

}  // namespace

SearchEnd run_search(const RunConfig& given, const Catalogue& catalogue,
                     const SearchOptions& options) {
  const std::filesystem::path& directory = options.directory;
  check_run_directory(directory, options.resume);
  RunConfig config = given;
  settle_threads(config, directory);
  const RunParts parts = make_run_parts(config, catalogue);
  std::optional<BaselineNetwork> baseline;
  if (config.baseline) baseline = baseline_network(*config.baseline, parts);
  if (config.compute.workers > config.compute.batch) {
    log_warning(fmt::format("only {} of {} workers will be busy: \"batch\" is {}",
                            config.compute.batch, config.compute.workers, config.compute.batch));
  }
  bool interrupted = false, prepared = false;
  std::uint64_t told = 0;
  {
    Study study(parts.space,
                [&](const RunContext& context) {
                  RunContext whole = context;
                  whole.depths = space_depths(config, catalogue);
                  try {
                    return catalogue.strategies.create(config.strategy, "/strategy", whole);
                  } catch (const UnsupportedError& error) {
                    throw ConfigError("/strategy", error.what());
                  }
                },
                parts.evaluator, objectives(config, parts), constraints(config),
                {.seed = config.seed,
                 .budget = config.budget,
                 .batch = static_cast<std::size_t>(config.compute.batch),
                 .workers = static_cast<std::size_t>(config.compute.workers),
                 .threads_per_trial = config.compute.threads_per_trial,
                 .directory = directory,
                 .resume = options.resume,
                 .continue_as_new = options.continue_as_new,
                 .config = write_config(config, catalogue),
                 .network_metrics = parts.network_metrics,
                 .screen =
                     [&](const std::string& metric) {
                       return proxy_screen(metric, config, catalogue, parts);
                     },
                 .stop_requested = options.stop_requested,
                 .progress = options.progress});
    told = study.run().size();
    interrupted = study.interrupted();
    prepared = study.prepared();
  }
  if (baseline && !interrupted && !std::filesystem::exists(directory / "baseline.json")) {
    // A run that ended before its baseline was measured has nothing left to evaluate.
    if (!prepared) {
      parts.evaluator->prepare(prepare_context(config.seed, directory, options.stop_requested));
    }
    interrupted = options.stop_requested && options.stop_requested();
    if (!interrupted) measure_baseline(*baseline, told, config, parts, directory);
  }
  const Results results = read_results(directory, catalogue);
  write_pareto_files(results, directory);
  const auto report = [&] {
    write_report(results, directory);
    warn_of_failures(results.trials);
  };
  if (!interrupted) {
    try {
      interrupted = !finish_chosen(results, config,
                                   {.directory = directory,
                                    .data = parts.data,
                                    .stop_requested = options.stop_requested,
                                    .progress = options.progress});
    } catch (...) {  // what was searched is there all the same
      report();
      throw;
    }
  }
  report();
  if (!interrupted) warn_of_fidelity(results.trials);
  if (interrupted) return SearchEnd::interrupted;
  if (results.chosen()) return SearchEnd::finished;
  const auto complete = [](const Trial& trial) { return trial.state == TrialState::complete; };
  return std::ranges::any_of(results.trials, complete) ? SearchEnd::nothing_feasible
                                                       : SearchEnd::all_failed;
}

}  // namespace espalier
