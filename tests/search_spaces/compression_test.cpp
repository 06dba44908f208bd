#include "search_spaces/compression.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <functional>
#include <set>

#include "core/error.hpp"
#include "graph/blocks.hpp"
#include "graph/nets.hpp"
#include "search_spaces/chain.hpp"
#include "search_spaces/mobilenet_v3.hpp"
#include "search_spaces/nasbench201.hpp"
#include "search_spaces/network.hpp"
#include "search_spaces/sampling.hpp"

namespace espalier {
namespace {

std::vector<std::string> names(const std::vector<Decision>& decisions) {
  std::vector<std::string> result;
  for (const Decision& d : decisions) result.push_back(d.name);
  return result;
}

/// a residual block: stem (16) -> expand (32) -> depthwise -> project (16) + stem -> head
Supergraph residual() {
  SupergraphBuilder b;
  NodeId x = b.conv(b.input(3, 8, 8), 16, {.kernel = 3}, "stem");
  NodeId y = b.conv(x, 32, {}, "expand");
  y = b.depthwise(y, {.kernel = 3});
  y = b.conv(y, 16, {}, "project");
  y = b.add(x, y);
  y = b.conv(b.global_avg_pool(y), 24, {}, "mix");
  b.output(b.linear(b.flatten(y), 10, {}, "classifier"));
  return b.finish();
}

TEST(Compression, WidthsThatMustAgreeShareOneDecision) {
  const Supergraph s = open_compression(residual(), {.channels = {0.5, 1.0}});
  EXPECT_EQ(names(s.decisions()), (std::vector<std::string>{"channels.stem", "channels.expand"}));
  const Graph half = s.close({{0, 0}});
  verify(half);
  const auto channels = [&](const Graph& g, const std::string& name) {
    for (NodeId i = 0; i < g.size(); ++i) {
      if (g.name(i) == name) return g.node(i).shape[0].value();
    }
    return std::int64_t{-1};
  };
  EXPECT_EQ(channels(half, "stem"), 8);
  EXPECT_EQ(channels(half, "project"), 8);
  EXPECT_EQ(channels(half, "expand"), 16);
  EXPECT_EQ(channels(half, "depthwise"), 16);
  EXPECT_EQ(channels(half, "mix"), 24);  // sees 1x1 maps only
  EXPECT_EQ(channels(half, "classifier"), 10);
  const Graph mixed = s.close({{1, 0}});
  EXPECT_EQ(channels(mixed, "project"), 16);
  EXPECT_EQ(channels(mixed, "expand"), 16);
}

TEST(Compression, TheFullRatioIsTheOldNetwork) {
  const auto base = make_mobilenet_v3();
  const auto open = make_mobilenet_v3(
      {.compression = CompressionOptions{.channels = {0.5, 0.75, 1.0}, .weight_bits = {8, 32}}});
  Rng rng(8);
  for (int i = 0; i < 20; ++i) {
    const Architecture a = sample_uniform(*base, rng);
    Architecture b = a;
    for (std::size_t d = a.choices.size(); d < open->decisions().size(); ++d) {
      b.choices.push_back(open->choice_counts()[d] - 1);
    }
    EXPECT_EQ(cost(base->build(a)), cost(open->build(open->canonical(b))));
  }
}

TEST(Compression, EveryArchitectureIsWellShaped) {
  const CompressionOptions compression{
      .channels = {0.25, 0.5, 0.75, 1.0}, .divisor = 2, .weight_bits = {2, 8}};
  const std::array<std::unique_ptr<SupergraphSpace>, 3> spaces{
      make_chain({.compression = compression}), make_nasbench201({.compression = compression}),
      make_mobilenet_v3({.compression = compression})};
  for (const auto& space : spaces) {
    Rng rng(2);
    for (int i = 0; i < 30; ++i) EXPECT_NO_THROW(verify(space->build(sample_uniform(*space, rng))));
  }
}

TEST(Compression, BitsAreAnnotatedByLayerBlockOrNetwork) {
  CompressionOptions options{.weight_bits = {4, 8}, .activation_bits = {8}};
  const Supergraph by_layer = open_compression(residual(), options);
  EXPECT_EQ(by_layer.decisions().size(), 6u);
  EXPECT_EQ(by_layer.decisions()[0].name, "weight_bits.stem");
  options.granularity = BitsGranularity::network;
  const Supergraph whole = open_compression(residual(), options);
  EXPECT_EQ(names(whole.decisions()), (std::vector<std::string>{"weight_bits"}));
  const Graph g = whole.close({{0}});
  verify(g);
  int quantized = 0;
  for (const Node& n : g.nodes()) {
    if (!n.compression.quantization) continue;
    ++quantized;
    EXPECT_EQ(n.compression.quantization->weight_bits, Dim(4));
    EXPECT_EQ(n.compression.quantization->activation_bits, Dim(8));
  }
  EXPECT_EQ(quantized, 6);
  EXPECT_LT(cost(g).storage_bytes, cost(whole.close({{1}})).storage_bytes);
  options.granularity = BitsGranularity::block;
  const auto blocks = make_mobilenet_v3({.compression = options});
  std::size_t bits = 0;
  for (const Decision& d : blocks->decisions()) bits += d.name.starts_with("weight_bits.");
  // five stages of four, the first block, the stem's convolution, the head's two, the classifier
  EXPECT_EQ(bits, 20u + 1u + 1u + 2u + 1u);
}

TEST(Compression, BlockAttributesFollowTheOpenedWidths) {
  const auto space = make_mobilenet_v3({.compression = CompressionOptions{.channels = {0.5, 1.0}}});
  Rng rng(4);
  for (int i = 0; i < 20; ++i) {
    const Graph g = space->build(sample_uniform(*space, rng));
    for (NodeId id = 0; id < g.size(); ++id) {
      const auto* conv = std::get_if<op::Conv2d>(&g.node(id).op);
      if (conv == nullptr || conv->group_width != Dim(1)) continue;
      const ScopeId block = g.scope(g.node(id).scope).parent;
      ASSERT_EQ(g.scope(block).kind, "mbconv");
      EXPECT_EQ(g.scope_attribute(block, "expanded_channels"), g.node(id).shape[0].value());
      EXPECT_EQ(g.scope_attribute(block, "kernel"), conv->kernel.h.value());
    }
  }
}

TEST(Compression, AttributesOfAllBlocksFollowTheOpenedWidths) {
  // By block: the first node whose width it names.
  const auto any_conv = [](const Op& op) { return std::holds_alternative<op::Conv2d>(op); };
  const auto plain_conv = [](const Op& op) {
    const auto* conv = std::get_if<op::Conv2d>(&op);
    return conv != nullptr && conv->group_width != Dim(1);
  };
  const auto concat = [](const Op& op) { return std::holds_alternative<op::Concat>(op); };
  struct Case {
    const char *net, *kind, *attribute;
    std::function<bool(const Op&)> names;
  };
  for (const Case& c : {Case{"ghostnet", "ghost_bottleneck", "expanded_channels", concat},
                        Case{"convnext_tiny", "convnext_block", "expanded_channels", plain_conv},
                        Case{"resnet50", "bottleneck", "mid_channels", any_conv}}) {
    const SupergraphSpace space(
        open_compression(open_network(build_net(c.net), {}, false), {.channels = {0.5, 1.0}}));
    Rng rng(4);
    const Graph g = space.build(sample_uniform(space, rng));
    std::set<ScopeId> seen;
    for (NodeId id = 0; id < g.size(); ++id) {
      for (ScopeId s = g.node(id).scope; s != no_scope; s = g.scope(s).parent) {
        if (g.scope(s).kind != c.kind || !c.names(g.node(id).op) || !seen.insert(s).second)
          continue;
        EXPECT_EQ(g.scope_attribute(s, c.attribute), g.node(id).shape[0].value())
            << g.scope(s).name;
      }
    }
    EXPECT_GT(seen.size(), 10U) << c.net;
  }
}

TEST(Compression, WidthsBehindGroupedConvolutionsAndUnequalConcatsStay) {
  SupergraphBuilder b;
  const NodeId in = b.input(3, 8, 8);
  const NodeId x = b.conv(in, 16, {}, "before");
  const NodeId grouped = b.conv(x, 16, {.kernel = 3, .group_width = 4}, "grouped");
  const NodeId left = b.conv(in, 8, {}, "left");
  const NodeId right = b.conv(in, 8, {}, "right");
  const NodeId joined = b.concat(std::array{left, right});
  const NodeId sum = b.add(joined, grouped);
  const NodeId free = b.conv(sum, 16, {}, "free");
  b.output(b.linear(b.flatten(b.global_avg_pool(free)), 2));
  const Supergraph s = open_compression(b.finish(), {.channels = {0.5, 1.0}});
  EXPECT_EQ(names(s.decisions()), (std::vector<std::string>{"channels.free"}));
}

TEST(Compression, WidthsThatMeetInAnotherOrderOrMakeUpStay) {
  const CompressionOptions half{.channels = {0.5, 1.0}, .divisor = 2};
  const auto opened = [&](auto build) {
    SupergraphBuilder b;
    b.output(build(b, b.input(3, 4, 4)));
    const Supergraph s = open_compression(b.finish(), half);
    verify(s.graph());
    return names(s.decisions());
  };
  using B = SupergraphBuilder;
  const auto pick = [](B& b, NodeId p, NodeId q) {
    return b.choice(b.decide({.name = "pick", .options = {"p", "q"}}), std::array{p, q});
  };
  const auto concat = [](B& b, NodeId x, std::int64_t p, std::int64_t q) {
    return b.concat(std::array{b.conv(x, p), b.conv(x, q)});
  };
  const auto end = [](B& b, NodeId x) { return b.conv(x, 6, {}, "end"); };
  const auto flat = [](B& b, NodeId x, std::int64_t width) {
    return b.flatten(b.conv(x, width, {.stride = 2}));
  };
  using Names = std::vector<std::string>;
  EXPECT_EQ(opened([&](B& b, NodeId x) {
              return end(b, b.add(concat(b, x, 8, 16), concat(b, x, 16, 8)));
            }),
            Names{});
  EXPECT_EQ(opened([&](B& b, NodeId x) {
              return end(b, pick(b, concat(b, x, 8, 16), concat(b, x, 16, 8)));
            }),
            Names{"pick"});
  EXPECT_EQ(opened([&](B& b, NodeId x) {
              return end(b, pick(b, concat(b, x, 8, 16), concat(b, x, 4, 8)));
            }),
            Names{"pick"});
  EXPECT_EQ(opened([&](B& b, NodeId x) {
              return b.linear(b.add(flat(b, x, 8), b.linear(b.flatten(x), 32)), 2);
            }),
            Names{});
  EXPECT_EQ(
      opened([&](B& b, NodeId x) { return b.linear(pick(b, flat(b, x, 8), flat(b, x, 16)), 2); }),
      Names{"pick"});
  // In the same order and make-up they change together.
  EXPECT_EQ(opened([&](B& b, NodeId x) {
              return end(b, b.add(concat(b, x, 8, 16), concat(b, x, 8, 16)));
            }),
            (Names{"channels.conv", "channels.conv_2"}));
  EXPECT_EQ(
      opened([&](B& b, NodeId x) { return b.linear(b.add(flat(b, x, 8), flat(b, x, 8)), 2); }),
      Names{"channels.conv"});
  EXPECT_EQ(opened([&](B& b, NodeId x) { return end(b, pick(b, b.conv(x, 8), b.conv(x, 16))); }),
            (Names{"pick", "channels.conv"}));
}

TEST(Compression, WidthsOfHeadsCutsShufflesAndOffsetsStay) {
  SupergraphBuilder b;
  NodeId x = b.conv(b.input(3, 8, 8), 16, {.kernel = 3}, "shuffled");
  x = b.channel_shuffle(x, 4);
  x = b.conv(x, 16, {}, "cut");
  x = b.conv(b.slice(x, {0, 4, 12}), 16, {}, "deformed");
  x = b.deform_conv(std::array{x, b.conv(x, 18, {.kernel = 3}, "offsets")}, 16, {.kernel = 3},
                    "deform");
  x = b.conv(x, 16, {}, "embed");  // tied to "out" below
  x = b.position_embedding(b.class_token(b.tokens(b.layer_norm(x))));
  const auto linear = [&](NodeId in, const char* name) { return b.linear(in, 16, {}, name); };
  const NodeId y = b.attention(linear(x, "q"), linear(x, "k"), linear(x, "v"), 4);
  x = b.add(x, b.scale(linear(y, "out")));
  x = b.linear(b.activation(linear(x, "hidden"), ActivationKind::gelu), 16, {}, "last");
  b.output(b.linear(b.flatten(b.slice(x, {0, 0, 1})), 5));
  const Supergraph s = open_compression(b.finish(), {.channels = {0.5, 1.0}, .divisor = 4});
  std::vector<std::string> names;
  for (const Decision& d : s.decisions()) names.push_back(d.name);
  EXPECT_EQ(names,
            (std::vector<std::string>{"channels.embed", "channels.hidden", "channels.last"}));
  const SupergraphSpace space{Supergraph(s.graph(), s.decisions())};
  enumerate(space, [&](const Architecture& a) {
    verify(space.build(a));
    return true;
  });
}

TEST(Compression, AShareOfOneKeepsEveryWidth) {
  const ChainStage stage{.widths = {50}, .depths = {1}, .kernels = {3}};
  ChainOptions options{.stages = {stage}};
  const Cost whole = cost(make_chain(options)->build({}));
  options.compression = CompressionOptions{.channels = {0.5, 1.0}};
  const auto space = make_chain(options);
  EXPECT_EQ(cost(space->build({std::vector<std::uint32_t>(space->decisions().size(), 1)})), whole);
  options.compression = CompressionOptions{.channels = {1.0}};
  EXPECT_EQ(cost(make_chain(options)->build({})), whole);
}

TEST(Compression, OptionsMadeInCodeAreChecked) {
  const auto pointer_of = [](const CompressionOptions& options) {
    try {
      open_compression(residual(), options);
    } catch (const ConfigError& error) {
      return error.pointer();
    }
    return std::string("no error");
  };
  EXPECT_EQ(pointer_of({.channels = {1.5}}), "/channels/0");
  EXPECT_EQ(pointer_of({.divisor = 0}), "/divisor");
  EXPECT_EQ(pointer_of({.weight_bits = {9}}), "/weight_bits/0");
}

TEST(Compression, RatiosThatRoundToTheSameWidthOpenNothing) {
  EXPECT_TRUE(
      open_compression(residual(), {.channels = {0.9, 1.0}, .divisor = 16}).decisions().empty());
  const Supergraph fixed = open_compression(residual(), {.channels = {0.5}});
  EXPECT_TRUE(fixed.decisions().empty());
  EXPECT_EQ(fixed.graph().node(1).shape[0], Dim(8));
}

}  // namespace
}  // namespace espalier
