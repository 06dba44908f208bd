#include "search_spaces/transnas.hpp"

#include <array>
#include <string>

#include <fmt/format.h>

#include "core/error.hpp"
#include "graph/blocks.hpp"
#include "search_spaces/cell_blocks.hpp"
#include "search_spaces/coded_space.hpp"
#include "search_spaces/stages.hpp"

namespace espalier {

namespace {

template <class Options>
OptionTable<Options> common_options(std::string doc) {
  OptionTable<Options> table(std::move(doc));
  table
      .add("input", &Options::input, "channels, height and width of the images", at_least(1),
           Items{3, 3})
      .add("classes", &Options::classes, "of the task", at_least(2))
      .add("channels", &Options::channels, "of the stem's result, even", between(2, 4096))
      .check([](const Options& o) {
        if (o.channels % 2 != 0) {
          throw ConfigError("/channels",
                            fmt::format("must be even, as the stem's first convolution has half of "
                                        "them; got {}",
                                        o.channels));
        }
      });
  return table;
}

NodeId stem(GraphBuilder& builder, const std::vector<std::int64_t>& input, int channels) {
  NodeId x = builder.input(input[0], input[1], input[2]);
  const auto scope = builder.scope("stem");
  x = conv_bn_act(builder, x, channels / 2,
                  {.conv = {.kernel = 3, .stride = 2}, .activation = std::nullopt});
  return relu_conv_bn(builder, x, channels, 3, 2, "reduce");
}

NodeId head(GraphBuilder& builder, NodeId x, int classes) {
  const auto scope = builder.scope("head");
  return builder.linear(builder.flatten(builder.global_avg_pool(x)), classes);
}

/// What a module's digit says: 2 and 4 double the channels, 3 and 4 halve the map.
bool doubles(int type) { return type % 2 == 0; }
bool halves(int type) { return type > 2; }

}  // namespace

const OptionTable<TransnasMicroOptions>& transnas_micro_options() {
  static const auto table =
      common_options<TransnasMicroOptions>(
          "TransNAS-Bench-101, micro: 4,096 cells of 6 edges with 4 operators")
          .add("compression", &TransnasMicroOptions::compression, "what else is searched",
               compression_options())
          .check([](const TransnasMicroOptions& o) { check_multiples(o.input, 32); });
  return table;
}

const OptionTable<TransnasMacroOptions>& transnas_macro_options() {
  static const auto table = common_options<TransnasMacroOptions>(
      "TransNAS-Bench-101, macro: 3,256 chains of 4 to 6 modules");
  return table;
}

namespace {

constexpr std::array skeleton{4, 1, 4, 1, 4};
constexpr std::size_t edge_count = 6;

/// The edges into one node, as a code separates them.
std::string with_separators(std::string_view edges) {
  return fmt::format("{}_{}_{}", edges.substr(0, 1), edges.substr(1, 2), edges.substr(3, 3));
}

NodeId edge(SupergraphBuilder& builder, NodeId x, Dim channels, int stride, DecisionId decision,
            const std::string& name) {
  const Dim chosen = builder.dim(decision, std::array<std::int64_t, 4>{0, 1, 2, 3});
  const auto scope = builder.scope(
      name, "edge",
      block_attributes(builder, x, channels, {{"stride", stride}, {"operator", chosen}}));
  // Only stride-2 edges change the width, and they double it.
  const NodeId wide = stride == 1 ? x : builder.concat(std::array{x, x}, "double");
  const auto skip = [&] {
    const auto part = builder.scope("skip");
    return factorized_reduce(builder, builder.activation(x, ActivationKind::relu), channels.value(),
                             "reduce");
  };
  return builder.choice(decision,
                        std::array{builder.zero(wide, stride, "none"), stride == 1 ? x : skip(),
                                   relu_conv_bn(builder, x, channels, 1, stride, "nor_conv_1x1"),
                                   relu_conv_bn(builder, x, channels, 3, stride, "nor_conv_3x3")});
}

NodeId cell(SupergraphBuilder& builder, NodeId x, Dim channels, int stride,
            const std::array<DecisionId, edge_count>& edges, const std::string& name) {
  ScopeAttributes attributes{{"stride", stride}};
  for (std::size_t e = 0; e < edge_count; ++e) {
    attributes.emplace_back("operator" + std::to_string(e),
                            builder.dim(edges[e], std::array<std::int64_t, 4>{0, 1, 2, 3}));
  }
  const auto scope =
      builder.scope(name, "cell", block_attributes(builder, x, channels, attributes));
  std::vector<NodeId> nodes{x};
  std::size_t next = 0;
  for (std::size_t to = 1; to < 4; ++to) {
    std::vector<NodeId> terms;
    for (std::size_t from = 0; from < to; ++from) {
      terms.push_back(edge(builder, nodes[from], channels, from == 0 ? stride : 1, edges[next++],
                           fmt::format("edge{}_{}", from, to)));
    }
    nodes.push_back(terms.size() == 1 ? terms[0] : builder.add(terms, "node" + std::to_string(to)));
  }
  return nodes.back();
}

ArchitectureCode micro_code(int channels) {
  std::string prefix = std::to_string(channels) + "-";
  for (int type : skeleton) prefix += std::to_string(type);
  prefix += "-";
  return {
      .decisions = edge_count,
      .example = prefix + "1_02_333",
      .write =
          [prefix](std::span<const std::uint32_t> choices) {
            std::string digits;
            for (std::uint32_t c : choices) digits += std::to_string(c);
            return prefix + with_separators(digits);
          },
      .read = [prefix](std::string_view text) -> std::vector<std::uint32_t> {
        if (!text.starts_with(prefix)) return {};
        std::string digits;
        for (char c : text.substr(prefix.size())) {
          if (c != '_') digits += c;
        }
        if (digits.size() != edge_count || prefix + with_separators(digits) != text) return {};
        std::vector<std::uint32_t> choices;
        for (char c : digits) choices.push_back(index_of(std::string_view("0123"), c));
        return choices;
      },
  };
}

constexpr std::array<std::size_t, 3> module_counts{4, 5, 6};
constexpr std::uint32_t type_count = 4;

class TransnasMacroSpace : public SearchSpace {
 public:
  explicit TransnasMacroSpace(TransnasMacroOptions options)
      : SearchSpace(make_decisions()), options_(std::move(options)) {}

