#include "training/shared_training.hpp"

#include <ATen/ATen.h>
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cassert>
#include <map>
#include <optional>
#include <utility>

#include "core/progress.hpp"
#include "nets/supernet.hpp"
#include "training/augmentation.hpp"
#include "training/batch.hpp"
#include "training/losses.hpp"
#include "training/step_training.hpp"
#include "training/supernet_trainer.hpp"
#include "training/threads.hpp"
#include "training/train_loop.hpp"

namespace espalier {
namespace {

// NAME-EPOCH.EXTENSION; empty for an empty path.
std::filesystem::path of_epoch(const std::filesystem::path& checkpoint, int epoch) {
  if (checkpoint.empty()) return {};
  std::filesystem::path file = checkpoint;
  file.replace_filename(
      fmt::format("{}-{}{}", checkpoint.stem().string(), epoch, checkpoint.extension().string()));
  return file;
}

class SupernetSharedTraining : public SharedTraining, private StepTraining {
 public:
  SupernetSharedTraining(Supernet& supernet, std::shared_ptr<const SearchSpace> space,
                         std::shared_ptr<const Dataset> data, const SupernetOptions& options)
      : own_(supernet),
        space_(std::move(space)),
        data_(std::move(data)),
        options_(options),
        held_out_(data_->view(Split::valid)) {
    const Graph& graph = own_.supergraph().graph();
    require_fit(graph.node(graph.input()).shape, graph.node(graph.output()).shape, *data_);
    assert(held_out_.size() > 0);
  }

  void begin(const Rng& rng) override {
    begin(rng, {.learn = [this](const TrainStep& step) { return learn(step); }}, {});
  }
  void begin(const Rng& rng, OwnSteps steps, const TrainingStage& stage) override {
    loop_.reset();
    other_.reset();
    stage_ = stage;
    if (stage.space) {
      other_ =
          std::make_unique<Supernet>(*stage.space->supergraph(), own_.options(), own_.sharing());
    }
    supernet().reset_parameters(rng.fork("weights"));
    SupernetOptions of_stage = options_;
    if (stage.epochs > 0) {
      of_stage.train = at_fidelity(options_.train, static_cast<double>(stage.epochs) / epochs());
    }
    loop_ = std::make_unique<TrainLoop>(
        Learner{.module = &supernet(),
                .identity = supernet_identity(stage.space ? *stage.space : *space_, of_stage),
                .learn = std::move(steps.learn),
                .tensors = std::move(steps.tensors),
                .second_share = steps.second_share},
        *data_, of_stage.train, rng.fork("train"), Split::train);
    supernet().eval();
    ++begins_;
  }
  StepTraining* by_steps() override { return this; }
  int begins() const override { return begins_; }

  int epochs() const override { return options_.train.epochs; }
  int trained_epochs() const override {
    return stage_.begin + (loop_ ? static_cast<int>(loop_->history().size()) : 0);
  }

  bool train(int epochs, const StepArchitectures& draw, const TrainRun& run) override {
    draw_ = &draw;
    return train(epochs, run);
  }
  bool train(int epochs, const TrainRun& run) override {
    const Resting afterwards(*this);
    const int last = stage_.epochs > 0 ? stage_.begin + stage_.epochs : this->epochs();
    const int before = trained_epochs(), end = std::min(before + epochs, last);
    for (int epoch = end; epoch > before && !run.checkpoint.empty(); --epoch) {
      if (!std::filesystem::exists(of_epoch(run.checkpoint, epoch))) continue;
      loop_->load(of_epoch(run.checkpoint, epoch));
      break;
    }
    std::optional<Progress> progress;
    const auto steps = static_cast<std::uint64_t>(loop_->steps_per_epoch());
    std::uint64_t step = static_cast<std::uint64_t>(trained_epochs()) * steps;
    if (!run.progress.empty() && trained_epochs() < end) {
      progress.emplace(run.progress, static_cast<std::uint64_t>(this->epochs()) * steps);
    }
    while (trained_epochs() < end) {
      const std::optional<EpochResult> epoch = loop_->run_epoch(run.stop_requested, [&] {
        if (progress) progress->update(++step, fmt::format("epoch {}", trained_epochs() + 1));
      });
      if (!epoch) return false;
      if (!run.checkpoint.empty()) {
        loop_->save(of_epoch(run.checkpoint, trained_epochs()));
        std::filesystem::remove(of_epoch(run.checkpoint, trained_epochs() - 1));
      }
      if (run.on_epoch) run.on_epoch(*epoch);
    }
    return true;
  }

