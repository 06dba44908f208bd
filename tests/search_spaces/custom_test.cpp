#include "search_spaces/custom.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <regex>
#include <set>

#include "core/error.hpp"
#include "core/json.hpp"
#include "core/rng.hpp"
#include "graph/blocks.hpp"
#include "graph/fingerprint.hpp"
#include "search_spaces/catalogue.hpp"
#include "search_spaces/chain.hpp"
#include "search_spaces/custom_steps.hpp"
#include "search_spaces/mobilenet_v3.hpp"
#include "search_spaces/nasbench201.hpp"
#include "search_spaces/sampling.hpp"
#include "search_spaces/shufflenet_spos.hpp"
#include "tests/core/throws.hpp"

namespace espalier {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

const std::filesystem::path examples =
    std::filesystem::path(ESPALIER_SOURCE_DIR) / "examples" / "spaces";

std::unique_ptr<SearchSpace> make(const Json& document) {
  return space_registry().create(document, "");
}

Json example(const std::string& name) { return read_json_file(examples / (name + ".json")); }

std::vector<std::string> decision_names(const SearchSpace& space) {
  std::vector<std::string> names;
  for (const Decision& d : space.decisions()) names.push_back(d.name);
  return names;
}

/// A document with these steps in front of a classifier.
Json document(const Json& steps, const Json& more = Json::object()) {
  Json json = {{"type", "custom"}, {"input", {3, 8, 8}}, {"classes", 4}, {"network", steps}};
  for (const char* step : {"global_avg_pool", "flatten"}) json["network"].push_back(step);
  json["network"].push_back({{"type", "linear"}, {"out_features", "classes"}});
  json.update(more);
  return json;
}

std::vector<std::string> node_names(const Graph& graph) {
  std::vector<std::string> names;
  for (NodeId id = 0; id < graph.size(); ++id) names.push_back(graph.name(id));
  return names;
}

void expect_same_space(const SearchSpace& written, const SearchSpace& built, bool same_names) {
  ASSERT_EQ(written.decisions(), built.decisions());
  EXPECT_EQ(space_size(written).decimal, space_size(built).decimal);
  Rng rng(7);
  for (int i = 0; i < 200; ++i) {
    const Architecture a = sample_uniform(built, rng);
    EXPECT_EQ(written.canonical(a), a);
    const Graph one = written.build(a), other = built.build(a);
    EXPECT_EQ(cost(one), cost(other));
    EXPECT_EQ(fingerprint(one), fingerprint(other));
    if (same_names) {
      EXPECT_EQ(node_names(one), node_names(other));
    }
  }
}

TEST(Custom, TheChainSpaceCanBeWritten) {
  expect_same_space(*make(example("chain")), *make_chain(), true);
}

TEST(Custom, TheMobileNetV3SpaceCanBeWritten) {
  expect_same_space(*make(example("mobilenet_v3")), *make_mobilenet_v3(), true);
}

TEST(Custom, TheSpaceOfSinglePathOneShotCanBeWritten) {
  expect_same_space(*make(example("shufflenet_spos")), *make_shufflenet_spos(), true);
}

TEST(Custom, NasBench201CanBeWritten) {
  expect_same_space(*make(example("nasbench201")), *make_nasbench201(), false);
}

// Steps.

TEST(CustomSteps, EveryOperatorAndEveryBlockIsThere) {
  std::set<std::string> known;
  for (const StepType& type : step_types())
    EXPECT_TRUE(known.insert(type.name).second) << type.name;
  std::set<std::string> wanted;
  [&]<std::size_t... I>(std::index_sequence<I...>) {
    (wanted.emplace(op_name(Op(std::in_place_index<I>))), ...);
  }
  (std::make_index_sequence<std::variant_size_v<Op>>{});
  for (const char* not_a_step : {"input", "choice", "output"}) wanted.erase(not_a_step);
  const std::regex block(R"(NodeId (\w+)\(GraphBuilder& builder)");
  for (const auto& entry : std::filesystem::directory_iterator(
           std::filesystem::path(ESPALIER_SOURCE_DIR) / "graph" / "blocks")) {
    if (entry.path().extension() != ".hpp") continue;
    const std::string text = read_file(entry.path());
    for (std::sregex_iterator i(text.begin(), text.end(), block), end; i != end; ++i) {
      wanted.insert(i->str(1));
    }
  }
  EXPECT_EQ(known, wanted);
}

void expect_same_graph(const Graph& got, const Graph& wanted) {
  EXPECT_EQ(fingerprint(got), fingerprint(wanted));
  EXPECT_EQ(cost(got), cost(wanted));
  EXPECT_EQ(node_names(got), node_names(wanted));
}

/// The document's only architecture, and the graph that `append` makes of the same input.
void expect_same(const Json& step, const std::function<NodeId(GraphBuilder&, NodeId)>& append) {
  SCOPED_TRACE(step.dump());
  const Json json = document(Json::array({step}), {{"input", {16, 9, 9}}});
  const auto space = make(json);
  EXPECT_TRUE(space->decisions().empty());
  GraphBuilder builder;
  NodeId x = append(builder, builder.input(16, 9, 9));
  x = builder.flatten(builder.global_avg_pool(x));
  builder.output(builder.linear(x, 4));
  expect_same_graph(space->build({}), builder.build());
}

TEST(CustomSteps, OperatorsHaveTheirAttributes) {
  const auto of = [](const char* text, const std::function<NodeId(GraphBuilder&, NodeId)>& append) {
    expect_same(Json::parse(text), append);
  };
  of(R"({"type": "conv2d", "out_channels": 8, "kernel": [3, 5], "stride": 2, "dilation": [1, 2]})",
     [](GraphBuilder& b, NodeId x) {
       return b.conv(x, 8, {.kernel = {3, 5}, .stride = 2, .dilation = {1, 2}});
     });
  of(R"({"type": "conv2d", "out_channels": 8, "kernel": 3, "padding": 0, "bias": true})",
     [](GraphBuilder& b, NodeId x) {
       return b.conv(x, 8, {.kernel = 3, .padding = Extent(0), .bias = true});
     });
  of(R"({"type": "conv2d", "kernel": 3, "group_width": 1})",
     [](GraphBuilder& b, NodeId x) { return b.depthwise(x, {.kernel = 3}, "conv"); });
  of(R"({"type": "pool2d", "kind": "average", "count_include_pad": true, "ceil_mode": true})",
     [](GraphBuilder& b, NodeId x) {
       return b.avg_pool(x, {.ceil_mode = true, .count_include_pad = true});
     });
  of(R"("pool2d")", [](GraphBuilder& b, NodeId x) { return b.max_pool(x, {}); });
  of(R"({"type": "pool2d", "kernel": 3, "stride": 1, "padding": 0})",
     [](GraphBuilder& b, NodeId x) {
       return b.max_pool(x, {.kernel = 3, .stride = 1, .padding = Extent(0)});
     });
  of(R"({"type": "batch_norm2d", "eps": 0.01, "momentum": 0.5, "affine": false})",
     [](GraphBuilder& b, NodeId x) {
       return b.batch_norm(x, {0.01f, 0.5f, false});
     });
  of(R"({"type": "activation", "kind": "gelu"})",
     [](GraphBuilder& b, NodeId x) { return b.activation(x, ActivationKind::gelu); });
  of(R"({"type": "dropout", "probability": 0.25})",
     [](GraphBuilder& b, NodeId x) { return b.dropout(x, 0.25f); });
  of(R"({"type": "slice", "begin": 4, "end": 8})", [](GraphBuilder& b, NodeId x) {
    return b.slice(x, {0, 4, 8});
  });
  of(R"({"type": "channel_shuffle", "groups": 4})",
     [](GraphBuilder& b, NodeId x) { return b.channel_shuffle(x, 4); });
  of(R"({"type": "zero", "stride": 2})", [](GraphBuilder& b, NodeId x) { return b.zero(x, 2); });
  of(R"({"type": "layer_norm", "eps": 0.01})",
     [](GraphBuilder& b, NodeId x) { return b.layer_norm(x, {.eps = 0.01f}); });
  of(R"({"type": "scale", "initial": 0.5})",
     [](GraphBuilder& b, NodeId x) { return b.scale(x, 0.5f); });
}

TEST(CustomSteps, OperatorsOfSeveralInputsReadThemInOrder) {
  const auto space = make(Json::parse(R"({
    "type": "custom", "input": [4, 4, 4], "classes": 8, "network": [
      {"type": "conv2d", "name": "offsets", "out_channels": 18, "kernel": 3},
      {"type": "deform_conv2d", "name": "x", "from": ["input", "offsets"], "out_channels": 8},
      {"type": "conv2d", "name": "gate", "out_channels": 8, "from": "input"},
      {"type": "multiply", "name": "gated", "from": ["x", "gate"]},
      {"type": "concat", "from": ["gated", "input"]},
      "tokens", "class_token", {"type": "position_embedding", "name": "position"},
      {"type": "linear", "name": "q", "out_features": 8},
      {"type": "linear", "name": "k", "from": "position", "out_features": 8},
      {"type": "attention", "from": ["q", "k", "q"], "head_width": 4},
      {"type": "slice", "end": 1}, "flatten"
    ]})"));
  GraphBuilder b;
  const NodeId input = b.input(4, 4, 4);
  const NodeId offsets = b.conv(input, 18, {.kernel = 3});
  NodeId x = b.deform_conv(std::array{input, offsets}, 8, {.kernel = 3});
  x = b.multiply(x, b.conv(input, 8));
  x = b.tokens(b.concat(std::array{x, input}));
  x = b.position_embedding(b.class_token(x));
  const NodeId q = b.linear(x, 8);
  x = b.attention(q, b.linear(x, 8), q, 4);
  b.output(b.flatten(b.slice(x, {.end = 1})));
  EXPECT_EQ(fingerprint(space->build({})), fingerprint(b.build()));
}

TEST(CustomSteps, BlocksHaveTheirOptions) {
  const auto of = [](const char* text, const std::function<NodeId(GraphBuilder&, NodeId)>& append) {
    Json step = Json::parse(text);
    if (!step.contains("name")) step["name"] = "block";
    expect_same(step, append);
  };
  of(R"({"type": "conv_bn_act", "out_channels": 8, "kernel": 3, "stride": 2, "dilation": 2, "padding": 2,
        "bias": true, "activation": "none", "batch_norm": {"eps": 0.01}})",
     [](GraphBuilder& b, NodeId x) {
       return conv_bn_act(
           b, x, 8,
           {.conv = {.kernel = 3, .stride = 2, .dilation = 2, .padding = Extent(2), .bias = true},
            .activation = std::nullopt,
            .batch_norm = {.eps = 0.01f}},
           "block");
     });
  of(R"({"type": "conv_bn_act", "group_width": 1, "kernel": 5, "activation": "swish"})",
     [](GraphBuilder& b, NodeId x) {
       return conv_bn_act(
           b, x, 0, {.conv = {.kernel = 5, .group_width = 1}, .activation = ActivationKind::swish},
           "block");
     });
  of(R"({"type": "squeeze_excitation", "squeeze_channels": 5, "activation": "swish", "gate": "sigmoid"})",
     [](GraphBuilder& b, NodeId x) {
       return squeeze_excitation(b, x, {5, ActivationKind::swish, ActivationKind::sigmoid});
     });
  of(R"({"type": "effective_squeeze_excitation"})",
     [](GraphBuilder& b, NodeId x) { return effective_squeeze_excitation(b, x); });
  of(R"({"type": "vgg_block", "out_channels": 8, "convs": 3, "kernel": 5, "batch_norm": true})",
     [](GraphBuilder& b, NodeId x) {
       return vgg_block(b, x, 8, {3, 5, op::BatchNorm2d{}}, "block");
     });
  of(R"({"type": "vgg_block", "out_channels": 8, "batch_norm": false})",
     [](GraphBuilder& b, NodeId x) { return vgg_block(b, x, 8, {}, "block"); });
  of(R"({"type": "basic_block", "out_channels": 8, "kernel": 5, "stride": 2, "mid_channels": 12})",
     [](GraphBuilder& b, NodeId x) {
       return basic_block(b, x, 8, {5, 2, Dim(12)}, "block");
     });
  of(R"({"type": "bottleneck", "out_channels": 16, "mid_channels": 8, "kernel": 5, "stride": 2,
        "group_width": 4, "squeeze_excitation": {"gate": "sigmoid"}})",
     [](GraphBuilder& b, NodeId x) {
       return bottleneck(
           b, x, 16, {Dim(8), 5, 2, 4, SqueezeExcitationOptions{.gate = ActivationKind::sigmoid}},
           "block");
     });
  of(R"({"type": "repvgg", "out_channels": 16, "stride": 2})",
     [](GraphBuilder& b, NodeId x) { return repvgg(b, x, 16, {2}, "block"); });
  of(R"({"type": "separable_conv", "out_channels": 8, "kernel": 5, "stride": 2, "activation": "swish",
        "batch_norm": {"momentum": 0.5, "affine": false}})",
     [](GraphBuilder& b, NodeId x) {
       return separable_conv(
           b, x, 8, {5, 2, ActivationKind::swish, {.momentum = 0.5f, .affine = false}}, "block");
     });
  of(R"({"type": "mbconv", "out_channels": 16, "expanded_channels": 24, "kernel": 5,
        "activation": "swish", "squeeze_excitation": {"squeeze_channels": 3}, "residual": false,
        "batch_norm": {"eps": 0.01}})",
     [](GraphBuilder& b, NodeId x) {
       return mbconv(b, x, 16,
                     {.expanded_channels = 24,
                      .kernel = 5,
                      .activation = ActivationKind::swish,
                      .squeeze_excitation = SqueezeExcitationOptions{.squeeze_channels = Dim(3)},
                      .residual = false,
                      .batch_norm = {.eps = 0.01f}},
                     "block");
     });
  of(R"({"type": "mbconv", "out_channels": 8, "expanded_channels": 24, "stride": 2, "squeeze_excitation": 1})",
     [](GraphBuilder& b, NodeId x) {
       return mbconv(
           b, x, 8,
           {.expanded_channels = 24, .stride = 2, .squeeze_excitation = SqueezeExcitationOptions{}},
           "block");
     });
  of(R"({"type": "ghost_module", "out_channels": 8, "cheap_kernel": 5, "activation": "none"})",
     [](GraphBuilder& b, NodeId x) {
       return ghost_module(b, x, 8, {5, std::nullopt}, "block");
     });
  of(R"({"type": "ghost_bottleneck", "out_channels": 8, "expanded_channels": 24, "kernel": 5, "stride": 2,
        "squeeze_excitation": true})",
     [](GraphBuilder& b, NodeId x) {
       return ghost_bottleneck(b, x, 8, {24, 5, 2, SqueezeExcitationOptions{}}, "block");
     });
  of(R"({"type": "dense_layer", "growth": 6, "bottleneck": 2, "kernel": 5})",
     [](GraphBuilder& b, NodeId x) {
       return dense_layer(b, x, {6, 2, 5}, "block");
     });
  of(R"({"type": "dense_block", "layers": 3, "growth": 6, "bottleneck": 2, "kernel": 5})",
     [](GraphBuilder& b, NodeId x) {
       return dense_block(b, x, 3, {6, 2, 5}, "block");
     });
  of(R"({"type": "transition", "out_channels": 8})",
     [](GraphBuilder& b, NodeId x) { return transition(b, x, 8, "block"); });
  of(R"({"type": "fire", "squeeze": 4, "expand1": 5, "expand3": 6})",
     [](GraphBuilder& b, NodeId x) {
       return fire(b, x, {4, 5, 6}, "block");
     });
  of(R"({"type": "osa", "out_channels": 16, "layer_channels": 6, "layers": 2, "kernel": 5,
        "effective_squeeze_excitation": true, "residual": true})",
     [](GraphBuilder& b, NodeId x) {
       return osa(b, x, 16, {6, 2, 5, true, true}, "block");
     });
  of(R"({"type": "inception", "conv1": 1, "conv3_reduce": 2, "conv3": 3, "conv5_reduce": 4, "conv5": 5,
        "pool": 6, "conv5_kernel": 3})",
     [](GraphBuilder& b, NodeId x) {
       return inception(b, x, {1, 2, 3, 4, 5, 6, 3}, "block");
     });
  of(R"({"type": "inception_a", "conv1": 1, "conv5_reduce": 2, "conv5": 3, "double3_reduce": 4,
        "double3": 5, "pool": 6})",
     [](GraphBuilder& b, NodeId x) {
       return inception_a(b, x, {1, 2, 3, 4, 5, 6}, "block");
     });
  of(R"({"type": "inception_b", "conv3": 1, "double3_reduce": 2, "double3": 3})",
     [](GraphBuilder& b, NodeId x) {
       return inception_b(b, x, {1, 2, 3}, "block");
     });
  of(R"({"type": "inception_c", "mid_channels": 2, "branch_channels": 3, "kernel": 5})",
     [](GraphBuilder& b, NodeId x) {
       return inception_c(b, x, {2, 3, 5}, "block");
     });
  of(R"({"type": "inception_d", "mid_channels": 2, "conv3": 3, "kernel": 5})",
     [](GraphBuilder& b, NodeId x) {
       return inception_d(b, x, {2, 3, 5}, "block");
     });
  of(R"({"type": "inception_e", "conv1": 1, "conv3": 2, "double3_reduce": 3, "pool": 4})",
     [](GraphBuilder& b, NodeId x) {
       return inception_e(b, x, {1, 2, 3, 4}, "block");
     });
  of(R"({"type": "deform_conv", "out_channels": 8, "kernel": [3, 5], "stride": 2, "dilation": 2,
        "padding": 1, "bias": true, "offset_groups": 2, "modulated": true})",
     [](GraphBuilder& b, NodeId x) {
       return deform_conv(
           b, x, 8,
           {.conv =
                {.kernel = {3, 5}, .stride = 2, .dilation = 2, .padding = Extent(1), .bias = true},
            .offset_groups = 2,
            .modulated = true},
           "block");
     });
  of(R"({"type": "deform_conv", "out_channels": 8, "group_width": 4})",
     [](GraphBuilder& b, NodeId x) {
       return deform_conv(b, x, 8, {.conv = {.kernel = 3, .group_width = 4}}, "block");
     });
  of(R"({"type": "fbnet_block", "out_channels": 8, "expansion": 3, "kernel": 5, "stride": 2, "groups": 2})",
     [](GraphBuilder& b, NodeId x) {
       return fbnet_block(b, x, 8, {3, 5, 2, 2}, "block");
     });
  of(R"({"type": "shuffle_v1_unit", "out_channels": 24, "kernel": 5, "stride": 2, "groups": 4,
        "first_grouped": false, "mid_channels": 8})",
     [](GraphBuilder& b, NodeId x) {
       return shuffle_v1_unit(b, x, 24, {5, 2, 4, false, Dim(8)}, "block");
     });
  of(R"({"type": "shuffle_v2_unit", "out_channels": 24, "kernel": 5, "stride": 2})",
     [](GraphBuilder& b, NodeId x) {
       return shuffle_v2_unit(b, x, 24, {5, 2}, "block");
     });
  of(R"({"type": "spos_unit", "out_channels": 24, "kernel": 5, "stride": 2, "mid_channels": 6})",
     [](GraphBuilder& b, NodeId x) {
       return spos_unit(b, x, 24, {5, false, 2, Dim(6)}, "block");
     });
  of(R"({"type": "spos_unit", "out_channels": 16, "xception": true})",
     [](GraphBuilder& b, NodeId x) { return spos_unit(b, x, 16, {.xception = true}, "block"); });
  of(R"({"type": "convnext_block", "kernel": 5, "expanded_channels": 24, "layer_scale": 0.5})",
     [](GraphBuilder& b, NodeId x) {
       return convnext_block(b, x, {5, Dim(24), 0.5f}, "block");
     });
  of(R"({"type": "convnext_block", "layer_scale": "none"})", [](GraphBuilder& b, NodeId x) {
    return convnext_block(b, x, {.layer_scale = std::nullopt}, "block");
  });
}