  bool valid(const Architecture& a) const override {
    if (!SearchSpace::valid(a)) return false;
    int halved = 0, doubled = 0;
    for (int type : types(a)) {
      halved += halves(type);
      doubled += doubles(type);
    }
    return halved >= 1 && halved <= 4 && doubled >= 1 && doubled <= 3;
  }

  bool active(const Architecture& a, DecisionId d) const override {
    return d <= module_counts.at(a.choices[0]);
  }

  Architecture canonical(const Architecture& a) const override {
    Architecture b = a;
    for (DecisionId d = 0; d < b.choices.size(); ++d) {
      if (!active(a, d)) b.choices[d] = 0;
    }
    return b;
  }

  Graph build(const Architecture& a) const override {
    require_valid(a);
    GraphBuilder builder;
    NodeId x = stem(builder, options_.input, options_.channels);
    std::int64_t channels = options_.channels;
    int index = 0;
    for (int type : types(a)) {
      const auto scope = builder.scope("module" + std::to_string(++index), "module");
      if (doubles(type)) channels *= 2;
      x = residual(builder, x, channels, halves(type) ? 2 : 1, "block1");
      x = residual(builder, x, channels, 1, "block2");
    }
    builder.output(head(builder, x, options_.classes));
    return builder.build();
  }

  std::string to_string(const Architecture& a) const override {
    std::string text = std::to_string(options_.channels) + "-";
    for (int type : types(a)) text += std::to_string(type);
    return text + "-basic";
  }

