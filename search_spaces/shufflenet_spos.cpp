#include "search_spaces/shufflenet_spos.hpp"

#include <algorithm>
#include <string>

#include <fmt/format.h>

#include "graph/blocks.hpp"
#include "search_spaces/stages.hpp"

namespace espalier {

namespace {

void check_even(const std::string& pointer, int channels) {
  if (channels % 2 != 0) {
    throw ConfigError(pointer,
                      fmt::format("{} channels cannot be halved; write an even number", channels));
  }
}

}  // namespace

const OptionTable<ShufflenetSposOptions>& shufflenet_spos_options() {
  static const auto stage =
      OptionTable<ShufflenetSposStage>("searched blocks of one width")
          .add("channels", &ShufflenetSposStage::channels, "of all blocks, even", between(2, 65536))
          .add("blocks", &ShufflenetSposStage::blocks, "of which the first has stride 2",
               between(1, 100))
          .check([](const ShufflenetSposStage& s) { check_even("/channels", s.channels); });
  static const auto table =
      OptionTable<ShufflenetSposOptions>(
          "the space of Single Path One-Shot: one of four shuffle units in each block")
          .add("input", &ShufflenetSposOptions::input, "channels, height and width of the images",
               at_least(1), Items{3, 3})
          .add("classes", &ShufflenetSposOptions::classes, "of the task", at_least(2))
          .add("kernels", &ShufflenetSposOptions::kernels, "kernel sizes to choose from, odd",
               between(1, 63), non_empty())
          .add("channel_scales", &ShufflenetSposOptions::channel_scales,
               "widths inside a branch over half of the block's, to choose from", between(0.05, 16),
               non_empty())
          .add("stem_channels", &ShufflenetSposOptions::stem_channels,
               "of the first convolution, even", between(2, 65536))
          .add("stages", &ShufflenetSposOptions::stages, "in order", stage, non_empty())
          .add("last_channels", &ShufflenetSposOptions::last_channels, "of the head's convolution",
               between(1, 65536))
          .add("dropout", &ShufflenetSposOptions::dropout, "probability before the classifier",
               between(0, 0.95))
          .add("compression", &ShufflenetSposOptions::compression, "what else is searched",
               compression_options())
          .check([](const ShufflenetSposOptions& o) {
            check_odd_distinct("/kernels", o.kernels);
            check_distinct("/channel_scales", o.channel_scales);
            check_even("/stem_channels", o.stem_channels);
            int channels = o.stem_channels;
            for (std::size_t s = 0; s < o.stages.size(); ++s) {
              if (o.stages[s].channels <= channels) {
                throw ConfigError(
                    fmt::format("/stages/{}/channels", s),
                    fmt::format("{} channels after {}: a strided block passes its input's on, so "
                                "write more",
                                o.stages[s].channels, channels));
              }
              channels = o.stages[s].channels;
            }
          });
  return table;
}

std::unique_ptr<SupergraphSpace> make_shufflenet_spos(const ShufflenetSposOptions& options) {
  shufflenet_spos_options().validate(options);
  SupergraphBuilder builder;
  NodeId x = builder.input(options.input[0], options.input[1], options.input[2]);
  {
    const auto scope = builder.scope("stem");
    x = conv_bn_act(builder, x, options.stem_channels, {.conv = {.kernel = 3, .stride = 2}});
  }
  for (std::size_t s = 0; s < options.stages.size(); ++s) {
    const ShufflenetSposStage& stage = options.stages[s];
    const std::string stage_name = "stage" + std::to_string(s + 1);
    const auto stage_scope = builder.scope(stage_name, "stage");
    for (int b = 1; b <= stage.blocks; ++b) {
      const std::string block_name = "block" + std::to_string(b);
      const std::string name = stage_name + "." + block_name;
      const auto block_scope = builder.scope(block_name);
      Decision decision{.name = name, .options = {}};
      for (std::int64_t kernel : options.kernels) {
        decision.options.push_back(fmt::format("k{}", kernel));
      }
      decision.options.emplace_back("xception");
      const DecisionId unit = builder.decide(decision);
      const Dim width =
          builder.number(name + ".scale", options.channel_scales, [&](double share) -> Dim {
            return std::max(1, static_cast<int>(stage.channels / 2 * share));
          });
      SposUnitOptions unit_options{.stride = b == 1 ? 2 : 1, .mid_channels = width};
      std::vector<NodeId> candidates;
      for (std::size_t k = 0; k < decision.options.size(); ++k) {
        unit_options.xception = k == options.kernels.size();
        if (!unit_options.xception) unit_options.kernel = options.kernels[k];
        candidates.push_back(
            spos_unit(builder, x, stage.channels, unit_options, decision.options[k]));
      }
      x = builder.choice(unit, candidates);
    }
  }
  builder.output(classifier_head(
      builder, x, options.classes,
      {.channels = options.last_channels, .dropout = options.dropout, .bias = false}));
  return std::make_unique<SupergraphSpace>(open_compression(builder.finish(), options.compression));
}

}  // namespace espalier
