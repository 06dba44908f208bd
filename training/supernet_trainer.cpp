#include "training/supernet_trainer.hpp"

#include <ATen/ATen.h>
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <memory>
#include <utility>
#include <vector>

#include "graph/fingerprint.hpp"
#include "nets/supernet.hpp"
#include "search_spaces/sampling.hpp"
#include "training/losses.hpp"
#include "training/supernet_rule.hpp"
#include "training/threads.hpp"
#include "training/train_loop.hpp"

namespace espalier {
namespace {

// The file of a phase beside the one of the whole training.
std::filesystem::path phase_file(const std::filesystem::path& checkpoint, std::size_t phase) {
  if (checkpoint.empty()) return {};
  std::filesystem::path file = checkpoint;
  file.replace_filename(fmt::format("{}-phase{}{}", checkpoint.stem().string(), phase + 1,
                                    checkpoint.extension().string()));
  return file;
}

// What goes with the training of one phase: all of it where there is but one.
struct PhaseTraining {
  std::size_t phase = 0;
  Supernet* teacher = nullptr;  // where lessons name one
};

class SupernetTraining {
 public:
  SupernetTraining(Supernet& supernet, const std::shared_ptr<const SearchSpace>& space,
                   const SupernetOptions& options)
      : supernet_(supernet),
        space_(space),
        options_(options),
        rule_(space, options),
        graph_(supernet.supergraph().graph()) {}

  const SupernetRule& rule() const { return rule_; }

  Learned learn(const TrainStep& step, const PhaseTraining& training) {
    const Shape& input = graph_.node(graph_.input()).shape;
    Learned learned;
    at::Tensor first;
    for (const SupernetPass& pass : rule_.passes(step.rng(), training.phase)) {
      const Architecture a = pass.candidates.empty() ? pass.architecture : chosen(pass, step);
      const Batch batch = step.batch({input[1].at(a.choices), input[2].at(a.choices)});
      const at::Tensor logits = supernet_.forward(batch.images, a);
      const at::Tensor loss = loss_of(a, pass.lesson, logits, batch, first, step, training);
      const double value = step.value(loss, [&] { return space_->to_string(a); });
      loss.backward();
      if (first.defined()) continue;
      first = logits.detach();
      learned = {value, count_correct(first, batch.labels)};
    }
    return learned;
  }

 private:
  // Of the candidates, the one whose loss on the step's images is the lowest, or the highest.
  Architecture chosen(const SupernetPass& pass, const TrainStep& step) const {
    const at::NoGradGuard no_grad;
    const Shape& input = graph_.node(graph_.input()).shape;
    const double sign = options_.attention == Attention::best_up ? 1 : -1;
    std::vector<double> costs;
    for (const Architecture& a : pass.candidates) {
      const Batch batch = step.batch({input[1].at(a.choices), input[2].at(a.choices)});
      const at::Tensor logits = supernet_.forward(batch.images, a);
      costs.push_back(
          sign * step.value(cross_entropy(logits, batch.labels, options_.train.label_smoothing),
                            [&] { return space_->to_string(a); }));
    }
    return pass
        .candidates[static_cast<std::size_t>(std::ranges::min_element(costs) - costs.begin())];
  }

  at::Tensor loss_of(const Architecture& a, Lesson lesson, const at::Tensor& logits,
                     const Batch& batch, const at::Tensor& first, const TrainStep& step,
                     const PhaseTraining& training) const {
    if (lesson == Lesson::first) return distillation_loss(logits, first);
    const at::Tensor loss = cross_entropy(logits, batch.labels, options_.train.label_smoothing);
    if (lesson == Lesson::labels) return loss;
    const at::NoGradGuard no_grad;
    training.teacher->seed(step.rng().fork("teacher"));
    const at::Tensor said = training.teacher->forward(batch.images, rule_.teacher_of(a));
    const at::AutoGradMode grad(true);
    return loss + distillation_loss(logits, said);
  }

