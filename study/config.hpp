// The config of a run.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/json.hpp"
#include "core/options.hpp"
#include "objectives/metric.hpp"
#include "study/catalogue.hpp"
#include "study/study.hpp"
#include "training/train_options.hpp"

namespace espalier {

struct ComputeOptions {
  std::string device = "cpu";  ///< or "cuda:0"
  int workers = 1;             ///< threads that evaluate; what is proposed does not depend on it
  int batch = 1;               ///< candidates in flight; results depend on it
  int threads_per_trial = 1;   ///< of LibTorch in each worker
  /// Of LibTorch in what is trained for many trials, which depends on it; by default all_threads()
  /// of the call that began the run.
  std::optional<int> prepare_threads = {};
};

struct ObjectiveOptions {
  std::string metric;
  std::optional<Direction> goal;  ///< by default the metric's own direction
};

struct ConstraintOptions {
  std::string metric;
  std::optional<double> min, max;  ///< at least one
};

/// A known network that is measured for comparison: one of the two members is there.
struct BaselineOptions {
  std::optional<std::string> net;    ///< a reference network
  std::optional<Json> architecture;  ///< of the space: its string, or {decision: label}
};

/// How one network is chosen from a front: the best in the first objective, or the knee, the one
/// nearest to the point of the best values, each objective scaled to the front's range. The first
/// of equals in the order of the front.
enum class Choose { first_objective, knee };

/// What becomes of the chosen network.
struct FinalOptions {
  Choose choose = Choose::first_objective;
  std::optional<TrainOptions> train;  ///< on all training images; empty: it is not trained
  std::optional<int> threads;         ///< of LibTorch; by default workers * threads_per_trial
  std::vector<std::string> exports;   ///< formats
};

/// A run. Parts that name a component are its resolved config: {"type": ..., option: value, ...}.
struct RunConfig {
  std::optional<std::string> schema;  ///< "$schema", for editors
  std::uint64_t seed = 1;
  Json space;
  std::optional<Json> data;
  Json evaluator;
  Json strategy;
  ComputeOptions compute;
  std::vector<Json> hardware;
  std::vector<ObjectiveOptions> objectives;
  std::vector<ConstraintOptions> constraints;
  Budget budget;
  std::optional<BaselineOptions> baseline;
  FinalOptions final;
};

/// workers * threads_per_trial: what work that is not shared out to workers uses by default.
int all_threads(const ComputeOptions& compute);

/// Reads a config, which may leave out what has a default. Throws ConfigError.
RunConfig read_config(const Json& json, const Catalogue& catalogue);

/// The config with all defaults; read_config of it gives the same again.
Json write_config(const RunConfig& config, const Catalogue& catalogue);

/// A JSON Schema (2020-12) that accepts what read_config accepts, checks across options apart.
Json config_schema(const Catalogue& catalogue);

/// The models of "hardware". Reads their files: IoError, ConfigError. With `MissingFiles::skipped`
/// a model whose file cannot be read is left out, with a warning.
enum class MissingFiles { refused, skipped };
std::vector<std::shared_ptr<const HardwareModel>> hardware_models(
    const RunConfig& config, const Catalogue& catalogue,
    MissingFiles missing = MissingFiles::refused);

/// The network metrics of a run: the costs, and what the models estimate.
std::vector<NetworkMetric> network_metrics(
    std::span<const std::shared_ptr<const HardwareModel>> models);

/// Changes one value of a config, which may be missing: "/json/pointer=value", where the value is
/// JSON, or else a string. Throws ConfigError for another form and a pointer that leads nowhere.
void set_value(Json& config, std::string_view assignment);

}  // namespace espalier
