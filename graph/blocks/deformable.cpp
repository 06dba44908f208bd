#include "graph/blocks/deformable.hpp"

#include <vector>

#include "graph/blocks/conv.hpp"

namespace espalier {

NodeId deform_conv(GraphBuilder& builder, NodeId x, Dim out_channels,
                   const DeformConvOptions& options, std::string_view name) {
  const ConvOptions& conv = options.conv;
  const auto guard = builder.scope(name, "deform_conv",
                                   block_attributes(builder, x, out_channels,
                                                    {{"kernel", conv.kernel.h},
                                                     {"stride", conv.stride.h},
                                                     {"modulated", options.modulated ? 1 : 0}}));
  const Dim places = conv.kernel.h * conv.kernel.w * options.offset_groups;
  const NodeId found = builder.conv(x, places * (options.modulated ? 3 : 2),
                                    {.kernel = conv.kernel,
                                     .stride = conv.stride,
                                     .dilation = conv.dilation,
                                     .padding = conv.padding,
                                     .bias = true},
                                    "offset");
  std::vector<NodeId> inputs{x, found};
  if (options.modulated) {
    inputs[1] = builder.slice(found, {.axis = 0, .begin = 0, .end = places * 2}, "offsets");
    const NodeId factors = builder.slice(found, {.axis = 0, .begin = places * 2}, "factors");
    inputs.push_back(builder.activation(factors, ActivationKind::sigmoid, "modulation"));
  }
  return builder.deform_conv(inputs, out_channels, conv);
}

}  // namespace espalier