TEST(CustomSteps, TokensHaveTheirBlocks) {
  const auto space = make(Json::parse(R"({
    "type": "custom", "input": [3, 12, 8], "classes": 5, "network": [
      {"type": "patch_embedding", "width": 12, "patch": 4},
      {"type": "self_attention", "name": "attention", "heads": 2, "head_width": 6},
      {"type": "vit_block", "name": "block", "heads": 3, "head_width": 2, "mlp_width": 20, "eps": 0.01,
       "dropout": 0.25},
      {"type": "slice", "end": 1}, "flatten", {"type": "linear", "out_features": "classes"}
    ]})"));
  GraphBuilder b;
  NodeId x = patch_embedding(b, b.input(3, 12, 8), 12, 4);
  x = self_attention(b, x, {2, 6}, "attention");
  x = vit_block(b, x, {{3, 2}, 20, 0.01f, 0.25}, "block");
  b.output(b.linear(b.flatten(b.slice(x, {.end = 1})), 5));
  expect_same_graph(space->build({}), b.build());
}

TEST(CustomSteps, AClassifierHeadEndsANetwork) {
  const auto space = make(Json::parse(R"({
    "type": "custom", "input": [3, 8, 8], "classes": 5, "network": [
      {"type": "classifier_head", "classes": "classes", "channels": 12, "activation": "hard_swish",
       "dropout": 0.25, "batch_norm": {"eps": 0.01}, "bias": false}
    ]})"));
  GraphBuilder b;
  b.output(classifier_head(b, b.input(3, 8, 8), 5,
                           {.channels = 12,
                            .activation = ActivationKind::hard_swish,
                            .dropout = 0.25,
                            .batch_norm = {.eps = 0.01f},
                            .bias = false}));
  expect_same_graph(space->build({}), b.build());
}

