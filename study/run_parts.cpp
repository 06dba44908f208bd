#include "study/run_parts.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <new>
#include <stdexcept>

#include "core/error.hpp"
#include "core/log.hpp"
#include "core/parallel.hpp"
#include "evaluators/zero_cost.hpp"
#include "exporters/catalogue.hpp"
#include "search_spaces/sampling.hpp"
#include "study/environment.hpp"
#include "training/trainer.hpp"

namespace espalier {
namespace {

// Throws ConfigError where the networks of the space do not fit the images.
void check_fit(const SearchSpace& space, const Dataset& data) {
  Rng rng(0);
  const Graph graph = space.build(sample_uniform(space, rng));
  const Shape& input = graph.node(graph.input()).shape;
  const Shape& output = graph.node(graph.output()).shape;
  if (input[0].value() != data.shape()[0]) {
    throw ConfigError("/space", fmt::format("its networks read images of {} channels, but {} has "
                                            "{}: set \"input\" to {}, {}, {}",
                                            input[0].value(), data.name(), data.shape()[0],
                                            data.shape()[0], data.shape()[1], data.shape()[2]));
  }
  if (output.elements() != data.classes()) {
    throw ConfigError("/space", fmt::format("its networks have {} outputs, but {} has {} classes: "
                                            "set \"classes\"",
                                            output.elements(), data.name(), data.classes()));
  }
}

}  // namespace

EvaluatorContext evaluator_context(const RunConfig& config, const Catalogue& catalogue,
                                   const RunParts& parts) {
  return {
      .space = parts.space,
      .data = parts.data,
      .hardware = parts.hardware,
      .proxies = catalogue.proxies,
      .threads_per_trial = config.compute.threads_per_trial,
      .prepare_threads = config.compute.prepare_threads.value_or(config.compute.threads_per_trial),
      .device = config.compute.device};
}

RunParts make_run_parts(const RunConfig& config, const Catalogue& catalogue) {
  RunParts parts;
  require_device(config.compute.device);
  for (std::size_t i = 0; i < config.final.exports.size(); ++i) {
    const ExportFormat& format = find_export_format(config.final.exports[i]);
    if (!format.available) {
      throw ConfigError(pointer_to("/final/export", i),
                        fmt::format("this program was built without \"{}\"; leave it out, or "
                                    "build it with what the format needs",
                                    format.name));
    }
  }
  parts.space = catalogue.spaces.create(config.space, "/space");
  parts.hardware = hardware_models(config, catalogue);
  parts.network_metrics = network_metrics(parts.hardware);
  if (config.data) {
    parts.data = catalogue.datasets.create(*config.data, "/data");
    check_fit(*parts.space, *parts.data);
    if (config.final.train) {
      check_train_options(*config.final.train, *parts.data, Split::train_and_valid, "/final/train",
                          config.compute.device);
    }
  }
  parts.evaluator = catalogue.evaluators.create(config.evaluator, "/evaluator",
                                                evaluator_context(config, catalogue, parts));
  return parts;
}

std::vector<Objective> objectives(const RunConfig& config, const RunParts& parts) {
  std::vector<Objective> result;
  for (std::size_t i = 0; i < config.objectives.size(); ++i) {
    const auto& [metric, goal] = config.objectives[i];
    std::optional<Direction> direction = goal;
    for (const NetworkMetric& known : parts.network_metrics) {
      if (!direction && known.info.name == metric) direction = known.info.direction;
    }
    for (const MetricInfo& known : parts.evaluator->metrics()) {
      if (!direction && known.name == metric) direction = known.direction;
    }
    if (!direction) {
      // An unknown metric is reported by the study, with the nearest one.
      const auto known = [&](const MetricInfo& info) { return info.name == metric; };
      if (std::ranges::any_of(parts.evaluator->metrics(), known)) {
        throw ConfigError(pointer_to("/objectives", i) + "/goal",
                          fmt::format("the metric \"{}\" does not say which values are better: "
                                      "write \"minimize\" or \"maximize\"",
                                      metric));
      }
    }
    result.push_back({metric, direction.value_or(Direction::minimize)});
  }
  return result;
}

std::vector<Constraint> constraints(const RunConfig& config) {
  std::vector<Constraint> result;
  for (const ConstraintOptions& options : config.constraints) {
    Constraint constraint{.metric = options.metric};
    if (options.min) constraint.lower = *options.min;
    if (options.max) constraint.upper = *options.max;
    result.push_back(std::move(constraint));
  }
  return result;
}

std::optional<SpaceDepths> space_depths(const RunConfig& config, const Catalogue& catalogue) {
  const Json space = catalogue.spaces.resolve(config.space, "/space");
  for (const char* name : {"layers", "cells"}) {
    if (!space.contains(name) || !space[name].is_number_integer()) continue;
    return SpaceDepths{
        .own = space[name].get<int>(), .make = [&catalogue, space, name](int depth) {
          Json other = space;
          other[name] = depth;
          return std::shared_ptr<const SearchSpace>(catalogue.spaces.create(other, "/space"));
        }};
  }
  return std::nullopt;
}

Screen proxy_screen(const std::string& metric, const RunConfig& config, const Catalogue& catalogue,
                    const RunParts& parts) {
  const auto proxy = catalogue.proxies.find(metric);
  if (proxy == catalogue.proxies.end()) {
    std::vector<std::string> known;
    for (const auto& [name, unused] : catalogue.proxies) known.push_back(name);
    for (const NetworkMetric& m : parts.network_metrics) known.push_back(m.info.name);
    throw ConfigError("/screen/metrics",
                      fmt::format("unknown metric \"{}\"{}", metric, suggestion(metric, known)));
  }
  ZeroCostOptions options{.proxies = {metric}};
  if (parts.data) {
    const std::int64_t images = parts.data->view(Split::train).size();
    options.batch_size = static_cast<int>(std::min<std::int64_t>(options.batch_size, images));
  }
  const auto evaluator =
      std::make_shared<ZeroCostEvaluator>(evaluator_context(config, catalogue, parts), options);
  const auto workers = static_cast<std::size_t>(config.compute.workers);
  const Rng rng = Rng(config.seed).fork("screen");
  return {
      .score =
          [evaluator, space = parts.space, workers, rng](std::span<const Architecture> drawn) {
            std::vector<double> scores(drawn.size(), std::numeric_limits<double>::quiet_NaN());
            parallel_for(drawn.size(), workers, [&](std::size_t i) {
              const Candidate candidate{.architecture = drawn[i]};
              Rng same = rng;  // equal architectures have equal scores
              try {
                scores[i] = evaluator->evaluate(candidate, Network(*space, drawn[i]), same)[0];
              } catch (const std::bad_alloc&) {
                throw;
              } catch (const std::logic_error&) {
                throw;  // a bug, as in a trial
              } catch (const std::exception& error) {
                log_debug(
                    fmt::format("no screen for {}: {}", space->to_string(drawn[i]), error.what()));
              }
            });
            return scores;
          },
      .direction = proxy->second.direction,
  };
}

}  // namespace espalier
