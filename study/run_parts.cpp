#include "study/run_parts.hpp"

#include <fmt/format.h>

#include "core/error.hpp"
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

}  // namespace espalier
