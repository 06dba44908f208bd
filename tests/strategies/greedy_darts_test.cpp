#include "strategies/greedy_darts.hpp"

#include <ATen/ATen.h>
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <cmath>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "core/error.hpp"
#include "tests/core/throws.hpp"
#include "tests/strategies/differentiable_probe.hpp"

namespace espalier {
namespace {

using testing::HasSubstr;

template <class S>
std::size_t open_options(const Probe<S>& search, std::size_t d) {
  return static_cast<std::size_t>(
      search.parameters().part(search.alive(), d).sum().template item<double>());
}

TEST(Sgas, DecidesTheMostImportantAndCertainEdgeForGood) {
  SmallSearch small(small_cells(), 8);
  SgasOptions options;
  options.first_decision = 0;  // after the first epoch, then after each
  options.eigenvalue_every = 0;
  Probe<Sgas> search(small.context, options);
  {
    // Edge 2 is certain but closed, edge 4 is certain and open, the others are even.
    const at::NoGradGuard no_grad;
    at::Tensor values = search.parameters().values();
    values.zero_();
    values[search.place(2, 0)] = 9;
    values[search.place(2, 1)] = 5;
    values[search.place(4, 3)] = 4;
  }
  const std::vector<Candidate> first = search.ask(1);
  ASSERT_EQ(first.size(), 1U);
  for (std::size_t d = 0; d < 6; ++d) EXPECT_EQ(open_options(search, d), d == 4 ? 1U : 5U);
  EXPECT_EQ(first[0].architecture.choices[4], 3U);
  search.tell(accuracy_trial(first[0], 50));
  std::size_t decided = 1;
  while (!search.finished()) {
    const std::vector<Candidate> next = search.ask(1);
    ASSERT_EQ(next.size(), 1U);
    std::size_t now = 0;
    for (std::size_t d = 0; d < 6; ++d) now += open_options(search, d) == 1 ? 1U : 0U;
    EXPECT_EQ(now, std::min<std::size_t>(6, decided + 1));
    decided = now;
    EXPECT_EQ(next[0].architecture.choices[4], 3U);
    search.tell(accuracy_trial(next[0], 50));
  }
  EXPECT_EQ(decided, 6U);
}

/// Logits whose softmax these are.
template <class S>
void plant(Probe<S>& search, std::size_t d, const std::vector<double>& weights) {
  const at::NoGradGuard no_grad;
  at::Tensor values = search.parameters().values();
  for (std::size_t k = 0; k < weights.size(); ++k) {
    values[search.place(d, k)] = std::log(weights[k]);
  }
}

/// After one epoch with these weights edge 2 is decided, and no other one.
void expect_the_second_is_decided(const std::vector<double>& of_edge2,
                                  const std::vector<double>& of_edge4,
                                  const std::vector<double>& of_others) {
  SmallSearch small(small_cells(), 8);
  SgasOptions options;
  options.first_decision = 0;
  options.eigenvalue_every = 0;
  Probe<Sgas> search(small.context, options);
  for (std::size_t d = 0; d < 6; ++d) plant(search, d, of_others);
  plant(search, 2, of_edge2);
  plant(search, 4, of_edge4);
  one_epoch(search);
  for (std::size_t d = 0; d < 6; ++d) EXPECT_EQ(open_options(search, d), d == 2 ? 1U : 5U) << d;
}

TEST(Sgas, CertaintyCounts) {
  // Edge 4 is the most important one and has the largest weight of an operator, but three of these
  // are alike; all of what edge 2 has is one operator's.
  expect_the_second_is_decided({0.677, 0.001, 0.001, 0.320, 0.001},
                               {0.001, 0.340, 0.329, 0.329, 0.001}, {0.96, 0.01, 0.01, 0.01, 0.01});
}

TEST(Sgas, CriteriaAreScaled) {
  // Edge 4 has the largest product as it is, but is the least important one, by little.
  expect_the_second_is_decided({0.001, 0.849, 0.05, 0.05, 0.05}, {0.1, 0.001, 0.001, 0.897, 0.001},
                               {0.05, 0.2375, 0.2375, 0.2375, 0.2375});
}

TEST(Sgas, StabilityIsThatOfSomeEpochs) {
  for (const int history : {2, 3}) {
    SmallSearch small(small_cells(), 16);
    SgasOptions options;
    options.criterion = SgasCriterion::stable;
    options.history = history;
    options.first_decision = 3 / 16.0;
    options.eigenvalue_every = 0;
    Probe<Sgas> search(small.context, options);
    for (int epoch = 1; epoch <= 4; ++epoch) {
      // Edge 4, the surest, was another one in the first epoch.
      for (std::size_t d = 0; d < 6; ++d) plant(search, d, {0.8, 0.05, 0.05, 0.05, 0.05});
      plant(search, 2, {0.02, 0.02, 0.02, 0.92, 0.02});
      plant(search, 4,
            epoch == 1 ? std::vector{0.01, 0.96, 0.01, 0.01, 0.01}
                       : std::vector{0.01, 0.01, 0.01, 0.96, 0.01});
      one_epoch(search);
    }
    const std::size_t decided = history == 2 ? 4 : 2;
    for (std::size_t d = 0; d < 6; ++d) {
      EXPECT_EQ(open_options(search, d), d == decided ? 1U : 5U) << d;
    }
  }
}

TEST(Sgas, StabilityCounts) {
  for (const SgasCriterion criterion : {SgasCriterion::certain, SgasCriterion::stable}) {
    SmallSearch small(small_cells(), 8);
    SgasOptions options;
    options.criterion = criterion;
    options.first_decision = 0.125;
    options.eigenvalue_every = 0;
    Probe<Sgas> search(small.context, options);
    const auto plant_all = [&](const std::vector<double>& of_edge4) {
      for (std::size_t d = 0; d < 6; ++d) plant(search, d, {0.8, 0.05, 0.05, 0.05, 0.05});
      plant(search, 2, {0.02, 0.02, 0.02, 0.92, 0.02});
      plant(search, 4, of_edge4);
    };
    plant_all({0.01, 0.96, 0.01, 0.01, 0.01});
    one_epoch(search);
    plant_all({0.01, 0.01, 0.01, 0.96, 0.01});
    one_epoch(search);
    const std::size_t decided = criterion == SgasCriterion::stable ? 2 : 4;
    for (std::size_t d = 0; d < 6; ++d) {
      EXPECT_EQ(open_options(search, d), d == decided ? 1U : 5U) << d;
    }
  }
}

TEST(Sgas, DecidesWhenTheAuthorsDo) {
  // Eight decisions in 50 epochs.
  SmallSearch small(choices_in_a_row(8), 50, 50);
  SgasOptions options;
  options.eigenvalue_every = 0;
  options.monitor_batches = 1;
  Probe<Sgas> search(small.context, options);
  std::size_t before = 0;
  std::vector<int> epochs;
  for (int epoch = 1; epoch <= 50; ++epoch) {
    one_epoch(search);
    std::size_t decided = 0;
    for (std::size_t d = 0; d < 8; ++d) decided += open_options(search, d) == 1 ? 1U : 0U;
    if (decided > before) epochs.push_back(epoch);
    EXPECT_LE(decided, before + 1);
    before = decided;
  }
  EXPECT_THAT(epochs, testing::ElementsAre(10, 15, 20, 25, 30, 35, 40, 45));
}

TEST(Sgas, ASnapshotGoesOnBitByBit) {
  using Search = Probe<Sgas>;
  const auto begin = [] {
    SgasOptions options;
    options.criterion = SgasCriterion::stable;
    options.eigenvalue_every = 0;
    return running<Search>(std::make_shared<SmallSearch>(choices_in_a_row(4), 12, 100), options);
  };
  EXPECT_EQ(epochs_through_a_snapshot<Search>(begin, 100),
            epochs_through_a_snapshot<Search>(begin, 6));
}

TEST(Sgas, ANodeThatHasItsInputsLosesTheOthers) {
  SmallSearch small(small_darts(), 12, 64);
  SgasOptions options;
  options.first_decision = 0.1;
  options.eigenvalue_every = 0;
  Probe<Sgas> search(small.context, options);
  Candidate last;
  while (!search.finished()) {
    const std::vector<Candidate> next = search.ask(1);
    ASSERT_EQ(next.size(), 1U);
    last = next[0];
    search.tell(accuracy_trial(last, 50));
  }
  for (std::size_t d = 0; d < search.parameters().decisions().size(); ++d) {
    const RelaxedDecision& decision = search.parameters().decisions()[d];
    EXPECT_TRUE(decision.pick == 1 || open_options(search, d) == 2) << decision.name;
  }
}

TEST(Sgas, TiedEdgesStayWhereTheyAreRead) {
  // Two nodes of two inputs out of three, of which the first ones are tied.
  SupergraphBuilder b;
  NodeId x = b.conv(b.input(1, 8, 8), 4, {.kernel = 3});
  std::vector<DecisionId> edges;
  for (const char* const name : {"tied", "b", "c", "d", "e"}) {
    edges.push_back(b.decide({.name = name, .options = {"one", "three"}}));
  }
  for (const std::array<std::size_t, 3>& own : {std::array<std::size_t, 3>{0, 1, 2}, {0, 3, 4}}) {
    std::vector<NodeId> inputs;
    for (const std::size_t e : own) {
      const auto scope = b.scope(fmt::format("edge{}_{}", own[1], e));
      const std::array options{b.conv(x, 4), b.conv(x, 4, {.kernel = 3})};
      inputs.push_back(b.choice(edges[e], options));
    }
    x = b.choice(
        b.decide({.name = fmt::format("node{}", own[1]), .options = {"0", "1", "2"}, .pick = 2}),
        inputs);
  }
  b.output(b.linear(b.flatten(b.global_avg_pool(x)), 4));
  SmallSearch small(std::make_shared<SupergraphSpace>(b.finish()), 12, 100);
  SgasOptions options;
  options.eigenvalue_every = 0;
  options.none = false;
  struct Opened : Probe<Sgas> {
    using Probe<Sgas>::Probe;
    using Sgas::kept;
  };
  Opened search(small.context, options);
  ASSERT_TRUE(search.parameters().decisions()[5].told_apart);
  {
    // The surest first: b, c, tied, d, e.
    const at::NoGradGuard no_grad;
    at::Tensor values = search.parameters().values();
    values.zero_();
    for (const auto& [d, value] : {std::pair(1, 6.0), {2, 5.0}, {0, 4.0}, {3, 3.0}, {4, 2.0}}) {
      values[search.place(static_cast<std::size_t>(d), 1)] = value;
    }
  }
  const Candidate last = all_epochs(search).back();
  EXPECT_THAT(search.kept(5), testing::ElementsAre(1U, 2U));
  EXPECT_THAT(search.kept(6), testing::ElementsAre(0U, 1U));
  EXPECT_THAT(search.kept(0),
              testing::ElementsAre(1U));  // not the first, which it would be closed to
  EXPECT_EQ(last.architecture.choices[5], rank_subset(std::vector<std::uint32_t>{1, 2}));
  EXPECT_EQ(last.architecture.choices[6], rank_subset(std::vector<std::uint32_t>{0, 1}));
  EXPECT_EQ(last.architecture.choices[0], 1U);
}

TEST(Sgas, InputsWithWeightsOfTheirOwnAreLeftToThese) {
  SmallSearch small(two_of_three_beside_a_choice(), 6, 100);
  SgasOptions options;
  options.eigenvalue_every = 0;
  Probe<Sgas> search(small.context, options);
  const std::size_t inputs = search.parameters().decisions().size() - 1;
  {
    const at::NoGradGuard no_grad;
    at::Tensor own = search.parameters().part(search.parameters().values(), inputs);
    own.copy_(at::tensor({3.0, 0.0, 1.0}, at::kDouble));
  }
  const Candidate last = all_epochs(search).back();
  EXPECT_EQ(open_options(search, 0), 1U);
  EXPECT_EQ(open_options(search, 1), 1U);
  EXPECT_EQ(last.architecture.choices[inputs], rank_subset(std::vector<std::uint32_t>{0, 2}));
}

TEST(GreedyDarts, CannotEndBeforeAllIsDecided) {
  SmallSearch small(small_cells(), 20);
  SgasOptions sgas;
  sgas.early_stopping = true;
  EXPECT_THAT(throws<ConfigError>([&] { const Sgas search(small.context, sgas); }),
              testing::StartsWith("/early_stopping: \"sgas\" cannot end with"));
  DartsPtOptions darts_pt;
  darts_pt.early_stopping = true;
  EXPECT_THAT(throws<ConfigError>([&] { const DartsPt search(small.context, darts_pt); }),
              testing::StartsWith("/early_stopping: \"darts_pt\" cannot end with"));
}

TEST(GreedyDarts, DecideOnWhatHasLearned) {
  SmallSearch small(small_cells(), 20);
  SgasOptions sgas;
  sgas.warmup = 0.25;  // 5 epochs, and the first decision is after the 5th, or the 6th
  sgas.first_decision = 0.2;
  EXPECT_THAT(throws<ConfigError>([&] { const Sgas search(small.context, sgas); }),
              testing::StartsWith("/first_decision: after 5 epochs nothing can be decided, since "
                                  "weights learn alone for 5"));
  sgas.first_decision = 0.25;
  EXPECT_NO_THROW(Sgas(small.context, sgas));
  DartsPtOptions darts_pt;
  darts_pt.warmup = 0.6;
  EXPECT_THAT(throws<ConfigError>([&] { const DartsPt search(small.context, darts_pt); }),
              testing::StartsWith("/supernet_share: after 12 epochs nothing can be decided"));
}

TEST(Sgas, TheSurestEdgeNeedsNoHistory) {
  SmallSearch small(small_cells(), 20);
  SgasOptions options;
  options.history = 3;
  EXPECT_THAT(throws<ConfigError>([&] { const Sgas search(small.context, options); }),
              testing::StartsWith("/history: the criterion \"certain\" looks at no past epochs"));
}

TEST(Sgas, TooFewEpochsAreRefused) {
  SmallSearch small(small_cells(), 3);
  EXPECT_THAT(throws<ConfigError>([&] { const Sgas search(small.context, SgasOptions{}); }),
              HasSubstr("are too few for 6 decisions"));
  SgasOptions options;
  options.first_decision = 0.95;  // of 10 epochs, the one after the last
  SmallSearch longer(small_cells(), 10);
  EXPECT_THAT(throws<ConfigError>([&] { const Sgas search(longer.context, options); }),
              HasSubstr("0 epochs after the first 11 are too few for 6 decisions"));
}

TEST(Sgas, NeedsOperatorsToDecideOn) {
  SmallSearch small(two_of_three(), 10);
  EXPECT_THAT(throws<UnsupportedError>([&] { const Sgas search(small.context, SgasOptions{}); }),
              HasSubstr("\"sgas\" decides on operators one after the other"));
}

/// Whose 1x1 convolutions, the stronger ones, give zeros: only what a 3x3 convolution passes on
/// tells images apart.
struct OneThatCounts : Probe<DartsPt> {
  using Probe<DartsPt>::Probe;
  void end_epoch(const Rng& rng) override {
    {
      const at::NoGradGuard no_grad;
      for (const auto& [name, tensor] : learning()) {
        at::Tensor weight = tensor;
        if (name.find("nor_conv_1x1") != std::string::npos) weight.zero_();
      }
      at::Tensor values = parameters().values();
      for (std::size_t d = 0; d < parameters().decisions().size(); ++d) {
        values[place(d, 0)] = 0;
        values[place(d, 1)] = 1;
      }
    }
    Probe<DartsPt>::end_epoch(rng);
  }
  using DartsPt::learning;
};

TEST(DartsPt, SelectsWhatTheRelaxationNeedsNotWhatIsStrongest) {
  for (const double share : {0.5, 0.0}) {  // without images of its own, by those held out
    SmallSearch small(choices_in_a_row(4, {"nor_conv_3x3", "nor_conv_1x1"}), 20);
    DartsPtOptions options;
    options.supernet_share = 0.7;
    options.eigenvalue_every = 0;
    options.architecture_share = share;
    OneThatCounts search(small.context, options);
    const Candidate last = all_epochs(search).back();
    for (std::size_t d = 0; d < 4; ++d) {
      EXPECT_EQ(open_options(search, d), 1U);
      EXPECT_EQ(last.architecture.choices[d], 0U) << d;
    }
  }
}

TEST(DartsPt, SelectsInputsThatTheRelaxationNeedsNotTheStrongest) {
  // Only the last input tells images apart, and is the weakest.
  struct LastCounts : Probe<DartsPt> {
    using Probe<DartsPt>::Probe;
    void end_epoch(const Rng& rng) override {
      {
        const at::NoGradGuard no_grad;
        for (const auto& [name, tensor] : learning()) {
          at::Tensor weight = tensor;
          if (name.starts_with("k1") || name.starts_with("k3")) weight.zero_();
        }
        parameters().values().copy_(at::tensor({1.0, 0.5, 0.0}, at::kDouble));
      }
      Probe<DartsPt>::end_epoch(rng);
    }
    using DartsPt::kept;
    using DartsPt::learning;
  };
  SmallSearch small(two_of_three(), 12);
  DartsPtOptions options;
  options.eigenvalue_every = 0;
  LastCounts search(small.context, options);
  const Candidate last = all_epochs(search).back();
  EXPECT_THAT(search.kept(0), testing::ElementsAre(testing::AnyOf(0U, 1U), 2U));
  EXPECT_NE(last.architecture.choices[0], rank_subset(std::vector<std::uint32_t>{0, 1}));
}

TEST(DartsPt, LearnsBetweenSelectionsOfEdgesAtRandom) {
  // Four selections: after 14 of 20 epochs, then after every second one.
  struct Looking : Probe<DartsPt> {
    using Probe<DartsPt>::Probe;
    void end_epoch(const Rng& rng) override {
      for (std::uint64_t i = 0; epoch() == 14 && i < 12; ++i) {
        Probe<DartsPt>::end_epoch(Rng(i));
        for (std::size_t d = 0; d < 4; ++d) {
          if (kept(d).size() == 1) first.insert(d);
          keep(d, std::array<std::size_t, 3>{0, 1, 2});
        }
      }
      Probe<DartsPt>::end_epoch(rng);
      std::size_t& count = selected.emplace_back(0);
      for (std::size_t d = 0; d < 4; ++d) count += kept(d).size() == 1 ? 1 : 0;
    }
    using DartsPt::epoch;
    using DartsPt::kept;
    std::vector<std::size_t> selected;
    std::set<std::size_t> first;
  };
  SmallSearch small(choices_in_a_row(4), 20, 64);
  DartsPtOptions options;
  options.supernet_share = 0.7;
  options.eigenvalue_every = 0;
  options.batches = 1;
  options.monitor_batches = 1;
  Looking search(small.context, options);
  std::set<double> learned;
  while (!search.finished()) {
    one_epoch(search);
    learned.insert(small.net.tensor("head.linear.weight").sum().item<double>());
  }
  EXPECT_EQ(learned.size(), 20U);
  std::vector<std::size_t> wanted(13, 0);
  wanted.insert(wanted.end(), {1, 1, 2, 2, 3, 3, 4});
  EXPECT_EQ(search.selected, wanted);
  EXPECT_GT(search.first.size(), 2U);
}

TEST(DartsPt, InputsAreSelectedLast) {
  SmallSearch small(two_of_three_beside_a_choice(), 8, 64);
  DartsPtOptions options;
  options.eigenvalue_every = 0;
  options.batches = 1;
  options.monitor_batches = 1;
  Probe<DartsPt> search(small.context, options);
  while (!search.finished()) {
    const std::vector<Candidate> next = search.ask(1);
    ASSERT_EQ(next.size(), 1U);
    bool operators_open = false, inputs_closed = false;
    for (std::size_t d = 0; d < search.parameters().decisions().size(); ++d) {
      const RelaxedDecision& decision = search.parameters().decisions()[d];
      if (decision.pick == 1) {
        operators_open = operators_open || open_options(search, d) > 1;
      } else {
        inputs_closed = inputs_closed || open_options(search, d) == 2;
      }
    }
    EXPECT_FALSE(operators_open && inputs_closed);
    search.tell(accuracy_trial(next[0], 50));
  }
  for (std::size_t d = 0; d < search.parameters().decisions().size(); ++d) {
    EXPECT_EQ(open_options(search, d),
              static_cast<std::size_t>(search.parameters().decisions()[d].pick));
  }
}

TEST(DartsPt, TooFewEpochsAreRefused) {
  SmallSearch small(small_cells(), 5);
  EXPECT_THAT(throws<ConfigError>([&] { const DartsPt search(small.context, DartsPtOptions{}); }),
              HasSubstr("selections one after the other"));
}

TEST(DartsPt, NeedsSomethingToSelect) {
  SupergraphBuilder b;
  const std::array<std::int64_t, 2> widths{4, 8};
  const NodeId x = b.conv(b.input(1, 8, 8), b.number("width", widths), {.kernel = 3});
  b.output(b.linear(b.flatten(b.global_avg_pool(x)), 4));
  SmallSearch small(std::make_shared<SupergraphSpace>(b.finish()), 10);
  EXPECT_THAT(
      throws<UnsupportedError>([&] { const DartsPt search(small.context, DartsPtOptions{}); }),
      HasSubstr("\"darts_pt\" decides on operators one after the other"));
}

}  // namespace
}  // namespace espalier
