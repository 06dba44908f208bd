#include "strategies/dense_net.hpp"

#include <algorithm>
#include <cassert>
#include <cmath>
#include <utility>

#include "strategies/vectors.hpp"

namespace espalier {

DenseNet::DenseNet(std::vector<std::size_t> widths, DenseOutput output, Rng rng)
    : widths_(std::move(widths)), output_(output) {
  widths_.push_back(1);
  for (std::size_t layer = 0; layer + 1 < widths_.size(); ++layer) {
    const double bound = 1 / std::sqrt(static_cast<double>(widths_[layer]));
    for (std::size_t i = 0; i < (widths_[layer] + 1) * widths_[layer + 1]; ++i) {
      parameters_.push_back(bound * (2 * rng.uniform() - 1));
    }
  }
}

std::vector<double> DenseNet::forward(std::span<const double> inputs, std::size_t count) {
  assert(inputs.size() == count * widths_[0]);
  values_.assign(1, {inputs.begin(), inputs.end()});
  const double* weights = parameters_.data();
  for (std::size_t layer = 0; layer + 1 < widths_.size(); ++layer) {
    const std::size_t read = widths_[layer], made = widths_[layer + 1];
    std::vector<double> values(count * made);
    for (std::size_t i = 0; i < count; ++i) {
      const double* from = values_[layer].data() + i * read;
      double* to = values.data() + i * made;
      std::copy_n(weights + read * made, made, to);
      for (std::size_t k = 0; k < read; ++k) {
        if (from[k] != 0) add_multiple(from[k], weights + k * made, to, made);
      }
    }
    const bool last = layer + 2 == widths_.size();
    if (!last) {
      for (double& value : values) value = std::max(value, 0.0);
    } else if (output_ == DenseOutput::sigmoid) {
      for (double& value : values) value = 1 / (1 + std::exp(-value));
    }
    values_.push_back(std::move(values));
    weights += (read + 1) * made;
  }
  return values_.back();
}

std::vector<double> DenseNet::backward(std::span<const double> output_gradients,
                                       std::span<double> gradient) {
  assert(output_gradients.size() == values_.back().size());
  assert(gradient.size() == parameters_.size());
  const std::size_t count = output_gradients.size();
  std::vector<double> above(output_gradients.begin(), output_gradients.end());
  if (output_ == DenseOutput::sigmoid) {
    for (std::size_t i = 0; i < count; ++i) {
      above[i] *= values_.back()[i] * (1 - values_.back()[i]);
    }
  }
  std::size_t begin = parameters_.size();
  for (std::size_t layer = widths_.size() - 1; layer-- > 0;) {
    const std::size_t read = widths_[layer], made = widths_[layer + 1];
    begin -= (read + 1) * made;
    std::vector<double> below(count * read);
    for (std::size_t i = 0; i < count; ++i) {
      const double* from = values_[layer].data() + i * read;
      const double* d_to = above.data() + i * made;
      add_multiple(1, d_to, gradient.data() + begin + read * made, made);
      for (std::size_t k = 0; k < read; ++k) {
        const std::size_t row = begin + k * made;
        if (from[k] != 0) add_multiple(from[k], d_to, gradient.data() + row, made);
        if (layer > 0 && from[k] == 0) continue;  // ReLU lets nothing through
        below[i * read + k] = dot(parameters_.data() + row, d_to, made);
      }
    }
    above = std::move(below);
  }
  return above;
}

}  // namespace espalier
