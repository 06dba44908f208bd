#include "training/trainer.hpp"

#include <ATen/ATen.h>
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <string>

#include "core/error.hpp"
#include "graph/fingerprint.hpp"
#include "nets/graph_module.hpp"
#include "training/augmentation.hpp"
#include "training/batch.hpp"
#include "training/losses.hpp"
#include "training/threads.hpp"
#include "training/train_loop.hpp"

namespace espalier {
namespace {

// {height, width} of the network's input. Throws ShapeError when the network is not for such data.
std::array<std::int64_t, 2> input_size(const GraphModule& module, const Dataset& data) {
  const Graph& graph = module.graph();
  const Shape& input = graph.node(graph.input()).shape;
  require_fit(input, graph.node(graph.output()).shape, data);
  return {input[1].value(), input[2].value()};
}

Learner learner(GraphModule& module, const Dataset& data, const TrainOptions& options,
                Split split) {
  const std::array<std::int64_t, 2> size = input_size(module, data);
  Learner result{.module = &module,
                 .identity = fingerprint(module.graph()).to_string(),
                 .learn = [&module, size,
                           smoothing = options.label_smoothing](const TrainStep& step) -> Learned {
                   const Batch batch = step.batch(size);
                   const at::Tensor logits = module.forward(batch.images);
                   const at::Tensor loss = cross_entropy(logits, batch.labels, smoothing);
                   const double value = step.value(loss);
                   loss.backward();
                   return {value, count_correct(logits.detach(), batch.labels)};
                 }};
  if (split == Split::train && data.view(Split::valid).size() > 0) {
    result.validate = [&module, &data, threads = options.threads] {
      return evaluate(module, data, Split::valid, threads);
    };
  }
  return result;
}

}  // namespace

struct Trainer::Implementation {
  TrainLoop loop;
};

Trainer::Trainer(GraphModule& module, const Dataset& data, const TrainOptions& options,
                 const Rng& rng, Split split)
    : implementation_(new Implementation{
          TrainLoop(learner(module, data, options, split), data, options, rng, split)}) {}

Trainer::~Trainer() = default;

std::optional<EpochResult> Trainer::run_epoch(const std::function<bool()>& stop_requested,
                                              const std::function<void()>& on_step) {
  return implementation_->loop.run_epoch(stop_requested, on_step);
}

bool Trainer::finished() const { return implementation_->loop.finished(); }

const std::vector<EpochResult>& Trainer::history() const { return implementation_->loop.history(); }

std::int64_t Trainer::steps_per_epoch() const { return implementation_->loop.steps_per_epoch(); }

void Trainer::save(const std::filesystem::path& path) const { implementation_->loop.save(path); }

void Trainer::load(const std::filesystem::path& path) { implementation_->loop.load(path); }

TrainResult train(GraphModule& module, const Dataset& data, const TrainOptions& options,
                  const Rng& rng, const TrainRun& run) {
  return TrainLoop(learner(module, data, options, run.split), data, options, rng, run.split)
      .run(run);
}

Evaluation evaluate(GraphModule& module, const Dataset& data, Split split, int threads_used) {
  constexpr std::size_t batch_size = 64;  // whose tensors stay in the caches
  const TorchThreads threads(threads_used);
  const at::NoGradGuard no_grad;
  const ImageTransform transform(data, input_size(module, data));
  const SplitView view = data.view(split);
  if (view.size() == 0) {
    throw Error(fmt::format("{} has no images in its split {}", data.name(), split_name(split)));
  }
  module.eval();
  Rng unused(0);
  double loss_sum = 0;
  std::int64_t correct = 0;
  for (std::size_t begin = 0; begin < view.indices.size(); begin += batch_size) {
    const auto indices =
        view.indices.subspan(begin, std::min(batch_size, view.indices.size() - begin));
    const Batch batch = moved(make_batch(transform, *view.images, indices, unused), module);
    const at::Tensor logits = module.forward(batch.images);
    loss_sum +=
        cross_entropy(logits, batch.labels).item<double>() * static_cast<double>(indices.size());
    correct += count_correct(logits, batch.labels);
  }
  const Evaluation result{.accuracy = percent(correct, view.size()),
                          .loss = loss_sum / static_cast<double>(view.size())};
  if (!std::isfinite(result.loss)) {
    throw NumericalError(fmt::format("the loss on the split {} of {} is {}", split_name(split),
                                     data.name(), std::abs(result.loss)));
  }
  return result;
}

}  // namespace espalier
