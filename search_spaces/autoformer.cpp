#include "search_spaces/autoformer.hpp"

#include <string>

#include <fmt/format.h>

#include "graph/blocks.hpp"
#include "search_spaces/stages.hpp"

namespace espalier {

namespace {

/// The lists of `size` where the options have none.
AutoformerOptions filled(AutoformerOptions options) {
  struct Lists {
    std::vector<std::int64_t> embed_dims, depths, heads;
    std::vector<double> mlp_ratios;
  };
  const auto lists = [&]() -> Lists {
    switch (options.size) {
      case AutoformerSize::tiny:
        return {{192, 216, 240}, {12, 13, 14}, {3, 4}, {3.5, 4}};
      case AutoformerSize::small:
        return {{320, 384, 448}, {12, 13, 14}, {5, 6, 7}, {3, 3.5, 4}};
      case AutoformerSize::base:
        break;
    }
    return {{528, 576, 624}, {14, 15, 16}, {8, 9, 10}, {3, 3.5, 4}};
  }();
  if (options.embed_dims.empty()) options.embed_dims = lists.embed_dims;
  if (options.depths.empty()) options.depths = lists.depths;
  if (options.heads.empty()) options.heads = lists.heads;
  if (options.mlp_ratios.empty()) options.mlp_ratios = lists.mlp_ratios;
  return options;
}

/// floor(width * ratio), the ratio decided by "NAME.mlp_ratio".
Dim mlp_width(SupergraphBuilder& builder, Dim width, const std::string& name,
              const std::vector<double>& ratios) {
  return builder.number(name + ".mlp_ratio", ratios, [&](double ratio) {
    return map(
        [ratio](std::int64_t w) {
          return static_cast<std::int64_t>(static_cast<double>(w) * ratio);
        },
        width);
  });
}

}  // namespace

const OptionTable<AutoformerOptions>& autoformer_options() {
  static const auto table =
      OptionTable<AutoformerOptions>(
          "the vision transformers of AutoFormer: depth, token width, heads and MLP ratios")
          .add("input", &AutoformerOptions::input, "channels, height and width of the images",
               at_least(1), Items{3, 3})
          .add("classes", &AutoformerOptions::classes, "of the task", at_least(2))
          .add("size", &AutoformerOptions::size, "of the published space whose lists are taken",
               named<AutoformerSize>({{"tiny", AutoformerSize::tiny},
                                      {"small", AutoformerSize::small},
                                      {"base", AutoformerSize::base}}))
          .add("embed_dims", &AutoformerOptions::embed_dims,
               "channels of a token to choose from; none: those of `size`", between(1, 65536))
          .add("depths", &AutoformerOptions::depths,
               "numbers of blocks to choose from, ascending; none: those of `size`",
               between(1, 100))
          .add("heads", &AutoformerOptions::heads,
               "numbers of heads to choose from; none: those of `size`", between(1, 256))
          .add("mlp_ratios", &AutoformerOptions::mlp_ratios,
               "widths of a block's perceptron over a token's, to choose from; none: those of "
               "`size`",
               between(1, 32))
          .add("patch", &AutoformerOptions::patch, "height and width of a patch, pixels",
               between(1, 1024))
          .add("head_width", &AutoformerOptions::head_width, "channels of each head",
               between(1, 1024))
          .add("dropout", &AutoformerOptions::dropout, "probability in the blocks",
               between(0, 0.95))
          .add("compression", &AutoformerOptions::compression, "what else is searched",
               compression_options())
          .check([](const AutoformerOptions& o) {
            check_distinct("/embed_dims", o.embed_dims);
            check_ascending("/depths", o.depths);
            check_distinct("/heads", o.heads);
            check_distinct("/mlp_ratios", o.mlp_ratios);
            for (std::size_t i = 1; i <= 2; ++i) {
              if (o.input[i] >= o.patch) continue;
              throw ConfigError("/input",
                                fmt::format("{} pixels are no patch of {}; write a larger "
                                            "image or a smaller \"patch\"",
                                            o.input[i], o.patch));
            }
          });
  return table;
}

std::unique_ptr<SupergraphSpace> make_autoformer(const AutoformerOptions& given) {
  autoformer_options().validate(given);
  const AutoformerOptions options = filled(given);
  SupergraphBuilder builder;
  NodeId x = builder.input(options.input[0], options.input[1], options.input[2]);
  const Dim width = builder.number("embed_dim", options.embed_dims);
  x = patch_embedding(builder, x, width, options.patch);
  x = elastic_depth(builder, x, "encoder", options.depths, [&](NodeId in, std::int64_t index) {
    const std::string name = "block" + std::to_string(index);
    const Dim heads = builder.number(name + ".heads", options.heads);
    return vit_block(builder, in,
                     {.attention = {.heads = heads, .head_width = options.head_width},
                      .mlp_width = mlp_width(builder, width, name, options.mlp_ratios),
                      .eps = 1e-5f,
                      .dropout = options.dropout},
                     name);
  });
  {
    const auto scope = builder.scope("head");
    x = builder.layer_norm(x);
    x = builder.flatten(builder.slice(x, {.axis = 0, .begin = 0, .end = 1}, "class"));
    x = builder.linear(x, options.classes, {}, "classifier");
  }
  builder.output(x);
  return std::make_unique<SupergraphSpace>(open_compression(builder.finish(), options.compression));
}

}  // namespace espalier
