#include "study/study.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <deque>
#include <exception>
#include <limits>
#include <mutex>
#include <new>
#include <span>
#include <stdexcept>
#include <string>
#include <unordered_map>
#include <utility>

#include "core/error.hpp"
#include "core/files.hpp"
#include "core/log.hpp"
#include "core/progress.hpp"
#include "study/environment.hpp"
#include "study/json_difference.hpp"
#include "study/metric_layout.hpp"
#include "study/store.hpp"
#include "study/worker_pool.hpp"
#include "training/shared_training.hpp"
#include "training/threads.hpp"

namespace espalier {
namespace {

using detail::Flight;
using detail::MetricLayout;
using detail::WorkerPool;
using Clock = std::chrono::steady_clock;

constexpr double commit_interval = 0.01;  // seconds

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

// What an exception says, without the stack trace that LibTorch appends: its addresses differ from
// run to run.
std::string text_of(const std::exception& exception) {
  const std::string text = exception.what();
  const std::string message = text.substr(0, text.find("\nException raised from "));
  return message.empty() ? "an exception without a text" : message;
}

// What a study is beside its config: what a user of the library gives it.
Json describe_study(const SearchSpace& space, const MetricLayout& layout,
                    const StudyOptions& options) {
  Json decisions = Json::array(), metrics = Json::array();
  for (const Decision& decision : space.decisions()) {
    decisions.push_back({{"name", decision.name}, {"options", decision.options}});
  }
  for (const MetricInfo& metric : layout.table()->metrics()) {
    Json json = {{"name", metric.name}, {"unit", metric.unit}, {"report_only", metric.report_only}};
    if (metric.direction) json["goal"] = direction_name(*metric.direction);
    metrics.push_back(std::move(json));
  }
  Json description = {{"seed", options.seed}, {"batch", options.batch}, {"metrics", metrics}};
  description.update(to_json(layout.goals()));
  description["decisions"] = std::move(decisions);
  return description;
}

// A config without what may change on a resume.
Json without_variable_parts(Json config) {
  if (!config.is_object()) return config;
  config.erase("budget");
  if (config.contains("final") && config["final"].is_object()) {
    config["final"].erase("train");  // no trial depends on it
    config["final"].erase("export");
  }
  if (config.contains("compute") && config["compute"].is_object()) {
    config["compute"].erase("workers");
    config["compute"].erase("threads_per_trial");  // compared as a part of the environment
  }
  return config;
}

Json to_json(const Budget& budget) {
  Json json = Json::object();
  if (budget.trials) json["trials"] = *budget.trials;
  if (budget.evaluations) json["evaluations"] = *budget.evaluations;
  if (budget.minutes) json["minutes"] = *budget.minutes;
  return json;
}

void require_same(const Json& before, const Json& after, const std::string& what) {
  if (const auto difference = first_difference(before, after)) {
    throw ConfigError(difference->pointer,
                      fmt::format("{}was {} when the run began and is {} now; only the budget of a "
                                  "run may be extended, and \"final\" have another \"train\" and "
                                  "\"export\": start a new run in another directory",
                                  what, brief(difference->before), brief(difference->after)));
  }
}

void require_extended(const Json& before, const Json& after) {
  for (const auto& [key, value] : after.items()) {
    if (!before.contains(key) || value.get<double>() < before[key].get<double>()) {
      throw ConfigError(
          "/budget/" + key,
          fmt::format("was {} when the run began and is {} now; the budget of a run "
                      "may only be extended",
                      brief(before.value(key, Json(Json::value_t::discarded))), brief(value)));
    }
  }
}

void require_same_environment(const Json& before, const Json& after) {
  std::string differences;
  for (const auto& [key, value] : after.items()) {
    const Json was = before.value(key, Json(Json::value_t::discarded));
    if (was != value) {
      differences += fmt::format("{}{} was {} and is {} now", differences.empty() ? "" : ", ", key,
                                 brief(was), brief(value));
    }
  }
  if (!differences.empty()) {
    throw ConfigError("", fmt::format("the run was recorded elsewhere: {}; so its continuation may "
                                      "differ from a run without a pause; --continue-as-new "
                                      "continues it without that promise, where the strategy "
                                      "still proposes what it proposed then",
                                      differences));
  }
}

void sync(const std::filesystem::path& path) {
  const int descriptor = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  const bool synced = descriptor >= 0 && ::fsync(descriptor) == 0;
  if (descriptor >= 0) ::close(descriptor);
  if (!synced) throw IoError(path.string(), "cannot be written to the disk");
}

// Brings a directory and all in it to the disk.
void sync_tree(const std::filesystem::path& root) {
  for (const auto& entry : std::filesystem::recursive_directory_iterator(root)) sync(entry.path());
  sync(root);
}

// Removes what a killed process left: of files that it was about to replace, NAME.1234-5.tmp, see
// write_file_atomically(), and of snapshots all but the one on record.
void remove_left_over(const std::filesystem::path& root,
                      const std::optional<SnapshotRecord>& snapshot) {
  if (!std::filesystem::exists(root)) return;
  std::vector<std::filesystem::path> left;
  for (const auto& entry : std::filesystem::directory_iterator(root)) {
    const std::string name = entry.path().filename().string();
    if (name.starts_with("strategy-") && (!snapshot || name != snapshot->name)) {
      left.push_back(entry.path());
    }
  }
  for (const auto& entry : std::filesystem::recursive_directory_iterator(root)) {
    const std::filesystem::path& path = entry.path();
    const std::string number = path.stem().extension().string();
    if (path.extension() == ".tmp" && number.find('-') != std::string::npos &&
        number.find_first_not_of(".-0123456789") == std::string::npos) {
      left.push_back(path);
    }
  }
  for (const std::filesystem::path& path : left) std::filesystem::remove_all(path);
}

std::filesystem::path checkpoints_of(const std::filesystem::path& directory) {
  return directory / "checkpoints";
}

}  // namespace

PrepareContext prepare_context(std::uint64_t seed, const std::filesystem::path& directory,
                               std::function<bool()> stop_requested) {
  PrepareContext context{.directory = {},
                         .rng = Rng(seed).fork("prepare"),
                         .stop_requested = std::move(stop_requested)};
  if (!directory.empty()) {
    context.directory = checkpoints_of(directory) / "evaluator";
    make_directories(context.directory);
  }
  return context;
}

void check_run_directory(const std::filesystem::path& directory, bool resume) {
  if (RunStore::exists(directory)) {
    if (resume) return;
    throw IoError(directory.string(),
                  "holds a run already; resume it, or choose another directory");
  }
  std::error_code error;
  if (!std::filesystem::exists(directory, error)) return;
  bool empty = std::filesystem::is_directory(directory, error);
  for (std::filesystem::directory_iterator entry(directory, error), end; empty && entry != end;
       entry.increment(error)) {
    // A run that was killed as it began has left only the beginning of its record.
    empty = resume && entry->path().filename().string().starts_with("run.db.new");
  }
  if (!empty || error) {
    throw IoError(directory.string(), "exists already and is not an empty directory");
  }
}

struct Study::Implementation {
  Implementation(std::shared_ptr<const SearchSpace> searched, StrategyFactory make_strategy,
                 std::shared_ptr<Evaluator> measuring, std::vector<Objective> objectives,
                 std::vector<Constraint> constraints, StudyOptions given)
      : space(std::move(searched)),
        evaluator(std::move(measuring)),
        options(std::move(given)),
        layout(evaluator->metrics(), options.network_metrics, objectives, constraints),
        trial_rng(Rng(options.seed).fork("trial")) {
    const auto require = [](bool good, const char* pointer, const char* message) {
      if (!good) throw ConfigError(pointer, message);
    };
    const Budget& budget = options.budget;
    require(budget.trials || budget.evaluations || budget.minutes, "/budget",
            "needs \"trials\", \"evaluations\" or \"minutes\"");
    require(!budget.trials || *budget.trials >= 1, "/budget/trials", "must be >= 1");
    require(!budget.evaluations || *budget.evaluations > 0, "/budget/evaluations", "must be > 0");
    require(!budget.minutes || *budget.minutes > 0, "/budget/minutes", "must be > 0");
    require(options.batch >= 1, "/compute/batch", "must be >= 1");
    require(options.workers >= 1, "/compute/workers", "must be >= 1");
    require(options.threads_per_trial >= 1, "/compute/threads_per_trial", "must be >= 1");
    require(options.snapshot_every >= 1, "", "snapshot_every must be >= 1");
    require(options.snapshot_seconds >= 0, "", "snapshot_seconds must be >= 0");
    const std::shared_ptr<SharedTraining> training = evaluator->shared_training();
    const int begins = training ? training->begins() : 0;
    strategy = make_strategy({
        .space = space,
        .goals = layout.goals(),
        .rng = Rng(options.seed).fork("strategy"),
        .screen = [this](const std::string& metric) { return make_screen(metric); },
        .known_metrics = [this](const Architecture& a) { return known_metrics(a); },
        .cost_parts = [this](const std::string& metric) { return cost_parts(metric); },
        .shared_training = training,
        .long_work = {.directory = options.directory.empty() ? std::filesystem::path()
                                                             : checkpoints() / "strategy",
                      .stop_requested = options.stop_requested,
                      .progress = options.progress},
    });
    require(!training || training->begins() > begins, "/strategy",
            "does not train the shared weights; take a strategy that does, such as \"enas\" or "
            "\"cars\", or another \"rule\" in the evaluator's \"train\"");
  }