  double batch_accuracy(const Architecture& a, Rng rng) override {
    const TorchThreads threads(options_.train.threads);
    const at::NoGradGuard no_grad;
    const Batch batch = draw(Images::held_out, input_size(a), rng);
    const Resting afterwards(*this);
    supernet().train();
    supernet().set_activation_ranges(ActivationRanges::fixed);
    supernet().set_dropout(false);
    const std::int64_t correct = count_correct(supernet().forward(batch.images, a), batch.labels);
    return percent(correct, batch.labels.size(0));
  }

  Supernet& supernet() override { return other_ ? *other_ : own_; }
  const TrainOptions& options() const override { return options_.train; }
  Batch draw(Images images, std::array<std::int64_t, 2> size, Rng rng) override {
    if (images == Images::second) return loop_->draw_second(size, rng);
    const auto transform = transforms_.try_emplace(size, *data_, size).first;
    return moved(draw_batch(transform->second, *held_out_.images, held_out_.indices,
                            static_cast<std::size_t>(options_.train.batch_size), rng),
                 supernet());
  }

  TensorFile state() const override {
    TensorFile state = loop_->state();
    for (auto& [name, tensor] : state.tensors) tensor = tensor.to(at::kCPU, false, /*copy=*/true);
    return state;
  }
  void restore(const TensorFile& state) override {
    loop_->set_weight_decay(
        state.info.at("training").at("options").at("weight_decay").get<double>());
    loop_->restore(state, "a state of this training");
    supernet().eval();
  }
  void set_weight_decay(double weight_decay) override { loop_->set_weight_decay(weight_decay); }

  void save(const std::filesystem::path& path) const override { loop_->save(path); }
  void load(const std::filesystem::path& path) override {
    loop_->load(path);
    supernet().eval();
  }

 private:
  // Leaves it as it is between calls, after an exception, too.
  class Resting {
   public:
    explicit Resting(SupernetSharedTraining& training) : training_(training) {}
    ~Resting() {
      training_.draw_ = nullptr;
      training_.supernet().set_activation_ranges(ActivationRanges::learned);
      training_.supernet().set_dropout(true);
      training_.supernet().eval();
    }
    Resting(const Resting&) = delete;
    Resting& operator=(const Resting&) = delete;

   private:
    SupernetSharedTraining& training_;
  };

  std::array<std::int64_t, 2> input_size(const Architecture& a) const {
    const Graph& graph = own_.supergraph().graph();
    const Shape& input = graph.node(graph.input()).shape;
    return {input[1].at(a.choices), input[2].at(a.choices)};
  }

  Learned learn(const TrainStep& step) {
    const std::vector<Architecture> architectures = (*draw_)(step.rng().fork("architectures"));
    assert(!architectures.empty());
    Learned learned;
    for (std::size_t i = 0; i < architectures.size(); ++i) {
      const Architecture& a = architectures[i];
      const Batch batch = step.batch(input_size(a));
      const at::Tensor logits = supernet().forward(batch.images, a);
      const at::Tensor loss = cross_entropy(logits, batch.labels, options_.train.label_smoothing);
      const double value = step.value(loss, [&] { return space_->to_string(a); });
      (loss / static_cast<double>(architectures.size())).backward();
      if (i == 0) learned = {value, count_correct(logits.detach(), batch.labels)};
    }
    return learned;
  }

  Supernet& own_;  // of the run's space
  TrainingStage stage_;
  std::unique_ptr<Supernet> other_;  // of the stage's space, where it has one
  std::shared_ptr<const SearchSpace> space_;
  std::shared_ptr<const Dataset> data_;
  SupernetOptions options_;
  SplitView held_out_;
  std::unique_ptr<TrainLoop> loop_;
  int begins_ = 0;
  const StepArchitectures* draw_ = nullptr;  // while it trains
  std::map<std::array<std::int64_t, 2>, ImageTransform> transforms_;
};

}  // namespace

std::unique_ptr<SharedTraining> make_shared_training(Supernet& supernet,
                                                     std::shared_ptr<const SearchSpace> space,
                                                     std::shared_ptr<const Dataset> data,
                                                     const SupernetOptions& options) {
  return std::make_unique<SupernetSharedTraining>(supernet, std::move(space), std::move(data),
                                                  options);
}

}  // namespace espalier
