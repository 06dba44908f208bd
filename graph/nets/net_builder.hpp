#pragma once

#include <string>
#include <unordered_map>
#include <vector>

#include "graph/blocks.hpp"
#include "graph/nets.hpp"

namespace espalier {

/// Builds a reference network, whose layers with weights may get other names than the blocks give
/// them.
class NetBuilder : public GraphBuilder {
 public:
  NodeId input(const NetOptions& options);
  /// conv_bn_act() in a scope "name", whose layers are called "name.0" and "name.1".
  NodeId numbered_conv(NodeId x, Dim channels, const ConvBnActOptions& options,
                       const std::string& name);
  /// mbconv() whose parts are counted: "name.block.0.0", "name.block.0.1", "name.block.1.0"..., and
  /// "name.block.2.fc1" and "name.block.2.fc2" in SE, as MobileNetV3 and EfficientNet do.
  NodeId numbered_mbconv(NodeId x, Dim channels, const MbconvOptions& options,
                         const std::string& name);
  /// Calls the last names.size() convolutions, batch norms and linear layers so, in the order in
  /// which they were appended. Names are relative to the current scope.
  void name_layers(const std::vector<std::string>& names);
  /// The graph whose output is x.
  Graph finish(NodeId x);

 private:
  std::unordered_map<NodeId, std::string> names_;
};

/// { prefix + name for each name }.
std::vector<std::string> prefixed(const std::string& prefix, std::vector<std::string> names);

}  // namespace espalier
