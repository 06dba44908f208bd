#include "search_spaces/mobilenet_v3.hpp"

#include <cmath>
#include <string>

#include <fmt/format.h>

#include "core/error.hpp"
#include "graph/blocks.hpp"
#include "search_spaces/stages.hpp"

namespace espalier {

const OptionTable<MobileNetV3Options>& mobilenet_v3_options() {
  std::vector<std::pair<std::string, ActivationKind>> activations;
  for (ActivationKind kind : {ActivationKind::relu, ActivationKind::relu6,
                              ActivationKind::hard_swish, ActivationKind::swish}) {
    activations.emplace_back(std::string(activation_name(kind)), kind);
  }
  static const auto stage =
      OptionTable<MobileNetV3Stage>("inverted residual blocks of one width")
          .add("channels", &MobileNetV3Stage::channels, "before the width multiplier",
               between(1, 65536))
          .add("stride", &MobileNetV3Stage::stride, "of the first block", between(1, 8))
          .add("depths", &MobileNetV3Stage::depths, "numbers of blocks to choose from, ascending",
               between(1, 100), non_empty())
          .add("activation", &MobileNetV3Stage::activation, "after each convolution but the last",
               named<ActivationKind>(activations))
          .add("se", &MobileNetV3Stage::se, "squeeze-and-excitation in the blocks",
               named<SqueezeExcitation>({{"no", SqueezeExcitation::no},
                                         {"yes", SqueezeExcitation::yes},
                                         {"search", SqueezeExcitation::search}}))
          .check([](const MobileNetV3Stage& s) { check_ascending("/depths", s.depths); });
  static const auto table =
      OptionTable<MobileNetV3Options>(
          "the MobileNetV3 space of Once-for-All: kernel, expansion, depth, SE, resolution")
          .add("input", &MobileNetV3Options::input, "channels, height and width of the images",
               at_least(1), Items{3, 3})
          .add("classes", &MobileNetV3Options::classes, "of the task", at_least(2))
          .add("width", &MobileNetV3Options::width, "multiplies every width", between(0.05, 16))
          .add("kernels", &MobileNetV3Options::kernels, "kernel sizes to choose from, odd",
               between(1, 63), non_empty())
          .add("expansions", &MobileNetV3Options::expansions,
               "widths of a block's depthwise convolution over its input's, to choose from",
               between(1, 32), non_empty())
          .add("resolutions", &MobileNetV3Options::resolutions,
               "input heights (= widths) to choose from, pixels; none: as the input",
               between(1, 4096))
          .add("stem_channels", &MobileNetV3Options::stem_channels,
               "of the first convolution, before the width multiplier", between(1, 65536))
          .add("stem_stride", &MobileNetV3Options::stem_stride, "of the first convolution",
               between(1, 8))
          .add("stages", &MobileNetV3Options::stages, "in order", stage, non_empty())
          .add("head_expansion", &MobileNetV3Options::head_expansion,
               "width of the last convolution over the last stage's", between(1, 32))
          .add("last_channels", &MobileNetV3Options::last_channels,
               "of the layer before the classifier, before the width multiplier", between(1, 65536))
          .add("dropout", &MobileNetV3Options::dropout, "probability before the classifier",
               between(0, 0.95))
          .add("compression", &MobileNetV3Options::compression, "what else is searched",
               compression_options())
          .check([](const MobileNetV3Options& o) {
            check_odd_distinct("/kernels", o.kernels);
            check_distinct("/resolutions", o.resolutions);
            check_distinct("/expansions", o.expansions);
          });
  return table;
}

std::unique_ptr<SupergraphSpace> make_mobilenet_v3(const MobileNetV3Options& options) {
  mobilenet_v3_options().validate(options);
  const auto scaled = [&](int channels) { return make_divisible(channels * options.width); };
  SupergraphBuilder builder;
  Dim height = options.input[1], width = options.input[2];
  if (!options.resolutions.empty()) {
    height = width = builder.number("resolution", options.resolutions);
  }
  NodeId x = builder.input(options.input[0], height, width);
  {
    const auto scope = builder.scope("stem");
    x = conv_bn_act(builder, x, scaled(options.stem_channels),
                    {.conv = {.kernel = 3, .stride = options.stem_stride},
                     .activation = ActivationKind::hard_swish});
  }
  x = mbconv(builder, x, scaled(options.stem_channels),
             {.expanded_channels = builder.channels(x), .activation = ActivationKind::relu},
             "first");
  for (std::size_t s = 0; s < options.stages.size(); ++s) {
    const MobileNetV3Stage& stage = options.stages[s];
    const std::string name = "stage" + std::to_string(s + 1);
    const auto scope = builder.scope(name, "stage");
    const std::int64_t channels = scaled(stage.channels);
    std::optional<DecisionId> se_choice;
    if (stage.se == SqueezeExcitation::search) {
      se_choice = builder.decide({.name = name + ".se", .options = {"no", "yes"}});
    }
    x = elastic_depth(builder, x, name, stage.depths, [&](NodeId in, std::int64_t block) {
      const std::string block_name = "block" + std::to_string(block);
      const std::string prefix = name + "." + block_name;
      const Dim kernel = builder.number(prefix + ".kernel", options.kernels);
      const auto in_channels = static_cast<double>(builder.channels(in).value());
      const Dim expanded = builder.number(
          prefix + ".expansion", options.expansions,
          [&](double e) -> Dim { return make_divisible(std::round(in_channels * e)); });
      MbconvOptions mb{.expanded_channels = expanded,
                       .kernel = kernel,
                       .stride = block == 1 ? stage.stride : 1,
                       .activation = stage.activation,
                       .squeeze_excitation_choice = se_choice};
      if (stage.se == SqueezeExcitation::yes) mb.squeeze_excitation = SqueezeExcitationOptions{};
      return mbconv(builder, in, channels, mb, block_name);
    });
  }
  {
    const auto scope = builder.scope("head");
    const std::int64_t expanded =
        make_divisible(static_cast<double>(builder.channels(x).value() * options.head_expansion));
    x = conv_bn_act(builder, x, expanded, {.activation = ActivationKind::hard_swish});
    x = builder.global_avg_pool(x);
    x = builder.conv(x, scaled(options.last_channels), {}, "mix");
    x = builder.activation(x, ActivationKind::hard_swish);
    x = builder.flatten(x);
    if (options.dropout > 0) x = builder.dropout(x, static_cast<float>(options.dropout));
    x = builder.linear(x, options.classes, {}, "classifier");
  }
  builder.output(x);
  return std::make_unique<SupergraphSpace>(open_compression(builder.finish(), options.compression));
}

}  // namespace espalier