// Numbers.

/// The output channels of a convolution whose "out_channels" is `number`, for all architectures.
std::set<std::int64_t> widths(const char* number, const char* values = "{}") {
  Json step = {{"type", "conv2d"}, {"name", "c"}, {"out_channels", Json::parse(number)}};
  const auto space = make(document(Json::array({step}), {{"values", Json::parse(values)}}));
  std::set<std::int64_t> result;
  enumerate(*space, [&](const Architecture& a) {
    const Graph graph = space->build(a);
    return result.insert(graph.node(1).shape[0].value()), true;
  });
  return result;
}

TEST(CustomNumbers, AreConstantsDecisionsReferencesAndArithmetic) {
  using Set = std::set<std::int64_t>;
  EXPECT_EQ(widths("7"), Set{7});
  EXPECT_EQ(widths(R"({"choose": [8, 16]})"), (Set{8, 16}));
  EXPECT_EQ(widths(R"("w")", R"({"w": {"choose": [8, 16]}})"), (Set{8, 16}));
  EXPECT_EQ(widths(R"("a.b")", R"({"w": {"choose": [8, 16], "name": "a.b"}})"), (Set{8, 16}));
  EXPECT_EQ(widths(R"({"product": ["in_channels", "classes", 2]})"), Set{24});
  EXPECT_EQ(widths(R"({"product": ["in_height", "in_width"]})"), Set{64});
  EXPECT_EQ(widths(R"({"sum": ["w", {"product": ["w", "w"]}]})", R"({"w": {"choose": [1, 2]}})"),
            (Set{2, 6}));
  EXPECT_EQ(widths(R"({"difference": [9, 2, 3]})"), Set{4});
  EXPECT_EQ(widths(R"({"round": {"quotient": [7, 2]}})"), Set{4});
  EXPECT_EQ(widths(R"({"floor": 3.75})"), Set{3});
  EXPECT_EQ(widths(R"({"ceil": 3.25})"), Set{4});
  EXPECT_EQ(widths(R"({"min": [4, {"choose": [2, 8]}]})"), (Set{2, 4}));
  EXPECT_EQ(widths(R"({"max": [4, {"choose": [2, 8]}]})"), (Set{4, 8}));
  EXPECT_EQ(widths(R"({"make_divisible": {"product": [50, {"choose": [0.5, 1.5]}]}})"),
            (Set{24, 72}));
  EXPECT_EQ(widths(R"({"make_divisible": 25, "divisor": 10})"), Set{30});
}

