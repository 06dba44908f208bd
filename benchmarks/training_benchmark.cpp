// What a training step of a small MobileNet costs, and what of it is the data path. Two threads.
#include <ATen/ATen.h>
#include <benchmark/benchmark.h>

#include <memory>
#include <numeric>
#include <utility>
#include <vector>

#include "graph/blocks.hpp"
#include "graph/cost.hpp"
#include "nets/graph_module.hpp"
#include "training/batch.hpp"
#include "training/catalogue.hpp"
#include "training/losses.hpp"
#include "training/optimizer.hpp"
#include "training/threads.hpp"

namespace {

using namespace espalier;

constexpr int batch_size = 128;
constexpr AugmentationOptions augmentation{.horizontal_flip = true, .crop_padding = 2, .cutout = 8};

std::shared_ptr<const Dataset> data() {
  static const auto data = dataset_registry().create(
      {{"type", "synthetic"}, {"images", 6000}, {"valid_fraction", 0}}, "");
  return data;
}

// About 3 M MACs on 1x28x28.
Graph mobile_net() {
  GraphBuilder b;
  NodeId x = conv_bn_act(b, b.input(1, 28, 28), 16, {.conv = {.kernel = 3, .stride = 2}});
  const std::vector<std::pair<int, int>> blocks{{16, 1}, {24, 1}, {40, 2},
                                                {40, 1}, {80, 2}, {80, 1}};
  for (const auto& [channels, stride] : blocks) {
    x = mbconv(b, x, channels,
               {.expanded_channels = 3 * b.channels(x).value(), .kernel = 3, .stride = stride},
               "block");
  }
  b.output(b.linear(b.flatten(b.global_avg_pool(x)), 10));
  return b.build();
}

std::vector<std::uint32_t> some_indices() {
  std::vector<std::uint32_t> indices(batch_size);
  std::iota(indices.begin(), indices.end(), 0u);
  return indices;
}

void data_path(benchmark::State& state) {
  const TorchThreads threads(2);
  const ImageTransform transform(*data(), {28, 28}, augmentation);
  const auto indices = some_indices();
  Rng rng(1);
  for (auto _ : state) {
    benchmark::DoNotOptimize(
        make_batch(transform, *data()->view(Split::train).images, indices, rng).images);
  }
}
BENCHMARK(data_path)->UseRealTime()->Unit(benchmark::kMillisecond);

void step(benchmark::State& state, bool with_data_path) {
  const TorchThreads threads(2);
  GraphModule module(mobile_net());
  module.reset_parameters(Rng(1));
  Optimizer optimizer(module.parameters(), {});
  const ImageTransform transform(*data(), {28, 28}, augmentation);
  const auto indices = some_indices();
  Rng rng(1);
  const auto next = [&] {
    return make_batch(transform, *data()->view(Split::train).images, indices, rng);
  };
  Batch batch = next();
  for (auto _ : state) {
    if (with_data_path) batch = next();
    module.zero_grad();
    cross_entropy(module.forward(batch.images), batch.labels).backward();
    optimizer.step(0.01);
  }
  state.counters["M MACs"] = static_cast<double>(cost(module.graph()).macs) / 1e6;
}
BENCHMARK_CAPTURE(step, of_the_network_alone, false)->UseRealTime()->Unit(benchmark::kMillisecond);
BENCHMARK_CAPTURE(step, with_the_data_path, true)->UseRealTime()->Unit(benchmark::kMillisecond);

void optimizer_step(benchmark::State& state) {
  const TorchThreads threads(2);
  GraphModule module(mobile_net());
  module.reset_parameters(Rng(1));
  Optimizer optimizer(module.parameters(), {});
  Rng rng(1);
  const Batch batch = make_batch(ImageTransform(*data(), {28, 28}),
                                 *data()->view(Split::train).images, some_indices(), rng);
  cross_entropy(module.forward(batch.images), batch.labels).backward();
  for (auto _ : state) optimizer.step(0.01);
}
BENCHMARK(optimizer_step)->UseRealTime()->Unit(benchmark::kMillisecond);

}  // namespace
