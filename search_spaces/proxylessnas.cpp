#include "search_spaces/proxylessnas.hpp"

#include <string>

#include <fmt/format.h>

#include "graph/blocks.hpp"
#include "search_spaces/stages.hpp"

namespace espalier {

const OptionTable<ProxylessnasOptions>& proxylessnas_options() {
  static const auto stage =
      OptionTable<ProxylessnasStage>("searched blocks of one width")
          .add("channels", &ProxylessnasStage::channels, "before the width multiplier",
               between(1, 65536))
          .add("stride", &ProxylessnasStage::stride, "of the first block", between(1, 8))
          .add("blocks", &ProxylessnasStage::blocks, "in the stage", between(1, 100));
  static const auto table =
      OptionTable<ProxylessnasOptions>(
          "the mobile space of ProxylessNAS: kernel and expansion of each block, or none")
          .add("input", &ProxylessnasOptions::input, "channels, height and width of the images",
               at_least(1), Items{3, 3})
          .add("classes", &ProxylessnasOptions::classes, "of the task", at_least(2))
          .add("width", &ProxylessnasOptions::width,
               "multiplies every width; the head's only when above 1", between(0.05, 16))
          .add("kernels", &ProxylessnasOptions::kernels, "kernel sizes to choose from, odd",
               between(1, 63), non_empty())
          .add("expansions", &ProxylessnasOptions::expansions,
               "widths of a block's depthwise convolution over its input's, to choose from",
               between(1, 32), non_empty())
          .add("stem_channels", &ProxylessnasOptions::stem_channels,
               "of the first convolution, before the width multiplier", between(1, 65536))
          .add("stem_stride", &ProxylessnasOptions::stem_stride, "of the first convolution",
               between(1, 8))
          .add("first_channels", &ProxylessnasOptions::first_channels,
               "of the fixed block, before the width multiplier", between(1, 65536))
          .add("stages", &ProxylessnasOptions::stages, "in order", stage, non_empty())
          .add("last_channels", &ProxylessnasOptions::last_channels,
               "of the head's convolution, before the width multiplier", between(1, 65536))
          .add("dropout", &ProxylessnasOptions::dropout, "probability before the classifier",
               between(0, 0.95))
          .add("compression", &ProxylessnasOptions::compression, "what else is searched",
               compression_options())
          .check([](const ProxylessnasOptions& o) {
            check_odd_distinct("/kernels", o.kernels);
            check_distinct("/expansions", o.expansions);
          });
  return table;
}

std::unique_ptr<SupergraphSpace> make_proxylessnas(const ProxylessnasOptions& options) {
  proxylessnas_options().validate(options);
  const auto scaled = [&](int channels) { return make_divisible(channels * options.width); };
  const op::BatchNorm2d batch_norm{.eps = 1e-3f, .momentum = 0.1f};
  SupergraphBuilder builder;
  NodeId x = builder.input(options.input[0], options.input[1], options.input[2]);
  {
    const auto scope = builder.scope("stem");
    x = conv_bn_act(builder, x, scaled(options.stem_channels),
                    {.conv = {.kernel = 3, .stride = options.stem_stride},
                     .activation = ActivationKind::relu6,
                     .batch_norm = batch_norm});
  }
  x = mbconv(
      builder, x, scaled(options.first_channels),
      {.expanded_channels = builder.channels(x), .residual = false, .batch_norm = batch_norm},
      "first");
  x = searched_stages(
      builder, x, options.stages, [&](NodeId in, const ProxylessnasStage& stage, int stride) {
        const std::int64_t channels = scaled(stage.channels);
        Candidates candidates;
        for (std::int64_t kernel : options.kernels) {
          for (std::int64_t expansion : options.expansions) {
            std::string label = fmt::format("k{}_e{}", kernel, expansion);
            const NodeId block = mbconv(builder, in, channels,
                                        {.expanded_channels = builder.channels(in) * expansion,
                                         .kernel = kernel,
                                         .stride = stride,
                                         .batch_norm = batch_norm},
                                        label);
            candidates.emplace_back(std::move(label), block);
          }
        }
        if (stride == 1 && builder.channels(in) == Dim(channels)) {
          candidates.emplace_back("skip", in);
        }
        return candidates;
      });
  builder.output(classifier_head(
      builder, x, options.classes,
      {.channels = options.width > 1 ? scaled(options.last_channels) : options.last_channels,
       .activation = ActivationKind::relu6,
       .dropout = options.dropout,
       .batch_norm = batch_norm}));
  return std::make_unique<SupergraphSpace>(open_compression(builder.finish(), options.compression));
}

}  // namespace espalier