TEST(CustomNumbers, DecisionsAreNamedAfterTheirPlace) {
  const auto space = make(document(Json::parse(R"([
    {"type": "conv2d", "kernel": {"choose": [1, 3]}, "out_channels": {"product": [4, {"choose": [0.5, 2]}]}},
    {"type": "sequence", "steps": [
      {"type": "conv2d", "out_channels": 4, "kernel": [{"choose": [1, 3]}, {"choose": [3, 5]}]},
      {"type": "mbconv", "name": "b", "values": {"e": {"choose": [2, 4]}}, "out_channels": 4,
       "expanded_channels": {"product": ["e", "in_channels"]},
       "squeeze_excitation": {"squeeze_channels": {"choose": [1, 2]}}}]},
    {"type": "stage", "depth": {"choose": [1, 2]},
     "block": {"type": "conv2d", "out_channels": {"choose": [4, 8]}}},
    {"type": "stage", "depth": 1, "block": [{"type": "conv2d", "out_channels": {"choose": [4, 8]}}]},
    {"type": "choice", "of": ["identity", {"type": "scale", "name": "s"}, "identity", ["scale"]]},
    {"type": "optional", "block": "scale", "decision": "maybe"}
  ])"),
                                   {{"values", {{"w", {{"choose", {3, 4}}}}}}}));
  EXPECT_THAT(decision_names(*space),
              ElementsAre("w", "conv.kernel", "conv.out_channels", "sequence.conv.kernel_h",
                          "sequence.conv.kernel_w", "sequence.b.e",
                          "sequence.b.squeeze_excitation.squeeze_channels", "stage1.depth",
                          "stage1.block1.out_channels", "stage1.block2.out_channels",
                          "stage2.block1.conv.out_channels", "choice", "maybe"));
  const auto& decisions = space->decisions();
  EXPECT_THAT(decisions[2].options, ElementsAre("0.5", "2"));
  EXPECT_TRUE(decisions[2].ordinal);
  EXPECT_THAT(decisions[11].options, ElementsAre("identity", "s", "identity_2", "alternative4"));
  EXPECT_FALSE(decisions[11].ordinal);
  EXPECT_THAT(decisions[12].options, ElementsAre("no", "yes"));
}

// Structures.

/// Params of each valid architecture, in the order of enumerate().
std::vector<std::int64_t> all_params(const SearchSpace& space) {
  std::vector<std::int64_t> result;
  enumerate(space, [&](const Architecture& a) {
    const Cost costs = cost(space.build(a));
    EXPECT_EQ(space.quick_cost(a).params, costs.params);
    return result.push_back(costs.params), true;
  });
  return result;
}

TEST(CustomStructures, ChoicesPickAmongAlternatives) {
  const auto one = make(document(Json::parse(R"([
    {"type": "choice", "of": {"none": "zero", "skip": "identity",
                              "conv": {"type": "conv2d", "out_channels": 3},
                              "two": ["batch_norm2d", "batch_norm2d"]}}])")));
  EXPECT_THAT(one->decisions()[0].options, ElementsAre("none", "skip", "conv", "two"));
  EXPECT_THAT(all_params(*one), ElementsAre(16, 16, 16 + 9, 16 + 12));
  const auto two = make(document(Json::parse(R"([
    {"type": "conv2d", "name": "a", "out_channels": 3}, {"type": "conv2d", "name": "b", "out_channels": 3},
    {"type": "choice", "pick": 2, "of": {"a": {"type": "scale", "from": "a"}, "b": {"type": "identity", "from": "b"},
                                         "x": {"type": "identity", "from": "input"}}}])")));
  EXPECT_EQ(two->decisions()[0].pick, 2);
  EXPECT_THAT(two->to_string({{0}}), "choice=a+b");
  EXPECT_THAT(all_params(*two), ElementsAre(16 + 9 + 3 + 9, 16 + 9 + 3, 16 + 9 + 9));
  const auto all = make(document(Json::parse(R"([
    {"type": "choice", "pick": 2, "of": ["scale", "scale"]}])")));
  EXPECT_TRUE(all->decisions().empty());
  EXPECT_THAT(all_params(*all), ElementsAre(16 + 3 + 3));
}

TEST(CustomStructures, OptionalBlocksRepeatsAndStages) {
  const auto space = make(document(Json::parse(R"([
    {"type": "optional", "name": "gate", "block": "scale"},
    {"type": "repeat", "depth": {"choose": [0, 2]},
     "block": [{"type": "conv2d", "out_channels": 3}, {"type": "scale", "name": "s"}]},
    {"type": "stage", "stride": 2, "depth": 2,
     "block": {"type": "conv2d", "name": "layer", "stride": "stride", "bias": true,
               "out_channels": {"product": [3, "index"]}}}])")));
  EXPECT_THAT(decision_names(*space), ElementsAre("gate", "repeat.depth"));
  const std::int64_t rest = 3 * 3 + 3 + 3 * 6 + 6 + 6 * 4 + 4;
  EXPECT_THAT(all_params(*space), ElementsAre(rest, rest + 24, rest + 3, rest + 27));
  const Graph graph = space->build({{1, 1}});
  EXPECT_THAT(node_names(graph),
              ElementsAre("input", "gate.block", "repeat.block1.conv", "repeat.block1.s",
                          "repeat.block2.conv", "repeat.block2.s", "stage1.layer1", "stage1.layer2",
                          "pool", "flatten", "linear", "output"));
  EXPECT_EQ(graph.node(7).shape.to_string(), "{6, 4, 4}");
}

TEST(CustomStructures, CellsTieTheirDecisionsUnlessToldOtherwise) {
  const auto space = [](bool tied) {
    Json cells = Json::parse(R"({"c": {
      "inputs": ["a", "b"],
      "parameters": {"width": {"product": ["in_channels", 2]}, "k": null},
      "steps": [{"type": "conv2d", "name": "x", "from": "b", "out_channels": "width",
                 "kernel": {"choose": [1, 3]}},
                {"type": "conv2d", "name": "y", "out_channels": "width", "from": "a", "kernel": "k"},
                {"type": "add", "from": ["x", "y"]}]}})");
    cells["c"]["tied"] = tied;
    return make(document(Json::parse(R"([
      {"type": "c", "from": ["input", "input"], "k": 1},
      {"type": "scale", "name": "s"},
      {"type": "c", "from": ["s", "s"], "k": 3, "width": 4}])"),
                         {{"cells", cells}}));
  };
  const auto tied = space(true);
  EXPECT_THAT(decision_names(*tied), ElementsAre("c.x.kernel"));
  const std::int64_t rest = 18 + 6 + 9 * 24 + 20;
  EXPECT_THAT(all_params(*tied), ElementsAre(rest + 18 + 24, rest + 9 * (18 + 24)));
  const auto free = space(false);
  EXPECT_THAT(decision_names(*free), ElementsAre("c.x.kernel", "c_2.x.kernel"));
  EXPECT_THAT(all_params(*free), ElementsAre(rest + 18 + 24, rest + 18 + 9 * 24, rest + 9 * 18 + 24,
                                             rest + 9 * (18 + 24)));
}

TEST(CustomStructures, DecisionsOfOneNameAreTied) {
  const auto space = make(document(Json::parse(R"([
    {"type": "conv2d", "name": "a", "out_channels": 4, "kernel": {"choose": [1, 3], "name": "k"}},
    {"type": "conv2d", "name": "b", "out_channels": 4, "kernel": {"choose": [1, 3], "name": "k"}},
    {"type": "optional", "block": "scale", "decision": "s"},
    {"type": "mbconv", "out_channels": 4, "expanded_channels": 8,
     "squeeze_excitation": {"choose": [false, true], "name": "s"}}])")));
  EXPECT_THAT(decision_names(*space), ElementsAre("k", "s"));
  const std::vector<std::int64_t> params = all_params(*space);
  EXPECT_EQ(params[2] - params[0], 8 * (12 + 16));
  EXPECT_EQ(params[1] - params[0], 4 + 8 * 8 + 8 + 8 * 8 + 8);  // scale; SE with a squeeze of 8
}

TEST(CustomStructures, CompressionOpensFurtherDecisions) {
  const Json compression = {{"channels", {0.5, 1.0}}, {"weight_bits", {4, 8}}};
  Json json = example("chain");
  json["compression"] = compression;
  const CompressionOptions options{.channels = {0.5, 1.0}, .weight_bits = {4, 8}};
  const auto built = make_chain({.compression = options});
  EXPECT_EQ(make(json)->decisions(), built->decisions());
  json["constraints"] = Json::array({{{"not", {{built->decisions().back().name, "8"}}}}});
  const auto space = make(json);
  Rng rng(1);
  for (int i = 0; i < 20; ++i) EXPECT_EQ(sample_uniform(*space, rng).choices.back(), 0u);
}

// Constraints.

TEST(CustomConstraints, AreKept) {
  const auto space = [](const char* constraints) {
    return make(document(Json::parse(R"([
      {"type": "stage", "depth": {"choose": [1, 2]},
       "block": {"type": "conv2d", "out_channels": 4, "kernel": {"choose": [1, 3, 5]}}}])"),
                         {{"constraints", Json::parse(constraints)}}));
  };
  const auto count = [&](const char* constraints) {
    const auto constrained = space(constraints);
    std::size_t valid = 0;
    const auto free = space("[]");
    enumerate(*free, [&](const Architecture& a) { return valid += constrained->valid(a), true; });
    EXPECT_EQ(space_size(*constrained).decimal, std::to_string(valid));
    EXPECT_FALSE(space_size(*constrained).estimate);
    EXPECT_EQ(all_params(*constrained).size(), valid);
    Rng rng(3);
    for (int i = 0; i < 50; ++i) {
      const Architecture a = sample_uniform(*constrained, rng);
      EXPECT_TRUE(constrained->valid(a));
      EXPECT_TRUE(constrained->valid(constrained->canonical(a)));
    }
    return valid;
  };
  EXPECT_EQ(count("[]"), 3u + 9u);
  EXPECT_EQ(count(R"([{"not": {"stage1.block1.kernel": 3}}])"), 2u + 6u);
  EXPECT_EQ(count(R"([{"not": {"stage1.depth": "2", "stage1.block1.kernel": [3, 5]}}])"), 3u + 3u);
  // An inactive decision fulfils no condition, and is bound by none.
  EXPECT_EQ(count(R"([{"not": {"stage1.block2.kernel": 1}}])"), 3u + 6u);
  EXPECT_EQ(count(R"([{"if": {"stage1.block1.kernel": 3}, "then": {"stage1.block2.kernel": 5}}])"),
            3u + 7u);
  // 3 x 4 x k^2 weights, 4 x 4 x k^2 in a second block, 20 in the classifier.
  EXPECT_EQ(count(R"([{"metric": "params", "max": 127}])"), 1u + 1u);
  EXPECT_EQ(count(R"([{"metric": "params", "min": 128, "max": 320}])"), 2u + 3u);
  EXPECT_EQ(count(R"([{"metric": "macs", "max": 6928}, {"not": {"stage1.depth": 1}}])"), 1u);
}

TEST(CustomConstraints, AnInactiveDecisionMakesNoDifference) {
  const auto space = make(example("small_camera"));
  const Supergraph& supergraph = *space->supergraph();
  Rng rng(5);
  std::size_t valid = 0;
  for (int i = 0; i < 2000; ++i) {
    Architecture a;
    for (std::uint32_t count : space->choice_counts()) {
      a.choices.push_back(static_cast<std::uint32_t>(rng.below(count)));
    }
    EXPECT_EQ(space->valid(a), space->valid(supergraph.canonical(a)));
    valid += space->valid(a);
  }
  EXPECT_GT(valid, 100u);
  EXPECT_LT(valid, 1900u);
}

TEST(CustomConstraints, PickedSubsetsAreMetByEachOfTheirOptions) {
  const auto space = make(example("two_input_cells"));
  const auto& decisions = space->decisions();
  const auto index = [&](const std::string& name) {
    return std::ranges::find(decisions, name, &Decision::name) - decisions.begin();
  };
  Architecture a{std::vector<std::uint32_t>(decisions.size(), 0)};
  std::uint32_t& node2 = a.choices[static_cast<std::size_t>(index("normal.node2"))];
  std::uint32_t& edge = a.choices[static_cast<std::size_t>(index("normal.node2.node1.operator"))];
  for (node2 = 0; node2 < 3; ++node2) {
    for (edge = 0; edge < 3; ++edge) {
      const std::string label =
          choice_label(decisions[static_cast<std::size_t>(index("normal.node2"))], node2);
      EXPECT_EQ(space->valid(a), label == "a+b" || edge != 0) << label << edge;
    }
  }
}

TEST(CustomConstraints, TheSizeOfALargeSpaceIsEstimated) {
  Json json = example("chain");
  json["constraints"] = Json::parse(R"([{"not": {"stage1.width": 16}},
                                        {"if": {"stage2.depth": 2}, "then": {"stage2.block2.kernel": 3}},
                                        {"if": {"stage3.depth": 2}, "then": {"stage3.block2.kernel": 3}}])");
  json["network"][1]["depth"]["choose"] = {1, 2, 3, 4, 5, 6};
  json["network"][1]["block"]["kernel"]["choose"] = {1, 3, 5};
  const SpaceSize size = space_size(*make(json));
  EXPECT_TRUE(size.estimate);
  // (3 + 9 + ... + 3^6) x (2 + 2) x (2 x 2)^2, where unconstrained spaces have
  // 2 x 1092 x (2 x (2 + 4))^2.
  EXPECT_NEAR(std::stod(size.decimal), 1092.0 * 8 * 8, 1092.0 * 8 * 8 * 0.05);
}

