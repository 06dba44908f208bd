// A slow, plain interpreter of concrete graphs for one sample, as an oracle for passes.
#pragma once

#include <algorithm>
#include <cmath>
#include <map>
#include <string>
#include <vector>

#include "core/rng.hpp"
#include "graph/graph.hpp"

namespace espalier {

/// The tensors of one node: "weight", "bias", "mean", "variance".
using NodeWeights = std::map<std::string, std::vector<double>>;

class Interpreter {
 public:
  explicit Interpreter(std::uint64_t seed) : rng_(seed) {}

  /// Tensors that a node has instead of random ones.
  std::map<std::string, NodeWeights> given;

  /// A node's tensor: random, from its name and kind alone; variances are positive.
  std::vector<double> weights(const std::string& node, const std::string& kind,
                              std::size_t count) const {
    if (const auto it = given.find(node); it != given.end()) return it->second.at(kind);
    Rng rng = rng_.fork(node).fork(kind);
    std::vector<double> values(count);
    for (double& v : values) v = kind == "variance" ? 0.5 + rng.uniform() : rng.uniform() - 0.5;
    return values;
  }

  /// The values of the output.
  std::vector<double> run(const Graph& graph) const {
    std::vector<std::vector<double>> values(graph.size());
    for (NodeId i = 0; i < graph.size(); ++i) values[i] = node(graph, i, values);
    return values.back();
  }

 private:
  using Values = std::vector<double>;

  static std::size_t extent(const Shape& shape, std::size_t axis) {
    return static_cast<std::size_t>(shape[axis].value());
  }

