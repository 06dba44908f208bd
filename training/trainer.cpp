#include "training/trainer.hpp"

#include <fmt/format.h>
#include <torch/torch.h>

#include <algorithm>
#include <cassert>
#include <cmath>
#include <map>
#include <span>
#include <string>
#include <utility>

#include "core/error.hpp"
#include "core/json.hpp"
#include "core/progress.hpp"
#include "graph/fingerprint.hpp"
#include "nets/graph_module.hpp"
#include "training/augmentation.hpp"
#include "training/batch.hpp"
#include "training/losses.hpp"
#include "training/optimizer.hpp"
#include "training/schedule.hpp"
#include "training/tensor_file.hpp"
#include "training/threads.hpp"

namespace espalier {
namespace {

constexpr int format_version = 1;  // of a checkpoint

// {height, width} of the network's input. Throws ShapeError when the network is not for such data.
std::array<std::int64_t, 2> input_size(const GraphModule& module, const Dataset& data) {
  const Graph& graph = module.graph();
  const Shape& input = graph.node(graph.input()).shape;
  const Shape& output = graph.node(graph.output()).shape;
  if (input[0].value() != data.shape()[0]) {
    throw ShapeError(fmt::format("the network reads images of {} channels, but {} has {}",
                                 input[0].value(), data.name(), data.shape()[0]));
  }
  if (output.rank != 1 || output[0].value() != data.classes()) {
    throw ShapeError(fmt::format("the network's output is {}, but {} has {} classes",
                                 output.to_string(), data.name(), data.classes()));
  }
  return {input[1].value(), input[2].value()};
}

at::Tensor moved(const at::Tensor& images, const GraphModule& module) {
  return images.to(module.options().device, module.options().dtype);
}

std::int64_t count_correct(const at::Tensor& logits, const at::Tensor& labels) {
  return logits.argmax(1).eq(labels).sum().item<std::int64_t>();
}

double percent(std::int64_t part, std::int64_t all) {
  return 100.0 * static_cast<double>(part) / static_cast<double>(all);
}

Json to_json(const EpochResult& result) {
  Json json = {{"epoch", result.epoch},
               {"train_loss", result.train_loss},
               {"train_accuracy", result.train_accuracy}};
  if (result.valid) {
    json["valid_accuracy"] = result.valid->accuracy;
    json["valid_loss"] = result.valid->loss;
  }
  return json;
}

EpochResult epoch_from_json(const Json& json) {
  EpochResult result{.epoch = json.at("epoch").get<int>(),
                     .train_loss = json.at("train_loss").get<double>(),
                     .train_accuracy = json.at("train_accuracy").get<double>()};
  if (json.contains("valid_accuracy")) {
    result.valid = {.accuracy = json.at("valid_accuracy").get<double>(),
                    .loss = json.at("valid_loss").get<double>()};
  }
  return result;
}

std::string_view split_name(Split split) {
  switch (split) {
    case Split::train:
      return "train";
    case Split::valid:
      return "valid";
    case Split::train_and_valid:
      return "train_and_valid";
    case Split::test:
      break;
  }
  return "test";
}

// How many of a split's images are trained on.
std::int64_t images_used(const TrainOptions& options, const SplitView& view) {
  return std::max<std::int64_t>(
      1, std::llround(options.train_fraction * static_cast<double>(view.size())));
}

TrainOptions checked(const TrainOptions& options, const Dataset& data, Split split) {
  check_train_options(options, data, split);
  return options;
}

}  // namespace

void check_train_options(const TrainOptions& options, const Dataset& data, Split split,
                         const std::string& pointer) {
  if (split != Split::train && split != Split::train_and_valid) {
    throw Error(fmt::format("the split {} is not for training; take train or train_and_valid",
                            split_name(split)));
  }
  const OptionTable<TrainOptions> table = train_option_table();
  table.read(table.write(options), pointer);
  if (options.threads < 1) {
    throw ConfigError(pointer + "/threads", fmt::format("{} is not >= 1", options.threads));
  }
  try {
    ImageTransform(data, {data.shape()[1], data.shape()[2]}, options.augmentation);
  } catch (const ConfigError& error) {
    throw ConfigError(pointer + "/augmentation" + error.pointer(), error.message());
  }
  const SplitView view = data.view(split);
  if (const std::int64_t used = images_used(options, view); used < 2) {
    throw ConfigError(pointer + "/train_fraction",
                      fmt::format("{} of the {} images of {} is {}, but training needs 2",
                                  options.train_fraction, view.size(), data.name(), used));
  }
}

struct Trainer::Implementation {
  Implementation(GraphModule& module_in, const Dataset& data_in, const TrainOptions& options_in,
                 const Rng& rng_in, Split split_in)
      : module(module_in),
        data(data_in),
        options(checked(options_in, data_in, split_in)),
        rng(rng_in.fork("training")),
        split(split_in),
        transform(data_in, input_size(module_in, data_in), options_in.augmentation),
        optimizer(module_in.parameters(), options_in),
        view(data_in.view(split_in)) {
    const std::int64_t used = images_used(options, view);
    view.indices = view.indices.first(static_cast<std::size_t>(used));
    batch_size = std::min<std::int64_t>(options.batch_size, used);
    steps_per_epoch = used / batch_size;
    validated = split == Split::train && data.view(Split::valid).size() > 0;
    module.generator().set_current_seed(rng.fork("dropout").next());
  }