// Errors.

TEST(CustomErrors, NameThePlaceAndTheNearestName) {
  struct Case {
    const char* steps;
    const char* pointer;
    const char* message;
    const char* more = "{}";
  };
  const std::vector<Case> cases{
      // Steps.
      {R"([{"type": "mbcnov"}])", "/network/0/type", "did you mean \"mbconv\""},
      {R"(["flaten"])", "/network/0", "did you mean \"flatten\""},
      {R"([3])", "/network/0", "expected a name of a step, or object, got integer"},
      {R"([{"out_channels": 3}])", "/network/0", "the key \"type\" of a step is missing"},
      {R"([{"type": 3}])", "/network/0/type", "expected a string, got integer"},
      {R"([{"type": "conv2d", "out_chanels": 3}])", "/network/0/out_chanels",
       "conv2d has no option \"out_chanels\"; did you mean \"out_channels\""},
      {R"([{"type": "fire", "squeze": 3}])", "/network/0/squeze", "did you mean \"squeeze\""},
      {R"([{"type": "mbconv", "out_channels": 3}])", "/network/0",
       "the option \"expanded_channels\" of mbconv is missing"},
      {R"([{"type": "conv2d"}])", "/network/0", "out_channels must be at least 1, got 0"},
      {R"([{"type": "conv2d", "out_channels": 4, "kernel": [1, 2, 3]}])", "/network/0/kernel",
       "got 3 values"},
      {R"([{"type": "conv2d", "out_channels": 4, "bias": 1}])", "/network/0/bias",
       "expected a boolean, got integer"},
      {R"([{"type": "dropout", "probability": "x"}])", "/network/0/probability",
       "expected a number"},
      {R"([{"type": "dropout", "probability": 1e300}])", "/network/0/probability", "32-bit"},
      {R"([{"type": "activation", "kind": "rely"}])", "/network/0/kind", "did you mean \"relu\""},
      {R"([{"type": "activation", "kind": 3}])", "/network/0/kind", "expected a string"},
      {R"([{"type": "pool2d", "kind": "averag"}])", "/network/0/kind", "did you mean \"average\""},
      {R"([{"type": "vgg_block", "out_channels": 4, "convs": {"choose": [1, 2]}}])",
       "/network/0/convs", "cannot be open"},
      {R"([{"type": "vgg_block", "out_channels": 4, "convs": 0}])", "/network/0/convs",
       "1 to 1000"},
      {R"([{"type": "vgg_block", "out_channels": 4, "batch_norm": {"epz": 1}}])",
       "/network/0/batch_norm/epz", "did you mean \"eps\""},
      {R"([{"type": "vgg_block", "out_channels": 4, "batch_norm": 1}])", "/network/0/batch_norm",
       "expected an object"},
      {R"([{"type": "mbconv", "out_channels": 4, "expanded_channels": 8, "squeeze_excitation": 2}])",
       "/network/0/squeeze_excitation", "{\"choose\": [false, true]}"},
      {R"([{"type": "mbconv", "out_channels": 4, "expanded_channels": 8,
            "squeeze_excitation": {"choose": [1, 2]}}])",
       "/network/0/squeeze_excitation", "{\"choose\": [false, true]}"},
      {R"([{"type": "add", "from": ["input", "input"], "x": 1}])", "/network/0/x", "no option"},
      {R"([{"type": "multiply"}])", "/network/0", "multiply reads 2 results, got 1"},
      {R"([{"type": "deform_conv2d", "out_channels": 3}])", "/network/0", "reads 2 to 3 results"},
      {R"([{"type": "add", "from": []}])", "/network/0", "add reads 1 or more results, got 0"},
      {R"([{"type": "choice", "from": ["input", "input"], "of": ["scale"]}])", "/network/0",
       "choice reads 1 result, got 2"},
      {R"([{"type": "identity", "x": 1}])", "/network/0/x", "identity has no key \"x\""},
      {R"([{"type": "scale", "name": "a.b"}])", "/network/0/name", "letters, digits"},
      {R"([{"type": "scale", "name": "input"}])", "/network/0/name", "take another"},
      {R"([{"type": "scale", "name": "a"}, {"type": "scale", "name": "a"}])", "/network/1/name",
       "is there already"},
      {R"([{"type": "sequence", "steps": []}])", "/network/0/steps", "at least one step"},
      {R"([{"type": "sequence", "steps": {}}])", "/network/0/steps", "expected an array"},
      {R"([{"type": "sequence"}])", "/network/0", "the key \"steps\" of sequence is missing"},
      // What steps read.
      {R"([{"type": "scale", "name": "left"}, {"type": "scale", "from": "lefd"}])",
       "/network/1/from", "did you mean \"left\""},
      {R"([{"type": "scale", "name": "a", "from": "b"}, {"type": "scale", "name": "b", "from": "a"}])",
       "/network/0/from", "\"b\" comes later, at /network/1"},
      {R"([{"type": "scale", "from": 3}])", "/network/0/from", "expected a string or array"},
      {R"([{"type": "add", "from": ["input", 3]}])", "/network/0/from/1", "expected a string"},
      // Numbers.
      {R"([{"type": "conv2d", "out_channels": "in_chanels"}])", "/network/0/out_channels",
       "did you mean \"in_channels\""},
      {R"([{"type": "conv2d", "out_channels": true}])", "/network/0/out_channels", "got boolean"},
      {R"([{"type": "conv2d", "out_channels": {"choos": [3]}}])", "/network/0/out_channels/choos",
       "did you mean \"choose\""},
      {R"([{"type": "conv2d", "out_channels": {}}])", "/network/0/out_channels",
       "expected a number"},
      {R"([{"type": "conv2d", "out_channels": {"choose": []}}])", "/network/0/out_channels/choose",
       "at least one option"},
      {R"([{"type": "conv2d", "out_channels": {"choose": 3}}])", "/network/0/out_channels/choose",
       "expected an array"},
      {R"([{"type": "conv2d", "out_channels": {"choose": [3, 3]}}])", "/network/0/out_channels",
       "the option 3 is there twice"},
      {R"([{"type": "conv2d", "out_channels": {"choose": [3, "x"]}}])",
       "/network/0/out_channels/choose/1", "expected a number"},
      {R"([{"type": "conv2d", "out_channels": {"choose": [true, 1]}}])",
       "/network/0/out_channels/choose/1", "expected a boolean"},
      {R"([{"type": "conv2d", "out_channels": {"choose": [3], "nam": 1}}])",
       "/network/0/out_channels/nam", "did you mean \"name\""},
      {R"([{"type": "conv2d", "out_channels": {"choose": [3], "name": "a=b"}}])",
       "/network/0/out_channels/name", "letters, digits"},
      {R"([{"type": "conv2d", "out_channels": {"choose": [1.5, 2]}}])", "/network/0/out_channels",
       "expected an integer, got 1.5"},
      {R"([{"type": "conv2d", "out_channels": 1e20}])", "/network/0/out_channels", "out of range"},
      {R"([{"type": "conv2d", "out_channels": {"quotient": [1, 0]}}])", "/network/0/out_channels",
       "out of range"},
      {R"([{"type": "conv2d", "out_channels": {"sum": 3}}])", "/network/0/out_channels/sum",
       "expected an array"},
      {R"([{"type": "conv2d", "out_channels": {"sum": [3]}}])", "/network/0/out_channels/sum",
       "two or more"},
      {R"([{"type": "conv2d", "out_channels": {"sum": [3, 4], "x": 1}}])",
       "/network/0/out_channels/x", "sum has no key"},
      {R"([{"type": "conv2d", "out_channels": {"make_divisible": 3, "divisor": 0}}])",
       "/network/0/out_channels/divisor", "0"},
      {R"([{"type": "scale", "values": {"in_width": 3}}])", "/network/0/values/in_width",
       "is there already"},
      {R"([{"type": "scale", "values": {"a b": 3}}])", "/network/0/values/a b", "letters"},
      {R"([{"type": "scale", "values": 3}])", "/network/0/values", "expected an object"},
      {R"(["scale"])", "/values/a", "no value or decision \"b\" before",
       R"({"values": {"a": "b", "b": "a"}})"},
      {R"(["scale"])", "/values/a", "there is no input here",
       R"({"values": {"a": "in_channels"}})"},
      {R"(["scale"])", "/values/classes", "is there already", R"({"values": {"classes": 3}})"},
      {R"(["flatten", {"type": "linear", "out_features": "in_height"}])", "/network/1/out_features",
       "without height"},
      // Tied decisions.
      {R"([{"type": "conv2d", "out_channels": {"choose": [3, 4], "name": "c"}},
           {"type": "conv2d", "out_channels": {"choose": [3, 5], "name": "c"}}])",
       "/network/1/out_channels",
       "{3, 5} here; give it another name, or tie it with the same options as "
       "before, {3, 4} at /network/0/out_channels"},
      {R"([{"type": "choice", "name": "c", "of": {"a": "scale", "b": "scale"}},
           {"type": "choice", "decision": "c", "pick": 2, "of": {"a": "scale", "b": "scale", "d": "scale"}}])",
       "/network/1",
       "{a, b, d}, of which it picks 2 here; give it another name, or tie it with the same options "
       "as before, {a, b} at /network/0"},
      // Choices.
      {R"([{"type": "choice"}])", "/network/0", "the key \"of\" of a choice is missing"},
      {R"([{"type": "choice", "of": 3}])", "/network/0/of", "expected an object or array"},
      {R"([{"type": "choice", "of": []}])", "/network/0/of", "at least one alternative"},
      {R"([{"type": "choice", "of": {"a": "scale"}, "pick": 2}])", "/network/0/pick", "2"},
      {R"([{"type": "choice", "of": {"a,b": "scale"}}])", "/network/0/of/a,b", "letters"},
      {R"([{"type": "choice", "of": {"a": "scale"}, "decision": ""}])", "/network/0/decision",
       "letters, digits"},
      {R"([{"type": "choice", "of": {"a": ["scael"], "b": "scale"}}])", "/network/0/of/a/0",
       "did you mean \"scale\""},
      {R"([{"type": "optional"}])", "/network/0", "the key \"block\" of an optional step"},
      // Repeats.
      {R"([{"type": "repeat", "block": "scale"}])", "/network/0", "the key \"depth\" of a repeat"},
      {R"([{"type": "stage", "depth": 1}])", "/network/0", "the key \"block\" of a stage"},
      {R"([{"type": "repeat", "depth": 2000, "block": "scale"}])", "/network/0/depth", "0 to 1000"},
      {R"([{"type": "repeat", "depth": 2, "stride": 2, "block": "scale"}])", "/network/0/stride",
       "repeat has no key \"stride\""},
      {R"([{"type": "repeat", "block": "scale",
            "depth": {"sum": [{"choose": [1, 2], "name": "a"}, {"choose": [1, 2], "name": "b"}]}}])",
       "/network/0/depth", "a function of one decision"},
      {R"([{"type": "repeat", "depth": 1000, "block": {"type": "repeat", "depth": 1000, "block": "identity"}}])",
       "/network/0/block/block", "more than 20000 steps"},
      // Cells.
      {R"([{"type": "c"}])", "/cells/d/steps/0", "contains itself: c -> d -> c",
       R"({"cells": {"c": {"steps": ["d"]}, "d": {"steps": ["c"]}}})"},
      {R"(["scale"])", "/cells/scale", "is a step already",
       R"({"cells": {"scale": {"steps": ["scale"]}}})"},
      {R"(["scale"])", "/cells/c", "the key \"steps\" of a cell is missing",
       R"({"cells": {"c": {}}})"},
      {R"(["scale"])", "/cells/c/input", "did you mean \"inputs\"",
       R"({"cells": {"c": {"steps": [], "input": 1}}})"},
      {R"(["scale"])", "/cells/c/inputs/1", "there twice",
       R"({"cells": {"c": {"steps": [], "inputs": ["a", "a"]}}})"},
      {R"(["scale"])", "/cells/c/inputs", "at least one",
       R"({"cells": {"c": {"steps": [], "inputs": []}}})"},
      {R"(["scale"])", "/cells/c/inputs", "expected an array",
       R"({"cells": {"c": {"steps": [], "inputs": 1}}})"},
      {R"(["scale"])", "/cells/c/parameters", "expected an object",
       R"({"cells": {"c": {"steps": [], "parameters": 1}}})"},
      {R"(["scale"])", "/cells/c/parameters/from", "every step has a key",
       R"({"cells": {"c": {"steps": [], "parameters": {"from": 1}}}})"},
      {R"(["scale"])", "/cells/c/tied", "expected a boolean",
       R"({"cells": {"c": {"steps": [], "tied": 1}}})"},
      {R"(["scale"])", "/cells", "expected an object", R"({"cells": []})"},
      {R"([{"type": "c"}])", "/network/0", "the parameter \"w\" of the cell c is missing",
       R"({"cells": {"c": {"steps": ["scale"], "parameters": {"w": null}}}})"},
      {R"([{"type": "c", "v": 3}])", "/network/0/v",
       "has no key \"v\"; known: type, name, from, values, w",
       R"({"cells": {"c": {"steps": ["scale"], "parameters": {"w": null}}}})"},
      {R"([{"type": "c"}])", "/network/0", "c reads 2 results, got 1",
       R"({"cells": {"c": {"steps": ["scale"], "inputs": ["a", "b"]}}})"},
      // The document.
      {R"(["scale"])", "/netwrok", "did you mean \"network\"", R"({"netwrok": []})"},
      {R"(["scale"])", "/input", "expected an array", R"({"input": 3})"},
      {R"(["scale"])", "/input", "got 2 values", R"({"input": [3, 4]})"},
      {R"(["scale"])", "/input", "channels must be at least 1", R"({"input": [0, 4, 4]})"},
      {R"(["scale"])", "/classes", "1", R"({"classes": 1})"},
      {R"(["scale"])", "/network", "the last step gives {3, 8, 8}", R"({"network": ["scale"]})"},
      {R"(["scale"])", "/network", "expected an array", R"({"network": {}})"},
      {R"(["scale"])", "/network", "expected at least one step", R"({"network": []})"},
      // Constraints.
      {R"(["scale"])", "/constraints", "expected an array", R"({"constraints": {}})"},
      {R"(["scale"])", "/constraints/0", "expected an object", R"({"constraints": [3]})"},
      {R"(["scale"])", "/constraints/0", "expected {\"metric\"",
       R"({"constraints": [{"if": {}}]})"},
      {R"(["scale"])", "/constraints/0/metric", "\"params\" or \"macs\", got \"latency\"",
       R"({"constraints": [{"metric": "latency", "max": 3}]})"},
      {R"(["scale"])", "/constraints/0", "\"min\", \"max\" or both",
       R"({"constraints": [{"metric": "macs"}]})"},
      {R"(["scale"])", "/constraints/0", "min, 3, is above max, 2",
       R"({"constraints": [{"metric": "macs", "min": 3, "max": 2}]})"},
      {R"(["scale"])", "/constraints/0/max", "expected a number",
       R"({"constraints": [{"metric": "macs", "max": "x"}]})"},
      {R"(["scale"])", "/constraints/0/mx", "did you mean \"max\"",
       R"({"constraints": [{"metric": "macs", "mx": 3}]})"},
      {R"(["scale"])", "/constraints/0/not", "expected an object",
       R"({"constraints": [{"not": 3}]})"},
      {R"(["scale"])", "/constraints/0/not", "at least one decision",
       R"({"constraints": [{"not": {}}]})"},
      {R"(["scale"])", "/constraints/0/not/a", "no decision \"a\"",
       R"({"constraints": [{"not": {"a": 3}}]})"},
      {R"([{"type": "repeat", "depth": {"choose": [1, 2]}, "block": "scale"}])",
       "/constraints/0/not/repeat.depth", "has no option \"3\"; known: 1, 2",
       R"({"constraints": [{"not": {"repeat.depth": 3}}]})"},
      {R"([{"type": "repeat", "depth": {"choose": [1, 2]}, "block": "scale"}])",
       "/constraints/0/not/repeat.depth/0", "expected an option",
       R"({"constraints": [{"not": {"repeat.depth": [null]}}]})"},
  };
  for (const Case& c : cases) {
    SCOPED_TRACE(std::string(c.steps) + c.more);
    try {
      make(document(Json::parse(c.steps), Json::parse(c.more)));
      ADD_FAILURE() << "nothing was thrown";
    } catch (const ConfigError& error) {
      EXPECT_EQ(error.pointer(), c.pointer) << error.what();
      EXPECT_THAT(error.message(), HasSubstr(c.message));
    }
  }
}

