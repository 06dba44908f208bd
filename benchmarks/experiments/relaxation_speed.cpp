// Steps of differentiable strategies: seconds, peak memory, and the loss of a written relaxation.
//
//   relaxation_speed STRATEGY SPACE BATCH STEPS [FILE]
//
// STRATEGY: darts, gdas, pc_darts. SPACE: darts (16 channels, 8 cells) or nasbench201 (16 channels,
// 5 cells a stage). With FILE, the first weights, architecture parameters and a batch are written
// there, and the loss of their relaxation is printed.
#include <fmt/format.h>
#include <sys/resource.h>
#include <torch/types.h>

#include <chrono>
#include <cstdlib>
#include <memory>
#include <string>
#include <vector>

#include "core/error.hpp"
#include "core/memory.hpp"
#include "nets/supernet.hpp"
#include "search_spaces/darts.hpp"
#include "search_spaces/nasbench201.hpp"
#include "strategies/darts.hpp"
#include "strategies/sampled_paths.hpp"
#include "training/loaders.hpp"
#include "training/losses.hpp"
#include "training/shared_training.hpp"
#include "training/step_training.hpp"
#include "training/tensor_file.hpp"
#include "training/threads.hpp"

namespace espalier {
namespace {

using Clock = std::chrono::steady_clock;

/// A strategy that notes when its steps begin.
template <class S>
class Timed : public S {
 public:
  using S::forward;
  using S::parameters;
  using S::relaxed;
  using S::S;
  using typename S::Part;
  using typename S::Pass;

  std::vector<double> seconds() const {
    std::vector<double> result;
    for (std::size_t i = 1; i < begins_.size(); ++i) {
      result.push_back(std::chrono::duration<double>(begins_[i] - begins_[i - 1]).count());
    }
    return result;
  }
  double loss(const Batch& batch) {
    const at::NoGradGuard no_grad;
    Pass pass{Part::architecture, 0, 1, Rng(1)};
    return cross_entropy(forward(batch, relaxed(pass)), batch.labels, 0).template item<double>();
  }

 protected:
  void learn_architecture(const TrainStep& step) override {
    begins_.push_back(Clock::now());
    S::learn_architecture(step);
  }

 private:
  std::vector<Clock::time_point> begins_;
};

template <class S, class Options>
void measure(const std::shared_ptr<const SearchSpace>& space, Options options, int batch, int steps,
             const std::string& file) {
  constexpr int threads = 2;
  options.warmup = 0;
  options.eigenvalue_every = 0;
  options.monitor_batches = 1;
  SyntheticOptions images{.shape = {3, 32, 32}, .classes = 10, .images = 2 * batch * (steps + 2)};
  const auto data = std::make_shared<const Dataset>(
      "synthetic", synthetic_images(images, DatasetPart::training),
      [images] { return synthetic_images(images, DatasetPart::test); }, 1.0 / (steps + 2));
  Supernet net(*space->supergraph());
  const std::shared_ptr<SharedTraining> training = make_shared_training(
      net, space, data,
      {.train = {.epochs = 1,
                 .batch_size = batch,
                 .learning_rate = 0.025,
                 .nesterov = false,
                 .weight_decay = 3e-4,
                 .gradient_clip = 5,
                 .threads = threads},
       .rule = RuleKind::strategy});
  const auto metrics = std::make_shared<const MetricTable>(
      std::vector<MetricInfo>{{"accuracy", "%", Direction::maximize}});
  RunContext context{.space = space,
                     .goals = Goals(*metrics, {{"accuracy", Direction::maximize}}),
                     .rng = Rng(1)};
  context.shared_training = training;
  Timed<S> search(context, options);
  if (!file.empty()) {
    const TorchThreads guard(threads);
    const Batch drawn =
        training->by_steps()->draw(StepTraining::Images::second, {32, 32}, Rng(2));
    TensorFile out;
    for (const auto& [name, tensor] : net.state()) out.tensors.emplace(name, tensor.contiguous());
    for (std::size_t d = 0; d < search.parameters().decisions().size(); ++d) {
      out.tensors.emplace("alpha." + search.parameters().decisions()[d].name,
                          search.parameters().part(search.parameters().values().detach(), d));
    }
    out.tensors.emplace("images", drawn.images.contiguous());
    out.tensors.emplace("labels", drawn.labels);
    write_tensors(file, out);
    net.train();
    fmt::print("loss {:.9f}\n", search.loss(drawn));
  }
  search.ask(1);
  std::vector<double> seconds = search.seconds();
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  fmt::print("seconds");
  for (const double one : seconds) fmt::print(" {:.3f}", one);
  std::ranges::sort(seconds);
  fmt::print("\nmedian {:.3f} s, peak {:.2f} GB\n", seconds[seconds.size() / 2],
             static_cast<double>(usage.ru_maxrss) * 1024 / 1e9);
}

void run(int count, char** arguments) {
  if (count < 5) throw Error("usage: relaxation_speed STRATEGY SPACE BATCH STEPS [FILE]");
  const std::string strategy = arguments[1], kind = arguments[2];
  const int batch = std::atoi(arguments[3]), steps = std::atoi(arguments[4]);
  const std::string file = count > 5 ? arguments[5] : "";
  std::shared_ptr<const SearchSpace> space;
  const bool darts = kind == "darts";
  if (darts) {
    space = make_darts({.channels = 16, .layers = 8});
  } else {
    space = make_nasbench201();
  }
  const auto with = [&](auto options) {
    options.normalize_pools = darts;
    return options;
  };
  if (strategy == "darts") {
    measure<Darts>(space, with(DartsSearchOptions{}), batch, steps, file);
  } else if (strategy == "gdas") {
    measure<Gdas>(space, with(GdasOptions{}), batch, steps, file);
  } else if (strategy == "pc_darts") {
    measure<PcDarts>(space, with(PcDartsOptions{}), batch, steps, file);
  } else {
    throw Error("no strategy " + strategy);
  }
}

}  // namespace
}  // namespace espalier

int main(int count, char** arguments) {
  espalier::keep_freed_memory();
  try {
    espalier::run(count, arguments);
  } catch (const espalier::Error& error) {
    fmt::print(stderr, "{}\n", error.what());
    return 1;
  }
  return 0;
}