  // --- Network metrics and screens

  // The needed network metrics of an architecture.
  std::vector<double> network_values(const Network& network) {
    if (layout.network().empty()) return {};
    {
      const std::lock_guard lock(cache_mutex);
      const auto found = cache.find(network.architecture());
      if (found != cache.end()) return found->second;
    }
    std::vector<double> values;
    for (const NetworkMetric& metric : layout.network()) values.push_back(metric.value(network));
    const std::lock_guard lock(cache_mutex);
    if (cache.size() >= (std::size_t{1} << 20)) cache.clear();
    cache.emplace(network.architecture(), values);
    return values;
  }

  Metrics known_metrics(const Architecture& a) {
    const std::vector<double> none(evaluator->metrics().size(),
                                   std::numeric_limits<double>::quiet_NaN());
    std::vector<double> values = layout.arrange(none, network_values(Network(*space, a)));
    values.resize(layout.search_table()->size());
    return Metrics(layout.search_table(), std::move(values));
  }

  CostParts cost_parts(const std::string& metric) const {
    std::vector<std::string> sums;
    for (const NetworkMetric& known : options.network_metrics) {
      if (known.info.name == metric && known.parts) return known.parts;
      if (known.info.name == metric) {
        throw UnsupportedError(
            fmt::format("{} is no sum over the parts of a network, so that it has no expectation "
                        "over a relaxation; take params, macs, storage_bytes, or the latency or "
                        "energy of a hardware model",
                        metric));
      }
      if (known.parts) sums.push_back(known.info.name);
    }
    throw ConfigError("/cost/metric", fmt::format("\"{}\" is no metric of networks in this run{}",
                                                  metric, suggestion(metric, sums)));
  }