TEST(CustomErrors, DeepNestingIsRefused) {
  Json step = "scale";
  for (int i = 0; i < 200; ++i) step = {{"type", "sequence"}, {"steps", Json::array({step})}};
  EXPECT_THAT(throws<ConfigError>([&] { make(document(Json::array({step}))); }),
              HasSubstr("nested more than 50 deep"));
  Json number = 1;
  for (int i = 0; i < 200; ++i) number = {{"round", number}};
  step = {{"type", "conv2d"}, {"out_channels", number}};
  EXPECT_THAT(throws<ConfigError>([&] { make(document(Json::array({step}))); }),
              HasSubstr("nested more than 50 deep"));
}

TEST(CustomErrors, ShapesThatDoNotFitForSomeNameAnArchitecture) {
  const auto error_of = [](const char* text) {
    try {
      make(document(Json::parse(text)));
    } catch (const ConfigError& error) {
      return error;
    }
    return ConfigError("no error", "");
  };
  // The first architecture, 4 and 4 channels, fits; two decisions together do not.
  const ConfigError add = error_of(R"([
    {"type": "conv2d", "name": "a", "out_channels": {"choose": [4, 8], "name": "wa"}},
    {"type": "conv2d", "name": "b", "from": "input", "out_channels": {"choose": [4, 8], "name": "wb"}},
    {"type": "optional", "name": "o", "block": "scale"},
    {"type": "add", "from": ["a", "b"]}])");
  EXPECT_EQ(add.pointer(), "/network/3");
  EXPECT_THAT(add.message(), HasSubstr("wa{4|8}"));
  EXPECT_THAT(add.message(), HasSubstr("; for example with wa="));
  EXPECT_THAT(add.message(), testing::Not(HasSubstr("o=")));
  const bool first = add.message().ends_with("wa=4, wb=8");
  EXPECT_TRUE(first || add.message().ends_with("wa=8, wb=4")) << add.message();
  // Deep inside a repeat, where only one kernel is too large.
  const ConfigError kernel = error_of(R"([
    {"type": "stage", "depth": {"choose": [1, 3]}, "stride": {"choose": [1, 4], "name": "s"},
     "block": {"type": "conv2d", "out_channels": 4, "stride": "stride", "padding": 0,
               "kernel": {"choose": [1, 3]}}}])");
  EXPECT_EQ(kernel.pointer(), "/network/0/block");
  EXPECT_THAT(kernel.message(),
              HasSubstr("; for example with stage1.depth=3, s=4, stage1.block2.kernel=3"));
  // What an alternative adds to is not of its shape.
  const ConfigError choice = error_of(R"([
    {"type": "choice", "name": "c", "of": {"keep": "identity", "shrink": "pool2d"}},
    {"type": "add", "from": ["input", "c"]}])");
  EXPECT_EQ(choice.pointer(), "/network/1");
  EXPECT_THAT(choice.message(), HasSubstr("for example with c=shrink"));
}

