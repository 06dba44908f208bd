#include "strategies/greedy_darts.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <torch/torch.h>

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
  options.first_decision = 0.125;  // the first epoch, then each
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

TEST(Sgas, TooFewEpochsAreRefused) {
  SmallSearch small(small_cells(), 3);
  EXPECT_THAT(throws<ConfigError>([&] { const Sgas search(small.context, SgasOptions{}); }),
              HasSubstr("are too few for 6 decisions"));
}

TEST(DartsPt, SelectsWhatTheRelaxationNeedsNotWhatIsStrongest) {
  SmallSearch small(small_cells(), 20, 64);
  DartsPtOptions options;
  options.supernet_share = 0.7;
  options.eigenvalue_every = 0;

  struct Planted : Probe<DartsPt> {
    using Probe<DartsPt>::Probe;
  };
  Planted search(small.context, options);
  {
    // Skips are the strongest everywhere.
    const at::NoGradGuard no_grad;
    at::Tensor values = search.parameters().values();
    values.zero_();
    for (std::size_t d = 0; d < 6; ++d) values[search.place(d, 1)] = 1;
  }
  Candidate last;
  std::size_t other = 0;
  while (!search.finished()) {
    const std::vector<Candidate> next = search.ask(1);
    ASSERT_EQ(next.size(), 1U);
    last = next[0];
    search.tell(accuracy_trial(last, 50));
  }
  for (std::size_t d = 0; d < 6; ++d) {
    EXPECT_EQ(open_options(search, d), 1U);
    const at::Tensor own = search.parameters().part(search.parameters().values(), d);
    other += last.architecture.choices[d] !=
             static_cast<std::uint32_t>(own.argmax(0).item<std::int64_t>());
  }
  EXPECT_GT(other, 0U);
}

TEST(DartsPt, InputsAreSelectedLast) {
  SmallSearch small(small_darts(), 40, 64);
  DartsPtOptions options;
  options.supernet_share = 0.4;
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

}  // namespace
}  // namespace espalier
