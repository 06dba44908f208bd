#include "graph/nets/net_builder.hpp"

#include <cassert>
#include <utility>
#include <variant>

namespace espalier {

namespace {

bool has_weights(const Op& op) {
  return std::holds_alternative<op::Conv2d>(op) || std::holds_alternative<op::BatchNorm2d>(op) ||
         std::holds_alternative<op::Linear>(op);
}

}  // namespace

NodeId NetBuilder::input(const NetOptions& options) {
  return GraphBuilder::input(options.input[0], options.input[1], options.input[2]);
}

NodeId NetBuilder::numbered_conv(NodeId x, Dim channels, const ConvBnActOptions& options,
                                 const std::string& name) {
  x = conv_bn_act(*this, x, channels, options, name);
  name_layers({name + ".0", name + ".1"});
  return x;
}

NodeId NetBuilder::numbered_mbconv(NodeId x, Dim channels, const MbconvOptions& options,
                                   const std::string& name) {
  std::vector<std::string> names;
  int part = 0;
  const auto count = [&](const char* first, const char* second) {
    const std::string index = name + ".block." + std::to_string(part++) + ".";
    names.insert(names.end(), {index + first, index + second});
  };
  if (options.expanded_channels != this->channels(x)) count("0", "1");
  count("0", "1");
  if (options.squeeze_excitation) count("fc1", "fc2");
  count("0", "1");
  x = mbconv(*this, x, channels, options, name);
  name_layers(names);
  return x;
}

void NetBuilder::name_layers(const std::vector<std::string>& names) {
  const std::string& above = graph_.scope(scope_).name;
  auto id = static_cast<NodeId>(graph_.size());
  for (std::size_t i = names.size(); i-- > 0;) {
    do {
      assert(id > 0);
      --id;
    } while (!has_weights(graph_.node(id).op));
    names_[id] = above.empty() ? names[i] : above + "." + names[i];
  }
}

Graph NetBuilder::finish(NodeId x) {
  output(x);
  const Graph graph = build();
  Graph result;
  for (ScopeId s = 1; s < graph.scopes().size(); ++s) {
    const Scope& scope = graph.scope(s);
    const std::string& above = graph.scope(scope.parent).name;
    result.add_scope(scope.name.substr(above.empty() ? 0 : above.size() + 1), scope.kind,
                     scope.parent, scope.attributes);
  }
  for (NodeId i = 0; i < graph.size(); ++i) {
    const Node& node = graph.node(i);
    const auto named = names_.find(i);
    result.add(node.op, graph.inputs(i), named == names_.end() ? graph.name(i) : named->second,
               node.scope, node.compression);
  }
  return result;
}

std::vector<std::string> prefixed(const std::string& prefix, std::vector<std::string> names) {
  for (std::string& name : names) name.insert(0, prefix);
  return names;
}

}  // namespace espalier
