// Proxies that count which rectifiers are active for which images.
#include <fmt/format.h>
#include <torch/types.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <numeric>

#include "core/error.hpp"
#include "evaluators/proxies/activation_proxies.hpp"
#include "evaluators/proxies/drawn_networks.hpp"

namespace espalier {
namespace {

// On a feature map, and its output is positive where its input is.
bool is_rectifier(const Node& node) {
  const auto* activation = std::get_if<op::Activation>(&node.op);
  return activation != nullptr && node.shape.rank == 3 &&
         (activation->kind == ActivationKind::relu || activation->kind == ActivationKind::relu6 ||
          activation->kind == ActivationKind::hard_swish);
}

// Throws UnsupportedError for a graph without a rectifier.
void check_rectifiers(const Graph& graph, std::string_view proxy) {
  if (std::ranges::any_of(graph.nodes(), is_rectifier)) return;
  throw UnsupportedError(fmt::format(
      "the proxy \"{}\" counts activation patterns of relu, relu6 and hard_swish on feature maps, "
      "but the network has none",
      proxy));
}

// Which rectifier units are positive, bytes {N, units}.
at::Tensor activity(GraphModule& module, const at::Tensor& images) {
  std::vector<at::Tensor> parts;
  module.forward(images, [&](NodeId id, const at::Tensor& output) {
    if (!is_rectifier(module.graph().node(id))) return;
    parts.push_back(output.gt(0).to(torch::kCPU, torch::kByte).reshape({images.size(0), -1}));
  });
  return torch::cat(parts, 1);
}

// The number of different rows of bytes that are 0 or 1, {rows, columns}.
std::int64_t different_rows(const at::Tensor& bytes) {
  const at::Tensor rows = bytes.contiguous();
  const std::int64_t count = rows.size(0), columns = rows.size(1), words = (columns + 63) / 64;
  std::vector<std::uint64_t> bits(static_cast<std::size_t>(count * words), 0);
  const std::uint8_t* values = rows.data_ptr<std::uint8_t>();
  for (std::int64_t i = 0; i < count; ++i) {
    for (std::int64_t j = 0; j < columns; ++j) {
      bits[static_cast<std::size_t>(i * words + j / 64)] |= std::uint64_t{*values++} << (j % 64);
    }
  }
  const auto row = [&](std::int64_t i) { return bits.begin() + i * words; };
  std::vector<std::int64_t> order(static_cast<std::size_t>(count));
  std::iota(order.begin(), order.end(), 0);
  std::ranges::sort(order, [&](std::int64_t a, std::int64_t b) {
    return std::lexicographical_compare(row(a), row(a) + words, row(b), row(b) + words);
  });
  const auto end = std::unique(order.begin(), order.end(), [&](std::int64_t a, std::int64_t b) {
    return std::equal(row(a), row(a) + words, row(b));
  });
  return end - order.begin();
}

// ---- thin networks

constexpr std::int64_t crop_batches = 3, crop_batch = 1000, thin_draws = 3;

// The graph for images of one channel and `size` pixels a side, with all channels divided by those
// of the narrowest convolution. Throws ShapeError where operators do not fit each other.
Graph thin_network(const Graph& graph, std::int64_t size) {
  const auto is_depthwise = [](const op::Conv2d& conv) { return conv.group_width == Dim(1); };
  std::int64_t narrowest = max_attribute;
  for (const Node& node : graph.nodes()) {
    const auto* conv = std::get_if<op::Conv2d>(&node.op);
    if (conv != nullptr && !is_depthwise(*conv)) {
      narrowest = std::min(narrowest, conv->out_channels.value());
    }
  }
  Graph result;
  std::vector<NodeId> moved(graph.size()), inputs;
  for (NodeId id = 0; id <= graph.output(); ++id) {
    inputs.clear();
    for (NodeId input : graph.inputs(id)) inputs.push_back(moved[input]);
    Op op = graph.node(id).op;
    const auto* slice = std::get_if<op::Slice>(&op);
    if (auto* in = std::get_if<op::Input>(&op)) {
      *in = {1, size, size};
    } else if (auto* conv = std::get_if<op::Conv2d>(&op)) {
      if (!is_depthwise(*conv)) {
        conv->out_channels = conv->out_channels.value() / narrowest;
        conv->group_width = 0;
      }
    } else if ((slice != nullptr && slice->axis == Dim(0)) ||
               std::holds_alternative<op::ChannelShuffle>(op) ||
               std::holds_alternative<op::DeformConv2d>(op)) {
      throw UnsupportedError(fmt::format(
          "the proxy \"linear_regions\" scores a thin form of the network, but the operator {} "
          "has none",
          op_name(op)));
    }
    moved[id] = result.add(op, inputs, graph.name(id));
  }
  return result;
}

Graph thin_network(const Graph& graph, const ImageBatch& images) {
  const std::int64_t largest = std::min(images.shape[1], images.shape[2]);
  std::string reason = fmt::format("images of {} pixels are too small", largest);
  for (std::int64_t size = 4; size <= largest; size *= 2) {
    try {
      return thin_network(graph, size);
    } catch (const ShapeError& error) {
      reason = error.what();
    }
  }
  throw UnsupportedError(
      "the proxy \"linear_regions\" scores a thin form of the network, but this one has none: " +
      reason);
}

// Crops of one channel of the images, {count, 1, size, size}, each drawn.
at::Tensor crops(const ImageBatch& images, std::int64_t count, std::int64_t size, Rng& rng) {
  const auto& [n, height, width, channels] = images.shape;
  const at::Tensor result = torch::empty({count, 1, size, size}, torch::kFloat);
  float* out = result.data_ptr<float>();
  for (std::int64_t i = 0; i < count; ++i) {
    const std::int64_t image = rng.uniform_int(0, n - 1);
    const std::int64_t top = rng.uniform_int(0, height - size);
    const std::int64_t left = rng.uniform_int(0, width - size);
    const std::int64_t channel = rng.uniform_int(0, channels - 1);
    for (std::int64_t y = top; y < top + size; ++y) {
      for (std::int64_t x = left; x < left + size; ++x) {
        const std::int64_t at = ((image * height + y) * width + x) * channels + channel;
        *out++ = images.pixels[static_cast<std::size_t>(at)];
      }
    }
  }
  return result;
}

}  // namespace

double swap_score(const ProxyInput& input) {
  const at::NoGradGuard no_grad;
  const Graph& graph = input.network.graph();
  check_rectifiers(graph, "swap");
  GraphModule module(graph, {.device = at::Device(input.device)});
  draw_normal_weights(module, input.rng.fork("swap"), Deviation::one);
  return static_cast<double>(different_rows(activity(module, image_tensor(input)).t()));
}

Proxy regularized_swap(const SwapSize& size) {
  if (!(size.sigma > 0)) {
    throw ConfigError(
        "", fmt::format("sigma of the regularized SWAP is {}, but it is above 0", size.sigma));
  }
  return {.doc = fmt::format("activation patterns over images, for networks of about {:g} thousand "
                             "parameters",
                             size.mu),
          .needs_data = true,
          .score = [size](const ProxyInput& input) {
            const double thousands = static_cast<double>(input.network.cost().params) / 1000;
            return swap_score(input) * std::exp(-std::pow(thousands - size.mu, 2) / size.sigma);
          }};
}

double linear_regions(const ProxyInput& input) {
  const at::NoGradGuard no_grad;
  check_rectifiers(input.network.graph(), "linear_regions");
  const Graph graph = thin_network(input.network.graph(), input.images);
  const std::int64_t size = graph.node(graph.input()).shape[1].value();
  GraphModule module(graph, {.device = at::Device(input.device)});
  double regions = 0;
  for (std::uint64_t draw = 0; draw < thin_draws; ++draw) {
    const Rng rng = input.rng.fork("linear_regions").fork(draw);
    draw_normal_weights(module, rng.fork("weights"), Deviation::fan_in);
    Rng places = rng.fork("crops");
    std::vector<at::Tensor> patterns;
    for (std::int64_t i = 0; i < crop_batches; ++i) {
      const at::Tensor batch = crops(input.images, crop_batch, size, places);
      patterns.push_back(activity(module, batch.to(module.options().device)));
    }
    regions += static_cast<double>(different_rows(torch::cat(patterns, 0)));
  }
  return regions / thin_draws;
}

}  // namespace espalier
