#include "training/train_loop.hpp"

#include <ATen/ATen.h>
#include <fmt/format.h>

#include <algorithm>
#include <cassert>
#include <cmath>
#include <span>
#include <string>
#include <utility>

#include "core/error.hpp"
#include "core/progress.hpp"
#include "training/schedule.hpp"
#include "training/threads.hpp"

namespace espalier {
namespace {

constexpr int format_version = 1;  // of a checkpoint

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

// How many of a split's images are trained on.
std::int64_t images_used(const TrainOptions& options, const SplitView& view) {
  return std::max<std::int64_t>(
      1, std::llround(options.train_fraction * static_cast<double>(view.size())));
}

TrainOptions checked(const TrainOptions& options, const Dataset& data, Split split,
                     const ModuleBase& module) {
  check_train_options(options, data, split, "", module.options().device.str());
  return options;
}

// How a module computes, until the end of the scope.
class ComputeScope {
 public:
  ComputeScope(ModuleBase& module, const TrainOptions& options) : module_(module) {
    module.set_precision(options.precision);
    module.set_activations(options.activations);
  }
  ~ComputeScope() {
    module_.set_precision(Precision::float32);
    module_.set_activations(Activations::kept);
  }
  ComputeScope(const ComputeScope&) = delete;
  ComputeScope& operator=(const ComputeScope&) = delete;

