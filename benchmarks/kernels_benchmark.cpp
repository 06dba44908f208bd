// The operators of nets/kernels, forward and backward, beside LibTorch's: batch 64, 32 channels,
// 32x32, two threads. The counters: memory traffic and arithmetic of the loops a second, and how
// many times as long LibTorch takes in its default layout and with channels last. Both run in turn;
// the ratios are medians of paired ones.
#include <ATen/ATen.h>
#include <benchmark/benchmark.h>

#include <algorithm>
#include <chrono>
#include <functional>
#include <vector>

#include "nets/kernels/functions.hpp"
#include "training/threads.hpp"

namespace {

using namespace espalier;
using namespace espalier::kernels;
using Function = std::function<at::Tensor(const at::Tensor&)>;

constexpr std::int64_t channels = 32;

/// Seconds of one forward and backward pass.
double seconds(const Function& f, const at::Tensor& x, const at::Tensor& dy) {
  const auto begin = std::chrono::steady_clock::now();
  f(x).backward(dy);
  const std::chrono::duration<double> taken = std::chrono::steady_clock::now() - begin;
  x.mutable_grad().reset();
  return taken.count();
}

double median(std::vector<double> values) {
  std::ranges::nth_element(values, values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2));
  return values[values.size() / 2];
}

/// `passes`: how often the tensor is read or written at least; `products` multiply-accumulates a
/// number.
void compare(benchmark::State& state, const Function& ours, const Function& theirs, double passes,
             double products) {
  const TorchThreads threads(2);
  const at::Tensor plain = at::randn({64, channels, 32, 32}).set_requires_grad(true);
  const at::Tensor last =
      plain.detach().contiguous(at::MemoryFormat::ChannelsLast).set_requires_grad(true);
  const at::Tensor out = ours(last).detach();
  const at::Tensor dy = at::randn_like(out), plain_dy = dy.contiguous();
  std::vector<double> own, to_plain, to_last;
  for (int warm = 0; warm < 2; ++warm) {
    seconds(ours, last, dy), seconds(theirs, plain, plain_dy), seconds(theirs, last, dy);
  }
  for (auto _ : state) {
    const double time = seconds(ours, last, dy);
    state.SetIterationTime(time);
    own.push_back(time);
    to_plain.push_back(seconds(theirs, plain, plain_dy) / time);
    to_last.push_back(seconds(theirs, last, dy) / time);
  }
  const double time = median(own), numbers = static_cast<double>(plain.numel());
  state.counters["GB/s"] = passes * 4 * numbers / time / 1e9;
  state.counters["GFLOP/s"] = 2 * products * numbers / time / 1e9;
  state.counters["x_default"] = median(to_plain);
  state.counters["x_channels_last"] = median(to_last);
}

void depthwise(benchmark::State& state) {
  const std::int64_t k = state.range(0), stride = state.range(1), dilation = state.range(2);
  const std::int64_t padding = dilation * (k / 2);
  const at::Tensor weight = at::randn({channels, 1, k, k}).set_requires_grad(true);
  const double share = 1.0 / static_cast<double>(stride * stride);
  compare(
      state,
      [&](const at::Tensor& x) {
        return depthwise_conv2d(x, weight, {},
                                {{stride, stride}, {padding, padding}, {dilation, dilation}});
      },
      [&](const at::Tensor& x) {
        return at::conv2d(x, weight, {}, stride, padding, dilation, channels);
      },
      3 + 3 * share, 3 * static_cast<double>(k * k) * share);
}
BENCHMARK(depthwise)
    ->ArgsProduct({{3, 5, 7}, {1, 2}, {1}})
    ->ArgsProduct({{3, 5}, {1}, {2}})
    ->UseManualTime()
    ->Unit(benchmark::kMillisecond);

void average_pool(benchmark::State& state) {
  const std::int64_t stride = state.range(0);
  compare(
      state,
      [&](const at::Tensor& x) {
        return avg_pool2d(x, {3, 3}, {{stride, stride}, {1, 1}}, false, false);
      },
      [&](const at::Tensor& x) { return at::avg_pool2d(x, 3, stride, 1, false, false); }, 4, 9);
}
BENCHMARK(average_pool)->Arg(1)->Arg(2)->UseManualTime()->Unit(benchmark::kMillisecond);

void max_pool(benchmark::State& state) {
  const std::int64_t stride = state.range(0);
  compare(
      state,
      [&](const at::Tensor& x) {
        return max_pool2d(x, {3, 3}, {{stride, stride}, {1, 1}}, false);
      },
      [&](const at::Tensor& x) { return at::max_pool2d(x, 3, stride, 1); }, 4.5, 0);
}
BENCHMARK(max_pool)->Arg(1)->Arg(2)->UseManualTime()->Unit(benchmark::kMillisecond);

void batch_norm_then(benchmark::State& state) {
  const auto f = static_cast<Epilogue>(state.range(0));
  state.SetLabel(f == Epilogue::none    ? "none"
                 : f == Epilogue::relu  ? "relu"
                 : f == Epilogue::relu6 ? "relu6"
                                        : "hard_swish");
  const at::Tensor weight = at::ones({channels}).set_requires_grad(true);
  const at::Tensor bias = at::zeros({channels}).set_requires_grad(true);
  const at::Tensor mean = at::zeros({channels}), variance = at::ones({channels});
  compare(
      state,
      [&](const at::Tensor& x) {
        return batch_norm(x, {weight, bias, mean, variance, true}, f);
      },
      [&](const at::Tensor& x) {
        const at::Tensor z =
            at::batch_norm(x, weight, bias, mean, variance, true, 0.1, 1e-5, false);
        return f == Epilogue::none    ? z
               : f == Epilogue::relu  ? at::relu(z)
               : f == Epilogue::relu6 ? at::hardtanh(z, 0, 6)
                                      : at::hardswish(z);
      },
      8, 8);
}
BENCHMARK(batch_norm_then)->DenseRange(0, 3)->UseManualTime()->Unit(benchmark::kMillisecond);

void squeeze_excitation_product(benchmark::State& state) {
  const at::Tensor factors = at::rand({64, channels, 1, 1}).set_requires_grad(true);
  compare(
      state, [&](const at::Tensor& x) { return scale_images(x, factors); },
      [&](const at::Tensor& x) { return x * factors; }, 5, 3);
}
BENCHMARK(squeeze_excitation_product)->UseManualTime()->Unit(benchmark::kMillisecond);

void mixed_edge(benchmark::State& state) {
  const at::Tensor weights = at::rand({5}).set_requires_grad(true);
  compare(
      state,
      [&](const at::Tensor& x) { return weighted_sum(std::vector<at::Tensor>(5, x), weights); },
      [&](const at::Tensor& x) {
        at::Tensor sum = weights[0] * x;
        for (int i = 1; i < 5; ++i) sum = sum + weights[i] * x;
        return sum;
      },
      17, 15);
}
BENCHMARK(mixed_edge)->UseManualTime()->Unit(benchmark::kMillisecond);

}  // namespace
