#include "search_spaces/fbnet.hpp"

#include <string>

#include <fmt/format.h>

#include "graph/blocks.hpp"
#include "search_spaces/stages.hpp"

namespace espalier {

namespace {

struct Candidate {
  std::int64_t expansion, groups;
};
constexpr Candidate candidates_of_a_kernel[] = {{1, 1}, {1, 2}, {3, 1}, {6, 1}};

NodeId skip(SupergraphBuilder& builder, NodeId x, std::int64_t channels, int stride) {
  if (stride == 1 && builder.channels(x) == Dim(channels)) return x;
  const auto scope = builder.scope("skip", "conv_bn_act");
  return conv_bn_act(builder, x, channels, {.conv = {.stride = stride}});
}

}  // namespace

const OptionTable<FbnetOptions>& fbnet_options() {
  static const auto stage =
      OptionTable<FbnetStage>("searched blocks of one width")
          .add("channels", &FbnetStage::channels, "before the width multiplier", between(1, 65536))
          .add("stride", &FbnetStage::stride, "of the first block", between(1, 8))
          .add("blocks", &FbnetStage::blocks, "in the stage", between(1, 100));
  static const auto table =
      OptionTable<FbnetOptions>("the space of FBNet: one of nine candidates in each block")
          .add("input", &FbnetOptions::input, "channels, height and width of the images",
               at_least(1), Items{3, 3})
          .add("classes", &FbnetOptions::classes, "of the task", at_least(2))
          .add("width", &FbnetOptions::width, "multiplies every width", between(0.05, 16))
          .add("stem_channels", &FbnetOptions::stem_channels,
               "of the first convolution, before the width multiplier", between(1, 65536))
          .add("stem_stride", &FbnetOptions::stem_stride, "of the first convolution", between(1, 8))
          .add("stages", &FbnetOptions::stages, "in order", stage, non_empty())
          .add("last_channels", &FbnetOptions::last_channels,
               "of the head's convolution, before the width multiplier", between(1, 65536))
          .add("dropout", &FbnetOptions::dropout, "probability before the classifier",
               between(0, 0.95))
          .add("compression", &FbnetOptions::compression, "what else is searched",
               compression_options());
  return table;
}

std::unique_ptr<SupergraphSpace> make_fbnet(const FbnetOptions& options) {
  fbnet_options().validate(options);
  // Rounded to 8, so that two groups divide every width.
  const auto scaled = [&](int channels) { return make_divisible(channels * options.width); };
  SupergraphBuilder builder;
  NodeId x = builder.input(options.input[0], options.input[1], options.input[2]);
  {
    const auto scope = builder.scope("stem");
    x = conv_bn_act(builder, x, scaled(options.stem_channels),
                    {.conv = {.kernel = 3, .stride = options.stem_stride}});
  }
  x = searched_stages(
      builder, x, options.stages, [&](NodeId in, const FbnetStage& stage, int stride) {
        const std::int64_t channels = scaled(stage.channels);
        Candidates candidates;
        for (const std::int64_t kernel : {3, 5}) {
          for (const auto& [expansion, groups] : candidates_of_a_kernel) {
            std::string label =
                fmt::format("k{}_e{}{}", kernel, expansion, groups == 1 ? "" : "_g2");
            const NodeId block = fbnet_block(
                builder, in, channels,
                {.expansion = expansion, .kernel = kernel, .stride = stride, .groups = groups},
                label);
            candidates.emplace_back(std::move(label), block);
          }
        }
        candidates.emplace_back("skip", skip(builder, in, channels, stride));
        return candidates;
      });
  builder.output(
      classifier_head(builder, x, options.classes,
                      {.channels = scaled(options.last_channels), .dropout = options.dropout}));
  return std::make_unique<SupergraphSpace>(open_compression(builder.finish(), options.compression));
}

}  // namespace espalier
