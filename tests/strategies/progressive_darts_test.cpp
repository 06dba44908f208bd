#include "strategies/progressive_darts.hpp"

#include <ATen/ATen.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "core/error.hpp"
#include "tests/core/throws.hpp"
#include "tests/strategies/differentiable_probe.hpp"

namespace espalier {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::StartsWith;

std::shared_ptr<const SearchSpace> darts_of(int layers) {
  return make_darts({.input = {1, 8, 8}, .classes = 4, .channels = 4, .layers = layers});
}

/// A search in the space "darts" of six layers.
struct Growing : SmallSearch {
  explicit Growing(int epochs) : SmallSearch(darts_of(6), epochs, 100) {
    context.depths = SpaceDepths{.own = 6, .make = [](int depth) { return darts_of(depth); }};
  }
};

PDartsOptions quick() {
  PDartsOptions options;
  options.eigenvalue_every = 0;
  options.monitor_batches = 1;
  return options;
}

struct Opened : Probe<PDarts> {
  using Probe<PDarts>::Probe;
  using PDarts::kept;
  using PDarts::mixed_options;
  using PDarts::steps;
};

/// The options of a decision in the order of their strengths, `none` the last.
std::vector<std::size_t> by_strength(const Strengths& strengths, std::size_t d,
                                     std::vector<std::size_t> options) {
  std::ranges::stable_sort(options, std::greater<>(),
                           [&](std::size_t option) { return strengths[d][option]; });
  return options;
}

TEST(PDarts, StagesGrowDeeperAndLoseOperators) {
  Growing small(6);
  Opened search(small.context, quick());
  std::vector<std::size_t> sizes, left;
  std::vector<bool> learned;
  Strengths before;
  std::vector<std::size_t> kept_before;
  std::size_t edge = 0;
  while (!search.parameters().decisions()[edge].operators) ++edge;
  for (int epoch = 0; epoch < 6; ++epoch) {
    const bool fresh = epoch % 2 == 0;
    const at::Tensor values = search.parameters().values().detach().clone();
    const std::vector<Candidate> asked = search.ask(3);
    ASSERT_EQ(asked.size(), 1U);
    EXPECT_DOUBLE_EQ(asked[0].fidelity, (epoch + 1) / 6.0);
    EXPECT_TRUE(small.space->valid(asked[0].architecture));
    sizes.push_back(search.steps().supernet().supergraph().graph().size());
    left.push_back(search.kept(edge).size());
    // New numbers at the beginning of a stage, which then stay for two fifths of it.
    learned.push_back(!search.parameters().values().detach().equal(values));
    if (epoch > 0 && fresh) {
      const std::vector<std::size_t> order = by_strength(before, edge, kept_before);
      for (std::size_t i = 0; i < order.size(); ++i) {
        const bool stays = std::ranges::count(search.kept(edge), order[i]) > 0;
        EXPECT_EQ(stays, i < left.back()) << i;
      }
      EXPECT_LT(search.parameters().values().abs().max().item<double>(), 0.01);
    }
    search.spread(static_cast<std::uint64_t>(epoch) + 10);
    before = search.strengths();
    kept_before = search.kept(edge);
    search.tell(accuracy_trial(asked[0], 30));
  }
  EXPECT_TRUE(search.finished());
  const auto size = [](int layers) { return darts_of(layers)->supergraph()->graph().size(); };
  EXPECT_THAT(sizes, ElementsAre(size(3), size(3), size(4), size(4), size(6), size(6)));
  EXPECT_THAT(left, ElementsAre(8U, 8U, 5U, 5U, 3U, 3U));
  EXPECT_THAT(learned, ElementsAre(false, true, true, true, true, true));
}

TEST(PDarts, SkipsDropOutLessAndLess) {
  Growing small(30);  // ten a stage, in four of which the weights learn alone
  Opened search(small.context, quick());
  std::vector<double> rates;
  for (int epoch = 0; epoch < 16; ++epoch) {
    // Before an epoch; of the first of a stage only after it has begun.
    rates.push_back(search.mixed_options().skip_dropout);
    one_epoch(search);
  }
  for (int epoch = 0; epoch <= 10; ++epoch) EXPECT_EQ(rates[static_cast<std::size_t>(epoch)], 0);
  EXPECT_NEAR(rates[11], 0.4 * 8 / 10, 1e-12);
  EXPECT_NEAR(rates[13], 0.4 * 6 / 10, 1e-12);
  EXPECT_NEAR(rates[14], 0.4, 1e-12);
  EXPECT_NEAR(rates[15], 0.4 * std::exp(-0.5), 1e-12);
  // Nothing is dropped, nor drawn, where accuracies are measured.
  const at::Tensor before = search.steps().supernet().generator().get_state();
  search.accuracy(search.expected_weights(), StepTraining::Images::held_out, 1, Rng(1));
  EXPECT_TRUE(search.steps().supernet().generator().get_state().equal(before));
}

TEST(PDarts, ACellHasFewSkips) {
  Growing small(3);
  PDartsOptions options = quick();
  options.warmup = 0;
  for (const int most : {0, 2, 8}) {
    options.most_skips = most;
    Opened search(small.context, options);
    search.spread();
    const std::span<const RelaxedDecision> decisions = search.parameters().decisions();
    {
      const at::NoGradGuard no_grad;
      at::Tensor values = search.parameters().values();
      Rng rng(3);
      for (std::size_t d = 0; d < decisions.size(); ++d) {
        if (decisions[d].skip) values[search.place(d, *decisions[d].skip)] = 5 + rng.uniform();
      }
    }
    const Architecture a = search.derive();
    std::map<std::string, int> skips;
    for (std::size_t d = 0; d < decisions.size(); ++d) {
      const bool skip = decisions[d].skip && a.choices[d] == *decisions[d].skip &&
                        small.space->active(a, static_cast<DecisionId>(d));
      if (skip) ++skips[cell_kind(decisions[d])];
    }
    EXPECT_EQ(skips["normal"], most);
    EXPECT_EQ(skips["reduce"], 8);  // which the authors do not limit
    // The strongest ones stay, and without the others edges are ranked anew.
    Strengths values = search.strengths();
    std::vector<double*> own;
    for (std::size_t d = 0; d < decisions.size(); ++d) {
      if (decisions[d].skip && cell_kind(decisions[d]) == "normal") {
        own.push_back(&values[d][*decisions[d].skip]);
      }
    }
    std::ranges::sort(own, std::greater<>(), [](const double* value) { return *value; });
    if (most < 8) {
      for (std::size_t i = static_cast<std::size_t>(most); i < own.size(); ++i) *own[i] *= 1e-9;
    }
    EXPECT_EQ(a, small.space->canonical(strongest(decisions, values)));
  }
}

TEST(PDarts, ASkipStaysWhereNothingElseIsLeft) {
  SmallSearch small(small_cells(), 3);
  small.context.depths = SpaceDepths{.own = 1, .make = {}};
  PDartsOptions options = quick();
  options.warmup = 0;
  options.most_skips = 0;
  struct Closing : Opened {
    using Opened::keep;
    using Opened::Opened;
  };
  Closing search(small.context, options);
  {
    const at::NoGradGuard no_grad;
    at::Tensor values = search.parameters().values();
    for (std::size_t d = 0; d < 6; ++d) values[search.place(d, 1)] = 5;
  }
  search.keep(0, std::array<std::size_t, 1>{1});     // the skip
  search.keep(1, std::array<std::size_t, 2>{0, 1});  // none and the skip
  const Architecture a = search.derive();
  EXPECT_EQ(a.choices[0], 1U);
  for (std::size_t d = 1; d < 6; ++d) EXPECT_NE(a.choices[d], 1U) << d;
}

TEST(PDarts, ASnapshotGoesOnBitByBit) {
  // Stages of one, two and one epochs.
  const auto begin = [] {
    PDartsOptions options = quick();
    options.warmup = 0;
    return running<Opened>(std::make_shared<Growing>(4), options);
  };
  const std::vector<Candidate> whole = epochs_through_a_snapshot<Opened>(begin, 100);
  EXPECT_EQ(whole.size(), 4U);
  for (const std::size_t stop : {2U, 3U}) {
    EXPECT_EQ(epochs_through_a_snapshot<Opened>(begin, stop), whole) << stop;
  }
}

TEST(PDarts, EdgesThatTellInputsApartKeepTwoOperators) {
  Growing small(3);
  PDartsOptions options = quick();
  options.warmup = 0;
  options.operator_shares = {0.4, 0.01};
  Opened search(small.context, options);
  all_epochs(search);
  for (std::size_t d = 0; d < search.parameters().decisions().size(); ++d) {
    const RelaxedDecision& decision = search.parameters().decisions()[d];
    if (!decision.operators) continue;
    EXPECT_EQ(search.kept(d).size(), decision.input ? 2U : 1U) << decision.name;
  }
}

TEST(PDarts, ASpaceWithoutShallowerNetworksKeepsItsDepth) {
  SmallSearch small(small_cells(), 3);
  small.context.depths =
      SpaceDepths{.own = 1, .make = [](int) -> std::shared_ptr<const SearchSpace> {
                    ADD_FAILURE() << "nothing is less deep";
                    return nullptr;
                  }};
  PDartsOptions options = quick();
  options.warmup = 0;
  Opened search(small.context, options);
  std::vector<std::size_t> left;
  while (!search.finished()) {
    one_epoch(search);
    left.push_back(search.kept(0).size());
  }
  EXPECT_THAT(left, ElementsAre(5U, 3U, 2U));
}

TEST(PDarts, RefusesWhatItCannotDo) {
  Growing small(6);
  {
    PDartsOptions options;
    options.early_stopping = true;
    EXPECT_THAT(throws<ConfigError>([&] { const PDarts search(small.context, options); }),
                StartsWith("/early_stopping: \"p_darts\" cannot end with"));
  }
  const auto refused = [&](const std::function<void(PDartsOptions&)>& change) {
    PDartsOptions options = quick();
    change(options);
    return throws<ConfigError>([&] { const PDarts search(small.context, options); });
  };
  EXPECT_THAT(refused([](PDartsOptions& o) { o.depths = {3}; }), StartsWith("/depths: 1 depths, "));
  EXPECT_THAT(refused([](PDartsOptions& o) {
                o.depths = {4, 3};
              }),
              StartsWith("/depths/1: 3 is not between 4, the depth before, and 6"));
  EXPECT_THAT(refused([](PDartsOptions& o) {
                o.depths = {2, 3};
              }),
              AllOf(StartsWith("/depths/0: "), HasSubstr("2")));
  EXPECT_THAT(refused([](PDartsOptions& o) {
                o.operator_shares = {0.3, 0.6};
              }),
              StartsWith("/operator_shares/1: 0.6 is more than the 0.3 before"));
  EXPECT_THAT(refused([](PDartsOptions& o) { o.operator_shares = {0.5}; }),
              StartsWith("/operator_shares: 1 shares, but 2 stages"));
  small.context.depths->make = [](int) { return small_cells(); };
  EXPECT_THAT(refused([](PDartsOptions& o) {
                o.depths = {3, 4};
              }),
              AllOf(StartsWith("/depths/0: "), HasSubstr("other decisions")));
  small.context.depths->make = [](int) { return small_cells(); };
  EXPECT_THAT(throws<UnsupportedError>([&] { const PDarts search(small.context, quick()); }),
              HasSubstr("decisions change with its depth"));
  Growing short_stages(3);
  EXPECT_THAT(throws<ConfigError>([&] { const PDarts search(short_stages.context, quick()); }),
              StartsWith("/warmup: with a share of 0.4, weights would learn alone in all of 1 "));
  Growing few(2);
  EXPECT_THAT(throws<ConfigError>([&] { const PDarts search(few.context, quick()); }),
              StartsWith("/skip_dropout: 3 stages need as many epochs"));
  small.context.depths.reset();
  EXPECT_THAT(throws<UnsupportedError>([&] { const PDarts search(small.context, quick()); }),
              HasSubstr("no option for its depth"));
}

}  // namespace
}  // namespace espalier
