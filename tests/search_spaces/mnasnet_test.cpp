#include "search_spaces/mnasnet.hpp"

#include <gtest/gtest.h>

#include "core/error.hpp"
#include "tests/search_spaces/labels.hpp"

namespace espalier {
namespace {

TEST(Mnasnet, PublishedNetworksHaveThePublishedCosts) {
  // Decisions of a stage: op, kernel, filters, se, depth, skip.
  MnasnetOptions a1;
  a1.stages[4].channels = 112;
  const auto a1_space = make_mnasnet(a1);
  const Cost a1_cost = cost(a1_space->build(labelled(*a1_space,
                                                     "dconv 3 1 no 1 none "
                                                     "mbconv6 3 1 no 2 identity "
                                                     "mbconv3 5 1.25 yes 3 identity "
                                                     "mbconv6 3 1.25 no 4 identity "
                                                     "mbconv6 3 1 yes 2 identity "
                                                     "mbconv6 5 1 yes 3 identity "
                                                     "mbconv6 3 1 no 1 none")));
  EXPECT_EQ(a1_cost.params, 3887038);
  EXPECT_EQ(a1_cost.macs, 311579072);  // 312M in the paper

  MnasnetOptions b1;
  b1.stages[5].channels = 192;
  const auto b1_space = make_mnasnet(b1);
  const Cost b1_cost = cost(b1_space->build(labelled(*b1_space,
                                                     "dconv 3 1 no 1 none "
                                                     "mbconv3 3 1 no 3 identity "
                                                     "mbconv3 5 1.25 no 3 identity "
                                                     "mbconv6 5 1.25 no 3 identity "
                                                     "mbconv6 3 1 no 2 identity "
                                                     "mbconv6 5 1 no 4 identity "
                                                     "mbconv6 3 1 no 1 none")));
  EXPECT_EQ(b1_cost.params, 4383312);  // torchvision's mnasnet1_0
  EXPECT_EQ(b1_cost.macs, 314415872);
}

TEST(Mnasnet, LayersOfAStageShareTheirDecisions) {
  const auto space = make_mnasnet();
  std::vector<std::string> names;
  for (std::size_t d = 0; d < 6; ++d) names.push_back(space->decisions()[d].name);
  EXPECT_EQ(names, (std::vector<std::string>{"stage1.op", "stage1.kernel", "stage1.filters",
                                             "stage1.se", "stage1.depth", "stage1.skip"}));
  EXPECT_EQ(space->decisions().size(), 42u);
  // A stage is 4 operators, 2 kernels, 3 widths, 2 x SE, and for each depth 3 skips, but one layer
  // has no skip.
  EXPECT_EQ(space_size(*make_mnasnet({.stages = {{.depths = {1, 2, 3}}}})).decimal,
            std::to_string(4 * 2 * 3 * 2 * (1 + 3 + 3)));
}

TEST(Mnasnet, SkipsAddTheInputOrItsAverage) {
  const auto space =
      make_mnasnet({.input = {1, 8, 8}, .se_ratio = 0, .stages = {{.stride = 1, .depths = {2}}}});
  const auto operators = [&](const std::string& skip) {
    const Graph graph = space->build(labelled(*space, "conv 3 1 " + skip));
    std::string names;
    for (NodeId id = 0; id < graph.size(); ++id) {
      const auto name = op_name(graph.node(id).op);
      if (name == "add" || name == "pool2d") names += std::string(name) + " ";
    }
    return names;
  };
  EXPECT_EQ(operators("none"), "");
  EXPECT_EQ(operators("identity"), "add ");
  EXPECT_EQ(operators("pool"), "pool2d add ");
}

TEST(Mnasnet, ErrorsNameThePlace) {
  const auto pointer_of = [](const MnasnetOptions& options) {
    try {
      make_mnasnet(options);
    } catch (const ConfigError& e) {
      return e.pointer();
    }
    return std::string("no error");
  };
  EXPECT_EQ(pointer_of({.input = {3, 32}}), "/input");
  EXPECT_EQ(pointer_of({.kernels = {3, 4}}), "/kernels");
  EXPECT_EQ(pointer_of({.expansions = {6, 6}}), "/expansions");
  EXPECT_EQ(pointer_of({.filters = {1, 1}}), "/filters");
  EXPECT_EQ(pointer_of({.se_ratio = 2}), "/se_ratio");
  EXPECT_EQ(pointer_of({.stages = {{.depths = {2, 1}}}}), "/stages/0/depths");
}

}  // namespace
}  // namespace espalier
