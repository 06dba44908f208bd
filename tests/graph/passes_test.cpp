#include "graph/passes.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <boost/graph/breadth_first_search.hpp>
#include <boost/graph/reverse_graph.hpp>

#include "core/error.hpp"
#include "graph/boost.hpp"
#include "graph/builder.hpp"
#include "graph/cost.hpp"
#include "graph/nets.hpp"
#include "tests/graph/interpreter.hpp"
#include "tests/graph/test_graphs.hpp"

namespace espalier {
namespace {

using testing::ElementsAre;

std::vector<std::string> names_of(const Graph& graph) {
  std::vector<std::string> names;
  for (NodeId i = 0; i < graph.size(); ++i) names.push_back(graph.name(i));
  return names;
}

void expect_near(const std::vector<double>& a, const std::vector<double>& b) {
  ASSERT_EQ(a.size(), b.size());
  for (std::size_t i = 0; i < a.size(); ++i) {
    ASSERT_NEAR(a[i], b[i], 1e-9 * std::max(1.0, std::abs(a[i]))) << i;
  }
}

/// The nodes that the output can be reached from, by Boost's search against the edges.
std::vector<std::string> reachable(const Graph& graph) {
  const BoostGraph view(graph);
  const auto backwards = boost::make_reverse_graph(view);
  std::vector<boost::default_color_type> colours(graph.size());
  const auto map =
      boost::make_iterator_property_map(colours.begin(), get(boost::vertex_index, view));
  boost::breadth_first_search(backwards, graph.output(), boost::color_map(map));
  std::vector<std::string> names;
  for (NodeId i = 0; i < graph.size(); ++i) {
    if (colours[i] == boost::black_color || std::holds_alternative<op::Input>(graph.node(i).op)) {
      names.push_back(graph.name(i));
    }
  }
  return names;
}

class Passes : public testing::Test {
 protected:
  /// Random graphs in which zeros are frequent.
  Graph random(std::uint64_t round) const {
    Rng rng = Rng(7).fork(round);
    std::vector<Candidate> candidates = all_operators();
    for (int i = 0; i < 8; ++i) {
      candidates.push_back({op::Zero{}, 1});
      candidates.push_back({op::Add{}, 2});
    }
    return random_graph(rng, 2 + rng.below(24), candidates, true);
  }
};

TEST_F(Passes, AllKeepTheirPromisesOnRandomGraphs) {
  const Interpreter interpreter(3);
  std::size_t dropped = 0, changed = 0;
  for (std::uint64_t round = 0; round < 600; ++round) {
    const Graph graph = random(round);
    const std::vector<double> expected = interpreter.run(graph);
    for (const Pass& pass : passes()) {
      const Graph result = pass.run(graph);
      EXPECT_NO_THROW(verify(result)) << pass.name;
      EXPECT_TRUE(same(pass.run(result), result)) << pass.name;
      EXPECT_EQ(names_of(dead_code_elimination(result)), names_of(result)) << pass.name;
    }
    const Graph alive = dead_code_elimination(graph);
    EXPECT_EQ(names_of(alive), reachable(graph));
    expect_near(interpreter.run(alive), expected);
    const Graph simple = simplify(graph);
    expect_near(interpreter.run(simple), expected);
    dropped += alive.size() - simple.size();
    changed += simple.size() < alive.size();
  }
  EXPECT_GT(changed, 100u);  // the test does see zeros
  EXPECT_GT(dropped, 300u);
}

TEST_F(Passes, ZeroNodesGiveZeros) {
  for (std::uint64_t round = 0; round < 300; ++round) {
    const Graph graph = random(round);
    const std::vector<bool> zero = zero_nodes(graph);
    ASSERT_EQ(zero.size(), graph.size());
    for (NodeId i = 1; i + 1 < graph.size(); ++i) {
      Graph prefix;  // whose output is node i
      for (NodeId j = 0; j <= i; ++j) {
        prefix.add(graph.node(j).op, graph.inputs(j), graph.name(j));
      }
      prefix.add(op::Output{}, std::array{i}, "prefix");
      const std::vector<double> values = Interpreter(4).run(prefix);
      const bool all_zero = std::ranges::all_of(values, [](double v) { return v == 0; });
      if (zero[i]) {
        EXPECT_TRUE(all_zero);
      } else if (std::holds_alternative<op::Activation>(graph.node(i).op) ||
                 std::holds_alternative<op::BatchNorm2d>(graph.node(i).op)) {
        // What is not called a zero node is none, up to activations that happen to clip all.
        const auto* act = std::get_if<op::Activation>(&graph.node(i).op);
        EXPECT_TRUE(!all_zero || (act && act->kind <= ActivationKind::relu6));
      }
    }
  }
}

TEST_F(Passes, DeadCodeGoesAndInputsStay) {
  GraphBuilder b;
  const auto x = b.input(3, 4, 4);
  b.conv(x, 4, {}, "dead");
  const auto unused = b.append(op::Input{1, 2, 2}, {}, "unused");
  b.activation(unused, ActivationKind::relu, "dead_act");
  b.output(b.conv(x, 5, {}, "alive"));
  const Graph graph = dead_code_elimination(b.build());
  EXPECT_THAT(names_of(graph), ElementsAre("input", "unused", "alive", "output"));
}

TEST_F(Passes, SimplifyDropsZeroTerms) {
  GraphBuilder b;
  const auto x = b.input(4, 4, 4);
  const auto zero = b.zero(x);
  const auto a = b.conv(x, 4, {}, "a");
  const auto c = b.conv(x, 4, {}, "c");
  const auto passed = b.activation(b.conv(zero, 4, {}, "on_zero"), ActivationKind::relu);
  const auto two = b.add(std::array{a, zero, c, passed}, "two");
  const auto one = b.add(std::array{zero, two}, "one");
  b.output(b.add(one, b.add(zero, passed, "none"), "last"));
  const Graph graph = simplify(b.build());
  EXPECT_THAT(names_of(graph), ElementsAre("input", "a", "c", "two", "output"));
  EXPECT_EQ(graph.inputs(3).size(), 2u);
}

TEST_F(Passes, SimplifyKeepsOneZeroOfAShape) {
  GraphBuilder b;
  const auto x = b.input(4, 4, 4);
  const auto first = b.zero(x, 1, "first");
  const auto second = b.dropout(b.zero(b.conv(x, 4), 1, "second"), 0.5f);
  const auto smaller = b.zero(x, 2, "smaller");
  const auto wide = b.conv(first, 6, {}, "wide");
  const auto u = b.batch_norm(first, {}, "u");
  const auto v = b.batch_norm(second, {}, "v");
  const auto w = b.flatten(b.batch_norm(smaller, {}, "w"), "flat");
  const auto t = b.flatten(b.batch_norm(wide, {}, "t"), "flat_wide");
  const auto s = b.linear(w, 3, {}, "s");
  b.output(b.add(std::array{b.linear(b.flatten(b.add(u, v, "sum"), "flat_sum"), 3, {}, "end"), s,
                            b.linear(t, 3, {}, "r")},
                 "total"));
  const Graph graph = simplify(b.build());
  EXPECT_THAT(names_of(graph),
              ElementsAre("input", "first", "smaller", "wide", "u", "v", "w", "flat", "t",
                          "flat_wide", "s", "sum", "flat_sum", "end", "r", "total", "output"));
  EXPECT_EQ(graph.inputs(5)[0], 1u);  // v reads the first zeros, as u does
}

TEST_F(Passes, ZerosStopAtWhatShiftsThem) {
  const auto survives = [](auto&& f) {
    GraphBuilder b;
    const auto x = b.input(4, 4, 4);
    const auto y = f(b, b.zero(x));
    const auto z = b.conv(x, b.channels(y), {.kernel = 3}, "beside");
    b.output(b.add(b.flatten(b.global_avg_pool(y)), b.flatten(b.global_avg_pool(z)), "sum"));
    const Graph graph = simplify(b.build());
    const auto names = names_of(graph);
    return std::ranges::find(names, "sum") != names.end();
  };
  using B = GraphBuilder;
  for (const auto& [kind, stays] : {std::pair{ActivationKind::relu, false},
                                    {ActivationKind::relu6, false},
                                    {ActivationKind::hard_swish, false},
                                    {ActivationKind::swish, false},
                                    {ActivationKind::gelu, false},
                                    {ActivationKind::tanh, false},
                                    {ActivationKind::sigmoid, true},
                                    {ActivationKind::hard_sigmoid, true}}) {
    EXPECT_EQ(survives([kind = kind](B& b, NodeId x) { return b.activation(x, kind); }), stays)
        << activation_name(kind);
  }
  EXPECT_FALSE(survives([](B& b, NodeId x) { return b.conv(x, 6, {.kernel = 3}); }));
  EXPECT_TRUE(survives([](B& b, NodeId x) { return b.conv(x, 6, {.bias = true}); }));
  EXPECT_TRUE(survives([](B& b, NodeId x) { return b.batch_norm(x); }));
  EXPECT_TRUE(survives([](B& b, NodeId x) { return b.batch_norm(x, {.affine = false}); }));
  EXPECT_FALSE(survives([](B& b, NodeId x) { return b.max_pool(x, {}); }));
  EXPECT_FALSE(survives([](B& b, NodeId x) { return b.avg_pool(x, {}); }));
  EXPECT_FALSE(survives([](B& b, NodeId x) { return b.dropout(x, 0.5f); }));
  EXPECT_FALSE(survives([](B& b, NodeId x) { return b.multiply(0, x); }));
  EXPECT_FALSE(survives([](B& b, NodeId x) { return b.concat(std::array{x, x}); }));
  EXPECT_TRUE(survives([](B& b, NodeId x) { return b.concat(std::array{x, NodeId{0}}); }));
}

TEST_F(Passes, ChoicesOfZerosStay) {
  GraphBuilder b;
  const auto x = b.input(4, 4, 4);
  const auto zero = b.zero(x);
  b.output(b.append(op::Choice{0, 1}, std::array{zero, b.conv(x, 4)}, "choice"));
  EXPECT_THAT(names_of(simplify(b.build())),
              ElementsAre("input", "zero", "conv", "choice", "output"));
}

TEST_F(Passes, AnOutputOfZerosStays) {
  GraphBuilder b;
  const auto x = b.input(4, 4, 4);
  b.output(b.add(b.zero(x), b.zero(x)));
  EXPECT_THAT(names_of(simplify(b.build())), ElementsAre("input", "zero", "output"));
}

/// The random weights of a graph with each fold applied to them.
void fold_weights(const Graph& graph, const FoldedGraph& folded, Interpreter& interpreter) {
  const auto find = [&](const std::string& name) {
    for (NodeId i = 0; i < graph.size(); ++i) {
      if (graph.name(i) == name) return i;
    }
    throw Error("no node " + name);
  };
  for (const auto& [conv_name, norm_name] : folded.folded) {
    const NodeId conv = find(conv_name), norm = find(norm_name);
    const auto& op = std::get<op::BatchNorm2d>(graph.node(norm).op);
    const auto channels = static_cast<std::size_t>(graph.node(conv).shape[0].value());
    const bool had_bias = std::get<op::Conv2d>(graph.node(conv).op).bias;
    const auto count = static_cast<std::size_t>(node_params(graph, conv)) - had_bias * channels;
    std::vector<double> weight = interpreter.weights(conv_name, "weight", count);
    std::vector<double> bias(channels);
    if (had_bias || interpreter.given.contains(conv_name)) {
      bias = interpreter.weights(conv_name, "bias", channels);
    }
    const auto mean = interpreter.weights(norm_name, "mean", channels);
    const auto variance = interpreter.weights(norm_name, "variance", channels);
    for (std::size_t c = 0; c < channels; ++c) {
      const double gamma = op.affine ? interpreter.weights(norm_name, "weight", channels)[c] : 1;
      const double beta = op.affine ? interpreter.weights(norm_name, "bias", channels)[c] : 0;
      const double scale = gamma / std::sqrt(variance[c] + static_cast<double>(op.eps));
      for (std::size_t i = 0; i < count / channels; ++i)
        weight[c * (count / channels) + i] *= scale;
      bias[c] = beta + (bias[c] - mean[c]) * scale;
    }
    interpreter.given[conv_name] = {{"weight", weight}, {"bias", bias}};
  }
}

TEST_F(Passes, FoldedGraphsComputeTheSame) {
  const std::vector<Candidate> operators = all_operators();
  std::size_t folds = 0, chains = 0;
  for (std::uint64_t round = 0; round < 200; ++round) {
    Rng rng = Rng(8).fork(round);
    GraphBuilder b;  // mostly a chain of convolutions and batch norms, which come first
    auto x = b.input(4, 6, 6);
    for (std::uint64_t n = 1 + rng.below(12); n > 0; --n) {
      x = b.append(operators[rng.below(7)].op, std::array{x}, "node");
      if (rng.bernoulli(0.2)) x = b.add(x, static_cast<NodeId>(rng.below(x + 1)));
    }
    b.output(x);
    const Graph graph = b.build();
    Interpreter interpreter(5);
    const std::vector<double> expected = interpreter.run(graph);
    const FoldedGraph folded = fold_batch_norm(graph);
    fold_weights(graph, folded, interpreter);
    expect_near(interpreter.run(folded.graph), expected);
    folds += folded.folded.size();
    chains += folded.folded.size() - interpreter.given.size();
    std::size_t norms = 0;
    const Graph alive = dead_code_elimination(graph);
    for (const Node& node : alive.nodes()) {
      norms += std::holds_alternative<op::BatchNorm2d>(node.op);
    }
    for (const Node& node : folded.graph.nodes()) {
      norms -= std::holds_alternative<op::BatchNorm2d>(node.op);
    }
    EXPECT_EQ(norms, folded.folded.size());
  }
  EXPECT_GT(folds, 100u);
  EXPECT_GT(chains, 3u);  // batch norms that follow another
}

TEST_F(Passes, FoldNeedsASoleReaderAndKeepsBits) {
  GraphBuilder b;
  const auto x = b.input(3, 4, 4);
  const auto a = b.append(op::Conv2d{.out_channels = 4}, std::array{x}, "a", {Quantization{4, 8}});
  const auto bn_a = b.batch_norm(a, {}, "bn_a");
  b.activation(a, ActivationKind::relu, "dead");
  const auto c = b.conv(x, 4, {}, "c");
  const auto bn_c = b.batch_norm(c, {}, "bn_c");
  b.output(b.add(std::array{bn_a, bn_c, c, b.batch_norm(bn_a, {}, "bn_bn")}));
  const FoldedGraph folded = fold_batch_norm(b.build());
  EXPECT_THAT(folded.folded, ElementsAre(FoldedBatchNorm{"a", "bn_a"}));
  EXPECT_THAT(names_of(folded.graph),
              ElementsAre("input", "a", "c", "bn_c", "bn_bn", "add", "output"));
  EXPECT_EQ(folded.graph.node(1).op, Op(op::Conv2d{.out_channels = 4, .bias = true}));
  EXPECT_EQ(folded.graph.node(1).compression.quantization, (Quantization{4, 8}));
}

TEST_F(Passes, FoldsReferenceNetworksWhole) {
  for (const std::string& name : net_names()) {
    // These have batch norms that follow no convolution.
    if (name == "densenet121" || name == "repvgg_a0") continue;
    const Graph graph = build_net(name);
    const FoldedGraph folded = fold_batch_norm(graph);
    EXPECT_EQ(folded.graph.size() + folded.folded.size(), graph.size());
    EXPECT_EQ(cost(folded.graph).macs, cost(graph).macs);
    for (const Node& node : folded.graph.nodes()) {
      EXPECT_FALSE(std::holds_alternative<op::BatchNorm2d>(node.op));
    }
  }
}

/// The random weights of a graph with each merge applied to them.
void merge_weights(const Graph& graph, const MergedGraph& merged, Interpreter& interpreter) {
  const auto find = [&](const std::string& name) {
    for (NodeId i = 0; i < graph.size(); ++i) {
      if (graph.name(i) == name) return i;
    }
    throw Error("no node " + name);
  };
  for (const auto& [host_name, branches] : merged.merged) {
    const NodeId host = find(host_name);
    const auto& host_op = std::get<op::Conv2d>(graph.node(host).op);
    const auto channels = static_cast<std::size_t>(graph.node(host).shape[0].value());
    const auto in = static_cast<std::size_t>(graph.node(graph.inputs(host)[0]).shape[0].value());
    const auto width = static_cast<std::size_t>(host_op.group_width.value());
    const std::size_t fan_in = width == 0 ? in : width;
    const std::size_t outs_per_group = channels / (in / fan_in);
    std::vector<double> weight(channels * fan_in * 9), bias(channels);
    for (const auto& [conv_name, norm_name] : branches) {
      const auto& norm = std::get<op::BatchNorm2d>(graph.node(find(norm_name)).op);
      const auto mean = interpreter.weights(norm_name, "mean", channels);
      const auto variance = interpreter.weights(norm_name, "variance", channels);
      std::vector<double> branch_weight, branch_bias(channels);
      std::size_t places = 1;
      if (!conv_name.empty()) {
        const auto& conv = std::get<op::Conv2d>(graph.node(find(conv_name)).op);
        places = conv.kernel == Extent(3) ? 9 : 1;
        branch_weight = interpreter.weights(conv_name, "weight", channels * fan_in * places);
        if (conv.bias || interpreter.given.contains(conv_name)) {
          branch_bias = interpreter.weights(conv_name, "bias", channels);
        }
      } else {
        branch_weight.resize(channels * fan_in);
        for (std::size_t c = 0; c < channels; ++c) {
          branch_weight[c * fan_in + c - c / outs_per_group * fan_in] = 1;
        }
      }
      for (std::size_t c = 0; c < channels; ++c) {
        const double gamma =
            norm.affine ? interpreter.weights(norm_name, "weight", channels)[c] : 1;
        const double beta = norm.affine ? interpreter.weights(norm_name, "bias", channels)[c] : 0;
        const double scale = gamma / std::sqrt(variance[c] + static_cast<double>(norm.eps));
        for (std::size_t k = 0; k < fan_in; ++k) {
          for (std::size_t place = 0; place < places; ++place) {
            weight[(c * fan_in + k) * 9 + (places == 1 ? 4 : place)] +=
                branch_weight[(c * fan_in + k) * places + place] * scale;
          }
        }
        bias[c] += beta + (branch_bias[c] - mean[c]) * scale;
      }
    }
    interpreter.given[host_name] = {{"weight", weight}, {"bias", bias}};
  }
}

TEST_F(Passes, MergedBranchesComputeTheSame) {
  std::size_t merges = 0, branches = 0, sums = 0, twice = 0;
  for (std::uint64_t round = 0; round < 100; ++round) {
    Rng rng = Rng(9).fork(round);
    GraphBuilder b;  // a chain of sums of branches
    auto x = b.input(4, 6, 6);
    for (int block = 0; block < 4; ++block) {
      const std::int64_t group_width = std::array{0, 1, 2, 4}[rng.below(4)];
      const std::int64_t stride = rng.bernoulli(0.2) ? 2 : 1;
      std::vector<NodeId> terms;
      for (std::uint64_t n = 1 + rng.below(4); n > 0; --n) {
        NodeId y = x;
        const std::uint64_t kind = terms.empty() ? 0 : rng.below(3);
        if (kind < 2 || stride != 1) {
          y = b.conv(x, group_width == 1 ? 0 : 4,
                     {.kernel = kind == 0 ? 3 : 1,
                      .stride = stride,
                      .group_width = group_width,
                      .bias = rng.bernoulli(0.3)});
        }
        terms.push_back(b.batch_norm(y, {.affine = rng.bernoulli(0.7)}));
      }
      rng.shuffle(terms);
      x = b.add(terms);
      ++sums;
      if (rng.bernoulli(0.2)) x = b.add(std::array{b.batch_norm(x)}), ++sums;
      if (rng.bernoulli(0.5)) x = b.activation(x, ActivationKind::relu);
    }
    b.output(x);
    const Graph graph = b.build();
    Interpreter interpreter(6);
    const std::vector<double> expected = interpreter.run(graph);
    const MergedGraph merged = merge_repvgg(graph);
    merge_weights(graph, merged, interpreter);
    expect_near(interpreter.run(merged.graph), expected);
    for (const Node& node : merged.graph.nodes()) {
      EXPECT_FALSE(std::holds_alternative<op::Add>(node.op));
    }
    merges += merged.merged.size();
    twice += merged.merged.size() - interpreter.given.size();
    for (const MergedBranches& m : merged.merged) branches += m.branches.size();
  }
  EXPECT_EQ(merges, sums);
  EXPECT_GT(branches, 800u);
  EXPECT_GT(twice, 10u);  // a batch norm behind a merged sum
}

TEST_F(Passes, MergesRepvggToConvolutions) {
  const Graph graph = repvgg_a0({.input = {3, 32, 32}, .classes = 10});
  const MergedGraph merged = merge_repvgg(graph);
  EXPECT_EQ(merged.merged.size(), 22u);
  EXPECT_EQ(merged.merged[0],
            (MergedBranches{"stage0.0.dense.conv",
                            {{"stage0.0.dense.conv", "stage0.0.dense.bn"},
                             {"stage0.0.pointwise.conv", "stage0.0.pointwise.bn"}}}));
  EXPECT_EQ(merged.merged[2].branches.back(), (MergedBranch{"", "stage1.1.identity"}));
  EXPECT_EQ(merged.graph.size(), 2u * 22 + 5);  // convolutions with ReLU, and both ends
  EXPECT_EQ(
      merged.graph.node(1).op,
      Op(op::Conv2d{.out_channels = 48, .kernel = 3, .stride = 2, .padding = 1, .bias = true}));
}

TEST_F(Passes, MergeLeavesOtherSumsAlone) {
  const auto merges = [](auto&& branch) {
    GraphBuilder b;
    const auto x = b.input(4, 6, 6);
    const auto dense = b.batch_norm(b.conv(x, 4, {.kernel = 3}, "dense"));
    b.output(b.add(dense, branch(b, x)));
    return !merge_repvgg(b.build()).merged.empty();
  };
  using B = GraphBuilder;
  const auto conv = [](const ConvOptions& options) {
    return [=](B& b, NodeId x) { return b.batch_norm(b.conv(x, 4, options)); };
  };
  EXPECT_TRUE(merges(conv({})));
  EXPECT_TRUE(merges(conv({.kernel = 3, .bias = true})));
  EXPECT_TRUE(merges([](B& b, NodeId x) { return b.batch_norm(x); }));
  EXPECT_FALSE(merges([](B&, NodeId x) { return x; }));
  EXPECT_FALSE(merges([](B& b, NodeId x) { return b.conv(x, 4); }));
  EXPECT_FALSE(merges(conv({.kernel = 5})));
  EXPECT_FALSE(merges(conv({.kernel = 3, .dilation = 2})));
  EXPECT_FALSE(merges(conv({.kernel = Extent(1, 3)})));
  EXPECT_FALSE(merges(conv({.group_width = 2})));
  EXPECT_FALSE(merges([&](B& b, NodeId x) {
    return conv({})(b, b.activation(x, ActivationKind::relu));  // another input
  }));
  EXPECT_FALSE(merges([](B& b, NodeId x) {
    const NodeId y = b.batch_norm(b.conv(x, 4));
    return b.add(y, y);  // read twice
  }));
  EXPECT_FALSE(merges([](B& b, NodeId x) {
    return b.batch_norm(
        b.append(op::Conv2d{.out_channels = 4}, std::array{x}, "quantized", {Quantization{8, 8}}));
  }));
  GraphBuilder strided;  // of a 1x1 tensor; shapes alone do not tell
  const auto x = strided.input(4, 1, 1);
  const auto y = strided.batch_norm(strided.conv(x, 4, {.kernel = 3, .stride = 2}));
  strided.output(strided.add(y, strided.batch_norm(x)));
  EXPECT_TRUE(merge_repvgg(strided.build()).merged.empty());
  GraphBuilder pointwise;  // nothing 3x3
  const auto z = pointwise.input(4, 6, 6);
  pointwise.output(
      pointwise.add(pointwise.batch_norm(pointwise.conv(z, 4)), pointwise.batch_norm(z)));
  EXPECT_TRUE(merge_repvgg(pointwise.build()).merged.empty());
}

TEST_F(Passes, BrokenGraphsAreRefused) {
  Graph graph;
  graph.add(op::Input{3, 4, 4}, {}, "input");
  for (const Pass& pass : passes()) {
    EXPECT_THROW(pass.run(graph), ShapeError) << pass.name;  // no output
    EXPECT_FALSE(pass.doc.empty());
  }
  const NameId name = graph.node(graph.add(op::Activation{}, std::array{NodeId{0}}, "act")).name;
  Graph wrong = Graph::like(graph);
  wrong.add_trusted(op::Input{3, 4, 4}, {}, graph.node(0).name, no_scope, {}, {3, 4, 4});
  wrong.add_trusted(op::Activation{}, std::array{NodeId{0}}, name, no_scope, {}, {3, 4, 5});
  wrong.add(op::Output{}, std::array{NodeId{1}}, "output");
  for (const Pass& pass : passes()) EXPECT_THROW(pass.run(wrong), ShapeError) << pass.name;
}

}  // namespace
}  // namespace espalier
