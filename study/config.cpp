#include "study/config.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <memory>
#include <string>

#include "core/error.hpp"
#include "core/log.hpp"
#include "exporters/catalogue.hpp"
#include "graph/nets.hpp"
#include "study/json_difference.hpp"

namespace espalier {
namespace {

constexpr int max_threads = 1024;

Json reference(const std::string& name) { return {{"$ref", "#/$defs/" + name}}; }

OptionTable<RunConfig> make_table(const Catalogue& catalogue) {
  const auto goals =
      named<Direction>({{"minimize", Direction::minimize}, {"maximize", Direction::maximize}});
  const auto compute =
      OptionTable<ComputeOptions>("where and how trials are evaluated")
          .add("device", &ComputeOptions::device, "of LibTorch: cpu, cuda:0")
          .add("workers", &ComputeOptions::workers,
               "threads that evaluate trials; what is proposed does not depend on it",
               between(1, max_threads))
          .add("batch", &ComputeOptions::batch,
               "candidates in flight; results depend on it, and no more workers are busy",
               between(1, 1 << 20))
          .add("threads_per_trial", &ComputeOptions::threads_per_trial,
               "of LibTorch in each worker", between(1, max_threads))
          .add("prepare_threads", &ComputeOptions::prepare_threads,
               "of LibTorch in what is trained for many trials, such as a supernet, which depends "
               "on "
               "it; by default workers * threads_per_trial of the call that began the run",
               between(1, max_threads));
  const auto objective =
      OptionTable<ObjectiveOptions>("a metric to be made small or large")
          .add("metric", &ObjectiveOptions::metric, "for example accuracy, latency_ms@cortex_a76",
               required())
          .add("goal", &ObjectiveOptions::goal, "by default the metric's own direction", goals);
  const auto constraint =
      OptionTable<ConstraintOptions>("bounds on a metric")
          .add("metric", &ConstraintOptions::metric, "for example params", required())
          .add("min", &ConstraintOptions::min, "smallest allowed value")
          .add("max", &ConstraintOptions::max, "largest allowed value")
          .check([](const ConstraintOptions& options) {
            if (!options.min && !options.max) throw ConfigError("", "needs \"min\" or \"max\"");
            if (options.min && options.max && *options.min > *options.max) {
              throw ConfigError("/min", fmt::format("{} is above \"max\", which is {}",
                                                    *options.min, *options.max));
            }
          });
  const auto budget =
      OptionTable<Budget>("when the search ends: at whichever comes first")
          .add("trials", &Budget::trials, "evaluated candidates", at_least(1))
          .add("evaluations", &Budget::evaluations,
               "full evaluations: the sum of the fidelities of all trials", greater_than(0))
          .add("minutes", &Budget::minutes,
               "time of the search, without the preparation (of a supernet, say)", greater_than(0),
               unit("min"))
          .check([](const Budget& options) {
            if (!options.trials && !options.evaluations && !options.minutes) {
              throw ConfigError("", "needs \"trials\", \"evaluations\" or \"minutes\"");
            }
          });
  const auto baseline =
      OptionTable<BaselineOptions>("a known network, measured as the candidates are")
          .add("net", &BaselineOptions::net, "a reference network", one_of(net_names()))
          .add("architecture", &BaselineOptions::architecture,
               "of the space: its string, or an object of decision: label")
          .check([](const BaselineOptions& options) {
            if (options.net.has_value() == options.architecture.has_value()) {
              throw ConfigError("", "needs either \"net\" or \"architecture\"");
            }
          });
  std::vector<std::string> formats;
  for (const ExportFormat& format : export_formats()) formats.push_back(format.name);
  const auto final =
      OptionTable<FinalOptions>("what becomes of the chosen network")
          .add(
              "choose", &FinalOptions::choose,
              "the member of the front with the best first objective, or the one nearest to the "
              "best values of all",
              named<Choose>({{"first_objective", Choose::first_objective}, {"knee", Choose::knee}}))
          .add("train", &FinalOptions::train, "trains it on all training images",
               train_option_table())
          .add("threads", &FinalOptions::threads,
               "of LibTorch for this training, which depends on it; by default workers * "
               "threads_per_trial of the call that began the run",
               between(1, max_threads))
          .add("export", &FinalOptions::exports, "file formats, written to best/", one_of(formats))
          .check([](const FinalOptions& options) {
            for (std::size_t i = 0; i < options.exports.size(); ++i) {
              if (find_export_format(options.exports[i]).weights && !options.train) {
                throw ConfigError(
                    pointer_to("/export", i),
                    fmt::format("\"{}\" holds weights: add \"train\"", options.exports[i]));
              }
            }
          });
  return OptionTable<RunConfig>("a run of espalier search")
      .add("$schema", &RunConfig::schema, "where editors find the output of espalier schema")
      .add("seed", &RunConfig::seed, "of everything random")
      .add("space", &RunConfig::space, "what is searched", required(),
           catalogue.spaces.as_option(reference("space")))
      .add("data", &RunConfig::data, "images to train and validate on",
           catalogue.datasets.as_option(reference("data")))
      .add("evaluator", &RunConfig::evaluator, "what measures candidates", required(),
           catalogue.evaluators.as_option(reference("evaluator")))
      .add("strategy", &RunConfig::strategy, "what proposes candidates", required(),
           catalogue.strategies.as_option(reference("strategy")))
      .add("compute", &RunConfig::compute, "where and how trials are evaluated", compute)
      .add("hardware", &RunConfig::hardware, "models of devices, as in latency_ms@name",
           catalogue.hardware.as_option(reference("hardware")))
      .add("objectives", &RunConfig::objectives, "what is optimized", required(), non_empty(),
           objective)
      .add("constraints", &RunConfig::constraints, "what the result must keep to", constraint)
      .add("budget", &RunConfig::budget, "when the search ends", required(), budget)
      .add("baseline", &RunConfig::baseline, "a known network, shown beside the front", baseline)
      .add("final", &RunConfig::final, "what becomes of the chosen network", final)
      .check([](const RunConfig& config) {
        if (config.final.train && !config.data) {
          throw ConfigError("/final/train", "training needs images: add \"data\"");
        }
      });
}

// The index that a step of a JSON pointer means in an array that has it.
std::optional<std::size_t> element_index(const Json& array, const std::string& step) {
  std::size_t index = 0;
  const char* const end = step.data() + step.size();
  const auto [after, error] = std::from_chars(step.data(), end, index);
  if (!array.is_array() || error != std::errc() || after != end || index >= array.size()) {
    return std::nullopt;
  }
  return index;
}

}  // namespace

int all_threads(const ComputeOptions& compute) {
  return std::min(max_threads, compute.workers * compute.threads_per_trial);
}

RunConfig read_config(const Json& json, const Catalogue& catalogue) {
  return make_table(catalogue).read(json, "");
}

Json write_config(const RunConfig& config, const Catalogue& catalogue) {
  return make_table(catalogue).write(config);
}

Json config_schema(const Catalogue& catalogue) {
  Json schema = {{"$schema", "https://json-schema.org/draft/2020-12/schema"},
                 {"title", "Espalier run"}};
  schema.update(make_table(catalogue).schema());
  schema["properties"]["strategies"] = {
      {"description", "of espalier compare, in the place of strategy: {name: strategy, ...}"},
      {"type", "object"},
      {"minProperties", 1},
      {"additionalProperties", reference("strategy")}};
  auto& needed = schema["required"];
  needed.erase(std::ranges::find(needed, "strategy"));
  schema["oneOf"] = {{{"required", {"strategy"}}}, {{"required", {"strategies"}}}};
  schema["$defs"] = {
      {"space", catalogue.spaces.schema()},         {"data", catalogue.datasets.schema()},
      {"evaluator", catalogue.evaluators.schema()}, {"strategy", catalogue.strategies.schema()},
      {"hardware", catalogue.hardware.schema()},    {"predictor", catalogue.predictors.schema()}};
  return schema;
}

std::vector<std::shared_ptr<const HardwareModel>> hardware_models(const RunConfig& config,
                                                                  const Catalogue& catalogue,
                                                                  MissingFiles missing) {
  std::vector<std::shared_ptr<const HardwareModel>> models;
  for (std::size_t i = 0; i < config.hardware.size(); ++i) {
    const std::string pointer = pointer_to("/hardware", i);
    std::shared_ptr<const HardwareModel> model;
    try {
      model = catalogue.hardware.create(config.hardware[i], pointer);
    } catch (const IoError& error) {
      if (missing == MissingFiles::refused) throw;
      log_warning(
          fmt::format("what is not on record of {} is left out: {}", pointer, error.what()));
      continue;
    }
    for (const auto& other : models) {
      if (other->name() == model->name()) {
        throw ConfigError(
            pointer + "/name",
            fmt::format("two models are named \"{}\"; give them different names", model->name()));
      }
    }
    models.push_back(std::move(model));
  }
  return models;
}

std::vector<NetworkMetric> network_metrics(
    std::span<const std::shared_ptr<const HardwareModel>> models) {
  std::vector<NetworkMetric> metrics = cost_network_metrics();
  for (const auto& model : models) {
    for (NetworkMetric& metric : hardware_network_metrics(model)) {
      metrics.push_back(std::move(metric));
    }
  }
  return metrics;
}

void set_value(Json& config, std::string_view assignment) {
  const std::size_t equals = assignment.find('=');
  if (equals == std::string_view::npos || !assignment.starts_with('/')) {
    throw ConfigError("", fmt::format("\"{}\" is not of the form /json/pointer=value, for example "
                                      "/budget/trials=100",
                                      assignment));
  }
  const std::string pointer(assignment.substr(0, equals));
  const std::string text(assignment.substr(equals + 1));
  Json value = Json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (value.is_discarded()) value = text;
  std::vector<std::string> steps;
  try {
    for (Json::json_pointer left(pointer); !left.empty(); left.pop_back()) {
      steps.push_back(left.back());
    }
  } catch (const Json::parse_error&) {
    throw ConfigError("", fmt::format("\"{}\" is not a JSON pointer", pointer));
  }
  Json* place = &config;
  for (auto step = steps.rbegin(); step != steps.rend(); ++step) {
    if (place->is_object() || place->is_null()) {
      place = &(*place)[*step];
    } else if (const auto index = element_index(*place, *step)) {
      place = &(*place)[*index];
    } else {
      throw ConfigError(
          pointer, fmt::format("cannot be set: \"{}\" is not a part of {}", *step, brief(*place)));
    }
  }
  *place = std::move(value);
}

}  // namespace espalier