  // Whether the network metrics alone say that an architecture breaks a constraint, or that its
  // trial would fail.
  bool cannot_win(const Network& network) {
    std::vector<double> values;
    try {
      values = network_values(network);
    } catch (const UnsupportedError&) {
      return true;
    }
    for (std::size_t i = 0; i < values.size(); ++i) {
      for (const Constraint& constraint : layout.goals().constraints()) {
        if (constraint.metric == layout.network()[i].info.name &&
            violation(constraint, values[i]) > 0) {
          return true;
        }
      }
    }
    return false;
  }

  Screen make_screen(const std::string& metric) {
    Screen screen;
    for (const NetworkMetric& known : options.network_metrics) {
      if (known.info.name != metric) continue;
      screen.direction = known.info.direction;
      screen.score = [this, value = known.value](std::span<const Architecture> architectures) {
        std::vector<double> scores;
        for (const Architecture& a : architectures) {
          try {
            scores.push_back(value(Network(*space, a)));
          } catch (const UnsupportedError&) {
            scores.push_back(std::numeric_limits<double>::quiet_NaN());
          }
        }
        return scores;
      };
    }
    if (!screen.score && options.screen) screen = options.screen(metric);
    if (!screen.score) {
      std::vector<std::string> known;
      for (const NetworkMetric& m : options.network_metrics) known.push_back(m.info.name);
      throw ConfigError("/screen/metrics",
                        fmt::format("unknown metric \"{}\"{}", metric, suggestion(metric, known)));
    }
    // What cannot win is the worst; a proxy need not be computed for it.
    screen.score = [this, score = screen.score](std::span<const Architecture> architectures) {
      std::vector<double> scores(architectures.size(), std::numeric_limits<double>::quiet_NaN());
      std::vector<Architecture> kept;
      std::vector<std::size_t> places;
      for (std::size_t i = 0; i < architectures.size(); ++i) {
        if (cannot_win(Network(*space, architectures[i]))) continue;
        kept.push_back(architectures[i]);
        places.push_back(i);
      }
      const std::vector<double> kept_scores = score(kept);
      for (std::size_t i = 0; i < kept.size(); ++i) scores[places[i]] = kept_scores[i];
      return scores;
    };
    return screen;
  }

