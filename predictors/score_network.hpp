// What neural predictors are made of. Includes LibTorch: for their sources and tests alone.
#pragma once

#include <ATen/ATen.h>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <utility>
#include <vector>

#include "core/rng.hpp"
#include "predictors/losses.hpp"
#include "predictors/predictor.hpp"

namespace espalier {

/// LibTorch's operators, called from this thread, use no other one until the end of the scope.
class OneThread {
 public:
  OneThread();
  ~OneThread();
  OneThread(const OneThread&) = delete;
  OneThread& operator=(const OneThread&) = delete;

 private:
  int before_;
};

/// Weights of a network, drawn one after the other from one generator.
class Weights {
 public:
  explicit Weights(Rng rng, at::ScalarType type = at::kFloat);
  /// Drawn uniformly from [-bound, bound).
  at::Tensor uniform(at::IntArrayRef sizes, double bound);
  at::Tensor normal(at::IntArrayRef sizes);
  at::Tensor constant(at::IntArrayRef sizes, double value);
  const std::vector<at::Tensor>& list() const { return list_; }
  at::ScalarType type() const { return type_; }

 private:
  at::Tensor add(at::Tensor values);
  at::Generator generator_;
  at::ScalarType type_;
  std::vector<at::Tensor> list_;
};

/// x {.., in} -> x W^T + b {.., out}; both drawn from [-1 / sqrt(in), 1 / sqrt(in)).
struct Linear {
  Linear() = default;
  Linear(Weights& weights, std::int64_t in, std::int64_t out);
  at::Tensor operator()(const at::Tensor& x) const;
  at::Tensor weight, bias;
};

/// Linear layers with a ReLU and dropout behind each but the last one.
struct Layers {
  Layers() = default;
  Layers(Weights& weights, std::span<const std::int64_t> widths, double drops);
  /// Without a generator, nothing is dropped.
  at::Tensor operator()(at::Tensor x, at::Generator* generator) const;
  std::vector<Linear> linear;
  double dropout = 0;  ///< share of what is dropped
};

/// The state {n, width} and the cell {n, width} of an LSTM behind one symbol: `read` {n, 4 width}
/// is what the symbol gives to the gates, `state` what the state before does, both in the order
/// input, forget, candidate, output.
std::pair<at::Tensor, at::Tensor> lstm_step(const at::Tensor& read, const Linear& state,
                                            const at::Tensor& held, const at::Tensor& cell);

/// x {.., n} / |x|, along the last dimension.
at::Tensor of_length_one(const at::Tensor& x);

/// Drops values with a probability, and scales the others; without a generator, x itself.
at::Tensor dropped(const at::Tensor& x, double probability, at::Generator* generator);

at::Generator generator_of(Rng rng);

/// The rows of a list of networks, as 64-bit integers.
using Rows = std::span<const std::int64_t>;
at::Tensor row_tensor(Rows rows);

/// Scores {rows}, or those of a relation {rows,2}, of rows of the networks that it was made for;
/// with a generator, as in training.
using Scorer = std::function<at::Tensor(Rows rows, at::Generator* generator)>;

/// A network that scores networks.
class ScoreNetwork {
 public:
  virtual ~ScoreNetwork() = default;
  virtual Scorer scorer(std::span<const Features> networks) const = 0;
  virtual const std::vector<at::Tensor>& weights() const = 0;
};

}  // namespace espalier
