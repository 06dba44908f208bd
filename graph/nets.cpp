#include "graph/nets.hpp"

#include <algorithm>
#include <span>
#include <utility>

#include "core/error.hpp"
#include "graph/blocks.hpp"

namespace espalier {

namespace {

NodeId input_of(GraphBuilder& b, const NetOptions& options) {
  return b.input(options.input[0], options.input[1], options.input[2]);
}

/// conv_bn_act in a scope "name" of that kind.
NodeId conv_layer(GraphBuilder& b, NodeId x, Dim channels, const ConvBnActOptions& options,
                  std::string_view name) {
  const auto guard = b.scope(name, "conv_bn_act");
  return conv_bn_act(b, x, channels, options);
}

/// torchvision numbers the modules of a block where the blocks here give them names. Turns the one
/// into the other, node by node in stored order.
class TorchvisionNames {
 public:
  /// `block` is how torchvision calls the sequence inside an inverted residual: "conv", "block".
  TorchvisionNames(const Graph& graph, std::string block)
      : graph_(graph), block_(std::move(block)) {}

  std::string name(NodeId id) {
    const std::string& full = graph_.name(id);
    const Scope& scope = graph_.scope(graph_.node(id).scope);
    const std::string local = full.substr(scope.name.empty() ? 0 : scope.name.size() + 1);
    const Scope& above = graph_.scope(scope.parent);
    if (scope.kind == "conv_bn_act") return scope.name + "." + numbered(local);
    if (above.kind == "basic_block") return above.name + ".downsample." + numbered(local);
    if (above.kind != "mbconv") return full;
    if (scope.name != part_) {
      index_ = part_.starts_with(above.name + ".") ? index_ + 1 : 0;
      part_ = scope.name;
    }
    if (block_ == "conv" && scope.name.ends_with(".project")) {  // MobileNetV2 does not nest it
      return above.name + ".conv." + std::to_string(index_ + (local == "bn" ? 1 : 0));
    }
    return above.name + "." + block_ + "." + std::to_string(index_) + "." +
           (scope.kind == "squeeze_excitation" ? gate(local) : numbered(local));
  }

 private:
  static std::string numbered(const std::string& local) {
    return local == "conv" ? "0" : local == "bn" ? "1" : "2";
  }
  static std::string gate(const std::string& local) {
    return local == "pool"     ? "avgpool"
           : local == "reduce" ? "fc1"
           : local == "act"    ? "activation"
           : local == "expand" ? "fc2"
           : local == "gate"   ? "scale_activation"
                               : local;
  }

