#include "search_spaces/nas_bench_macro.hpp"

#include <array>
#include <string>

#include "graph/blocks.hpp"
#include "search_spaces/coded_space.hpp"

namespace espalier {

const OptionTable<NasBenchMacroOptions>& nas_bench_macro_options() {
  static const auto table =
      OptionTable<NasBenchMacroOptions>("NAS-Bench-Macro: 6,561 chains of 8 layers with 3 options")
          .add("input", &NasBenchMacroOptions::input, "channels, height and width of the images",
               at_least(1), Items{3, 3})
          .add("classes", &NasBenchMacroOptions::classes, "of the task", at_least(2))
          .add("channels", &NasBenchMacroOptions::channels,
               "of the first convolution; doubled by each of three stages", between(1, 4096))
          .add("compression", &NasBenchMacroOptions::compression, "what else is searched",
               compression_options());
  return table;
}

namespace {

constexpr std::array stages{2, 3, 3};
constexpr std::size_t layer_count = 8;

NodeId identity(GraphBuilder& builder, NodeId x, Dim channels, std::int64_t stride) {
  if (stride == 1) return x;
  const auto scope = builder.scope("identity", "projection");
  return conv_bn_act(builder, x, channels,
                     {.conv = {.stride = stride}, .activation = std::nullopt});
}

ArchitectureCode digits() {
  return {
      .decisions = layer_count,
      .example = "22212220",
      .write =
          [](std::span<const std::uint32_t> choices) {
            std::string text;
            for (std::uint32_t c : choices) text += std::to_string(c);
            return text;
          },
      .read =
          [](std::string_view text) {
            std::vector<std::uint32_t> choices;
            for (char c : text) choices.push_back(index_of(std::string_view("012"), c));
            return choices;
          },
  };
}

}  // namespace

std::unique_ptr<SupergraphSpace> make_nas_bench_macro(const NasBenchMacroOptions& options) {
  nas_bench_macro_options().validate(options);
  SupergraphBuilder builder;
  NodeId x = builder.input(options.input[0], options.input[1], options.input[2]);
  {
    const auto scope = builder.scope("stem");
    x = conv_bn_act(builder, x, options.channels, {.conv = {.kernel = 3}});
  }
  std::int64_t channels = options.channels;
  int layer = 0;
  for (const int depth : stages) {
    channels *= 2;
    for (int i = 0; i < depth; ++i) {
      const std::string name = "layer" + std::to_string(++layer);
      const auto scope = builder.scope(name, "layer");
      const std::int64_t stride = i == 0 ? 2 : 1;
      const auto inverted_residual = [&](int expansion, int kernel, const char* option) {
        return mbconv(builder, x, channels,
                      {.expanded_channels = builder.channels(x) * expansion,
                       .kernel = kernel,
                       .stride = stride,
                       .activation = ActivationKind::relu},
                      option);
      };
      const DecisionId decision =
          builder.decide({.name = name, .options = {"identity", "mb3_k3", "mb6_k5"}});
      x = builder.choice(decision, std::array{identity(builder, x, channels, stride),
                                              inverted_residual(3, 3, "mb3_k3"),
                                              inverted_residual(6, 5, "mb6_k5")});
    }
  }
  {
    const auto scope = builder.scope("head");
    x = conv_bn_act(builder, x, 1280);
    x = builder.linear(builder.flatten(builder.global_avg_pool(x)), options.classes);
  }
  builder.output(x);
  Supergraph supergraph = open_compression(builder.finish(), options.compression);
  return std::make_unique<CodedSpace>(std::move(supergraph), digits());
}

}  // namespace espalier