  // --- Evaluation

  void evaluate(Flight& flight) {
    const Clock::time_point start = timed ? Clock::now() : Clock::time_point();
    try {
      const Network network(*space, flight.candidate.architecture);
      const std::vector<double> known = network_values(network);
      Rng rng = trial_rng.fork(flight.candidate.trial_id);
      std::vector<double> measured = evaluator->evaluate(flight.candidate, network, rng);
      if (measured.size() != evaluator->metrics().size()) {
        throw std::logic_error(fmt::format("the evaluator gave {} values for its {} metrics",
                                           measured.size(), evaluator->metrics().size()));
      }
      flight.values = layout.arrange(std::move(measured), known);
      for (std::size_t i = 0; i < layout.search_table()->size(); ++i) {
        if (!std::isfinite(flight.values[i])) {
          throw NumericalError(
              fmt::format("{} is {}", (*layout.table())[i].name, flight.values[i]));
        }
      }
    } catch (const std::bad_alloc&) {
      flight.fatal = std::current_exception();
    } catch (const std::logic_error&) {
      flight.fatal = std::current_exception();
    } catch (const IoError&) {  // a full disk, a missing program: no fault of the candidate
      flight.fatal = std::current_exception();
    } catch (const std::exception& exception) {
      flight.error = text_of(exception);
    } catch (...) {
      flight.fatal = std::current_exception();
    }
    if (timed) flight.seconds = seconds_since(start);
  }

  // --- Asking and telling

  void check(std::span<const Candidate> candidates, std::uint64_t max_count) const {
    if (candidates.size() > max_count) {
      throw Error(fmt::format("the strategy gave {} candidates where {} were asked for",
                              candidates.size(), max_count));
    }
    for (std::size_t i = 0; i < candidates.size(); ++i) {
      if (candidates[i].trial_id != asked + i) {
        throw Error(fmt::format("the strategy gave the id {} to its candidate {}",
                                candidates[i].trial_id, asked + i));
      }
      if (!space->valid(candidates[i].architecture)) {
        throw Error(fmt::format("candidate {} of the strategy is not an architecture of the space",
                                candidates[i].trial_id));
      }
    }
  }

