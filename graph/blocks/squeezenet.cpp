#include "graph/blocks/squeezenet.hpp"

#include <array>
#include <string>

namespace espalier {

NodeId fire(GraphBuilder& builder, NodeId x, const FireOptions& options, std::string_view name) {
  const auto guard = builder.scope(name, "fire",
                                   block_attributes(builder, x, options.expand1 + options.expand3,
                                                    {{"squeeze", options.squeeze},
                                                     {"expand1", options.expand1},
                                                     {"expand3", options.expand3}}));
  const auto conv = [&](NodeId from, Dim channels, Dim kernel, const std::string& part) {
    const NodeId y = builder.conv(from, channels, {.kernel = kernel, .bias = true}, part);
    return builder.activation(y, ActivationKind::relu, part + "_activation");
  };
  const NodeId squeezed = conv(x, options.squeeze, 1, "squeeze");
  const NodeId one = conv(squeezed, options.expand1, 1, "expand1x1");
  const NodeId three = conv(squeezed, options.expand3, 3, "expand3x3");
  return builder.concat(std::array{one, three});
}

}  // namespace espalier
