#include "search_spaces/shufflenet_spos.hpp"

#include <gtest/gtest.h>

#include "core/error.hpp"
#include "tests/search_spaces/labels.hpp"

namespace espalier {
namespace {

TEST(ShufflenetSpos, ThePublishedNetworkHasThePublishedCosts) {
  const auto space =
      make_shufflenet_spos({.channel_scales = {0.2, 0.4, 0.6, 0.8, 1.0, 1.2, 1.4, 1.6}});
  const Cost c = cost(space->build(labelled(*space,
                                            "k3 1.4 k3 1.2 xception 0.8 k5 1.2 "
                                            "k5 0.6 k5 1.4 k3 0.8 k3 1 "
                                            "k7 0.6 k3 1.2 k7 1.6 k5 1.2 "
                                            "k5 1 k3 1.4 k7 1.6 k3 1 "
                                            "k7 1 k5 1.2 xception 1 k7 0.8")));
  EXPECT_EQ(c.params, 3432579);  // 3.4M in its code
  EXPECT_EQ(c.macs, 327857920);  // 328M in the paper
}

TEST(ShufflenetSpos, FourChoicesInTwentyBlocks) {
  const auto space = make_shufflenet_spos();
  ASSERT_EQ(space->decisions().size(), 20u);
  EXPECT_EQ(space->decisions()[4].name, "stage2.block1");
  EXPECT_EQ(space_size(*space).decimal, "1099511627776");  // 4^20
}

TEST(ShufflenetSpos, EveryStageIsAtHalfTheResolution) {
  const auto space = make_shufflenet_spos();
  for (std::uint32_t choice = 0; choice < 4; ++choice) {
    const Graph graph = space->build({std::vector<std::uint32_t>(20, choice)});
    std::vector<std::string> shapes;
    for (NodeId id = 0; id < graph.size(); ++id) {
      if (op_name(graph.node(id).op) == "concat" && graph.name(id).find("block1.") < 10) {
        shapes.push_back(graph.node(id).shape.to_string());
      }
    }
    EXPECT_EQ(shapes, (std::vector<std::string>{"{64, 56, 56}", "{160, 28, 28}", "{320, 14, 14}",
                                                "{640, 7, 7}"}));
  }
}

TEST(ShufflenetSpos, ErrorsNameThePlace) {
  const auto pointer_of = [](const ShufflenetSposOptions& options) {
    try {
      make_shufflenet_spos(options);
    } catch (const ConfigError& e) {
      return e.pointer();
    }
    return std::string("no error");
  };
  EXPECT_EQ(pointer_of({.input = {3, 32}}), "/input");
  EXPECT_EQ(pointer_of({.kernels = {3, 4}}), "/kernels");
  EXPECT_EQ(pointer_of({.channel_scales = {1, 1}}), "/channel_scales");
  EXPECT_EQ(pointer_of({.stem_channels = 15}), "/stem_channels");
  EXPECT_EQ(pointer_of({.stages = {{.channels = 33}}}), "/stages/0/channels");
  EXPECT_EQ(pointer_of({.stages = {{.channels = 32}, {.channels = 32}}}), "/stages/1/channels");
}

}  // namespace
}  // namespace espalier
