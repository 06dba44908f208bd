#include "search_spaces/nats_bench_size.hpp"

#include <algorithm>
#include <array>
#include <string>

#include <fmt/format.h>

#include "core/error.hpp"
#include "graph/blocks.hpp"
#include "search_spaces/cell_blocks.hpp"
#include "search_spaces/coded_space.hpp"
#include "search_spaces/nasbench201.hpp"
#include "search_spaces/stages.hpp"

namespace espalier {

const OptionTable<NatsBenchSizeOptions>& nats_bench_size_options() {
  static const auto table =
      OptionTable<NatsBenchSizeOptions>("NATS-Bench's size space: 5 layers with 8 widths")
          .add("input", &NatsBenchSizeOptions::input,
               "channels, height and width of the images, the last two multiples of 4", at_least(1),
               Items{3, 3})
          .add("classes", &NatsBenchSizeOptions::classes, "of the task", at_least(2))
          .add("widths", &NatsBenchSizeOptions::widths, "channels of a layer to choose from",
               between(1, 65536), Items{.least = 2})
          .add("compression", &NatsBenchSizeOptions::compression, "what else is searched",
               compression_options())
          .check([](const NatsBenchSizeOptions& o) {
            check_multiples(o.input, 4);
            check_distinct("/widths", o.widths);
          });
  return table;
}

namespace {

constexpr std::size_t layer_count = 5;

/// x where both layers have the same width, else its projection: for each option of `to` a choice
/// over the options of `from`.
NodeId skip(SupergraphBuilder& builder, NodeId x, Dim channels, DecisionId from, DecisionId to) {
  const auto scope = builder.scope("skip");
  const NodeId projected = conv_bn_act(builder, x, channels, {.activation = std::nullopt});
  const std::size_t count = builder.decisions()[to].options.size();
  std::vector<NodeId> by_width;
  for (std::size_t width = 0; width < count; ++width) {
    std::vector<NodeId> inputs(count, projected);
    inputs[width] = x;
    by_width.push_back(builder.choice(from, inputs, "from"));
  }
  return builder.choice(to, by_width, "to");
}

/// `from` and `to`: the decisions on the cell's input and output channels.
NodeId cell(SupergraphBuilder& builder, NodeId x, Dim channels, DecisionId from, DecisionId to,
            const std::string& name) {
  const auto scope = builder.scope(name, "cell", block_attributes(builder, x, channels));
  const auto conv = [&](NodeId in, const char* edge) {
    return relu_conv_bn(builder, in, channels, 3, 1, edge);
  };
  const NodeId node1 = conv(x, "edge0_1");
  const NodeId node2 = builder.add(conv(x, "edge0_2"), conv(node1, "edge1_2"), "node2");
  const NodeId skipped = from == to ? x : skip(builder, x, channels, from, to);
  return builder.add(std::array{skipped, conv(node1, "edge1_3"), conv(node2, "edge2_3")}, "node3");
}

ArchitectureCode channels_code(const std::vector<std::int64_t>& widths) {
  return {
      .decisions = layer_count,
      .example = fmt::format("{0}:{0}:{0}:{0}:{0}", widths.back()),
      .write =
          [widths](std::span<const std::uint32_t> choices) {
            std::string text;
            for (std::uint32_t c : choices) {
              text += (text.empty() ? "" : ":") + std::to_string(widths.at(c));
            }
            return text;
          },
      .read =
          [widths](std::string_view text) {
            std::vector<std::string> labels;
            for (std::int64_t w : widths) labels.push_back(std::to_string(w));
            std::vector<std::uint32_t> choices;
            for (std::size_t begin = 0; begin <= text.size();) {
              const std::size_t end = std::min(text.find(':', begin), text.size());
              choices.push_back(index_of(labels, text.substr(begin, end - begin)));
              begin = end + 1;
            }
            return choices;
          },
  };
}

}  // namespace

std::unique_ptr<SupergraphSpace> make_nats_bench_size(const NatsBenchSizeOptions& options) {
  nats_bench_size_options().validate(options);
  SupergraphBuilder builder;
  std::array<Dim, layer_count> widths;
  for (std::size_t i = 0; i < layer_count; ++i) {
    widths[i] = builder.number("layer" + std::to_string(i + 1) + ".width", options.widths);
  }
  NodeId x = builder.input(options.input[0], options.input[1], options.input[2]);
  {
    const auto scope = builder.scope("stem");
    x = conv_bn_act(builder, x, widths[0], {.conv = {.kernel = 3}, .activation = std::nullopt});
  }
  for (std::size_t i = 0; i < layer_count; ++i) {
    const std::string name = "layer" + std::to_string(i + 1);
    const Dim channels = widths[i];
    // The decisions were made first, so they are numbered as the layers.
    const auto to = static_cast<DecisionId>(i);
    x = i % 2 == 1 ? residual_reduction(builder, x, channels, name)
                   : cell(builder, x, channels, i == 0 ? to : to - 1, to, name);
  }
  {
    const auto scope = builder.scope("head");
    x = builder.activation(builder.batch_norm(x), ActivationKind::relu);
    x = builder.linear(builder.flatten(builder.global_avg_pool(x)), options.classes);
  }
  builder.output(x);
  Supergraph supergraph = open_compression(builder.finish(), options.compression);
  return std::make_unique<CodedSpace>(std::move(supergraph), channels_code(options.widths));
}

}  // namespace espalier