  Values node(const Graph& graph, NodeId id, const std::vector<Values>& values) const {
    const Node& n = graph.node(id);
    const std::string& name = graph.name(id);
    const auto in = [&](std::size_t k) -> const Values& { return values[graph.inputs(id)[k]]; };
    const auto in_shape = [&]() -> const Shape& { return graph.node(graph.inputs(id)[0]).shape; };
    const auto count = static_cast<std::size_t>(n.shape.elements());
    Values y(count, 0.0);
    if (std::holds_alternative<op::Input>(n.op)) return weights("the input", "weight", count);
    if (const auto* conv = std::get_if<op::Conv2d>(&n.op)) {
      return convolution(*conv, in(0), in_shape(), n.shape, name);
    }
    if (const auto* pool = std::get_if<op::Pool2d>(&n.op)) {
      return pooling(*pool, in(0), in_shape(), n.shape);
    }
    if (const auto* norm = std::get_if<op::BatchNorm2d>(&n.op)) {
      const std::size_t channels = extent(n.shape, 0), area = count / channels;
      const Values mean = weights(name, "mean", channels);
      const Values variance = weights(name, "variance", channels);
      const Values gamma = norm->affine ? weights(name, "weight", channels) : Values(channels, 1);
      const Values beta = norm->affine ? weights(name, "bias", channels) : Values(channels, 0);
      for (std::size_t i = 0; i < count; ++i) {
        const std::size_t c = i / area;
        y[i] = (in(0)[i] - mean[c]) / std::sqrt(variance[c] + static_cast<double>(norm->eps)) *
                   gamma[c] +
               beta[c];
      }
      return y;
    }
    if (const auto* linear = std::get_if<op::Linear>(&n.op)) {
      const std::size_t features = extent(n.shape, n.shape.rank - 1);
      const std::size_t fan_in = in(0).size() / (count / features);
      const Values weight = weights(name, "weight", features * fan_in);
      const Values bias = linear->bias ? weights(name, "bias", features) : Values(features, 0);
      for (std::size_t i = 0; i < count; ++i) {
        y[i] = bias[i % features];
        for (std::size_t k = 0; k < fan_in; ++k) {
          y[i] += weight[i % features * fan_in + k] * in(0)[i / features * fan_in + k];
        }
      }
      return y;
    }
    if (const auto* act = std::get_if<op::Activation>(&n.op)) {
      for (std::size_t i = 0; i < count; ++i) y[i] = activation(act->kind, in(0)[i]);
      return y;
    }
    // Of a tensor's value, the channel it belongs to.
    const auto channel = [&](std::size_t i) {
      return n.shape.rank == 3 ? i / (extent(n.shape, 1) * extent(n.shape, 2))
                               : i % extent(n.shape, n.shape.rank - 1);
    };
    if (const auto* slice = std::get_if<op::Slice>(&n.op)) {
      const auto axis = static_cast<std::size_t>(slice->axis.value());
      std::size_t inner = 1;
      for (std::size_t k = axis + 1; k < n.shape.rank; ++k) inner *= extent(n.shape, k);
      const std::size_t kept = extent(n.shape, axis), all = extent(in_shape(), axis);
      const auto begin = static_cast<std::size_t>(slice->begin.value());
      for (std::size_t i = 0; i < count; ++i) {
        const std::size_t outer = i / (kept * inner), at = i / inner % kept + begin;
        y[i] = in(0)[(outer * all + at) * inner + i % inner];
      }
      return y;
    }
    if (const auto* shuffle = std::get_if<op::ChannelShuffle>(&n.op)) {
      const auto groups = static_cast<std::size_t>(shuffle->groups.value());
      const std::size_t per_group = extent(n.shape, 0) / groups, area = count / extent(n.shape, 0);
      for (std::size_t g = 0; g < groups; ++g) {
        for (std::size_t k = 0; k < per_group; ++k) {
          for (std::size_t i = 0; i < area; ++i) {
            y[(k * groups + g) * area + i] = in(0)[(g * per_group + k) * area + i];
          }
        }
      }
      return y;
    }
    if (const auto* norm = std::get_if<op::LayerNorm>(&n.op)) {
      const std::size_t channels = extent(n.shape, n.shape.rank == 3 ? 0 : n.shape.rank - 1);
      const std::size_t places = count / channels;
      const Values gamma = norm->affine ? weights(name, "weight", channels) : Values(channels, 1);
      const Values beta = norm->affine ? weights(name, "bias", channels) : Values(channels, 0);
      const auto at = [&](std::size_t c, std::size_t place) {
        return n.shape.rank == 3 ? c * places + place : place * channels + c;
      };
      for (std::size_t place = 0; place < places; ++place) {
        double mean = 0, variance = 0;
        for (std::size_t c = 0; c < channels; ++c) mean += in(0)[at(c, place)];
        mean /= static_cast<double>(channels);
        for (std::size_t c = 0; c < channels; ++c) {
          variance += (in(0)[at(c, place)] - mean) * (in(0)[at(c, place)] - mean);
        }
        variance /= static_cast<double>(channels);
        const double deviation = std::sqrt(variance + static_cast<double>(norm->eps));
        for (std::size_t c = 0; c < channels; ++c) {
          y[at(c, place)] = (in(0)[at(c, place)] - mean) / deviation * gamma[c] + beta[c];
        }
      }
      return y;
    }
    if (std::holds_alternative<op::Scale>(n.op)) {
      const std::size_t channels = extent(n.shape, n.shape.rank == 3 ? 0 : n.shape.rank - 1);
      const Values factor = weights(name, "weight", channels);
      for (std::size_t i = 0; i < count; ++i) y[i] = in(0)[i] * factor[channel(i)];
      return y;
    }
    if (std::holds_alternative<op::Tokens>(n.op)) {
      const std::size_t tokens = extent(n.shape, 0), channels = extent(n.shape, 1);
      for (std::size_t i = 0; i < count; ++i) {
        y[i] = in(0)[i % channels * tokens + i / channels];
      }
      return y;
    }
    if (std::holds_alternative<op::ClassToken>(n.op)) {
      y = weights(name, "weight", extent(n.shape, 1));
      y.insert(y.end(), in(0).begin(), in(0).end());
      return y;
    }
    if (std::holds_alternative<op::PositionEmbedding>(n.op)) {
      y = weights(name, "weight", count);
      for (std::size_t i = 0; i < count; ++i) y[i] += in(0)[i];
      return y;
    }
    if (const auto* attention = std::get_if<op::Attention>(&n.op)) {
      const std::size_t tokens = extent(n.shape, 0), channels = extent(n.shape, 1);
      const auto width = static_cast<std::size_t>(attention->head_width.value());
      for (std::size_t first = 0; first < channels; first += width) {
        for (std::size_t q = 0; q < tokens; ++q) {
          Values share(tokens);
          double sum = 0;
          for (std::size_t k = 0; k < tokens; ++k) {
            double product = 0;
            for (std::size_t c = first; c < first + width; ++c) {
              product += in(0)[q * channels + c] * in(1)[k * channels + c];
            }
            share[k] = std::exp(product / std::sqrt(static_cast<double>(width)));
            sum += share[k];
          }
          for (std::size_t k = 0; k < tokens; ++k) {
            for (std::size_t c = first; c < first + width; ++c) {
              y[q * channels + c] += share[k] / sum * in(2)[k * channels + c];
            }
          }
        }
      }
      return y;
    }
    if (const auto* deform = std::get_if<op::DeformConv2d>(&n.op)) {
      return deformed(*deform, graph, id, values);
    }
    if (std::holds_alternative<op::GlobalAvgPool>(n.op)) {
      const std::size_t area = in(0).size() / count;
      for (std::size_t i = 0; i < in(0).size(); ++i) {
        y[i / area] += in(0)[i] / static_cast<double>(area);
      }
      return y;
    }
    if (std::holds_alternative<op::Add>(n.op)) {
      for (std::size_t k = 0; k < n.input_count; ++k) {
        for (std::size_t i = 0; i < count; ++i) y[i] += in(k)[i];
      }
      return y;
    }
    if (std::holds_alternative<op::Multiply>(n.op)) {
      const std::size_t repeat = count / in(1).size();
      for (std::size_t i = 0; i < count; ++i) y[i] = in(0)[i] * in(1)[i / repeat];
      return y;
    }
    if (std::holds_alternative<op::Concat>(n.op)) {
      y.clear();
      for (std::size_t k = 0; k < n.input_count; ++k) {
        y.insert(y.end(), in(k).begin(), in(k).end());
      }
      return y;
    }
    if (std::holds_alternative<op::Zero>(n.op)) return y;
    return in(0);  // flatten, dropout, output
  }

