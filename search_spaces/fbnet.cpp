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
  for (std::size_t s = 0; s < options.stages.size(); ++s) {
    const FbnetStage& stage = options.stages[s];
    const std::int64_t channels = scaled(stage.channels);
    const std::string stage_name = "stage" + std::to_string(s + 1);
    const auto stage_scope = builder.scope(stage_name, "stage");
    for (int b = 1; b <= stage.blocks; ++b) {
      const std::string block_name = "block" + std::to_string(b);
      const auto block_scope = builder.scope(block_name);
      const int stride = b == 1 ? stage.stride : 1;
      Decision decision{.name = stage_name + "." + block_name, .options = {}};
      std::vector<NodeId> candidates;
      for (const std::int64_t kernel : {3, 5}) {
        for (const auto& [expansion, groups] : candidates_of_a_kernel) {
          decision.options.push_back(
              fmt::format("k{}_e{}{}", kernel, expansion, groups == 1 ? "" : "_g2"));
          candidates.push_back(fbnet_block(
              builder, x, channels,
              {.expansion = expansion, .kernel = kernel, .stride = stride, .groups = groups},
              decision.options.back()));
        }
      }
      decision.options.emplace_back("skip");
      candidates.push_back(skip(builder, x, channels, stride));
      x = builder.choice(builder.decide(decision), candidates);
    }
  }
  builder.output(
      classifier_head(builder, x, options.classes,
                      {.channels = scaled(options.last_channels), .dropout = options.dropout}));
  Supergraph supergraph = builder.finish();
  if (options.compression) supergraph = open_compression(supergraph, *options.compression);
  return std::make_unique<SupergraphSpace>(std::move(supergraph));
}

}  // namespace espalier