  bool finished() const {
    if (static_cast<int>(history.size()) >= options.epochs) return true;
    if (options.patience == 0) return false;
    double best = -1;
    int since = 0;
    for (const EpochResult& result : history) {
      if (!result.valid) continue;
      since = result.valid->accuracy > best ? 0 : since + 1;
      best = std::max(best, result.valid->accuracy);
    }
    return since >= options.patience;
  }

  // What a checkpoint must agree with.
  Json identity() const {
    return {{"network", fingerprint(module.graph()).to_string()},
            {"data",
             {{"name", data.name()},
              {"shape", data.shape()},
              {"classes", data.classes()},
              {"mean", std::vector<float>(data.mean().begin(), data.mean().end())},
              {"deviation", std::vector<float>(data.deviation().begin(), data.deviation().end())}}},
            {"images", view.size()},
            {"split", split_name(split)},
            {"rng", rng.to_string()},
            {"options", train_option_table().write(options)},
            {"threads", options.threads}};
  }

  // All tensors that training changes, by their names in a checkpoint. They share their values.
  std::map<std::string, at::Tensor> tensors() const {
    std::map<std::string, at::Tensor> tensors;
    for (const auto& [name, tensor] : module.state()) tensors.emplace("network." + name, tensor);
    for (const auto& [name, tensor] : optimizer.state()) {
      tensors.emplace("optimizer." + name, tensor);
    }
    tensors.emplace("generator", module.generator().get_state());
    return tensors;
  }