TEST(CustomErrors, ExamplesAreAsSimpleAsPossible) {
  const auto message_of = [](const char* text) {
    return throws<ConfigError>([&] { make(document(Json::parse(text))); });
  };
  // Either of two decisions is enough; one is named, and the third is not.
  const std::string either = message_of(R"([
    {"type": "conv2d", "out_channels": 4, "kernel": {"choose": [3, 9]}, "padding": 0,
     "stride": {"choose": [1, 9]}},
    {"type": "optional", "block": "scale"},
    {"type": "conv2d", "out_channels": 4, "kernel": 3, "padding": 0}])");
  EXPECT_THAT(either, testing::AnyOf(testing::EndsWith("with conv.kernel=9"),
                                     testing::EndsWith("with conv.stride=9")));
  // Where nothing can help, there is no example.
  const std::string all = message_of(R"([
    {"type": "optional", "block": "scale"},
    {"type": "conv2d", "out_channels": {"choose": [4, 5]}, "kernel": 11, "padding": 0}])");
  EXPECT_THAT(all, testing::EndsWith("; it fits with no architecture that was tried"));
}

TEST(CustomErrors, WhatCannotBeServedNamesTheStep) {
  const auto error_of = [](const Json& json) {
    try {
      make(json);
    } catch (const ConfigError& error) {
      return error;
    }
    return ConfigError("no error", "");
  };
  Json open = document(Json::array({"scale"}));
  open["input"] = Json::parse(R"([3, {"choose": [4, 8]}, 4])");
  open["network"] =
      Json::parse(R"(["scale", "flatten", {"type": "linear", "out_features": "classes"}])");
  const ConfigError flatten = error_of(open);
  EXPECT_EQ(flatten.pointer(), "/network/1");
  EXPECT_THAT(flatten.message(), HasSubstr("pool to a fixed size first"));
  Json terms = Json::array();
  for (int i = 0; i < 20; ++i) {
    terms.push_back({{"choose", {1 << i, 0}}, {"name", "d" + std::to_string(i)}});
  }
  const Json sum = {{"type", "conv2d"}, {"out_channels", {{"sum", terms}}}};
  const ConfigError large = error_of(document(Json::array({sum})));
  EXPECT_EQ(large.pointer(), "/network/0/out_channels");
  EXPECT_THAT(large.message(), HasSubstr("more than 100000 nodes"));
  Json of = Json::object();
  for (int i = 0; i < 40; ++i) of["a" + std::to_string(i)] = "identity";
  const Json choice = {{"type", "choice"}, {"pick", 20}, {"of", of}};
  const ConfigError many = error_of(document(Json::array({choice})));
  EXPECT_EQ(many.pointer(), "/network/0");
  EXPECT_THAT(many.message(), HasSubstr("2^32"));
}

