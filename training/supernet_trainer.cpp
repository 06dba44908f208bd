#include "training/supernet_trainer.hpp"

#include <torch/torch.h>

#include <array>
#include <vector>

#include "graph/fingerprint.hpp"
#include "nets/supernet.hpp"
#include "search_spaces/sampling.hpp"
#include "training/losses.hpp"
#include "training/supernet_rule.hpp"
#include "training/train_loop.hpp"

namespace espalier {
namespace {

// What a checkpoint must agree with.
Json identity(const SearchSpace& space, const SupernetOptions& options) {
  Json decisions = Json::object();
  for (const Decision& d : space.decisions()) decisions[d.name] = d.options;
  const Json written = supernet_option_table().write(options);
  return {{"decisions", std::move(decisions)},
          {"largest", fingerprint(space.build(largest_architecture(space))).to_string()},
          {"rule", written["rule"]},
          {"random_architectures", written["random_architectures"]}};
}

}  // namespace

TrainResult train_supernet(Supernet& supernet, const std::shared_ptr<const SearchSpace>& space,
                           const Dataset& data, const SupernetOptions& options, const Rng& rng,
                           const TrainRun& run) {
  const Graph& graph = supernet.supergraph().graph();
  const Shape input = graph.node(graph.input()).shape;
  require_fit(input, graph.node(graph.output()).shape, data);
  supernet_option_table().validate(options);
  const SupernetRule rule(space, options);
  const double smoothing = options.train.label_smoothing;
  const auto learn = [&](const TrainStep& step) {
    Learned learned;
    at::Tensor teacher;
    for (const SupernetPass& pass : rule.passes(step.rng())) {
      const Architecture& a = pass.architecture;
      const Batch batch = step.batch({input[1].at(a.choices), input[2].at(a.choices)});
      const at::Tensor logits = supernet.forward(batch.images, a);
      const at::Tensor loss = pass.distilled ? distillation_loss(logits, teacher)
                                             : cross_entropy(logits, batch.labels, smoothing);
      const double value = step.value(loss, [&] { return space->to_string(a); });
      loss.backward();
      if (teacher.defined()) continue;
      teacher = logits.detach();
      learned = {value, count_correct(teacher, batch.labels)};
    }
    return learned;
  };
  return TrainLoop({.module = &supernet, .identity = identity(*space, options), .learn = learn},
                   data, options.train, rng, run.split)
      .run(run);
}

}  // namespace espalier