  GraphModule& module;
  const Dataset& data;
  TrainOptions options;
  Rng rng;
  Split split;
  ImageTransform transform;
  Optimizer optimizer;
  SplitView view;
  std::int64_t batch_size = 0, steps_per_epoch = 0;
  bool validated = false;
  std::vector<EpochResult> history;
};

Trainer::Trainer(GraphModule& module, const Dataset& data, const TrainOptions& options,
                 const Rng& rng, Split split)
    : implementation_(std::make_unique<Implementation>(module, data, options, rng, split)) {}

Trainer::~Trainer() = default;

std::optional<EpochResult> Trainer::run_epoch(const std::function<bool()>& stop_requested,
                                              const std::function<void()>& on_step) {
  Implementation& state = *implementation_;
  assert(!finished());
  const TorchThreads threads(state.options.threads);
  const at::AutoGradMode grad(true);
  GraphModule& module = state.module;
  module.train();

  // The order and the augmentation of an epoch depend on its number only.
  const std::size_t epoch = state.history.size();
  std::vector<std::uint32_t> order(state.view.indices.begin(), state.view.indices.end());
  state.rng.fork("order").fork(epoch).shuffle(order);
  const Rng augmentation = state.rng.fork("augmentation").fork(epoch);

  double loss_sum = 0;
  std::int64_t correct = 0;
  for (std::int64_t step = 0; step < state.steps_per_epoch; ++step) {
    if (stop_requested && stop_requested()) return std::nullopt;
    Rng draw = augmentation.fork(static_cast<std::uint64_t>(step));
    const Batch batch =
        make_batch(state.transform, *state.view.images,
                   std::span(order).subspan(static_cast<std::size_t>(step * state.batch_size),
                                            static_cast<std::size_t>(state.batch_size)),
                   draw);
    const at::Tensor labels = batch.labels.to(module.options().device);
    module.zero_grad();
    const at::Tensor logits = module.forward(moved(batch.images, module));
    const at::Tensor loss = cross_entropy(logits, labels, state.options.label_smoothing);
    const double value = loss.item<double>();
    const double rate = learning_rate_at(
        state.options, static_cast<std::int64_t>(epoch) * state.steps_per_epoch + step,
        state.steps_per_epoch);
    if (!std::isfinite(value)) {
      throw NumericalError(fmt::format(
          "the training loss is {} in step {} of epoch {}, at a learning rate of {:.3g}; a lower "
          "learning_rate or a gradient_clip may help",
          std::abs(value), step + 1, epoch + 1, rate));  // NaN has a sign that says nothing
    }
    loss.backward();
    if (state.options.gradient_clip > 0) {
      state.optimizer.clip_gradients(state.options.gradient_clip);
    }
    state.optimizer.step(rate);
    loss_sum += value;
    correct += count_correct(logits.detach(), labels);
    if (on_step) on_step();
  }
  module.zero_grad();

  EpochResult result{.epoch = static_cast<int>(epoch) + 1,
                     .train_loss = loss_sum / static_cast<double>(state.steps_per_epoch),
                     .train_accuracy = percent(correct, state.steps_per_epoch * state.batch_size)};
  if (state.validated &&
      (result.epoch % state.options.validate_every == 0 || result.epoch == state.options.epochs)) {
    result.valid = evaluate(module, state.data, Split::valid, state.options.threads);
  }
  state.history.push_back(result);
  return result;
}

bool Trainer::finished() const { return implementation_->finished(); }

const std::vector<EpochResult>& Trainer::history() const { return implementation_->history; }

std::int64_t Trainer::steps_per_epoch() const { return implementation_->steps_per_epoch; }

void Trainer::save(const std::filesystem::path& path) const {
  const Implementation& state = *implementation_;
  Json history = Json::array();
  for (const EpochResult& result : state.history) history.push_back(to_json(result));
  write_tensors(path, {.tensors = state.tensors(),
                       .info = {{"format", "espalier checkpoint"},
                                {"version", format_version},
                                {"training", state.identity()},
                                {"history", std::move(history)}}});
}

void Trainer::load(const std::filesystem::path& path) {
  Implementation& state = *implementation_;
  const TensorFile file = read_tensors(path);
  const auto refuse = [&path](const std::string& why) { throw IoError(path.string(), why); };
  if (!file.info.is_object() || !file.info.contains("format") ||
      file.info["format"] != "espalier checkpoint") {
    refuse("not a checkpoint of a training");
  }
  std::vector<EpochResult> history;
  try {
    if (const int version = file.info.at("version").get<int>(); version != format_version) {
      refuse(fmt::format("a checkpoint of version {}, but this program reads version {}", version,
                         format_version));
    }
    const Json ours = state.identity(), theirs = file.info.at("training");
    if (ours != theirs) {
      const auto at =
          Json::json_pointer(Json::diff(theirs, ours).at(0).at("path").get<std::string>());
      refuse(fmt::format("the checkpoint of another training: {} is {} there and {} here{}",
                         at.to_string(), theirs.value(at, Json()).dump(),
                         ours.value(at, Json()).dump(),
                         at.to_string() == "/threads" ? "; continue with the same thread count, "
                                                        "on which the weights' last bits depend"
                                                      : ""));
    }
    for (const Json& result : file.info.at("history")) history.push_back(epoch_from_json(result));
  } catch (const Json::exception& error) {
    refuse(fmt::format("corrupt checkpoint: {}", error.what()));
  }

  std::map<std::string, at::Tensor> tensors = state.tensors();
  for (const auto& [name, tensor] : tensors) {
    const auto found = file.tensors.find(name);
    if (found == file.tensors.end() || found->second.sizes() != tensor.sizes() ||
        found->second.scalar_type() != tensor.scalar_type()) {
      refuse(
          fmt::format("the checkpoint of another network: the tensor {} is not there or of "
                      "another shape",
                      name));
    }
  }
  const at::NoGradGuard no_grad;
  for (auto& [name, tensor] : tensors) tensor.copy_(file.tensors.at(name));
  state.module.generator().set_state(tensors.at("generator"));
  state.history = std::move(history);
}

TrainResult train(GraphModule& module, const Dataset& data, const TrainOptions& options,
                  const Rng& rng, const TrainRun& run) {
  Trainer trainer(module, data, options, rng, run.split);
  if (!run.checkpoint.empty() && std::filesystem::exists(run.checkpoint)) {
    trainer.load(run.checkpoint);
  }
  std::optional<Progress> progress;
  if (!run.progress.empty()) {
    progress.emplace(run.progress,
                     static_cast<std::uint64_t>(options.epochs * trainer.steps_per_epoch()));
  }
  std::uint64_t step =
      trainer.history().size() * static_cast<std::uint64_t>(trainer.steps_per_epoch());
  std::string note;
  TrainResult result;
  while (!trainer.finished()) {
    const std::optional<EpochResult> epoch = trainer.run_epoch(run.stop_requested, [&] {
      ++step;
      if (progress) progress->update(step, note);
    });
    if (!epoch) {
      result.stopped = true;
      break;
    }
    if (!run.checkpoint.empty()) trainer.save(run.checkpoint);
    note = fmt::format("epoch {}: loss {:.3f}", epoch->epoch, epoch->train_loss);
    if (epoch->valid) note += fmt::format(", valid {:.2f}%", epoch->valid->accuracy);
    if (progress) progress->update(step, note);
    if (run.on_epoch) run.on_epoch(*epoch);
  }
  module.eval();
  result.history = trainer.history();
  if (!result.history.empty()) result.valid = result.history.back().valid;
  return result;
}

Evaluation evaluate(GraphModule& module, const Dataset& data, Split split, int threads_used) {
  constexpr std::size_t batch_size = 256;
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
    const Batch batch = make_batch(transform, *view.images, indices, unused);
    const at::Tensor labels = batch.labels.to(module.options().device);
    const at::Tensor logits = module.forward(moved(batch.images, module));
    loss_sum += cross_entropy(logits, labels).item<double>() * static_cast<double>(indices.size());
    correct += count_correct(logits, labels);
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