 private:
  ModuleBase& module_;
};

}  // namespace

void require_fit(const Shape& input, const Shape& output, const Dataset& data) {
  if (input[0] != Dim(data.shape()[0])) {
    throw ShapeError(fmt::format("the network reads images of {} channels, but {} has {}",
                                 input[0].to_string(), data.name(), data.shape()[0]));
  }
  if (output.rank != 1 || output[0] != Dim(data.classes())) {
    throw ShapeError(fmt::format("the network's output is {}, but {} has {} classes",
                                 output.to_string(), data.name(), data.classes()));
  }
}

Batch moved(Batch batch, const ModuleBase& module) {
  return {batch.images.to(module.options().device, module.options().dtype),
          batch.labels.to(module.options().device)};
}

void require_same_training(const std::filesystem::path& file, const Json& theirs,
                           const Json& ours) {
  if (theirs == ours) return;
  const auto at = Json::json_pointer(Json::diff(theirs, ours).at(0).at("path").get<std::string>());
  throw IoError(
      file.string(),
      fmt::format("the checkpoint of another training: {} is {} there and {} here{}",
                  at.to_string(), theirs.value(at, Json()).dump(), ours.value(at, Json()).dump(),
                  at.to_string() == "/threads"
                      ? "; continue with the same thread count, on which the weights' "
                        "last bits depend"
                      : ""));
}

double percent(std::int64_t part, std::int64_t all) {
  return 100.0 * static_cast<double>(part) / static_cast<double>(all);
}

std::int64_t count_correct(const at::Tensor& logits, const at::Tensor& labels) {
  return logits.argmax(1).eq(labels).sum().item<std::int64_t>();
}

void check_train_options(const TrainOptions& options, const Dataset& data, Split split,
                         const std::string& pointer, const std::string& device) {
  if (split != Split::train && split != Split::train_and_valid) {
    throw Error(fmt::format("the split {} is not for training; take train or train_and_valid",
                            split_name(split)));
  }
  const OptionTable<TrainOptions> table = train_option_table();
  table.read(table.write(options), pointer);
  if (options.threads < 1) {
    throw ConfigError(pointer + "/threads", fmt::format("{} is not >= 1", options.threads));
  }
  if (options.precision == Precision::bfloat16 && !has_bfloat16(device)) {
    throw ConfigError(
        pointer + "/precision",
        fmt::format("bfloat16 needs a GPU or a CPU with AVX-512 BF16, which {} is not "
                    "here; write \"float32\"",
                    device));
  }
  try {
    ImageTransform(data, {data.shape()[1], data.shape()[2]}, options.augmentation);
  } catch (const ConfigError& error) {
    throw error.within(pointer + "/augmentation");
  }
  const SplitView view = data.view(split);
  if (const std::int64_t used = images_used(options, view); used < 2) {
    throw ConfigError(pointer + "/train_fraction",
                      fmt::format("{} of the {} images of {} is {}, but training needs 2",
                                  options.train_fraction, view.size(), data.name(), used));
  } else if (const std::int64_t batch = std::min<std::int64_t>(options.batch_size, used);
             used < batch * options.accumulate) {
    throw ConfigError(pointer + "/accumulate",
                      fmt::format("{} batches of {} are more than the {} images that are used",
                                  options.accumulate, batch, used));
  }
}

TrainStep::TrainStep(TrainLoop& loop, std::int64_t epoch, std::int64_t step, std::int64_t part,
                     double rate, std::span<const std::uint32_t> indices)
    : loop_(loop),
      epoch_(epoch),
      step_(step),
      part_(part),
      rate_(rate),
      rng_(loop.rng_.fork("step")
               .fork(static_cast<std::uint64_t>(epoch))
               .fork(static_cast<std::uint64_t>(step))),
      indices_(indices) {}

Batch TrainStep::batch(std::array<std::int64_t, 2> size) const {
  Rng draw = loop_.rng_.fork("augmentation")
                 .fork(static_cast<std::uint64_t>(epoch_))
                 .fork(static_cast<std::uint64_t>(step_));
  if (part_ > 0) draw = draw.fork("part").fork(static_cast<std::uint64_t>(part_));
  return moved(make_batch(loop_.transform(size), *loop_.view_.images, indices_, draw),
               *loop_.learner_.module);
}

Batch TrainStep::second_batch(std::array<std::int64_t, 2> size) const {
  if (loop_.second_.empty()) return batch(size);
  return loop_.draw_second(size, rng_.fork("second").fork(static_cast<std::uint64_t>(part_)));
}

const Optimizer& TrainStep::optimizer() const { return loop_.optimizer_; }

double TrainStep::value(const at::Tensor& loss, const std::function<std::string()>& of) const {
  const double value = loss.item<double>();
  if (!std::isfinite(value)) {
    throw NumericalError(fmt::format(
        "the training loss is {} in step {} of epoch {}{}, at a learning rate of {:.3g}; a lower "
        "learning_rate or a gradient_clip may help",
        std::abs(value), step_ + 1, epoch_ + 1, of ? ", of " + of() : "",
        rate_));  // NaN has a sign that says nothing
  }
  return value;
}

TrainLoop::TrainLoop(Learner learner, const Dataset& data, const TrainOptions& options,
                     const Rng& rng, Split split)
    : learner_(std::move(learner)),
      data_(data),
      options_(checked(options, data, split, *learner_.module)),
      rng_(rng.fork("training")),
      split_(split),
      optimizer_(learner_.module->parameters(), options),
      view_(data.view(split)) {
  const std::int64_t all = images_used(options_, view_);
  const auto second =
      static_cast<std::int64_t>(std::llround(learner_.second_share * static_cast<double>(all)));
  const std::int64_t used = all - second;
  if (used < 2 || (learner_.second_share > 0 && second < 2)) {
    throw ConfigError("/train_fraction",
                      fmt::format("of {} images, {} for the weights and {} for the architecture "
                                  "are too few, each needs 2; write a larger train_fraction",
                                  all, used, second));
  }
  second_ = view_.indices.subspan(static_cast<std::size_t>(used), static_cast<std::size_t>(second));
  view_.indices = view_.indices.first(static_cast<std::size_t>(used));
  batch_size_ = std::min<std::int64_t>(options_.batch_size, used);
  steps_per_epoch_ = used / (batch_size_ * options_.accumulate);
  if (steps_per_epoch_ == 0) {  // of a part of the images that was checked as a whole
    throw ConfigError("/accumulate",
                      fmt::format("{} batches of {} are more than the {} images of the weights",
                                  options_.accumulate, batch_size_, used));
  }
  learner_.module->generator().set_current_seed(rng_.fork("dropout").next());
}

bool TrainLoop::finished() const {
  if (static_cast<int>(history_.size()) >= options_.epochs) return true;
  if (options_.patience == 0) return false;
  double best = -1;
  int since = 0;
  for (const EpochResult& result : history_) {
    if (!result.valid) continue;
    since = result.valid->accuracy > best ? 0 : since + 1;
    best = std::max(best, result.valid->accuracy);
  }
  return since >= options_.patience;
}

const ImageTransform& TrainLoop::transform(std::array<std::int64_t, 2> size) {
  const auto found = transforms_.find(size);
  if (found != transforms_.end()) return found->second;
  return transforms_.emplace(size, ImageTransform(data_, size, options_.augmentation))
      .first->second;
}

Batch TrainLoop::draw_second(std::array<std::int64_t, 2> size, Rng rng) {
  return moved(draw_batch(transform(size), *view_.images, second_,
                          static_cast<std::size_t>(batch_size_), rng),
               *learner_.module);
}

Json TrainLoop::identity() const {
  Json result = {
      {"network", learner_.identity},
      {"data",
       {{"name", data_.name()},
        {"shape", data_.shape()},
        {"classes", data_.classes()},
        {"mean", std::vector<float>(data_.mean().begin(), data_.mean().end())},
        {"deviation", std::vector<float>(data_.deviation().begin(), data_.deviation().end())}}},
      {"images", view_.size()},
      {"split", split_name(split_)},
      {"rng", rng_.to_string()},
      {"options", train_option_table().write(options_)},
      {"threads", options_.threads}};
  if (learner_.second_share > 0) result["second_share"] = learner_.second_share;
  return result;
}

std::map<std::string, at::Tensor> TrainLoop::tensors() const {
  std::map<std::string, at::Tensor> tensors;
  for (const auto& [name, tensor] : learner_.module->state()) {
    tensors.emplace("network." + name, tensor);
  }
  for (const auto& [name, tensor] : optimizer_.state()) {
    tensors.emplace("optimizer." + name, tensor);
  }
  tensors.emplace("generator", learner_.module->generator().get_state());
  for (const auto& [name, tensor] : learner_.tensors) {
    tensors.emplace("strategy." + name, tensor.detach());
  }
  return tensors;
}

std::optional<EpochResult> TrainLoop::run_epoch(const std::function<bool()>& stop_requested,
                                                const std::function<void()>& on_step) {
  assert(!finished());
  const TorchThreads threads(options_.threads);
  const at::AutoGradMode grad(true);
  ModuleBase& module = *learner_.module;
  module.train();
  const ComputeScope scope(module, options_);

  // The order of an epoch depends on its number only.
  const std::size_t epoch = history_.size();
  std::vector<std::uint32_t> order(view_.indices.begin(), view_.indices.end());
  rng_.fork("order").fork(epoch).shuffle(order);

  double loss_sum = 0;
  std::int64_t correct = 0;
  for (std::int64_t s = 0; s < steps_per_epoch_; ++s) {
    if (stop_requested && stop_requested()) return std::nullopt;
    module.zero_grad();
    const double rate = learning_rate_at(
        options_, static_cast<std::int64_t>(epoch) * steps_per_epoch_ + s, steps_per_epoch_);
    for (std::int64_t part = 0; part < options_.accumulate; ++part) {
      const std::int64_t batch = s * options_.accumulate + part;
      const TrainStep step(*this, static_cast<std::int64_t>(epoch), s, part, rate,
                           std::span(order).subspan(static_cast<std::size_t>(batch * batch_size_),
                                                    static_cast<std::size_t>(batch_size_)));
      const Learned learned = learner_.learn(step);
      loss_sum += learned.loss;
      correct += learned.correct;
    }
    if (options_.accumulate > 1) optimizer_.scale_gradients(1.0 / options_.accumulate);
    if (options_.gradient_clip > 0) optimizer_.clip_gradients(options_.gradient_clip);
    optimizer_.step(rate);
    if (on_step) on_step();
  }
  module.zero_grad();

  const std::int64_t batches = steps_per_epoch_ * options_.accumulate;
  EpochResult result{.epoch = static_cast<int>(epoch) + 1,
                     .train_loss = loss_sum / static_cast<double>(batches),
                     .train_accuracy = percent(correct, batches * batch_size_)};
  if (learner_.validate &&
      (result.epoch % options_.validate_every == 0 || result.epoch == options_.epochs)) {
    result.valid = learner_.validate();
  }
  history_.push_back(result);
  return result;
}

TensorFile TrainLoop::state() const {
  Json history = Json::array();
  for (const EpochResult& result : history_) history.push_back(to_json(result));
  return {.tensors = tensors(),
          .info = {{"format", "espalier checkpoint"},
                   {"version", format_version},
                   {"training", identity()},
                   {"history", std::move(history)}}};
}

void TrainLoop::save(const std::filesystem::path& path) const { write_tensors(path, state()); }

void TrainLoop::load(const std::filesystem::path& path) { restore(read_tensors(path), path); }

void TrainLoop::set_weight_decay(double weight_decay) {
  options_.weight_decay = weight_decay;
  optimizer_.set_weight_decay(weight_decay);
}

void TrainLoop::restore(const TensorFile& file, const std::filesystem::path& path) {
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
    require_same_training(path, file.info.at("training"), identity());
    for (const Json& result : file.info.at("history")) history.push_back(epoch_from_json(result));
  } catch (const Json::exception& error) {
    refuse(fmt::format("corrupt checkpoint: {}", error.what()));
  }