  const Graph& graph_;
  std::string block_;
  std::string part_;  // the scope inside an inverted residual that the last node was in
  int index_ = 0;     // and its number there
};

/// The graph with torchvision's names.
Graph renamed(const Graph& graph, const std::string& block) {
  Graph result;
  for (ScopeId s = 1; s < graph.scopes().size(); ++s) {
    const Scope& scope = graph.scope(s);
    const std::string& above = graph.scope(scope.parent).name;
    result.add_scope(scope.name.substr(above.empty() ? 0 : above.size() + 1), scope.kind,
                     scope.parent, scope.attributes);
  }
  TorchvisionNames names(graph, block);
  for (NodeId i = 0; i < graph.size(); ++i) {
    const Node& node = graph.node(i);
    result.add(node.op, graph.inputs(i), names.name(i), node.scope, node.compression);
  }
  return result;
}

/// One row of the tables of MobileNetV3. The input's width is that of the row above.
struct Bottleneck {
  int kernel, expanded, out;
  bool squeeze_excitation;
  ActivationKind activation;
  int stride;
};
constexpr auto relu = ActivationKind::relu;
constexpr auto hard_swish = ActivationKind::hard_swish;

constexpr Bottleneck v3_large_rows[] = {
    {3, 16, 16, false, relu, 1},        {3, 64, 24, false, relu, 2},
    {3, 72, 24, false, relu, 1},        {5, 72, 40, true, relu, 2},
    {5, 120, 40, true, relu, 1},        {5, 120, 40, true, relu, 1},
    {3, 240, 80, false, hard_swish, 2}, {3, 200, 80, false, hard_swish, 1},
    {3, 184, 80, false, hard_swish, 1}, {3, 184, 80, false, hard_swish, 1},
    {3, 480, 112, true, hard_swish, 1}, {3, 672, 112, true, hard_swish, 1},
    {5, 672, 160, true, hard_swish, 2}, {5, 960, 160, true, hard_swish, 1},
    {5, 960, 160, true, hard_swish, 1},
};
constexpr Bottleneck v3_small_rows[] = {
    {3, 16, 16, true, relu, 2},        {3, 72, 24, false, relu, 2},
    {3, 88, 24, false, relu, 1},       {5, 96, 40, true, hard_swish, 2},
    {5, 240, 40, true, hard_swish, 1}, {5, 240, 40, true, hard_swish, 1},
    {5, 120, 48, true, hard_swish, 1}, {5, 144, 48, true, hard_swish, 1},
    {5, 288, 96, true, hard_swish, 2}, {5, 576, 96, true, hard_swish, 1},
    {5, 576, 96, true, hard_swish, 1},
};

Graph mobilenet_v3(std::span<const Bottleneck> rows, std::int64_t head_channels,
                   const NetOptions& options) {
  const op::BatchNorm2d batch_norm{.eps = 1e-3f, .momentum = 0.01f};
  GraphBuilder b;
  NodeId x = input_of(b, options);
  {
    const auto features = b.scope("features");
    x = conv_layer(
        b, x, 16,
        {.conv = {.kernel = 3, .stride = 2}, .activation = hard_swish, .batch_norm = batch_norm},
        "0");
    for (std::size_t i = 0; i < rows.size(); ++i) {
      const Bottleneck& row = rows[i];
      MbconvOptions block{.expanded_channels = row.expanded,
                          .kernel = row.kernel,
                          .stride = row.stride,
                          .activation = row.activation,
                          .batch_norm = batch_norm};
      if (row.squeeze_excitation) block.squeeze_excitation.emplace();
      x = mbconv(b, x, row.out, block, std::to_string(i + 1));
    }
    x = conv_layer(b, x, 6 * rows.back().out, {.activation = hard_swish, .batch_norm = batch_norm},
                   std::to_string(rows.size() + 1));
  }
  x = b.global_avg_pool(x, "avgpool");
  x = b.flatten(x);
  {
    const auto classifier = b.scope("classifier");
    x = b.linear(x, head_channels, {}, "0");
    x = b.activation(x, hard_swish, "1");
    x = b.dropout(x, 0.2f, "2");
    x = b.linear(x, options.classes, {}, "3");
  }
  b.output(x);
  return renamed(b.build(), "block");
}

struct NamedNet {
  std::string_view name;
  Graph (*build)(const NetOptions&);
};
constexpr NamedNet nets[] = {
    {"resnet18", resnet18},
    {"mobilenet_v2", mobilenet_v2},
    {"mobilenet_v3_large", mobilenet_v3_large},
    {"mobilenet_v3_small", mobilenet_v3_small},
    {"shufflenet_v1_x1_0", shufflenet_v1_x1_0},
    {"shufflenet_v2_x1_0", shufflenet_v2_x1_0},
    {"convnext_tiny", convnext_tiny},
    {"vit_b_16", vit_b_16},
};

}  // namespace

Graph resnet18(const NetOptions& options) {
  GraphBuilder b;
  NodeId x = input_of(b, options);
  x = b.conv(x, 64, {.kernel = 7, .stride = 2}, "conv1");
  x = b.batch_norm(x, {}, "bn1");
  x = b.activation(x, ActivationKind::relu, "relu");
  x = b.max_pool(x, {.kernel = 3, .stride = 2}, "maxpool");
  std::int64_t channels = 64;
  for (int stage = 1; stage <= 4; ++stage, channels *= 2) {
    const auto layer = b.scope("layer" + std::to_string(stage));
    x = basic_block(b, x, channels, {.stride = stage == 1 ? 1 : 2}, "0");
    x = basic_block(b, x, channels, {}, "1");
  }
  x = b.global_avg_pool(x, "avgpool");
  x = b.flatten(x);
  b.output(b.linear(x, options.classes, {}, "fc"));
  return renamed(b.build(), "");
}

Graph mobilenet_v2(const NetOptions& options) {
  struct Stage {
    int expansion, out, blocks, stride;
  };
  constexpr Stage stages[] = {{1, 16, 1, 1}, {6, 24, 2, 2},  {6, 32, 3, 2}, {6, 64, 4, 2},
                              {6, 96, 3, 1}, {6, 160, 3, 2}, {6, 320, 1, 1}};
  GraphBuilder b;
  NodeId x = input_of(b, options);
  {
    const auto features = b.scope("features");
    x = conv_layer(b, x, 32,
                   {.conv = {.kernel = 3, .stride = 2}, .activation = ActivationKind::relu6}, "0");
    int index = 1;
    for (const Stage& stage : stages) {
      for (int i = 0; i < stage.blocks; ++i, ++index) {
        x = mbconv(b, x, stage.out,
                   {.expanded_channels = b.channels(x) * stage.expansion,
                    .stride = i == 0 ? stage.stride : 1},
                   std::to_string(index));
      }
    }
    x = conv_layer(b, x, 1280, {.activation = ActivationKind::relu6}, std::to_string(index));
  }
  x = b.global_avg_pool(x, "avgpool");
  x = b.flatten(x);
  {
    const auto classifier = b.scope("classifier");
    x = b.dropout(x, 0.2f, "0");
    x = b.linear(x, options.classes, {}, "1");
  }
  b.output(x);
  return renamed(b.build(), "conv");
}

Graph mobilenet_v3_large(const NetOptions& options) {
  return mobilenet_v3(v3_large_rows, 1280, options);
}

Graph mobilenet_v3_small(const NetOptions& options) {
  return mobilenet_v3(v3_small_rows, 1024, options);
}

const std::vector<std::string>& net_names() {
  static const std::vector<std::string> names = [] {
    std::vector<std::string> list;
    for (const NamedNet& net : nets) list.emplace_back(net.name);
    return list;
  }();
  return names;
}

Graph build_net(std::string_view name, const NetOptions& options) {
  for (const NamedNet& net : nets) {
    if (net.name == name) return net.build(options);
  }
  throw ConfigError("",
                    "unknown net \"" + std::string(name) + "\"" + suggestion(name, net_names()));
}

}  // namespace espalier
