#include "graph/blocks/densenet.hpp"

#include <array>
#include <string>

namespace espalier {

NodeId dense_layer(GraphBuilder& builder, NodeId x, const DenseLayerOptions& options,
                   std::string_view name) {
  const auto guard = builder.scope(
      name, "dense_layer",
      block_attributes(builder, x, builder.channels(x) + options.growth,
                       {{"bottleneck", options.bottleneck}, {"kernel", options.kernel}}));
  NodeId y = builder.batch_norm(x, {}, "norm1");
  y = builder.activation(y, ActivationKind::relu, "relu1");
  y = builder.conv(y, options.bottleneck * options.growth, {}, "conv1");
  y = builder.batch_norm(y, {}, "norm2");
  y = builder.activation(y, ActivationKind::relu, "relu2");
  y = builder.conv(y, options.growth, {.kernel = options.kernel}, "conv2");
  return builder.concat(std::array{x, y});
}

NodeId dense_block(GraphBuilder& builder, NodeId x, int layers, const DenseLayerOptions& options,
                   std::string_view name) {
  const auto guard = builder.scope(
      name, "dense_block",
      block_attributes(builder, x, builder.channels(x) + options.growth * layers,
                       {{"bottleneck", options.bottleneck}, {"kernel", options.kernel}}));
  for (int i = 1; i <= layers; ++i) {
    x = dense_layer(builder, x, options, "denselayer" + std::to_string(i));
  }
  return x;
}

NodeId transition(GraphBuilder& builder, NodeId x, Dim out_channels, std::string_view name) {
  const auto guard = builder.scope(name, "transition", block_attributes(builder, x, out_channels));
  NodeId y = builder.batch_norm(x, {}, "norm");
  y = builder.activation(y, ActivationKind::relu, "relu");
  y = builder.conv(y, out_channels);
  return builder.avg_pool(y, {});
}

}  // namespace espalier