  std::map<std::string, at::Tensor> ours = tensors();
  for (const auto& [name, tensor] : ours) {
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
  for (auto& [name, tensor] : ours) tensor.copy_(file.tensors.at(name));
  learner_.module->generator().set_state(ours.at("generator"));
  history_ = std::move(history);
}

TrainResult TrainLoop::run(const TrainRun& run) {
  if (!run.checkpoint.empty() && std::filesystem::exists(run.checkpoint)) load(run.checkpoint);
  std::uint64_t step = history_.size() * static_cast<std::uint64_t>(steps_per_epoch_);
  std::optional<Progress> progress;
  if (!run.progress.empty()) {
    progress.emplace(run.progress, static_cast<std::uint64_t>(options_.epochs * steps_per_epoch_),
                     ProgressOptions{.done = step});
  }
  std::string note;
  TrainResult result;
  while (!finished()) {
    const std::optional<EpochResult> epoch = run_epoch(run.stop_requested, [&] {
      ++step;
      if (progress) progress->update(step, note);
    });
    if (!epoch) {
      result.stopped = true;
      break;
    }
    if (!run.checkpoint.empty()) save(run.checkpoint);
    note = fmt::format("epoch {}: loss {:.3f}", epoch->epoch, epoch->train_loss);
    if (epoch->valid) note += fmt::format(", valid {:.2f}%", epoch->valid->accuracy);
    if (progress) progress->update(step, note);
    if (run.on_epoch) run.on_epoch(*epoch);
  }
  learner_.module->eval();
  result.history = history_;
  if (!result.history.empty()) result.valid = result.history.back().valid;
  return result;
}

}  // namespace espalier