  // Tells the strategy of a trial and keeps it.
  void tell(Trial trial) {
    if (layout.has_report_only()) {
      const auto values = trial.metrics.values().first(layout.search_table()->size());
      strategy->tell({.candidate = trial.candidate,
                      .state = trial.state,
                      .metrics = Metrics(layout.search_table(), {values.begin(), values.end()}),
                      .error = trial.error});
    } else {
      strategy->tell(trial);
    }
    keep(std::move(trial));
  }

  void keep(Trial trial) {
    if (trial.state == TrialState::complete && options.progress) note_best(trial);
    trials.push_back(std::move(trial));
  }

  // Of the trials of the highest fidelity so far: others do not compare.
  void note_best(const Trial& trial) {
    if (trial.candidate.fidelity < best_fidelity) return;
    if (trial.candidate.fidelity > best_fidelity) {
      best_fidelity = trial.candidate.fidelity;
      best_cost = std::numeric_limits<double>::infinity();
      best_note.clear();
    }
    const double cost = layout.goals().first_cost(trial.metrics);
    if (cost < best_cost && layout.goals().feasible(trial)) {
      best_cost = cost;
      const std::string& metric = layout.goals().objectives()[0].metric;
      best_note = fmt::format("best {} {:.6g}", metric, trial.metrics.at(metric));
    }
  }

  Trial trial_of(Flight& flight) const {
    const bool failed = !flight.error.empty();
    return {.candidate = std::move(flight.candidate),
            .state = failed ? TrialState::failed : TrialState::complete,
            .metrics = failed ? Metrics(layout.table())
                              : Metrics(layout.table(), std::move(flight.values)),
            .error = std::move(flight.error)};
  }

  // --- The record

  std::filesystem::path checkpoints() const { return checkpoints_of(options.directory); }

  // What the store is to say of the run, once it has been replayed.
  Json open_store() {
    if (options.directory.empty()) return {};
    Json now = environment();
    now["threads_per_trial"] = options.threads_per_trial;
    const Json study = describe_study(*space, layout, options);
    check_run_directory(options.directory, options.resume);
    if (RunStore::exists(options.directory)) {
      store.emplace(RunStore::open(options.directory, RunStore::Access::write));
      const Json meta = store->meta();
      require_same(without_variable_parts(meta.value("config", Json())),
                   without_variable_parts(options.config), "");
      require_same(meta.value("study", Json()), study, "the study's value ");
      require_extended(meta.value("budget", Json::object()), to_json(options.budget));
      if (!options.continue_as_new) {
        require_same_environment(meta.value("environment", Json::object()), now);
      }
      remove_left_over(checkpoints(), store->snapshot());
    } else {
      make_directories(options.directory);
    }
    const Json meta = {{"config", options.config},
                       {"study", study},
                       {"budget", to_json(options.budget)},
                       {"environment", now}};
    if (!store) store.emplace(RunStore::create(options.directory, meta));
    return meta;
  }

  // After the replay: what cannot go on stays as it was.
  void record(const Json& meta) {
    if (first_difference(store->meta(), meta)) store->set_meta(meta);
    if (!options.config.is_null()) {
      write_file_atomically(options.directory / "config.json", options.config.dump(2) + "\n");
    }
  }

