#include "training/hypernetwork_trainer.hpp"

#include <ATen/ATen.h>

#include <string>
#include <utility>

#include "core/error.hpp"
#include "core/json.hpp"
#include "graph/fingerprint.hpp"
#include "nets/hypernetwork.hpp"
#include "search_spaces/sampling.hpp"
#include "training/losses.hpp"
#include "training/train_loop.hpp"

namespace espalier {
namespace {

// What a checkpoint must agree with.
Json identity(const HyperNetwork& net, const SearchSpace& space) {
  Json decisions = Json::object();
  for (const Decision& d : space.decisions()) decisions[d.name] = d.options;
  return {{"decisions", std::move(decisions)},
          {"largest", fingerprint(space.build(largest_architecture(space))).to_string()},
          {"hypernetwork", hypernetwork_option_table().write(net.hypernetwork_options())}};
}

}  // namespace

void check_hypernetwork_training(const TrainOptions& options, const Dataset& data, Split split,
                                 const std::string& pointer, const std::string& device) {
  check_train_options(options, data, split, pointer, device);
  if (options.patience > 0) {
    throw ConfigError(pointer + "/patience", "a hypernetwork is not validated; write 0");
  }
  if (options.validate_every != 1) {
    throw ConfigError(pointer + "/validate_every", "a hypernetwork is not validated; leave it out");
  }
}

TrainResult train_hypernetwork(HyperNetwork& net, const SearchSpace& space, const Dataset& data,
                               const TrainOptions& options, const Rng& rng, const TrainRun& run) {
  check_hypernetwork_training(options, data, run.split, "", net.options().device.str());
  const auto learn = [&](const TrainStep& step) -> Learned {
    Rng draw = step.part() == 0
                   ? step.rng()
                   : step.rng().fork("part").fork(static_cast<std::uint64_t>(step.part()));
    const Architecture a = sample_uniform(space, draw);
    const Graph graph = space.build(a);
    const Shape& input = graph.node(graph.input()).shape;
    require_fit(input, graph.node(graph.output()).shape, data);
    const Batch batch = step.batch({input[1].value(), input[2].value()});
    const at::Tensor logits = net.forward(batch.images, graph);
    const at::Tensor loss = cross_entropy(logits, batch.labels, options.label_smoothing);
    const double value = step.value(loss, [&] { return space.to_string(a); });
    loss.backward();
    return {value, count_correct(logits.detach(), batch.labels)};
  };
  return TrainLoop({.module = &net, .identity = identity(net, space), .learn = learn}, data,
                   options, rng, run.split)
      .run(run);
}

}  // namespace espalier