TEST(CustomErrors, LayoutsThatDoNotFitNameTheStep) {
  // Equal widths, but made of 8 + 8 and of 16 channels that can be left out.
  const Json steps = Json::parse(R"([
    {"type": "conv2d", "name": "a", "out_channels": {"choose": [4, 8], "name": "w"}},
    {"type": "conv2d", "name": "b", "from": "input", "out_channels": "w"},
    {"type": "concat", "name": "ab", "from": ["a", "b"]},
    {"type": "conv2d", "name": "c", "from": "input", "out_channels": {"product": ["w", 2]}},
    {"type": "add", "from": ["ab", "c"]}])");
  try {
    make(document(steps));
    ADD_FAILURE() << "nothing was thrown";
  } catch (const ConfigError& error) {
    EXPECT_EQ(error.pointer(), "/network/4") << error.what();
    EXPECT_THAT(error.message(), testing::EndsWith("; for example with w=4"));
  }
}

TEST(CustomErrors, EveryPointerIsThatOfTheWholeDocument) {
  const SpaceRegistry spaces = space_registry();
  const auto error_of = [&](const char* network) {
    return throws<ConfigError>([&] { spaces.create(document(Json::parse(network)), "/space"); });
  };
  EXPECT_THAT(error_of(R"([{"type": "conv2d", "out_channels": {"choose": [3, 4], "name": "c"}},
                           {"type": "conv2d", "out_channels": {"choose": [3, 5], "name": "c"}}])"),
              testing::AllOf(testing::StartsWith("/space/network/1/out_channels: "),
                             testing::EndsWith("{3, 4} at /space/network/0/out_channels")));
  EXPECT_THAT(error_of(R"([{"type": "scale", "from": "b"}, {"type": "scale", "name": "b"}])"),
              testing::AllOf(testing::StartsWith("/space/network/0/from: "),
                             testing::EndsWith("later, at /space/network/1")));
}

/// Calls f(value, pointer) for each value of the document.
void for_each_value(Json& json, const std::function<void(Json&, Json*, const std::string&)>& f) {
  for (auto it = json.begin(); it != json.end(); ++it) {
    f(*it, &json, json.is_object() ? it.key() : "");
    if (it->is_structured()) for_each_value(*it, f);
  }
}

TEST(CustomErrors, MutatedDocumentsWorkOrAreRefusedSlow) {
  Rng rng(99);
  const std::vector<Json> values{nullptr,
                                 true,
                                 "x",
                                 "input",
                                 -1,
                                 0,
                                 3,
                                 2.5,
                                 1e9,
                                 Json::array(),
                                 Json::object(),
                                 Json::array({1, 2}),
                                 {{"choose", {1, 3}}}};
  const std::vector<std::pair<std::string, int>> documents{
      {"chain", 400},        {"small_camera", 600}, {"two_input_cells", 600},
      {"mobilenet_v3", 100}, {"nasbench201", 150},  {"shufflenet_spos", 100}};
  int worked = 0, refused = 0;
  for (const auto& [name, count] : documents) {
    const Json original = example(name);
    for (int i = 0; i < count; ++i) {
      Json json = original;
      std::uint64_t number = 0;
      for_each_value(json, [&](Json&, Json*, const std::string&) { ++number; });
      std::uint64_t target = rng.below(number), at = 0;
      const bool drop = rng.below(3) == 0;
      const Json& value = values[rng.below(values.size())];
      Json* parent = nullptr;
      std::string key;
      for_each_value(json, [&](Json& v, Json* around, const std::string& k) {
        if (at++ != target) return;
        if (drop && around->is_object()) {
          parent = around;
          key = k;
        } else {
          v = value;
        }
      });
      if (parent != nullptr) parent->erase(key);
      SCOPED_TRACE(name + " " + std::to_string(i));
      try {
        const auto space = make(json);
        const Architecture a = sample_uniform(*space, rng);
        verify(space->build(a));
        ++worked;
      } catch (const ConfigError& error) {
        EXPECT_FALSE(error.message().empty());
        ++refused;
      } catch (const ShapeError&) {
        ++refused;
      } catch (const UnsupportedError&) {
        ++refused;
      }
    }
  }
  EXPECT_GT(worked, 100);
  EXPECT_GT(refused, 1000);
}

// The guide.

TEST(CustomGuide, NamesEveryStepAndEveryOption) {
  const std::string guide =
      read_file(std::filesystem::path(ESPALIER_SOURCE_DIR) / "docs" / "own_space.md");
  for (const StepType& type : step_types()) {
    const std::string start = "| `" + type.name + "` |";
    const std::size_t begin = guide.find(start);
    ASSERT_NE(begin, std::string::npos) << type.name;
    const std::string row = guide.substr(begin, guide.find('\n', begin) - begin);
    for (const std::string& option : type.options) {
      EXPECT_THAT(row, HasSubstr("`" + option + "`")) << type.name;
    }
  }
}

TEST(CustomGuide, ItsDocumentIsTheExample) {
  const std::string guide =
      read_file(std::filesystem::path(ESPALIER_SOURCE_DIR) / "docs" / "own_space.md");
  const std::string text = read_file(examples / "small_camera.json");
  EXPECT_THAT(guide, HasSubstr("```json\n" + text + "```"));
  const auto space = make(example("small_camera"));
  Rng rng(1);
  const Architecture a = sample_uniform(*space, rng);
  EXPECT_EQ(space->parse(space->to_string(a)), a);
  EXPECT_LE(space->quick_cost(a).macs, 12'000'000);
}

}  // namespace
}  // namespace espalier
