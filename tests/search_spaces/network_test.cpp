#include "search_spaces/network.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <fstream>
#include <set>
#include <string>
#include <vector>

#include "core/error.hpp"
#include "core/json.hpp"
#include "graph/cost.hpp"
#include "graph/fingerprint.hpp"
#include "graph/json.hpp"
#include "graph/nets.hpp"
#include "search_spaces/sampling.hpp"
#include "tests/core/temporary_directory.hpp"
#include "tests/core/throws.hpp"

namespace espalier {
namespace {

std::vector<std::string> decisions_of(const Supergraph& supergraph) {
  std::vector<std::string> texts;
  for (const Decision& d : supergraph.decisions()) {
    std::string text = d.name + ":";
    for (const std::string& option : d.options) text += " " + option;
    texts.push_back(text);
  }
  return texts;
}

TEST(NetworkSpace, ABlockHasTheKernelThatItsConvolutionChose) {
  const SupergraphSpace space(open_network(build_net("mobilenet_v2"), {3, 5, 7}, false));
  Rng rng(2);
  const Graph g = space.build(sample_uniform(space, rng));
  std::set<std::int64_t> seen;
  for (NodeId id = 0; id < g.size(); ++id) {
    const auto* conv = std::get_if<op::Conv2d>(&g.node(id).op);
    if (conv == nullptr || conv->group_width != Dim(1)) continue;
    ScopeId s = g.node(id).scope;
    while (g.scope(s).kind != "mbconv") s = g.scope(s).parent;
    EXPECT_EQ(g.scope_attribute(s, "kernel"), conv->kernel.h.value());
    seen.insert(conv->kernel.h.value());
  }
  EXPECT_EQ(seen.size(), 3U);
  // Two convolutions that choose each for itself have no kernel together.
  const SupergraphSpace pairs(open_network(build_net("resnet18"), {3, 5}, false));
  const Graph other = pairs.build(sample_uniform(pairs, rng));
  int blocks = 0;
  for (const Scope& scope : other.scopes()) {
    if (scope.kind != "basic_block") continue;
    ++blocks;
    EXPECT_TRUE(
        std::ranges::none_of(scope.attributes, [](const auto& a) { return a.first == "kernel"; }));
  }
  EXPECT_EQ(blocks, 8);
}

TEST(NetworkSpace, ResidualBlocksOpenDepth) {
  const Supergraph s = open_network(build_net("mobilenet_v2"), {}, true);
  // Its stages have 1, 2, 3, 4, 3, 3 and 1 blocks, of which the first changes the shape.
  EXPECT_THAT(decisions_of(s),
              testing::ElementsAre(testing::EndsWith(": 0 1"), testing::EndsWith(": 0 1 2"),
                                   testing::EndsWith(": 0 1 2 3"), testing::EndsWith(": 0 1 2"),
                                   testing::EndsWith(": 0 1 2")));
  const auto resnet = decisions_of(open_network(build_net("resnet50"), {}, true));
  EXPECT_THAT(resnet, testing::ElementsAre(
                          "depth.layer1.1.conv1: 0 1 2", "depth.layer2.1.conv1: 0 1 2 3",
                          "depth.layer3.1.conv1: 0 1 2 3 4 5", "depth.layer4.1.conv1: 0 1 2"));
}

TEST(NetworkSpace, TheNetworkItselfIsTheLastArchitecture) {
  for (const char* name : {"resnet18", "resnet50", "mobilenet_v3_large", "densenet121", "vgg16_bn",
                           "efficientnet_b0", "googlenet", "vit_b_16"}) {
    SCOPED_TRACE(name);
    const Graph net = build_net(name);
    const SupergraphSpace space(open_network(net, {3, 5, 7}, true));
    Architecture whole{std::vector<std::uint32_t>(space.decisions().size(), 0)};
    for (DecisionId d = 0; d < space.decisions().size(); ++d) {
      const Decision& decision = space.decisions()[d];
      if (decision.name.starts_with("depth.")) {
        whole.choices[d] = space.choice_counts()[d] - 1;
        continue;
      }
      const std::string node = decision.name.substr(7);
      for (NodeId i = 0; i < net.size(); ++i) {
        if (net.name(i) != node) continue;
        const std::string own =
            std::to_string(std::get<op::Conv2d>(net.node(i).op).kernel.h.value());
        whole.choices[d] = static_cast<std::uint32_t>(std::ranges::find(decision.options, own) -
                                                      decision.options.begin());
      }
    }
    EXPECT_EQ(fingerprint(space.build(whole)), fingerprint(net));
    Rng rng(3);
    for (int k = 0; k < 20; ++k) verify(space.build(sample_uniform(space, rng)));
  }
}

TEST(NetworkSpace, PlainBlocksNeedOneThatRuns) {
  GraphBuilder b;
  NodeId x = b.activation(b.conv(b.input(3, 8, 8), 4, {.kernel = 3}), ActivationKind::relu);
  for (int k = 0; k < 3; ++k) {
    x = b.activation(b.batch_norm(b.conv(x, 4, {.kernel = 3})), ActivationKind::relu);
  }
  x = b.conv(x, 4, {.kernel = 5});  // one of its kind
  b.output(b.linear(b.flatten(b.global_avg_pool(x)), 2));
  const Graph graph = b.build();
  EXPECT_THAT(decisions_of(open_network(graph, {}, true)),
              testing::ElementsAre("depth.conv_2: 1 2 3"));
  EXPECT_THAT(decisions_of(open_network(graph, {3, 7}, false)),
              testing::ElementsAre("kernel.conv: 3 7", "kernel.conv_2: 3 7", "kernel.conv_3: 3 7",
                                   "kernel.conv_4: 3 7", "kernel.conv_5: 3 5 7"));
  const SupergraphSpace space(open_network(graph, {}, true));
  EXPECT_EQ(cost(space.build({{0}})).params, cost(graph).params - 2 * (9 * 4 * 4 + 8));
}

TEST(NetworkSpace, ReadsFilesAndOpensCompression) {
  const TemporaryDirectory directory;
  const std::string path = (directory.path() / "net.json").string();
  const Graph net = build_net("resnet18", {.input = {3, 32, 32}, .classes = 10});
  for (const Json& json : {to_json(net), Json{{"format", 1}, {"graph", to_json(net)}}}) {
    std::ofstream(path) << json.dump();
    const auto space = make_network_space(
        {.network = path,
         .compression = CompressionOptions{.channels = {0.5, 1.0}, .weight_bits = {4, 8}}});
    EXPECT_GT(space->decisions().size(), 20u);
    Rng rng(1);
    for (int k = 0; k < 20; ++k) verify(space->build(sample_uniform(*space, rng)));
  }
}

TEST(NetworkSpace, Throws) {
  const auto pointer_of = [](const NetworkSpaceOptions& options) {
    try {
      make_network_space(options);
    } catch (const ConfigError& error) {
      return error.pointer();
    }
    return std::string("no error");
  };
  EXPECT_EQ(pointer_of({.network = "resnet"}), "/network");
  EXPECT_EQ(pointer_of({.kernels = {4}}), "/kernels");
  EXPECT_THROW(make_network_space({.network = "missing.json"}), IoError);
  EXPECT_THROW(make_network_space({.network = "missing.onnx"}), IoError);
  const SupergraphSpace space(open_network(build_net("resnet18"), {}, true));
  EXPECT_THROW(open_network(space.supergraph()->graph(), {}, true), InvalidArchitecture);
}

}  // namespace
}  // namespace espalier