  Architecture parse(std::string_view text) const override {
    const std::string prefix = std::to_string(options_.channels) + "-", suffix = "-basic";
    bool known = text.size() >= prefix.size() + suffix.size() && text.starts_with(prefix) &&
                 text.ends_with(suffix);
    Architecture a{std::vector<std::uint32_t>(decisions().size(), 0)};
    if (known) {
      const std::string_view digits =
          text.substr(prefix.size(), text.size() - prefix.size() - suffix.size());
      a.choices[0] = index_of(module_counts, digits.size());
      known = a.choices[0] < module_counts.size();
      for (std::size_t i = 0; known && i < digits.size(); ++i) {
        a.choices[i + 1] = index_of(std::string_view("1234"), digits[i]);
        known = a.choices[i + 1] < type_count;
      }
    }
    if (!known) {
      throw InvalidArchitecture(
          fmt::format("'{}' is no architecture of this space; write for example {}1234{}", text,
                      prefix, suffix));
    }
    return a;
  }

 private:
  static std::vector<Decision> make_decisions() {
    std::vector<Decision> decisions{{.name = "modules", .options = {}, .ordinal = true}};
    for (std::size_t n : module_counts) decisions[0].options.push_back(std::to_string(n));
    for (std::size_t i = 1; i <= module_counts.back(); ++i) {
      decisions.push_back(
          {.name = fmt::format("module{}.type", i), .options = {"1", "2", "3", "4"}});
    }
    return decisions;
  }

  static std::vector<int> types(const Architecture& a) {
    std::vector<int> result;
    for (std::size_t i = 1; i <= module_counts.at(a.choices[0]); ++i) {
      result.push_back(static_cast<int>(a.choices[i]) + 1);
    }
    return result;
  }

  /// Two 3x3 convolutions, each after a ReLU, with a shortcut that is projected where the shape
  /// changes; no activation after the sum.
  static NodeId residual(GraphBuilder& builder, NodeId x, Dim channels, int stride,
                         const char* name) {
    const auto scope = builder.scope(name, "residual",
                                     block_attributes(builder, x, channels, {{"stride", stride}}));
    NodeId y = relu_conv_bn(builder, x, channels, 3, stride, "conv_a");
    y = relu_conv_bn(builder, y, channels, 3, 1, "conv_b");
    NodeId shortcut = x;
    if (stride != 1 || builder.channels(x) != channels) {
      const auto part = builder.scope("shortcut");
      shortcut = conv_bn_act(builder, x, channels,
                             {.conv = {.stride = stride}, .activation = std::nullopt});
    }
    return builder.add(shortcut, y);
  }

  TransnasMacroOptions options_;
};

}  // namespace

std::unique_ptr<SupergraphSpace> make_transnas_micro(const TransnasMicroOptions& options) {
  transnas_micro_options().validate(options);
  SupergraphBuilder builder;
  std::array<DecisionId, edge_count> edges{};
  std::size_t next = 0;
  for (int to = 1; to < 4; ++to) {
    for (int from = 0; from < to; ++from) {
      edges[next++] = builder.decide({.name = fmt::format("edge{}_{}", from, to),
                                      .options = {"none", "skip", "nor_conv_1x1", "nor_conv_3x3"}});
    }
  }
  NodeId x = stem(builder, options.input, options.channels);
  std::int64_t channels = options.channels;
  int index = 0;
  for (int type : skeleton) {
    const std::string name = "module" + std::to_string(++index);
    if (doubles(type)) channels *= 2;
    x = cell(builder, x, channels, halves(type) ? 2 : 1, edges, name + "_cell1");
    x = cell(builder, x, channels, 1, edges, name + "_cell2");
  }
  builder.output(head(builder, x, options.classes));
  Supergraph supergraph = open_compression(builder.finish(), options.compression);
  return std::make_unique<CodedSpace>(std::move(supergraph), micro_code(options.channels));
}

std::unique_ptr<SearchSpace> make_transnas_macro(const TransnasMacroOptions& options) {
  transnas_macro_options().validate(options);
  return std::make_unique<TransnasMacroSpace>(options);
}

}  // namespace espalier