  // False when it was stopped.
  bool replay() {
    const std::vector<AskRecord> asks = store->asked();
    std::vector<TellRecord> told = store->told();
    if (!told.empty()) elapsed_before = told.back().timing.elapsed;
    std::vector<Trial> recorded =
        recorded_trials(asks, std::move(told), layout.table(), options.directory / "run.db");
    const std::optional<SnapshotRecord> snapshot = store->snapshot();
    std::uint64_t skipped_asks = 0, skipped_tells = 0;
    // A loss of power may have taken it from a disk that keeps no order.
    if (snapshot && std::filesystem::exists(checkpoints() / snapshot->name)) {
      strategy->load(checkpoints() / snapshot->name);
      skipped_asks = snapshot->asks;
      skipped_tells = snapshot->tells;
    }
    const auto tell_up_to = [&](std::uint64_t count) {
      for (std::uint64_t id = trials.size(); id < count; ++id) {
        if (id < skipped_tells) {
          keep(std::move(recorded[id]));
        } else {
          tell(std::move(recorded[id]));
        }
      }
    };
    while (asked < asks.size()) {
      const AskRecord& first = asks[asked];
      if (first.tells_before > recorded.size() || first.tells_before < trials.size()) {
        throw IoError((options.directory / "run.db").string(),
                      fmt::format("is damaged: trial {} was asked for after {} tells", asked,
                                  first.tells_before));
      }
      tell_up_to(first.tells_before);
      std::vector<Candidate> proposed;
      if (asked >= skipped_asks) proposed = strategy->ask(first.max_count);
      if (proposed.empty() && asked >= skipped_asks && stopping()) {
        for (std::uint64_t id = trials.size(); id < recorded.size(); ++id) {
          trials.push_back(std::move(recorded[id]));
        }
        return false;
      }
      for (std::size_t i = 0; asked < asks.size(); ++i) {
        const AskRecord& record = asks[asked];
        if (record.tells_before != first.tells_before || record.max_count != first.max_count) break;
        if (asked >= skipped_asks) {
          if (i >= proposed.size()) throw_mismatch(record.candidate, nullptr);
          if (proposed[i] != record.candidate) throw_mismatch(record.candidate, &proposed[i]);
        }
        count_asked(record.candidate);
      }
    }
    tell_up_to(recorded.size());
    for (std::uint64_t id = recorded.size(); id < asked; ++id) {
      in_flight.push_back({.candidate = asks[id].candidate});
    }
    best_note += trials.empty() ? "" : fmt::format(" (resumed after {})", trials.size());
    return true;
  }

  [[noreturn]] void throw_mismatch(const Candidate& recorded, const Candidate* proposed) const {
    const auto text = [this](const Candidate& c) {
      return fmt::format("{} at fidelity {}", space->to_string(c.architecture), c.fidelity);
    };
    throw Error(
        fmt::format("the replay of the run differs at trial {}: recorded {}, now {}; the "
                    "run was made by another version of the program or of its parts",
                    recorded.trial_id, text(recorded), proposed ? text(*proposed) : "nothing"));
  }

  // Where trials take long, fewer of them are between two snapshots, so that a killed run does not
  // train them again. When they are taken changes nothing of what is found.
  bool snapshot_due() const {
    const std::chrono::duration<double> since = Clock::now() - last_snapshot;
    return trials.size() % options.snapshot_every == 0 || since.count() >= options.snapshot_seconds;
  }

  void snapshot() {
    if (!store || !snapshots) return;
    last_snapshot = Clock::now();
    // What is on record is never written again: a kill could leave it half written.
    const std::optional<SnapshotRecord> before = store->snapshot();
    if (before && before->tells == trials.size()) return;
    const std::string name = fmt::format("strategy-{}", trials.size());
    const std::filesystem::path unfinished = checkpoints() / (name + ".new");
    std::filesystem::remove_all(unfinished);
    make_directories(unfinished);
    if (!strategy->save(unfinished)) {
      snapshots = false;
      std::filesystem::remove_all(unfinished);
      return;
    }
    sync_tree(unfinished);
    std::filesystem::remove_all(checkpoints() / name);
    std::filesystem::rename(unfinished, checkpoints() / name);
    sync(checkpoints());
    store->add_snapshot({.asks = asked, .tells = trials.size(), .name = name});
    commit();
    if (before && before->name != name) std::filesystem::remove_all(checkpoints() / before->name);
  }

  void commit() {
    store->commit();
    last_commit = Clock::now();
  }

  // --- The loop

  bool stopping() const { return options.stop_requested && options.stop_requested(); }

