#include "graph/blocks/vovnet.hpp"

#include <string>
#include <vector>

namespace espalier {

NodeId effective_squeeze_excitation(GraphBuilder& builder, NodeId x) {
  const auto guard = builder.scope("ese", "effective_squeeze_excitation");
  NodeId gate = builder.global_avg_pool(x);
  gate = builder.conv(gate, builder.channels(x), {.bias = true}, "fc");
  gate = builder.activation(gate, ActivationKind::hard_sigmoid, "gate");
  return builder.multiply(x, gate, "scale");
}

NodeId osa(GraphBuilder& builder, NodeId x, Dim out_channels, const OsaOptions& options,
           std::string_view name) {
  const auto guard =
      builder.scope(name, "osa",
                    block_attributes(builder, x, out_channels,
                                     {{"layer_channels", options.layer_channels},
                                      {"layers", options.layers},
                                      {"kernel", options.kernel},
                                      {"ese", options.effective_squeeze_excitation ? 1 : 0}}));
  std::vector<NodeId> joined{x};
  for (int i = 1; i <= options.layers; ++i) {
    joined.push_back(conv_bn_act(builder, joined.back(), options.layer_channels,
                                 {.conv = {.kernel = options.kernel}},
                                 "layer" + std::to_string(i)));
  }
  NodeId y = conv_bn_act(builder, builder.concat(joined), out_channels, {}, "aggregate");
  if (options.effective_squeeze_excitation) y = effective_squeeze_excitation(builder, y);
  if (options.residual && builder.shape(x) == builder.shape(y)) y = builder.add(x, y);
  return y;
}

}  // namespace espalier
