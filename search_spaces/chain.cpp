#include "search_spaces/chain.hpp"

#include <algorithm>
#include <string>

#include <fmt/format.h>

#include "core/error.hpp"
#include "graph/blocks.hpp"
#include "search_spaces/stages.hpp"

namespace espalier {

const OptionTable<ChainOptions>& chain_options() {
  static const auto stage =
      OptionTable<ChainStage>("blocks of one width")
          .add(
              "block", &ChainStage::block, "kind of block",
              named<ChainBlock>({{"plain", ChainBlock::plain}, {"residual", ChainBlock::residual}}))
          .add("widths", &ChainStage::widths, "channels to choose from", between(1, 65536),
               non_empty())
          .add("depths", &ChainStage::depths, "numbers of blocks to choose from, ascending",
               between(1, 100), non_empty())
          .add("kernels", &ChainStage::kernels, "kernel sizes to choose from, odd", between(1, 63),
               non_empty())
          .add("stride", &ChainStage::stride, "of the first block", between(1, 8))
          .check([](const ChainStage& s) {
            check_distinct("/widths", s.widths);
            check_ascending("/depths", s.depths);
            check_odd_distinct("/kernels", s.kernels);
          });
  static const auto table =
      OptionTable<ChainOptions>("a chain of plain or residual convolution blocks")
          .add("input", &ChainOptions::input, "channels, height and width of the images",
               at_least(1), Items{3, 3})
          .add("classes", &ChainOptions::classes, "of the task", at_least(2))
          .add("stem_channels", &ChainOptions::stem_channels, "of the first convolution",
               at_least(1))
          .add("stem_stride", &ChainOptions::stem_stride, "of the first convolution", between(1, 8))
          .add("stages", &ChainOptions::stages, "in order", stage, non_empty())
          .add("compression", &ChainOptions::compression, "what else is searched",
               compression_options());
  return table;
}

std::unique_ptr<SupergraphSpace> make_chain(const ChainOptions& options) {
  chain_options().validate(options);
  SupergraphBuilder builder;
  NodeId x = builder.input(options.input[0], options.input[1], options.input[2]);
  {
    const auto scope = builder.scope("stem");
    x = conv_bn_act(builder, x, options.stem_channels,
                    {.conv = {.kernel = 3, .stride = options.stem_stride}});
  }
  for (std::size_t s = 0; s < options.stages.size(); ++s) {
    const ChainStage& stage = options.stages[s];
    const std::string name = "stage" + std::to_string(s + 1);
    const auto scope = builder.scope(name, "stage");
    const Dim width = builder.number(name + ".width", stage.widths);
    x = elastic_depth(builder, x, name, stage.depths, [&](NodeId in, std::int64_t block) {
      const std::string block_name = "block" + std::to_string(block);
      const Dim kernel = builder.number(name + "." + block_name + ".kernel", stage.kernels);
      const Dim stride = block == 1 ? stage.stride : 1;
      if (stage.block == ChainBlock::residual) {
        return basic_block(builder, in, width, {.kernel = kernel, .stride = stride}, block_name);
      }
      const auto part = builder.scope(block_name, "conv_bn_relu",
                                      {{"in_channels", builder.channels(in)},
                                       {"out_channels", width},
                                       {"kernel", kernel},
                                       {"stride", stride},
                                       {"in_height", builder.shape(in)[1]},
                                       {"in_width", builder.shape(in)[2]}});
      return conv_bn_act(builder, in, width, {.conv = {.kernel = kernel, .stride = stride}});
    });
  }
  {
    const auto scope = builder.scope("head");
    x = builder.linear(builder.flatten(builder.global_avg_pool(x)), options.classes);
  }
  builder.output(x);
  Supergraph supergraph = builder.finish();
  if (options.compression) supergraph = open_compression(supergraph, *options.compression);
  return std::make_unique<SupergraphSpace>(std::move(supergraph));
}

}  // namespace espalier
