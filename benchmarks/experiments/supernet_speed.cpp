// Times training steps of the supernets of supernet_speed.py, which runs this program in turn with
// PyTorch: supernet_speed KIND STEPS THREADS [profile | recomputed | bfloat16]. Prints a line of
// JSON. `profile` adds the time in dense 3x3 convolutions, forward and backward, to it; the others
// train with recomputed activations, or in bfloat16.
#include <ATen/ATen.h>
#include <ATen/record_function.h>
#include <sys/resource.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>
#include <vector>

#include "core/json.hpp"
#include "core/memory.hpp"
#include "nets/supernet.hpp"
#include "search_spaces/mobilenet_v3.hpp"
#include "search_spaces/nasbench201.hpp"
#include "search_spaces/sampling.hpp"
#include "training/losses.hpp"
#include "training/optimizer.hpp"
#include "training/threads.hpp"

using namespace espalier;

namespace {

struct Draws {
  std::uint64_t state = 1;
  std::uint32_t below(std::uint32_t count) {
    state = state * 6364136223846793005u + 1442695040888963407u;
    return static_cast<std::uint32_t>(state >> 33) % count;
  }
};

using Clock = std::chrono::steady_clock;

/// Seconds in dense 3x3 convolutions, forward and backward.
double convolution_seconds = 0;

struct Begin : at::ObserverContext {
  Clock::time_point time = Clock::now();
};

void profile_convolutions() {
  const auto begin =
      [](const at::RecordFunction& function) -> std::unique_ptr<at::ObserverContext> {
    const std::string name = function.name();
    const std::size_t place = name == "aten::convolution"            ? 1
                              : name == "aten::convolution_backward" ? 2
                                                                     : 0;
    if (place == 0) return nullptr;
    const at::Tensor weight = function.inputs()[place].toTensor();
    const bool dense = weight.size(1) > 1 && weight.size(2) == 3 && weight.size(3) == 3;
    return dense ? std::make_unique<Begin>() : nullptr;
  };
  const auto end = [](const at::RecordFunction&, at::ObserverContext* context) {
    if (context == nullptr) return;
    const std::chrono::duration<double> taken = Clock::now() - static_cast<Begin*>(context)->time;
    convolution_seconds += taken.count();
  };
  at::addGlobalCallback(at::RecordFunctionCallback(begin, end).needsInputs(true));
}

}  // namespace

int main(int argc, char** argv) {
  keep_freed_memory();
  const std::string mode = argc > 4 ? argv[4] : "";
  if (argc < 4) {
    std::fprintf(stderr, "usage: supernet_speed KIND STEPS THREADS [MODE]\n");
    return 2;
  }
  const std::string kind = argv[1];
  const bool cell = kind == "nasbench201";
  const int steps = std::atoi(argv[2]);
  const TorchThreads threads(std::atoi(argv[3]));
  const std::unique_ptr<SupergraphSpace> space =
      cell ? make_nasbench201() : make_mobilenet_v3({.input = {3, 64, 64}, .classes = 10});
  Supernet net(*space->supergraph());
  net.reset_parameters(Rng(1));
  net.train();
  if (mode == "recomputed") net.set_activations(Activations::recomputed);
  if (mode == "bfloat16") net.set_precision(Precision::bfloat16);
  const TrainOptions options{
      .optimizer = OptimizerKind::sgd, .momentum = 0.9, .weight_decay = 4e-5};
  Optimizer optimizer(net.parameters(), options);
  const at::Tensor x = at::randn(cell ? std::vector<std::int64_t>{64, 3, 32, 32}
                                      : std::vector<std::int64_t>{16, 3, 64, 64})
                           .contiguous(at::MemoryFormat::ChannelsLast);
  const at::Tensor y = at::randint(10, {x.size(0)}, at::kLong);

  // In PyTorch's order: a stage's depth, then kernel and expansion of each of its blocks.
  Draws draws;
  const auto random = [&] {
    Architecture a;
    for (const Decision& d : space->decisions()) {
      a.choices.push_back(draws.below(static_cast<std::uint32_t>(d.options.size())));
    }
    return a;
  };
  const Architecture largest = largest_architecture(*space);
  const Architecture smallest = smallest_architecture(*space);
  const auto subnets = [&]() -> std::vector<Architecture> {
    if (kind == "ofa_largest") return {largest};
    if (kind != "ofa_sandwich") return {random()};
    std::vector<Architecture> all{largest, smallest};
    all.push_back(random());
    all.push_back(random());
    return all;
  };

  if (!cell) cross_entropy(net.forward(x, largest), y, 0).backward();
  Json seconds = Json::array();
  for (int step = 0; step <= steps; ++step) {
    if (step == 1 && mode == "profile") profile_convolutions();
    const auto begin = Clock::now();
    net.zero_grad();
    at::Tensor teacher;
    for (const Architecture& a : subnets()) {
      const at::Tensor logits = net.forward(x, a);
      const at::Tensor loss =
          teacher.defined() ? distillation_loss(logits, teacher) : cross_entropy(logits, y, 0);
      loss.backward();
      if (!teacher.defined()) teacher = logits.detach();
    }
    optimizer.step(0.01);
    const std::chrono::duration<double> taken = Clock::now() - begin;
    if (step > 0) seconds.push_back(taken.count());
  }
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  Json result = {{"seconds", seconds}, {"peak_bytes", usage.ru_maxrss * 1024}};
  if (mode == "profile") result["convolution_3x3_seconds"] = convolution_seconds;
  std::puts(result.dump().c_str());
}
