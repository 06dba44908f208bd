#include "search_spaces/chain.hpp"

#include <gtest/gtest.h>

#include <set>

#include "core/error.hpp"
#include "search_spaces/sampling.hpp"

namespace espalier {
namespace {

void expect_sound(const ChainOptions& options, int count) {
  const auto space = make_chain(options);
  Rng rng(4);
  for (int i = 0; i < count; ++i) {
    const Architecture a = sample_uniform(*space, rng);
    const Graph graph = space->build(a);
    verify(graph);
    const Cost exact = cost(graph);
    const Cost quick = space->quick_cost(a);
    ASSERT_EQ(quick.params, exact.params) << space->to_string(a);
    ASSERT_EQ(quick.macs, exact.macs) << space->to_string(a);
    ASSERT_EQ(space->parse(space->to_string(a)), a);
  }
}

TEST(Chain, EveryBlockIsSearchable) {
  const CompressionOptions compression{.channels = {0.5, 1.0}, .weight_bits = {4, 8}};
  for (const std::string& name : chain_blocks()) {
    SCOPED_TRACE(name);
    ChainStage stage{.blocks = {name}, .widths = {16, 24}, .depths = {1, 2, 3}, .stride = 2};
    if (name == "ghost" || name == "fire") {
      EXPECT_THROW(make_chain({.stages = {stage}}), ConfigError);
      stage.widths = {24};
    }
    // The second stage begins with another width, which may be open.
    const ChainStage before{.blocks = {"plain"}, .widths = {8, 12}, .stride = 1};
    expect_sound({.input = {3, 16, 16}, .stages = {before, stage}}, 20);
    expect_sound({.input = {3, 16, 16}, .stages = {stage}, .compression = compression}, 20);
  }
}

TEST(Chain, TheKindOfEachBlockIsADecision) {
  const ChainStage stage{.blocks = chain_blocks(), .widths = {16}, .depths = {1, 2}};
  const auto space = make_chain({.input = {3, 16, 16}, .stages = {stage}});
  const auto& d = space->decisions();
  ASSERT_EQ(d.size(), 5u);
  EXPECT_EQ(d[0].name, "stage1.depth");
  EXPECT_EQ(d[1].name, "stage1.block1.block");
  EXPECT_EQ(d[1].options, chain_blocks());
  EXPECT_EQ(d[2].name, "stage1.block1.kernel");
  // A block that does not read the kernel leaves it inactive.
  const auto kernel_is_active = [&](const std::string& name) {
    Architecture a{{0, 0, 0, 0, 0}};
    a.choices[1] = choice_from_label(d[1], name);
    return space->active(a, 2);
  };
  for (const std::string& name : chain_blocks()) {
    EXPECT_EQ(kernel_is_active(name), name != "repvgg" && name != "fire") << name;
  }
  // All kinds make different networks.
  std::set<std::pair<std::int64_t, std::int64_t>> costs;
  for (std::uint32_t kind = 0; kind < d[1].options.size(); ++kind) {
    const Cost c = cost(space->build({{0, kind, 0, 0, 0}}));
    costs.insert({c.params, c.macs});
  }
  EXPECT_EQ(costs.size(), chain_blocks().size());
  expect_sound({.input = {3, 16, 16}, .stages = {stage}}, 60);
}

TEST(Chain, KindsShareAnOpenWidth) {
  const ChainStage stage{.blocks = {"plain", "residual", "bottleneck", "mbconv3", "mbconv6",
                                    "separable", "dense", "osa", "repvgg"},
                         .widths = {16, 24},
                         .depths = {1, 2}};
  expect_sound({.input = {3, 16, 16},
                .stages = {stage, stage},
                .compression = CompressionOptions{.weight_bits = {4, 8}}},
               60);
}

TEST(Chain, BlocksThatKeepTheMapArePooledFirst) {
  for (const char* name : {"dense", "osa", "fire"}) {
    const ChainStage stage{
        .blocks = {name}, .widths = {16}, .depths = {2}, .kernels = {3}, .stride = 2};
    const Graph graph = make_chain({.input = {3, 16, 16}, .stages = {stage}})->build({});
    int pools = 0;
    for (const Node& n : graph.nodes()) pools += std::holds_alternative<op::Pool2d>(n.op);
    EXPECT_EQ(pools, 1) << name;
  }
}

TEST(Chain, BlocksAreChecked) {
  const auto pointer_of = [](const ChainStage& stage) {
    try {
      make_chain({.stages = {stage}});
    } catch (const ConfigError& e) {
      return e.pointer();
    }
    return std::string("no error");
  };
  EXPECT_EQ(pointer_of({.blocks = {}}), "/stages/0/blocks");
  EXPECT_EQ(pointer_of({.blocks = {"resdual"}}), "/stages/0/blocks/0");
  EXPECT_EQ(pointer_of({.blocks = {"plain", "plain"}}), "/stages/0/blocks");
  EXPECT_EQ(pointer_of({.blocks = {"plain", "ghost"}}), "/stages/0/widths");
}

}  // namespace
}  // namespace espalier
