#include "graph/blocks/repvgg.hpp"

#include <vector>

namespace espalier {

NodeId repvgg(GraphBuilder& builder, NodeId x, Dim out_channels, const RepvggOptions& options,
              std::string_view name) {
  const auto guard = builder.scope(
      name, "repvgg", block_attributes(builder, x, out_channels, {{"stride", options.stride}}));
  const auto branch = [&](Dim kernel, std::string_view part) {
    return conv_bn_act(
        builder, x, out_channels,
        {.conv = {.kernel = kernel, .stride = options.stride}, .activation = std::nullopt}, part);
  };
  std::vector<NodeId> branches{branch(3, "dense"), branch(1, "pointwise")};
  if (options.stride == Dim(1) && out_channels == builder.channels(x)) {
    branches.push_back(builder.batch_norm(x, {}, "identity"));
  }
  return builder.activation(builder.add(branches), ActivationKind::relu);
}

}  // namespace espalier