  double elapsed() const { return elapsed_before + seconds_since(started); }

  void count_asked(const Candidate& candidate) {
    ++asked;
    evaluations.push_back(evaluations.back() + candidate.fidelity);
  }

  // Whether a trial that was asked for, or the next one, is to be evaluated: what came before it
  // has not used up the budget.
  bool within_budget(std::uint64_t id) const {
    const Budget& budget = options.budget;
    // Thirds do not sum up to one exactly.
    return (!budget.trials || id < *budget.trials) &&
           (!budget.evaluations || evaluations[id] < *budget.evaluations - 1e-9);
  }
  bool out_of_time() const {
    return options.budget.minutes && elapsed() >= *options.budget.minutes * 60;
  }
  bool may_ask() const { return !out_of_time() && !strategy->finished(); }

  // Asks for candidates until `batch` are in flight, or there are no more. The budget of trials
  // does not enter: candidates beyond it are in flight without being evaluated, so that a run whose
  // budget is extended goes on as one that had the larger budget from the start.
  void fill() {
    while (in_flight.size() < options.batch && may_ask()) {
      const std::uint64_t max_count = options.batch - in_flight.size();
      std::vector<Candidate> candidates = strategy->ask(max_count);
      if (candidates.empty()) {
        interrupted = interrupted || stopping();  // it may have given up
        break;
      }
      check(candidates, max_count);
      for (Candidate& candidate : candidates) {
        if (store) store->add_asked(candidate, trials.size(), max_count);
        if (const std::string& warning = candidate.notes.warning; warning != warned) {
          if (!warning.empty()) log_warning(warning);
          warned = warning;
        }
        count_asked(candidate);
        in_flight.push_back({.candidate = std::move(candidate)});
        if (!interrupted) submit(in_flight.back());
      }
      // Before a long evaluation, its candidate is on record.
      if (store && last_seconds >= commit_interval) commit();
    }
  }

  void submit(Flight& flight) {
    if (pool && within_budget(flight.candidate.trial_id)) pool->submit(flight);
  }

  // The oldest flight as a trial, once it is done; nothing when it will not be.
  bool finish_oldest() {
    Flight& flight = in_flight.front();
    if (pool) {
      pool->wait(flight, options.stop_requested);
      if (flight.state != Flight::State::done) return false;
    } else {
      evaluate(flight);
    }
    if (flight.fatal) std::rethrow_exception(flight.fatal);
    last_seconds = flight.seconds;
    const TrialTiming timing{.seconds = flight.seconds, .elapsed = timed ? elapsed() : 0};
    tell(trial_of(flight));
    in_flight.pop_front();
    if (store) {
      store->add_told(trials.back(), timing);
      if (std::max(last_seconds, seconds_since(last_commit)) >= commit_interval) commit();
    }
    return true;
  }

  void loop() {
    while (within_budget(trials.size())) {
      if (stopping()) {
        interrupted = true;
        break;
      }
      if (out_of_time()) break;
      fill();
      if (in_flight.empty()) break;
      if (!finish_oldest()) {
        interrupted = true;
        break;
      }
      if (snapshot_due()) snapshot();
      if (progress) progress->update(trials.size(), best_note);
    }
    if (in_flight.empty() && within_budget(trials.size()) && may_ask() && !interrupted) {
      throw Error(fmt::format("the strategy proposes nothing after trial {}, and is not finished",
                              trials.size()));
    }
    if (pool && (interrupted || out_of_time())) keep_what_is_done();
    // A finished run that is resumed has nothing to do again.
    if (!interrupted) snapshot();
  }

  // What was being evaluated when the stop or the end of the time came is worth keeping. After each
  // tell comes the ask that would have come, so that a resumed run cannot tell the difference; but
  // for a run whose time is over, which is not promised to go on as if it had had more.
  void keep_what_is_done() {
    pool->drain();
    while (!in_flight.empty() && in_flight.front().state == Flight::State::done) {
      fill();
      finish_oldest();
    }
  }

