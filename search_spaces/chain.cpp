#include "search_spaces/chain.hpp"

#include <algorithm>
#include <array>
#include <string>
#include <string_view>

#include <fmt/format.h>

#include "core/error.hpp"
#include "graph/blocks.hpp"
#include "search_spaces/cell_blocks.hpp"
#include "search_spaces/stages.hpp"

namespace espalier {

namespace {

Dim half(Dim width) {
  return map([](std::int64_t c) { return (c + 1) / 2; }, width);
}

/// For blocks without a stride.
NodeId pooled(GraphBuilder& builder, NodeId x, int stride) {
  return stride == 1 ? x : builder.max_pool(x, {.kernel = 3, .stride = stride});
}

NodeId plain(GraphBuilder& builder, NodeId x, Dim width, Dim kernel, int stride,
             std::string_view name) {
  return conv_bn_relu(builder, x, width, kernel, stride, name);
}

NodeId residual(GraphBuilder& builder, NodeId x, Dim width, Dim kernel, int stride,
                std::string_view name) {
  return basic_block(builder, x, width, {.kernel = kernel, .stride = stride}, name);
}

NodeId bottleneck_of(GraphBuilder& builder, NodeId x, Dim width, Dim kernel, int stride,
                     std::string_view name) {
  return bottleneck(builder, x, width, {.kernel = kernel, .stride = stride}, name);
}

template <int expansion>
NodeId inverted_residual(GraphBuilder& builder, NodeId x, Dim width, Dim kernel, int stride,
                         std::string_view name) {
  return mbconv(
      builder, x, width,
      {.expanded_channels = builder.channels(x) * expansion, .kernel = kernel, .stride = stride},
      name);
}

NodeId separable(GraphBuilder& builder, NodeId x, Dim width, Dim kernel, int stride,
                 std::string_view name) {
  return separable_conv(builder, x, width, {.kernel = kernel, .stride = stride}, name);
}

NodeId dense(GraphBuilder& builder, NodeId x, Dim width, Dim kernel, int stride,
             std::string_view name) {
  const auto scope = builder.scope(name);
  NodeId y = pooled(builder, x, stride);
  y = dense_layer(builder, y, {.growth = half(width), .kernel = kernel}, "layer");
  return conv_bn_act(builder, y, width, {}, "mix");
}

NodeId one_shot_aggregation(GraphBuilder& builder, NodeId x, Dim width, Dim kernel, int stride,
                            std::string_view name) {
  const NodeId y = pooled(builder, x, stride);
  return osa(builder, y, width, {.layer_channels = half(width), .layers = 3, .kernel = kernel},
             name);
}

NodeId rep_vgg(GraphBuilder& builder, NodeId x, Dim width, Dim, int stride, std::string_view name) {
  return repvgg(builder, x, width, {.stride = stride}, name);
}

NodeId ghost(GraphBuilder& builder, NodeId x, Dim width, Dim kernel, int stride,
             std::string_view name) {
  return ghost_bottleneck(builder, x, width,
                          {.expanded_channels = width * 2, .kernel = kernel, .stride = stride},
                          name);
}

NodeId fire_of(GraphBuilder& builder, NodeId x, Dim width, Dim, int stride, std::string_view name) {
  const NodeId y = pooled(builder, x, stride);
  const Dim squeeze = map([](std::int64_t c) { return (c + 7) / 8; }, width);
  return fire(builder, y,
              {.squeeze = squeeze, .expand1 = half(width), .expand3 = width - half(width)}, name);
}

struct Block {
  const char* name;
  NodeId (*append)(GraphBuilder& builder, NodeId x, Dim width, Dim kernel, int stride,
                   std::string_view name);
  bool reads_kernel = true;
  bool halves = false;  ///< joins two halves, which lie elsewhere than one convolution's channels
};

constexpr std::array blocks{
    Block{"plain", plain},
    Block{"residual", residual},
    Block{"bottleneck", bottleneck_of},
    Block{"mbconv3", inverted_residual<3>},
    Block{"mbconv6", inverted_residual<6>},
    Block{"separable", separable},
    Block{"dense", dense},
    Block{"osa", one_shot_aggregation},
    Block{.name = "repvgg", .append = rep_vgg, .reads_kernel = false},
    Block{.name = "ghost", .append = ghost, .halves = true},
    Block{.name = "fire", .append = fire_of, .reads_kernel = false, .halves = true},
};

/// `name` must be one of chain_blocks().
const Block& block_named(const std::string& name) {
  return *std::ranges::find_if(blocks, [&](const Block& b) { return b.name == name; });
}

}  // namespace

const std::vector<std::string>& chain_blocks() {
  static const auto names = [] {
    std::vector<std::string> result;
    for (const Block& b : blocks) result.emplace_back(b.name);
    return result;
  }();
  return names;
}

const OptionTable<ChainOptions>& chain_options() {
  static const auto stage =
      OptionTable<ChainStage>("blocks of one width")
          .add("blocks", &ChainStage::blocks, "kinds of block to choose from",
               one_of(chain_blocks()), non_empty())
          .add("widths", &ChainStage::widths, "channels to choose from", between(1, 65536),
               non_empty())
          .add("depths", &ChainStage::depths, "numbers of blocks to choose from, ascending",
               between(1, 100), non_empty())
          .add("kernels", &ChainStage::kernels, "kernel sizes to choose from, odd", between(1, 63),
               non_empty())
          .add("stride", &ChainStage::stride, "of the first block", between(1, 8))
          .check([](const ChainStage& s) {
            check_distinct("/blocks", s.blocks);
            for (const std::string& name : s.blocks) {
              if (s.widths.size() > 1 && block_named(name).halves) {
                throw ConfigError("/widths", fmt::format("must be one value where '{}' is among "
                                                         "the blocks, as it joins two halves; got "
                                                         "{} values",
                                                         name, s.widths.size()));
              }
            }
            check_distinct("/widths", s.widths);
            check_ascending("/depths", s.depths);
            check_odd_distinct("/kernels", s.kernels);
          });
  static const auto table =
      OptionTable<ChainOptions>("a chain of stages of convolution blocks")
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
      const int stride = block == 1 ? stage.stride : 1;
      const std::string prefix = name + "." + block_name;
      const bool open = stage.blocks.size() > 1;
      const DecisionId kind =
          open ? builder.decide({.name = prefix + ".block", .options = stage.blocks}) : 0;
      const bool reads_kernel = std::ranges::any_of(
          stage.blocks, [](const std::string& b) { return block_named(b).reads_kernel; });
      const Dim kernel = reads_kernel ? builder.number(prefix + ".kernel", stage.kernels) : Dim(3);
      if (!open) {
        return block_named(stage.blocks[0]).append(builder, in, width, kernel, stride, block_name);
      }
      const auto part = builder.scope(block_name);
      std::vector<NodeId> candidates;
      for (const std::string& b : stage.blocks) {
        candidates.push_back(block_named(b).append(builder, in, width, kernel, stride, b));
      }
      return builder.choice(kind, candidates, "block");
    });
  }
  {
    const auto scope = builder.scope("head");
    x = builder.linear(builder.flatten(builder.global_avg_pool(x)), options.classes);
  }
  builder.output(x);
  return std::make_unique<SupergraphSpace>(open_compression(builder.finish(), options.compression));
}

}  // namespace espalier
