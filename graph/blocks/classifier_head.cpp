#include "graph/blocks/classifier_head.hpp"

#include "graph/blocks/conv.hpp"

namespace espalier {

NodeId classifier_head(GraphBuilder& builder, NodeId x, Dim classes,
                       const ClassifierHeadOptions& options) {
  const auto guard = builder.scope("head");
  x = conv_bn_act(builder, x, options.channels,
                  {.activation = options.activation, .batch_norm = options.batch_norm});
  x = builder.flatten(builder.global_avg_pool(x));
  if (options.dropout > 0) x = builder.dropout(x, static_cast<float>(options.dropout));
  return builder.linear(x, classes, {.bias = options.bias}, "classifier");
}

}  // namespace espalier
