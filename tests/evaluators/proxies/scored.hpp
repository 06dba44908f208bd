// Networks and images small enough to work out what proxies score.
#pragma once

#include <ATen/ATen.h>

#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "evaluators/proxies/proxy.hpp"
#include "nets/graph_module.hpp"
#include "search_spaces/search_space.hpp"

namespace espalier {

/// A space of one network.
class SpaceOfOne : public SearchSpace {
 public:
  explicit SpaceOfOne(Graph graph) : SearchSpace({}), graph_(std::move(graph)) {}
  Graph build(const Architecture&) const override { return graph_; }

 private:
  Graph graph_;
};

constexpr std::uint64_t proxy_seed = 3;

inline double score_of(const std::function<double(const ProxyInput&)>& proxy, const Graph& graph,
                       const ImageBatch& images = {}) {
  const SpaceOfOne space(graph);
  const Architecture a;
  const Network network(space, a);
  const Rng rng(proxy_seed);
  return proxy({.network = network, .rng = rng, .images = images});
}

/// Normal pixels, {count, size, size, channels}; classes in turn.
inline ImageBatch normal_batch(std::int64_t count, std::int64_t size, std::int64_t channels,
                               std::int64_t classes) {
  ImageBatch batch;
  batch.shape = {count, size, size, channels};
  Rng rng(9);
  for (std::int64_t i = 0; i < count * size * size * channels; ++i) {
    batch.pixels.push_back(static_cast<float>(rng.normal()));
  }
  for (std::int64_t i = 0; i < count; ++i) batch.labels.push_back(i % classes);
  return batch;
}

/// The pixels in float64, {N,C,H,W}, one by one.
inline at::Tensor pixels_of(const ImageBatch& batch) {
  const auto& [n, height, width, channels] = batch.shape;
  at::Tensor result = at::empty({n, channels, height, width}, at::kDouble);
  auto to = result.accessor<double, 4>();
  std::size_t from = 0;
  for (std::int64_t i = 0; i < n; ++i) {
    for (std::int64_t y = 0; y < height; ++y) {
      for (std::int64_t x = 0; x < width; ++x) {
        for (std::int64_t c = 0; c < channels; ++c) to[i][c][y][x] = batch.pixels[from++];
      }
    }
  }
  return result;
}

/// The derivative of f at each value of a tensor, by central differences; in the tensor's shape.
inline at::Tensor differences(const at::Tensor& tensor, const std::function<double()>& f,
                              double step = 1e-6) {
  const at::NoGradGuard no_grad;
  const at::Tensor values = tensor.view(-1);
  at::Tensor result = at::empty_like(values);
  for (std::int64_t i = 0; i < values.numel(); ++i) {
    const double value = values[i].item<double>();
    values[i] = value + step;
    const double above = f();
    values[i] = value - step;
    result[i] = (above - f()) / (2 * step);
    values[i] = value;
  }
  return result.view(tensor.sizes());
}

}  // namespace espalier