  Supernet& supernet_;
  const std::shared_ptr<const SearchSpace>& space_;
  const SupernetOptions& options_;
  SupernetRule rule_;
  const Graph& graph_;
};

TrainResult train_in_phases(Supernet& supernet, SupernetTraining& training, const Json& identity,
                            const Dataset& data, const SupernetOptions& options, const Rng& rng,
                            const TrainRun& run) {
  TrainResult result;
  std::unique_ptr<Supernet> teacher;
  const std::vector<ShrinkingPhase>& phases = training.rule().phases();
  for (std::size_t p = 0; p < phases.size(); ++p) {
    if (phases[p].sorted) {
      const TorchThreads threads(options.train.threads);  // on which the last bits of sums depend
      supernet.sort_channels(phases[p - 1].choices);
    }
    TrainOptions of_phase =
        at_fidelity(options.train, static_cast<double>(phases[p].epochs) / options.train.epochs);
    of_phase.learning_rate = options.train.base_learning_rate() * phases[p].rate_factor;
    TrainRun phase_run = run;
    phase_run.checkpoint = phase_file(run.checkpoint, p);
    if (!run.progress.empty()) phase_run.progress += ", " + phases[p].name;
    phase_run.on_epoch = [&, before = result.history.size()](EpochResult epoch) {
      epoch.epoch += static_cast<int>(before);
      if (run.on_epoch) run.on_epoch(epoch);
    };
    Json of_checkpoint = identity;
    of_checkpoint["phase"] = p;
    const auto learn = [&, p](const TrainStep& step) {
      return training.learn(step, {.phase = p, .teacher = teacher.get()});
    };
    TrainResult part = TrainLoop({.module = &supernet, .identity = of_checkpoint, .learn = learn},
                                 data, of_phase, rng.fork("phase").fork(p), run.split)
                           .run(phase_run);
    for (EpochResult& epoch : part.history) {
      epoch.epoch = static_cast<int>(result.history.size()) + 1;
      result.history.push_back(epoch);
    }
    result.stopped = part.stopped;
    if (result.stopped) break;
    if (p > 0) continue;
    teacher =
        std::make_unique<Supernet>(supernet.supergraph(), supernet.options(), supernet.sharing());
    teacher->load_state(supernet.state());
    teacher->train();
    teacher->set_activation_ranges(ActivationRanges::fixed);
  }
  return result;
}

}  // namespace

Json supernet_identity(const SearchSpace& space, const SupernetOptions& options) {
  Json decisions = Json::object();
  for (const Decision& d : space.decisions()) decisions[d.name] = d.options;
  const Json written = supernet_option_table().write(options);
  Json result = {{"decisions", std::move(decisions)},
                 {"largest", fingerprint(space.build(largest_architecture(space))).to_string()},
                 {"rule", written["rule"]},
                 {"random_architectures", written["random_architectures"]}};
  if (options.rule == RuleKind::attentive) {
    result["attention"] = written["attention"];
    result["candidates"] = written["candidates"];
  }
  return result;
}

TrainResult train_supernet(Supernet& supernet, const std::shared_ptr<const SearchSpace>& space,
                           const Dataset& data, const SupernetOptions& options, const Rng& rng,
                           const TrainRun& run) {
  const Graph& graph = supernet.supergraph().graph();
  require_fit(graph.node(graph.input()).shape, graph.node(graph.output()).shape, data);
  supernet_option_table().validate(options);
  SupernetTraining training(supernet, space, options);
  const Json of_checkpoint = supernet_identity(*space, options);
  if (!training.rule().phases().empty()) {
    return train_in_phases(supernet, training, of_checkpoint, data, options, rng, run);
  }
  const auto learn = [&](const TrainStep& step) { return training.learn(step, {}); };
  return TrainLoop({.module = &supernet, .identity = of_checkpoint, .learn = learn}, data,
                   options.train, rng, run.split)
      .run(run);
}

}  // namespace espalier
