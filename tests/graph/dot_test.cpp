#include "graph/dot.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "graph/builder.hpp"
#include "graph/nets.hpp"
#include "tests/core/temporary_directory.hpp"
#include "tests/graph/test_graphs.hpp"

namespace espalier {
namespace {

using testing::HasSubstr;

TEST(Dot, Golden) {
  GraphBuilder b;
  auto x = b.input(3, 8, 8);
  {
    const auto stem = b.scope("stem", "conv_bn_act");
    x = b.append(op::Conv2d{.out_channels = 4, .kernel = {3, 5}, .padding = {1, 2}, .bias = true},
                 std::array{x}, "conv", {Quantization{4, 8}});
    {
      const auto inner = b.scope("inner \"quoted\"");
      x = b.batch_norm(x, {.eps = 1e-3f, .affine = false});
    }
    x = b.activation(x, ActivationKind::relu);
  }
  const auto pooled = b.max_pool(x, {.kernel = 3, .stride = 1});
  x = b.concat(std::array{pooled, x});
  x = b.add(x, x);
  b.output(b.linear(b.flatten(b.global_avg_pool(x)), 10, {.bias = false}));
  EXPECT_EQ(to_dot(b.build()), R"dot(digraph network {
  node [shape=box, fontname="Helvetica"];
  n0 [label="input\ninput channels 3 height 8 width 8\n{3, 8, 8}"];
  n4 [label="pool\npool2d max kernel 3x3 padding 1x1\n{4, 8, 8}"];
  n5 [label="concat\nconcat\n{8, 8, 8}"];
  n6 [label="add\nadd\n{8, 8, 8}"];
  n7 [label="pool_2\nglobal_avg_pool\n{8, 1, 1}"];
  n8 [label="flatten\nflatten\n{8}"];
  n9 [label="linear\nlinear out_features 10 no bias\n{10}"];
  n10 [label="output\noutput\n{10}"];
  subgraph cluster_1 {
    label="stem (conv_bn_act)";
    n1 [label="stem.conv\nconv2d out_channels 4 kernel 3x5 padding 1x2 bias\nw4 a8\n{4, 8, 8}"];
    n3 [label="stem.act\nactivation relu\n{4, 8, 8}"];
    subgraph cluster_2 {
      label="stem.inner \"quoted\"";
      n2 [label="stem.inner \"quoted\".bn\nbatch_norm2d eps 0.001 no affine\n{4, 8, 8}"];
    }
  }
  n0 -> n1;
  n1 -> n2;
  n2 -> n3;
  n3 -> n4;
  n4 -> n5 [headlabel="0"];
  n3 -> n5 [headlabel="1"];
  n5 -> n6;
  n5 -> n6;
  n6 -> n7;
  n7 -> n8;
  n8 -> n9;
  n9 -> n10;
}
)dot");
}

TEST(Dot, OpenGraphsShowTheirDecisions) {
  GraphBuilder b;
  const auto x = b.input(3, 8, 8);
  const auto y = b.conv(x, Dim::select(0, std::array{Dim(4), Dim(8)}), {.kernel = 3});
  b.output(
      b.append(op::Choice{1, 1}, std::array{y, b.activation(y, ActivationKind::relu)}, "choice"));
  Graph graph = b.build();
  EXPECT_THAT(to_dot(graph), HasSubstr("choice decision 1\\n"));
  graph.set_decision_names({"width", "use_act"});
  EXPECT_THAT(to_dot(graph), HasSubstr("out_channels width{4|8} kernel 3x3"));
  EXPECT_THAT(to_dot(graph), HasSubstr("choice use_act\\n{width{4|8}, 8, 8}"));
}

TEST(Dot, NamesAreQuoted) {
  Graph graph;
  graph.add(op::Input{1, 1, 1}, {}, "a\"b\\c\nd");
  graph.add(op::Output{}, std::array{NodeId{0}}, "output");
  EXPECT_THAT(to_dot(graph), HasSubstr(R"(label="a\"b\\c d\ninput)"));
}

TEST(Dot, GraphvizReadsIt) {
  if (std::system("dot -V > /dev/null 2>&1") != 0) GTEST_SKIP() << "Graphviz is not installed";
  std::vector<Graph> graphs;
  for (const std::string& name : net_names()) graphs.push_back(build_net(name));
  Rng rng(1);
  for (int i = 0; i < 3; ++i) graphs.push_back(random_graph(rng, 20, all_operators(), true));
  Graph odd;
  const ScopeId scope = odd.add_scope("s\"\\{}<>|", "kind\n", no_scope);
  odd.add(op::Input{1, 1, 1}, {}, "a\"b\\c\nd<&>", scope);
  odd.add(op::Output{}, std::array{NodeId{0}}, "\\");
  graphs.push_back(odd);
  const TemporaryDirectory directory;
  const std::filesystem::path& folder = directory.path();
  for (const Graph& graph : graphs) {
    std::ofstream(folder / "net.dot") << to_dot(graph);
    const std::string command = "dot -Tsvg '" + (folder / "net.dot").string() + "' > '" +
                                (folder / "net.svg").string() + "' 2> '" +
                                (folder / "messages").string() + "'";
    EXPECT_EQ(std::system(command.c_str()), 0);
    std::stringstream svg, messages;
    svg << std::ifstream(folder / "net.svg").rdbuf();
    messages << std::ifstream(folder / "messages").rdbuf();
    EXPECT_EQ(messages.str(), "");
    const std::string text = svg.str();
    std::size_t boxes = 0;
    for (std::size_t at = text.find("class=\"node\""); at != std::string::npos;
         at = text.find("class=\"node\"", at + 1)) {
      ++boxes;
    }
    EXPECT_EQ(boxes, graph.size());
  }
}

}  // namespace
}  // namespace espalier
