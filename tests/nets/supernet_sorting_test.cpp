#include <ATen/ATen.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <map>
#include <string>
#include <vector>

#include "core/error.hpp"
#include "nets/supernet.hpp"
#include "search_spaces/catalogue.hpp"
#include "search_spaces/sampling.hpp"
#include "tests/core/throws.hpp"
#include "tests/nets/networks.hpp"
#include "tests/search_spaces/small_spaces.hpp"

namespace espalier {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using Open = std::vector<std::vector<std::uint32_t>>;

const ModuleOptions in_double{.dtype = at::kDouble};
constexpr double tolerance = 1e-12;

Open only(const Architecture& a) {
  Open open;
  for (const std::uint32_t c : a.choices) open.push_back({c});
  return open;
}

/// About half of the choices of each decision.
Open some_choices(const SearchSpace& space, Rng& rng) {
  Open open;
  for (const std::uint32_t count : space.choice_counts()) {
    std::vector<std::uint32_t>& choices = open.emplace_back();
    for (std::uint32_t c = 0; c < count; ++c) {
      if (rng.below(2) == 0) choices.push_back(c);
    }
    if (choices.empty()) choices.push_back(static_cast<std::uint32_t>(rng.below(count)));
  }
  return open;
}

/// Sorts, and compares the outputs of architectures before and after. Returns whether weights
/// moved.
bool expect_outputs_kept(const SearchSpace& space, const Open& open,
                         const std::vector<Architecture>& architectures,
                         const WeightSharing& sharing = {}) {
  const at::NoGradGuard no_grad;
  Supernet net(*space.supergraph(), in_double, sharing);
  randomize(net, Rng(1));
  net.eval();
  std::vector<at::Tensor> batches, before;
  for (const Architecture& a : architectures) {
    batches.push_back(random_batch(space.build(a), 2, Rng(2)));
    before.push_back(net.forward(batches.back(), a));
  }
  std::map<std::string, at::Tensor> state;
  for (const auto& [name, value] : net.state()) state.emplace(name, value.clone());
  net.sort_channels(open);
  for (std::size_t i = 0; i < architectures.size(); ++i) {
    SCOPED_TRACE(space.to_string(architectures[i]));
    EXPECT_LT(difference(net.forward(batches[i], architectures[i]), before[i]), tolerance);
  }
  bool moved = false;
  for (const auto& [name, value] : net.state()) moved = moved || !value.equal(state.at(name));
  return moved;
}

TEST(SupernetSorting, TheLargestNetworkComputesTheSame) {
  std::size_t moved = 0;
  for (auto& [name, supergraph] : hole_supergraphs()) {
    SCOPED_TRACE(name);
    const SupergraphSpace space(std::move(supergraph));
    const Architecture largest = largest_architecture(space);
    moved += expect_outputs_kept(space, only(largest), {largest});
  }
  EXPECT_GE(moved, 9u);
  moved = 0;
  for (const Json& config : small_spaces()) {
    SCOPED_TRACE(config.dump());
    const auto space = space_registry().create(config, "");
    if (space->supergraph() == nullptr) continue;
    const Architecture largest = largest_architecture(*space);
    moved += expect_outputs_kept(*space, only(largest), {largest});
  }
  EXPECT_GE(moved, 5u);
}

TEST(SupernetSorting, ArchitecturesOfOpenChoicesComputeTheSame) {
  Rng rng(3);
  const auto check = [&](const SearchSpace& space, const WeightSharing& sharing) {
    for (int i = 0; i < 10; ++i) {
      const Open open = some_choices(space, rng);
      std::vector<Architecture> architectures;
      while (architectures.size() < 5) {
        Architecture& a = architectures.emplace_back();
        for (const auto& choices : open) a.choices.push_back(choices[rng.below(choices.size())]);
      }
      expect_outputs_kept(space, open, architectures, sharing);
    }
  };
  for (auto& [name, supergraph] : hole_supergraphs()) {
    SCOPED_TRACE(name);
    check(SupergraphSpace(std::move(supergraph)), {});
  }
  const auto space = space_registry().create(
      {{"type", "mobilenet_v3"},
       {"input", {3, 16, 16}},
       {"expansions", {1, 2, 3}},
       {"stem_channels", 8},
       {"stages", {{{"channels", 8}, {"depths", {1, 2}}}, {{"channels", 16}, {"se", "search"}}}},
       {"compression", {{"channels", {0.5, 0.75, 1}}}},
       {"last_channels", 16}},
      "");
  check(*space, {});
  check(*space, {.kernel_transform = true, .batch_norm_per_width = true});
}

/// Three convolutions with open widths of 2, 4 or 6 channels between the first two, and a choice
/// between the second and the third, which read them.
struct Planted {
  Planted() {
    SupergraphBuilder b;
    const std::array<std::int64_t, 3> widths{2, 4, 6};
    NodeId x = b.conv(b.input(3, 6, 6), b.number("width", widths), {.bias = true}, "first");
    x = b.activation(b.batch_norm(x, {}, "norm"), ActivationKind::relu);
    const DecisionId d = b.decide({.name = "reader", .options = {"wide", "other"}});
    const std::array readers{b.conv(x, 4, {.kernel = 3}, "wide"), b.conv(x, 4, {}, "other")};
    b.output(b.flatten(b.global_avg_pool(b.choice(d, readers))));
    supergraph = std::make_unique<Supergraph>(b.finish());
    net = std::make_unique<Supernet>(*supergraph, in_double,
                                     WeightSharing{.batch_norm_per_width = true});
    randomize(*net, Rng(1));
    const at::NoGradGuard no_grad;
    // The rows rise, the columns of "wide" are largest at 4, 1, 5, those of "other" at 0.
    net->tensor("first.weight").copy_(at::arange(1, 7).view({6, 1, 1, 1}).expand({6, 3, 1, 1}));
    const at::Tensor columns = at::tensor({3, -5, 1, 2, -6, 4}, at::kDouble);
    net->tensor("wide.weight").copy_(columns.view({1, 6, 1, 1}).expand({4, 6, 3, 3}));
    net->tensor("other.weight").fill_(0).select(1, 0).fill_(1000);
  }
  /// The old places of the channels of a width.
  std::vector<int> channels(std::uint32_t width) const {
    const at::Tensor rows = net->extract(Architecture{{width, 0}}).tensor("first.weight");
    std::vector<int> result;
    for (std::int64_t i = 0; i < rows.size(0); ++i) {
      result.push_back(static_cast<int>(rows[i][0].item<double>()) - 1);
    }
    return result;
  }
  std::unique_ptr<Supergraph> supergraph;
  std::unique_ptr<Supernet> net;
};

TEST(SupernetSorting, NarrowNetworksUseTheMostImportantChannels) {
  const Planted planted;
  EXPECT_THAT(planted.channels(0), ElementsAre(0, 1));
  planted.net->sort_channels({{2}, {0}});
  EXPECT_THAT(planted.channels(0), ElementsAre(4, 1));
  EXPECT_THAT(planted.channels(2), ElementsAre(4, 1, 5, 0, 3, 2));
}

TEST(SupernetSorting, AllReadersOfOpenChoicesCount) {
  const Planted planted;
  planted.net->sort_channels({{2}, {0, 1}});
  EXPECT_THAT(planted.channels(0), ElementsAre(0, 4));
}

TEST(SupernetSorting, OpenWidthsKeepTheirChannels) {
  const Planted planted;
  planted.net->sort_channels({{1, 2}, {0}});
  EXPECT_THAT(planted.channels(1), ElementsAre(1, 0, 3, 2));
  EXPECT_THAT(planted.channels(2), ElementsAre(1, 0, 3, 2, 4, 5));
}

TEST(SupernetSorting, BatchNormsOfOpenWidthsMoveAlong) {
  const Planted planted;
  const at::Tensor two = planted.net->tensor("norm.width2.running_mean").detach().clone();
  const at::Tensor four = planted.net->tensor("norm.width4.running_mean").detach().clone();
  planted.net->sort_channels({{1, 2}, {0}});
  EXPECT_TRUE(planted.net->tensor("norm.width2.running_mean").equal(two));
  EXPECT_TRUE(planted.net->tensor("norm.width4.running_mean")
                  .equal(four.index_select(0, at::tensor({1, 0, 3, 2}))));
}

TEST(SupernetSorting, EquallyImportantChannelsStay) {
  const Planted planted;
  {
    const at::NoGradGuard no_grad;
    planted.net->tensor("wide.weight").fill_(0.5);
  }
  planted.net->sort_channels({{2}, {0}});
  EXPECT_THAT(planted.channels(2), ElementsAre(0, 1, 2, 3, 4, 5));
}

TEST(SupernetSorting, OpenChoicesMustBeOfTheDecisions) {
  const Planted planted;
  const auto error = [&](const Open& open) {
    return throws<InvalidArchitecture>([&] { planted.net->sort_channels(open); });
  };
  EXPECT_THAT(error({{0}}), HasSubstr("open choices of 1 decisions, the supernet has 2"));
  EXPECT_THAT(error({{0}, {}}), HasSubstr("'reader' needs one or more open choices below 2"));
  EXPECT_THAT(error({{3}, {0}}), HasSubstr("'width' needs one or more open choices below 3"));
}

}  // namespace
}  // namespace espalier
