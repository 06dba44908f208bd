#include "search_spaces/mnasnet.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <string>

#include <fmt/format.h>

#include "graph/blocks.hpp"
#include "search_spaces/stages.hpp"

namespace espalier {

namespace {

const op::BatchNorm2d batch_norm{.eps = 1e-3f, .momentum = 0.01f};

/// What all layers of a stage share.
struct Shared {
  Decision op;  // its options are those of layer()
  Decision skip;
  Dim kernel, channels;
  std::optional<DecisionId> se;
};

/// One layer: a choice of operators, then of skips where the shape stays.
NodeId layer(SupergraphBuilder& builder, NodeId x, const Shared& stage, int stride,
             const MnasnetOptions& options) {
  const Dim in_channels = builder.channels(x);
  const auto squeeze = [&](std::int64_t channels) {
    const double share = static_cast<double>(channels) * options.se_ratio;
    return std::max<std::int64_t>(1, static_cast<std::int64_t>(share));
  };
  const SqueezeExcitationOptions se{.squeeze_channels = map(squeeze, in_channels),
                                    .gate = ActivationKind::sigmoid};
  std::vector<NodeId> operators;
  {
    const auto scope = builder.scope("conv", "conv_bn_act");
    NodeId y =
        conv_bn_act(builder, x, stage.channels,
                    {.conv = {.kernel = stage.kernel, .stride = stride}, .batch_norm = batch_norm});
    if (stage.se) {
      y = builder.choice(*stage.se, std::array{y, squeeze_excitation(builder, y, se)}, "se_choice");
    }
    operators.push_back(y);
  }
  const auto inverted_residual = [&](std::int64_t expansion, const std::string& name) {
    MbconvOptions block{.expanded_channels = in_channels * expansion,
                        .kernel = stage.kernel,
                        .stride = stride,
                        .activation = ActivationKind::relu,
                        .squeeze_excitation_choice = stage.se,
                        .residual = false,
                        .batch_norm = batch_norm};
    if (stage.se) block.squeeze_excitation = se;
    operators.push_back(mbconv(builder, x, stage.channels, block, name));
  };
  inverted_residual(1, "dconv");
  for (std::int64_t expansion : options.expansions) {
    inverted_residual(expansion, fmt::format("mbconv{}", expansion));
  }
  const NodeId y = builder.choice(builder.decide(stage.op), operators, "op");
  if (builder.shape(x) != builder.shape(y)) return y;
  const auto scope = builder.scope("skip");
  const NodeId pooled = builder.avg_pool(x, {.kernel = 3, .stride = 1});
  return builder.choice(
      builder.decide(stage.skip),
      std::array{y, builder.add(x, y, "identity"), builder.add(pooled, y, "pooled")}, "choice");
}

}  // namespace

const OptionTable<MnasnetOptions>& mnasnet_options() {
  static const auto stage =
      OptionTable<MnasnetStage>("layers that share their operator and its options")
          .add("channels", &MnasnetStage::channels, "of MobileNetV2, which `filters` multiplies",
               between(1, 65536))
          .add("stride", &MnasnetStage::stride, "of the first layer", between(1, 8))
          .add("depths", &MnasnetStage::depths, "numbers of layers to choose from, ascending",
               between(1, 100), non_empty())
          .check([](const MnasnetStage& s) { check_ascending("/depths", s.depths); });
  static const auto table =
      OptionTable<MnasnetOptions>(
          "the space of MnasNet: operator, kernel, SE, skip, width and depth of each stage")
          .add("input", &MnasnetOptions::input, "channels, height and width of the images",
               at_least(1), Items{3, 3})
          .add("classes", &MnasnetOptions::classes, "of the task", at_least(2))
          .add("kernels", &MnasnetOptions::kernels, "kernel sizes to choose from, odd",
               between(1, 63), non_empty())
          .add("expansions", &MnasnetOptions::expansions,
               "of the inverted residuals among the operators", between(2, 32))
          .add("filters", &MnasnetOptions::filters, "factors of a stage's channels to choose from",
               between(0.05, 16), non_empty())
          .add("se_ratio", &MnasnetOptions::se_ratio,
               "squeeze of SE over a layer's input width; 0: no SE", between(0, 1))
          .add("stem_channels", &MnasnetOptions::stem_channels, "of the first convolution",
               between(1, 65536))
          .add("stem_stride", &MnasnetOptions::stem_stride, "of the first convolution",
               between(1, 8))
          .add("stages", &MnasnetOptions::stages, "in order", stage, non_empty())
          .add("last_channels", &MnasnetOptions::last_channels, "of the head's convolution",
               between(1, 65536))
          .add("dropout", &MnasnetOptions::dropout, "probability before the classifier",
               between(0, 0.95))
          .add("compression", &MnasnetOptions::compression, "what else is searched",
               compression_options())
          .check([](const MnasnetOptions& o) {
            check_odd_distinct("/kernels", o.kernels);
            check_distinct("/expansions", o.expansions);
            check_distinct("/filters", o.filters);
          });
  return table;
}

std::unique_ptr<SupergraphSpace> make_mnasnet(const MnasnetOptions& options) {
  mnasnet_options().validate(options);
  SupergraphBuilder builder;
  NodeId x = builder.input(options.input[0], options.input[1], options.input[2]);
  {
    const auto scope = builder.scope("stem");
    x = conv_bn_act(
        builder, x, options.stem_channels,
        {.conv = {.kernel = 3, .stride = options.stem_stride}, .batch_norm = batch_norm});
  }
  for (std::size_t s = 0; s < options.stages.size(); ++s) {
    const MnasnetStage& stage = options.stages[s];
    const std::string name = "stage" + std::to_string(s + 1);
    const auto scope = builder.scope(name, "stage");
    Shared shared{.op = {.name = name + ".op", .options = {"conv", "dconv"}},
                  .skip = {.name = name + ".skip", .options = {"none", "identity", "pool"}},
                  .kernel = {},
                  .channels = {},
                  .se = {}};
    for (std::int64_t expansion : options.expansions) {
      shared.op.options.push_back(fmt::format("mbconv{}", expansion));
    }
    builder.decide(shared.op);
    shared.kernel = builder.number(name + ".kernel", options.kernels);
    shared.channels = builder.number(name + ".filters", options.filters, [&](double factor) -> Dim {
      return std::max(std::llround(stage.channels * factor), 1ll);
    });
    if (options.se_ratio > 0) {
      shared.se = builder.decide({.name = name + ".se", .options = {"no", "yes"}});
    }
    x = elastic_depth(builder, x, name, stage.depths, [&](NodeId in, std::int64_t index) {
      const auto layer_scope = builder.scope("layer" + std::to_string(index));
      return layer(builder, in, shared, index == 1 ? stage.stride : 1, options);
    });
  }
  builder.output(classifier_head(
      builder, x, options.classes,
      {.channels = options.last_channels, .dropout = options.dropout, .batch_norm = batch_norm}));
  return std::make_unique<SupergraphSpace>(open_compression(builder.finish(), options.compression));
}

}  // namespace espalier