  std::vector<Trial> run() {
    const Json meta = open_store();
    timed = store || options.budget.minutes;
    const TorchThreads threads(options.threads_per_trial);
    if (store) {
      interrupted = !replay();
      if (interrupted) {
        store.reset();
        return std::move(trials);
      }
      record(meta);
    }
    started = last_commit = last_snapshot = Clock::now();
    last_seconds = commit_interval;  // the first candidates are recorded at once
    const bool goes_on = !in_flight.empty() || !strategy->finished();
    if (within_budget(trials.size()) && !out_of_time() && goes_on) {
      evaluator->prepare(prepare_context(options.seed, options.directory, options.stop_requested));
      prepared = true;
      // Neither the budget nor what is said of the time left counts the preparation.
      started = last_commit = last_snapshot = Clock::now();
      if (options.progress) {
        progress = std::make_unique<Progress>("search", options.budget.trials.value_or(0),
                                              ProgressOptions{.done = trials.size()});
      }
      std::size_t workers = evaluator->thread_safe() ? options.workers : 1;
      workers = std::min(workers, options.batch);
      // Nothing is evaluated by what a stop left half prepared.
      if (workers > 1 && !stopping()) {
        pool = std::make_unique<WorkerPool>(workers, options.threads_per_trial,
                                            [this](Flight& flight) { evaluate(flight); });
        for (Flight& flight : in_flight) submit(flight);
      }
      try {
        loop();
      } catch (...) {
        pool.reset();  // no evaluation outlives run()
        commit_what_was_told();
        throw;
      }
      pool.reset();
    }
    if (store) store->commit();
    store.reset();
    progress.reset();
    return std::move(trials);
  }

  // After an error, what was recorded before it is kept; the error itself is what is reported.
  void commit_what_was_told() noexcept {
    if (!store) return;
    try {
      store->commit();
    } catch (const Error& error) {
      log_warning(error.what());
    }
  }

  std::shared_ptr<const SearchSpace> space;
  std::shared_ptr<Evaluator> evaluator;
  StudyOptions options;
  MetricLayout layout;
  Rng trial_rng;
  std::unique_ptr<Strategy> strategy;

  std::mutex cache_mutex;
  std::unordered_map<Architecture, std::vector<double>, ArchitectureHash> cache;

  std::vector<Trial> trials;
  std::uint64_t asked = 0;
  std::vector<double> evaluations{0};  // the fidelities of all before a trial, summed up
  std::deque<Flight> in_flight;
  std::unique_ptr<WorkerPool> pool;
  bool interrupted = false, prepared = false;

  std::optional<RunStore> store;
  bool snapshots = true;
  bool timed = false;
  Clock::time_point started, last_commit, last_snapshot;
  double elapsed_before = 0;
  double last_seconds = 0;

  std::unique_ptr<Progress> progress;
  std::string warned;  // the last warning of the strategy's
  double best_fidelity = 0, best_cost = std::numeric_limits<double>::infinity();
  std::string best_note;
};

Study::Study(std::shared_ptr<const SearchSpace> space, StrategyFactory strategy,
             std::shared_ptr<Evaluator> evaluator, std::vector<Objective> objectives,
             std::vector<Constraint> constraints, StudyOptions options)
    : implementation_(std::make_unique<Implementation>(
          std::move(space), std::move(strategy), std::move(evaluator), std::move(objectives),
          std::move(constraints), std::move(options))) {}
Study::~Study() = default;

std::vector<Trial> Study::run() { return implementation_->run(); }
bool Study::interrupted() const { return implementation_->interrupted; }
bool Study::prepared() const { return implementation_->prepared; }
const std::shared_ptr<const MetricTable>& Study::metrics() const {
  return implementation_->layout.table();
}
const Goals& Study::goals() const { return implementation_->layout.goals(); }

}  // namespace espalier
