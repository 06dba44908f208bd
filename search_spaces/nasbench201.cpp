#include "search_spaces/nasbench201.hpp"

#include <array>
#include <string>

#include <fmt/format.h>

#include "core/error.hpp"
#include "search_spaces/cell_blocks.hpp"
#include "search_spaces/coded_space.hpp"
#include "search_spaces/stages.hpp"

namespace espalier {

const OptionTable<Nasbench201Options>& nasbench201_options() {
  static const auto table =
      OptionTable<Nasbench201Options>("NAS-Bench-201: 15,625 cells of 6 edges with 5 operators")
          .add("input", &Nasbench201Options::input,
               "channels, height and width of the images, the last two multiples of 4", at_least(1),
               Items{3, 3})
          .add("classes", &Nasbench201Options::classes, "of the task", at_least(2))
          .add("channels", &Nasbench201Options::channels, "of the first of three stages",
               between(1, 4096))
          .add("cells", &Nasbench201Options::cells, "in each stage", between(1, 100))
          .add("compression", &Nasbench201Options::compression, "what else is searched",
               compression_options())
          .check([](const Nasbench201Options& o) { check_multiples(o.input, 4); });
  return table;
}

namespace {

const std::vector<std::string> operators{"none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3",
                                         "avg_pool_3x3"};
constexpr std::size_t edge_count = 6;

NodeId cell(SupergraphBuilder& builder, NodeId x, const std::vector<DecisionId>& edges,
            const std::string& name) {
  // What tells cells and edges apart in a look-up table.
  const auto operator_of = [&](std::size_t edge) {
    return builder.dim(edges[edge], std::array<std::int64_t, 5>{0, 1, 2, 3, 4});
  };
  const ScopeAttributes input{{"in_channels", builder.channels(x)},
                              {"in_height", builder.shape(x)[1]},
                              {"in_width", builder.shape(x)[2]}};
  ScopeAttributes attributes = input;
  for (std::size_t edge = 0; edge < edge_count; ++edge) {
    attributes.emplace_back("operator" + std::to_string(edge), operator_of(edge));
  }
  const auto scope = builder.scope(name, "cell", attributes);
  std::vector<NodeId> nodes{x};
  std::size_t edge = 0;
  for (int to = 1; to < 4; ++to) {
    std::vector<NodeId> terms;
    for (int from = 0; from < to; ++from) {
      attributes = input;
      attributes.emplace_back("operator", operator_of(edge));
      const auto part = builder.scope("edge" + std::to_string(from) + "_" + std::to_string(to),
                                      "edge", attributes);
      const NodeId in = nodes[static_cast<std::size_t>(from)];
      const Dim channels = builder.channels(in);
      const std::array<NodeId, 5> options{
          builder.zero(in, 1, "none"),
          in,
          relu_conv_bn(builder, in, channels, 1, 1, "nor_conv_1x1"),
          relu_conv_bn(builder, in, channels, 3, 1, "nor_conv_3x3"),
          builder.avg_pool(in, {.kernel = 3, .stride = 1}, "avg_pool_3x3"),
      };
      terms.push_back(builder.choice(edges[edge++], options));
    }
    nodes.push_back(terms.size() == 1 ? terms[0] : builder.add(terms, "node" + std::to_string(to)));
  }
  return nodes.back();
}

std::string write_cell(std::span<const std::uint32_t> choices) {
  std::string text;
  std::size_t edge = 0;
  for (int to = 1; to < 4; ++to) {
    text += to == 1 ? "|" : "+|";
    for (int from = 0; from < to; ++from) {
      text += operators.at(choices[edge++]) + "~" + std::to_string(from) + "|";
    }
  }
  return text;
}

/// Nothing for a text of another form. Throws InvalidArchitecture for an unknown operator.
std::vector<std::uint32_t> read_cell(std::string_view text) {
  std::vector<std::uint32_t> choices;
  std::string_view rest = text;
  const auto take = [&](std::string_view expected) {
    if (!rest.starts_with(expected)) return false;
    rest.remove_prefix(expected.size());
    return true;
  };
  for (int to = 1; to < 4; ++to) {
    if (!take(to == 1 ? "|" : "+|")) return {};
    for (int from = 0; from < to; ++from) {
      const std::size_t tilde = rest.find('~');
      if (tilde == std::string_view::npos) return {};
      const std::string_view name = rest.substr(0, tilde);
      choices.push_back(index_of(operators, name));
      if (choices.back() == operators.size()) {
        throw InvalidArchitecture(
            fmt::format("'{}': unknown operator '{}'{}", text, name, suggestion(name, operators)));
      }
      rest.remove_prefix(tilde);
      if (!take(fmt::format("~{}|", from))) return {};
    }
  }
  return rest.empty() ? choices : std::vector<std::uint32_t>{};
}

}  // namespace

NodeId residual_reduction(GraphBuilder& builder, NodeId x, Dim channels, std::string_view name) {
  const auto scope = builder.scope(name, "reduction");
  NodeId y = relu_conv_bn(builder, x, channels, 3, 2, "conv_a");
  y = relu_conv_bn(builder, y, channels, 3, 1, "conv_b");
  NodeId shortcut = builder.avg_pool(x, {.kernel = 2, .stride = 2});
  shortcut = builder.conv(shortcut, channels, {}, "downsample");
  return builder.add(shortcut, y);
}

std::unique_ptr<SupergraphSpace> make_nasbench201(const Nasbench201Options& options) {
  nasbench201_options().validate(options);
  SupergraphBuilder builder;
  std::vector<DecisionId> edges;
  for (int to = 1; to < 4; ++to) {
    for (int from = 0; from < to; ++from) {
      edges.push_back(
          builder.decide({.name = "edge" + std::to_string(from) + "_" + std::to_string(to),
                          .options = operators}));
    }
  }
  NodeId x = builder.input(options.input[0], options.input[1], options.input[2]);
  {
    const auto scope = builder.scope("stem");
    x = builder.batch_norm(builder.conv(x, options.channels, {.kernel = 3}));
  }
  for (int stage = 1; stage <= 3; ++stage) {
    const Dim channels = options.channels * (std::int64_t{1} << (stage - 1));
    const std::string prefix = "stage" + std::to_string(stage);
    if (stage > 1) x = residual_reduction(builder, x, channels, prefix + "_reduction");
    for (int c = 1; c <= options.cells; ++c) {
      x = cell(builder, x, edges, prefix + "_cell" + std::to_string(c));
    }
  }
  {
    const auto scope = builder.scope("head");
    x = builder.activation(builder.batch_norm(x), ActivationKind::relu);
    x = builder.linear(builder.flatten(builder.global_avg_pool(x)), options.classes);
  }
  builder.output(x);
  Supergraph supergraph = open_compression(builder.finish(), options.compression);
  return std::make_unique<CodedSpace>(
      std::move(supergraph),
      ArchitectureCode{.decisions = edge_count,
                       .example = "|nor_conv_3x3~0|+|nor_conv_3x3~0|skip_connect~1|+|none~0|"
                                  "avg_pool_3x3~1|nor_conv_1x1~2|",
                       .write = write_cell,
                       .read = read_cell});
}

}  // namespace espalier