  static double activation(ActivationKind kind, double x) {
    switch (kind) {
      case ActivationKind::relu:
        return std::max(x, 0.0);
      case ActivationKind::relu6:
        return std::clamp(x, 0.0, 6.0);
      case ActivationKind::hard_swish:
        return x * std::clamp(x + 3, 0.0, 6.0) / 6;
      case ActivationKind::hard_sigmoid:
        return std::clamp(x + 3, 0.0, 6.0) / 6;
      case ActivationKind::sigmoid:
        return 1 / (1 + std::exp(-x));
      case ActivationKind::swish:
        return x / (1 + std::exp(-x));
      case ActivationKind::gelu:
        return 0.5 * x * (1 + std::erf(x / std::sqrt(2.0)));
      case ActivationKind::tanh:
        return std::tanh(x);
    }
    return 0;
  }

  /// Calls f(output index, input index, position in the window) for each pair of places, one
  /// channel.
  template <class Window, class F>
  static void windows(const Window& op, Extent dilation, const Shape& in, const Shape& out, F&& f) {
    const std::int64_t height = in[1].value(), width = in[2].value();
    for (std::int64_t i = 0; i < out[1].value(); ++i) {
      for (std::int64_t j = 0; j < out[2].value(); ++j) {
        for (std::int64_t u = 0; u < op.kernel.h.value(); ++u) {
          for (std::int64_t v = 0; v < op.kernel.w.value(); ++v) {
            const std::int64_t y =
                i * op.stride.h.value() - op.padding.h.value() + u * dilation.h.value();
            const std::int64_t x =
                j * op.stride.w.value() - op.padding.w.value() + v * dilation.w.value();
            if (y < 0 || x < 0 || y >= height || x >= width) continue;
            f(static_cast<std::size_t>(i * out[2].value() + j),
              static_cast<std::size_t>(y * width + x),
              static_cast<std::size_t>(u * op.kernel.w.value() + v));
          }
        }
      }
    }
  }

  Values convolution(const op::Conv2d& conv, const Values& x, const Shape& in, const Shape& out,
                     const std::string& name) const {
    const std::size_t in_channels = extent(in, 0), channels = extent(out, 0);
    const std::size_t in_area = x.size() / in_channels, area = extent(out, 1) * extent(out, 2);
    const auto width = static_cast<std::size_t>(conv.group_width.value());
    const std::size_t fan_in = width == 0 ? in_channels : width;
    const std::size_t per_group = channels / (in_channels / fan_in);
    const auto places = static_cast<std::size_t>((conv.kernel.h * conv.kernel.w).value());
    const Values weight = weights(name, "weight", channels * fan_in * places);
    const Values bias = conv.bias ? weights(name, "bias", channels) : Values(channels, 0);
    Values y(channels * area);
    for (std::size_t c = 0; c < channels; ++c) {
      for (std::size_t i = 0; i < area; ++i) y[c * area + i] = bias[c];
      for (std::size_t k = 0; k < fan_in; ++k) {
        const std::size_t from = c / per_group * fan_in + k;
        windows(conv, conv.dilation, in, out, [&](std::size_t o, std::size_t i, std::size_t w) {
          y[c * area + o] += weight[(c * fan_in + k) * places + w] * x[from * in_area + i];
        });
      }
    }
    return y;
  }

