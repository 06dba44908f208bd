#include "search_spaces/resnet.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <string>

#include <fmt/format.h>

#include "graph/blocks.hpp"
#include "search_spaces/stages.hpp"

namespace espalier {

const OptionTable<ResnetOptions>& resnet_options() {
  static const auto stage =
      OptionTable<ResnetStage>("bottleneck blocks of one width")
          .add("channels", &ResnetStage::channels, "of the blocks' results, at width 1",
               between(1, 65536))
          .add("depths", &ResnetStage::depths, "numbers of blocks to choose from, ascending",
               between(1, 100), non_empty())
          .add("stride", &ResnetStage::stride, "of the first block", between(1, 8))
          .check([](const ResnetStage& s) { check_ascending("/depths", s.depths); });
  static const auto table =
      OptionTable<ResnetOptions>(
          "the ResNet-50D space of Once-for-All: width, depth, expansion, resolution")
          .add("input", &ResnetOptions::input, "channels, height and width of the images",
               at_least(1), Items{3, 3})
          .add("classes", &ResnetOptions::classes, "of the task", at_least(2))
          .add("resolutions", &ResnetOptions::resolutions,
               "input heights (= widths) to choose from, pixels; none: as the input",
               between(1, 4096))
          .add("widths", &ResnetOptions::widths, "multipliers of channels to choose from",
               between(0.05, 16), non_empty())
          .add("expansions", &ResnetOptions::expansions,
               "inner channels of a block over its result's, to choose from", between(0.01, 16),
               non_empty())
          .add("stem_channels", &ResnetOptions::stem_channels, "of the stem's result, at width 1",
               between(1, 65536))
          .add("stages", &ResnetOptions::stages, "in order", stage, non_empty())
          .add("compression", &ResnetOptions::compression, "what else is searched",
               compression_options())
          .check([](const ResnetOptions& o) {
            check_distinct("/resolutions", o.resolutions);
            check_distinct("/widths", o.widths);
            check_distinct("/expansions", o.expansions);
          });
  return table;
}

namespace {

NodeId bottleneck_d(GraphBuilder& builder, NodeId x, Dim channels, Dim inner, int stride,
                    const std::string& name) {
  const auto guard = builder.scope(
      name, "bottleneck_d",
      block_attributes(builder, x, channels, {{"inner_channels", inner}, {"stride", stride}}));
  const auto part = [&](NodeId in, const char* part_name, Dim out,
                        const ConvBnActOptions& conv_options) {
    const auto scope = builder.scope(part_name);
    return conv_bn_act(builder, in, out, conv_options);
  };
  NodeId y = part(x, "reduce", inner, {});
  y = part(y, "spatial", inner, {.conv = {.kernel = 3, .stride = stride}});
  y = part(y, "expand", channels, {.activation = std::nullopt});
  NodeId shortcut = x;
  if (stride != 1 || builder.channels(x) != channels) {
    if (stride != 1) {
      shortcut =
          builder.avg_pool(x, {.kernel = stride, .stride = stride, .padding = 0, .ceil_mode = true},
                           "shortcut_pool");
    }
    shortcut = part(shortcut, "shortcut", channels, {.activation = std::nullopt});
  }
  return builder.activation(builder.add(y, shortcut), ActivationKind::relu);
}

}  // namespace

std::unique_ptr<SupergraphSpace> make_resnet(const ResnetOptions& options) {
  resnet_options().validate(options);
  SupergraphBuilder builder;
  Dim height = options.input[1], width = options.input[2];
  if (!options.resolutions.empty()) {
    height = width = builder.number("resolution", options.resolutions);
  }
  /// A decision over the multiples of `channels`; each number of channels once.
  const auto elastic_width = [&](const std::string& name, int channels, int divisor) {
    std::vector<std::int64_t> values;
    for (double w : options.widths) {
      const std::int64_t value = make_divisible(channels * w);
      values.push_back(divisor == 1 ? value : make_divisible(static_cast<double>(value / divisor)));
    }
    std::ranges::sort(values);
    values.erase(std::unique(values.begin(), values.end()), values.end());
    return builder.number(name, values);
  };
  NodeId x = builder.input(options.input[0], height, width);
  {
    const auto scope = builder.scope("stem");
    const Dim inner = elastic_width("stem.inner_width", options.stem_channels, 2);
    const auto conv = [&](NodeId in, Dim channels, int stride, const char* name) {
      const auto part = builder.scope(name);
      return conv_bn_act(builder, in, channels, {.conv = {.kernel = 3, .stride = stride}});
    };
    x = conv(x, inner, 2, "first");
    const DecisionId residual = builder.decide({.name = "stem.residual", .options = {"no", "yes"}});
    const NodeId with = builder.add(conv(x, inner, 1, "residual"), x);
    x = builder.choice(residual, std::array{x, with});
    x = conv(x, elastic_width("stem.width", options.stem_channels, 1), 1, "last");
    x = builder.max_pool(x, {.kernel = 3, .stride = 2});
  }
  for (std::size_t s = 0; s < options.stages.size(); ++s) {
    const ResnetStage& stage = options.stages[s];
    const std::string name = "stage" + std::to_string(s + 1);
    const auto scope = builder.scope(name, "stage");
    const Dim channels = elastic_width(name + ".width", stage.channels, 1);
    x = elastic_depth(builder, x, name, stage.depths, [&](NodeId in, std::int64_t block) {
      const std::string block_name = "block" + std::to_string(block);
      const Dim inner =
          builder.number(name + "." + block_name + ".expansion", options.expansions, [&](double e) {
            return map(
                [e](std::int64_t c) {
                  return make_divisible(std::nearbyint(static_cast<double>(c) * e));
                },
                channels);
          });
      return bottleneck_d(builder, in, channels, inner, block == 1 ? stage.stride : 1, block_name);
    });
  }
  {
    const auto scope = builder.scope("head");
    x = builder.linear(builder.flatten(builder.global_avg_pool(x)), options.classes, {},
                       "classifier");
  }
  builder.output(x);
  return std::make_unique<SupergraphSpace>(open_compression(builder.finish(), options.compression));
}

}  // namespace espalier
