#include "strategies/weight_sharing_search.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cassert>
#include <utility>

#include "core/error.hpp"
#include "core/files.hpp"
#include "core/json.hpp"
#include "strategies/snapshot_file.hpp"
#include "training/step_training.hpp"

namespace espalier {
namespace {

constexpr const char* weights_name = "shared.safetensors";

}  // namespace

WeightSharingSearch::WeightSharingSearch(const RunContext& context, const StartOptions& start,
                                         const std::string& name)
    : space_(context.space),
      goals_(context.goals),
      rng_(context.rng),
      start_(context, start),
      training_(context.shared_training),
      work_(context.long_work) {
  if (!training_) {
    throw ConfigError("", fmt::format("\"{}\" trains shared weights, which this run's evaluator "
                                      "does not have; take {{\"type\": \"one_shot\", \"train\": "
                                      "{{\"rule\": \"strategy\"}}}}",
                                      name));
  }
  const auto objective = std::ranges::find(goals_.objectives(), "accuracy", &Objective::metric);
  if (objective == goals_.objectives().end()) {
    throw ConfigError("", fmt::format("\"{}\" needs the objective \"accuracy\"", name));
  }
  accuracy_objective_ = static_cast<std::size_t>(objective - goals_.objectives().begin());
}

void WeightSharingSearch::begin() { training_->begin(rng_.fork("shared weights")); }

void WeightSharingSearch::begin(OwnSteps own, const TrainingStage& stage) {
  const Rng rng = rng_.fork("shared weights");
  StepTraining& training = steps();
  try {
    training.begin(
        restarts_ == 0 ? rng : rng.fork("stage").fork(static_cast<std::uint64_t>(restarts_)),
        std::move(own), stage);
  } catch (const ConfigError& error) {  // of the training's options, which are not the strategy's
    throw UnsupportedError(
        fmt::format("with the evaluator's \"{}\", {}", error.pointer().substr(1), error.message()));
  }
}

StepTraining& WeightSharingSearch::steps() const {
  StepTraining* const own = training_->by_steps();
  if (own == nullptr) {
    throw UnsupportedError(
        "these shared weights learn with architectures only, not by a strategy's "
        "own steps");
  }
  return *own;
}

std::vector<Candidate> WeightSharingSearch::ask(std::size_t max_count) {
  if (max_count == 0 || finished()) return {};
  if (round_.empty() && told_ == next_id_) {
    const std::vector<Candidate> candidates = next_round(rng_.fork("round").fork(rounds_));
    if (candidates.empty()) return {};
    ++rounds_;
    round_.assign(candidates.begin(), candidates.end());
  }
  std::vector<Candidate> candidates;
  while (candidates.size() < max_count && !round_.empty()) {
    candidates.push_back(std::move(round_.front()));
    candidates.back().trial_id = next_id_++;
    round_.pop_front();
  }
  return candidates;
}

void WeightSharingSearch::tell(const Trial& trial) {
  assert(trial.candidate.trial_id == told_);
  ++told_;
  learn(trial);
  if (round_.empty() && told_ == next_id_) end_round(rng_.fork("end").fork(rounds_));
}

bool WeightSharingSearch::finished() const {
  return round_.empty() && (ended_ || training_->trained_epochs() >= training_->epochs());
}

TrainRun WeightSharingSearch::training_run() const {
  TrainRun run{.stop_requested = work_.stop_requested};
  if (!work_.directory.empty()) {
    make_directories(work_.directory);
    run.checkpoint =
        work_.directory / (restarts_ == 0 ? std::string(weights_name)
                                          : fmt::format("shared_{}.safetensors", restarts_ + 1));
  }
  if (work_.progress) run.progress = "supernet";
  return run;
}

bool WeightSharingSearch::train(int epochs, const StepArchitectures& draw) {
  return training_->train(epochs, draw, training_run());
}

bool WeightSharingSearch::train(int epochs) { return steps().train(epochs, training_run()); }

bool WeightSharingSearch::save(const std::filesystem::path& directory) const {
  Json json = {{"rounds", rounds_}, {"next_id", next_id_},    {"told", told_},
               {"ended", ended_},   {"round", Json::array()}, {"state", save_state()}};
  for (const Candidate& candidate : round_) {
    json["round"].push_back({{"architecture", candidate.architecture.choices},
                             {"fidelity", candidate.fidelity},
                             {"parent", candidate.parent ? Json(*candidate.parent) : Json(nullptr)},
                             {"notes", to_json(candidate.notes)}});
  }
  write_snapshot(directory, std::move(json));
  save_files(directory);
  training_->save(directory / weights_name);
  return true;
}

void WeightSharingSearch::load(const std::filesystem::path& directory) {
  read_snapshot(directory, [&](const Json& json) {
    json.at("rounds").get_to(rounds_);
    json.at("next_id").get_to(next_id_);
    json.at("told").get_to(told_);
    json.at("ended").get_to(ended_);
    round_.clear();
    for (const Json& one : json.at("round")) {
      Candidate& candidate = round_.emplace_back();
      one.at("architecture").get_to(candidate.architecture.choices);
      one.at("fidelity").get_to(candidate.fidelity);
      candidate.notes = notes_from_json(one.at("notes"));
      if (!one.at("parent").is_null()) candidate.parent = one["parent"].get<std::uint64_t>();
    }
    while (rounds_ > 0 && start_.next_known()) {  // they were in the first round
    }
    load_state(json.at("state"));
  });
  load_files(directory);
  training_->load(directory / weights_name);
}

}  // namespace espalier