  Values deformed(const op::DeformConv2d& conv, const Graph& graph, NodeId id,
                  const std::vector<Values>& values) const {
    const auto inputs = graph.inputs(id);
    const Shape &in = graph.node(inputs[0]).shape, &out = graph.node(id).shape;
    const Values &x = values[inputs[0]], &offsets = values[inputs[1]];
    const std::int64_t height = in[1].value(), width = in[2].value();
    const std::int64_t kh = conv.kernel.h.value(), kw = conv.kernel.w.value(), places = kh * kw;
    const std::int64_t in_channels = in[0].value(), channels = out[0].value();
    const std::int64_t area = out[1].value() * out[2].value();
    const std::int64_t runs = graph.node(inputs[1]).shape[0].value() / (2 * places);
    const std::int64_t group_width = conv.group_width.value();
    const std::int64_t fan_in = group_width == 0 ? in_channels : group_width;
    const std::int64_t per_group = channels / (in_channels / fan_in);
    const auto index = [](std::int64_t i) { return static_cast<std::size_t>(i); };
    const Values weight = weights(graph.name(id), "weight", index(channels * fan_in * places));
    const Values bias =
        conv.bias ? weights(graph.name(id), "bias", index(channels)) : Values(index(channels), 0);
    const auto pixel = [&](std::int64_t c, std::int64_t row, std::int64_t column) {
      const bool inside = row >= 0 && column >= 0 && row < height && column < width;
      return inside ? x[index((c * height + row) * width + column)] : 0.0;
    };
    Values y(index(channels * area));
    for (std::int64_t c = 0; c < channels; ++c) {
      for (std::int64_t at = 0; at < area; ++at) {
        double& sum = y[index(c * area + at)];
        sum = bias[index(c)];
        for (std::int64_t k = 0; k < fan_in * places; ++k) {
          const std::int64_t from = c / per_group * fan_in + k / places, place = k % places;
          const std::int64_t slot = from / (in_channels / runs) * places + place;
          const double row =
              static_cast<double>(at / out[2].value() * conv.stride.h.value() -
                                  conv.padding.h.value() + place / kw * conv.dilation.h.value()) +
              offsets[index(2 * slot * area + at)];
          const double column =
              static_cast<double>(at % out[2].value() * conv.stride.w.value() -
                                  conv.padding.w.value() + place % kw * conv.dilation.w.value()) +
              offsets[index((2 * slot + 1) * area + at)];
          const auto top = static_cast<std::int64_t>(std::floor(row));
          const auto left = static_cast<std::int64_t>(std::floor(column));
          const double down = row - static_cast<double>(top);
          const double right = column - static_cast<double>(left);
          double value = (1 - down) * ((1 - right) * pixel(from, top, left) +
                                       right * pixel(from, top, left + 1)) +
                         down * ((1 - right) * pixel(from, top + 1, left) +
                                 right * pixel(from, top + 1, left + 1));
          if (inputs.size() > 2) value *= values[inputs[2]][index(slot * area + at)];
          sum += weight[index(c * fan_in * places + k)] * value;
        }
      }
    }
    return y;
  }

  static Values pooling(const op::Pool2d& pool, const Values& x, const Shape& in,
                        const Shape& out) {
    const std::size_t channels = extent(in, 0);
    const std::size_t in_area = x.size() / channels, area = extent(out, 1) * extent(out, 2);
    Values y(channels * area);
    for (std::size_t c = 0; c < channels; ++c) {
      std::vector<Values> seen(area);
      windows(pool, 1, in, out, [&](std::size_t o, std::size_t i, std::size_t) {
        seen[o].push_back(x[c * in_area + i]);
      });
      for (std::size_t o = 0; o < area; ++o) {
        double sum = 0;
        for (double v : seen[o]) sum += v / static_cast<double>(seen[o].size());
        y[c * area + o] =
            pool.kind == PoolKind::max ? *std::max_element(seen[o].begin(), seen[o].end()) : sum;
      }
    }
    return y;
  }

  Rng rng_;
};

}  // namespace espalier
