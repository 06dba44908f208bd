#include "study/final_training.hpp"

#include <fmt/format.h>

#include <string>
#include <system_error>

#include "core/error.hpp"
#include "core/files.hpp"
#include "core/json.hpp"
#include "exporters/catalogue.hpp"
#include "nets/graph_module.hpp"
#include "training/tensor_file.hpp"
#include "training/trainer.hpp"

namespace espalier {
namespace {

// What decides on the outcome, but for the number of threads.
Json options_of(const RunConfig& config) {
  Json options = {{"export", config.final.exports}};
  if (config.final.train) options["train"] = train_option_table().write(*config.final.train);
  return options;
}

}  // namespace

bool finish_chosen(const Results& results, const RunConfig& config, const FinalRun& run) {
  const auto chosen = results.chosen();
  if (!chosen) return true;
  const Json asked = options_of(config);
  const std::optional<Json> before = final_summary(results, run.directory);
  if (before && before->value("final", Json()) == asked) return true;
  // Another trial's stays until this one is complete.
  const std::filesystem::path kept = run.directory / "best", best = run.directory / "best.new";
  const Trial& trial = results.trials[*chosen];
  const Architecture& architecture = trial.candidate.architecture;
  std::error_code error;
  // A training that was cut short is in checkpoints/.
  std::filesystem::remove_all(best, error);
  if (error) throw IoError(best.string(), "cannot be removed: " + error.message());
  make_directories(best);

  const ArchitectureFile file{.space = config.space,
                              .architecture = architecture_to_json(*results.space, architecture),
                              .graph = results.space->build(architecture)};
  export_network("json", file, nullptr, best / "architecture.json");
  Json summary = {{"trial", trial.candidate.trial_id},
                  {"arch", results.space->to_string(architecture)},
                  {"final", asked}};
  Json files = {"architecture.json"};
  std::unique_ptr<GraphModule> module;
  if (config.final.train) {
    TrainOptions options = *config.final.train;
    options.threads = config.final.threads.value_or(all_threads(config.compute));
    const Rng rng = Rng(config.seed).fork("final").fork(trial.candidate.trial_id);
    module = std::make_unique<GraphModule>(
        file.graph, ModuleOptions{.device = at::Device(config.compute.device)});
    module->reset_parameters(rng.fork("weights"));
    // One of other options stays beside it.
    const Rng of_options = rng.fork(asked["train"].dump());
    const std::string checkpoint = fmt::format("final-{}-{:016x}.safetensors",
                                               trial.candidate.trial_id, Rng(of_options).next());
    make_directories(run.directory / "checkpoints");
    const TrainResult trained = train(*module, *run.data, options, rng.fork("train"),
                                      {.split = Split::train_and_valid,
                                       .stop_requested = run.stop_requested,
                                       .checkpoint = run.directory / "checkpoints" / checkpoint,
                                       .progress = run.progress ? "final training" : ""});
    if (trained.stopped) return false;
    const Evaluation test = evaluate(*module, *run.data, Split::test, options.threads);
    summary["test_accuracy"] = test.accuracy;
    summary["test_loss"] = test.loss;
    summary["epochs"] = trained.history.size();
    write_tensors(best / "weights.safetensors",
                  {.tensors = module->state(), .info = {{"format", "espalier weights"}}});
    files.push_back("weights.safetensors");
  }
  for (const std::string& format : config.final.exports) {
    if (format == "json") continue;  // architecture.json
    const std::string name = "network" + find_export_format(format).extension;
    export_network(format, file, module.get(), best / name);
    files.push_back(name);
  }
  Json metrics = Json::object();
  for (const auto& [name, value] : all_metrics(results, trial)) metrics[name] = value;
  summary["metrics"] = std::move(metrics);
  summary["files"] = std::move(files);
  write_file_atomically(best / "final.json", summary.dump(2) + "\n");
  std::filesystem::remove_all(kept, error);
  if (error) throw IoError(kept.string(), "cannot be removed: " + error.message());
  std::filesystem::rename(best, kept, error);
  if (error) throw IoError(best.string(), "cannot be renamed: " + error.message());
  return true;
}

}  // namespace espalier
