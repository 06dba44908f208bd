// What every differentiable strategy has to keep to.
#include <ATen/ATen.h>
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <functional>
#include <iterator>
#include <memory>
#include <optional>
#include <ostream>
#include <string>
#include <utility>
#include <vector>

#include "core/error.hpp"
#include "strategies/darts.hpp"
#include "strategies/greedy_darts.hpp"
#include "strategies/progressive_darts.hpp"
#include "strategies/robust_darts.hpp"
#include "strategies/sampled_paths.hpp"
#include "tests/strategies/differentiable_probe.hpp"

namespace espalier {
namespace {

using testing::HasSubstr;

using Made = std::unique_ptr<DifferentiableSearch>;

/// One member of the family, made with what the tests change of its common options.
struct DifferentiableCase {
  std::string name;
  std::function<Made(const RunContext&, const std::function<void(DifferentiableOptions&)>&)> make;
  int epochs = 5;
  /// Of which kinds of decisions it refuses a space, by what it says then.
  std::string without_numbers = {}, without_inputs = {};
};
void PrintTo(const DifferentiableCase& one, std::ostream* out) { *out << one.name; }

template <class S, class Options>
auto maker(Options options = {}) {
  return [options](const RunContext& context,
                   const std::function<void(DifferentiableOptions&)>& change) -> Made {
    Options own = options;
    change(own);
    return std::make_unique<S>(context, own);
  };
}

DartsSearchOptions second_order() {
  DartsSearchOptions options;
  options.order = DartsOrder::second;
  return options;
}
SdartsOptions perturbed(Perturbation perturbation) {
  SdartsOptions options;
  options.perturbation = perturbation;
  return options;
}
ProxylessOptions proxyless_options(ProxylessGradient gradient) {
  ProxylessOptions options;
  options.gradient = gradient;
  if (gradient == ProxylessGradient::reinforce) options.samples = 3;
  return options;
}
DartsPtOptions darts_pt_options() {
  DartsPtOptions options;
  options.batches = 1;
  return options;
}

/// Which has to know when the loss becomes sharp.
Made r_darts(const RunContext& context, const std::function<void(DifferentiableOptions&)>& change) {
  RDartsOptions options;
  change(options);
  options.eigenvalue_every = std::max(1, options.eigenvalue_every);
  return std::make_unique<RDarts>(context, options);
}

/// Over few images; with "macs" as a cost, and networks of one depth.
struct Small : SmallSearch {
  Small(std::shared_ptr<const SearchSpace> given, int epochs)
      : SmallSearch(std::move(given), epochs, 100) {
    context = with_macs(context);
    context.depths = SpaceDepths{
        .own = 1, .make = [](int) -> std::shared_ptr<const SearchSpace> { return nullptr; }};
  }
};

/// The architecture learns fast, in each step.
void quick(DifferentiableOptions& options) {
  options.architecture_every = 1;
  options.architecture_learning_rate = 0.02;
  options.warmup = 0;
  options.monitor_batches = 1;
  options.eigenvalue_every = 0;
}

/// Numbers of a kernel and of channels, and bits, before a choice.
std::shared_ptr<const SearchSpace> with_numbers() {
  SupergraphBuilder b;
  const std::array<std::int64_t, 2> kernels{3, 5}, bits{4, 8};
  const std::array<std::int64_t, 3> widths{4, 8, 12};
  NodeId x = b.input(1, 8, 8);
  const Dim kernel = b.number("kernel", kernels);
  x = b.append(op::Conv2d{.out_channels = b.number("width", widths),
                          .kernel = kernel,
                          .padding = map([](std::int64_t k) { return k / 2; }, kernel)},
               std::array{x}, "conv", {Quantization{.weight_bits = b.number("bits", bits)}});
  x = relu_conv_bn(b, x, 4, 1, 1, "mix");
  const std::array options{x, relu_conv_bn(b, x, 4, 3, 1, "three")};
  x = b.choice(b.decide({.name = "choice", .options = {"skip_connect", "three"}}), options);
  b.output(b.linear(b.flatten(b.global_avg_pool(x)), 4));
  return std::make_shared<SupergraphSpace>(b.finish());
}

class DifferentiableContract : public testing::TestWithParam<DifferentiableCase> {};

TEST_P(DifferentiableContract, EachEpochIsACandidateWithNotesAndTheLastOneCounts) {
  const int epochs = GetParam().epochs;
  Small small(choices_in_a_row(2), epochs);
  const Made search = GetParam().make(small.context, [](DifferentiableOptions& options) {
    quick(options);
    options.eigenvalue_every = 1;
  });
  const std::vector<Candidate> all = all_epochs(*search);
  ASSERT_EQ(std::ssize(all), epochs);
  for (std::size_t i = 0; i < all.size(); ++i) {
    EXPECT_EQ(all[i].trial_id, i);
    EXPECT_DOUBLE_EQ(all[i].fidelity, static_cast<double>(i + 1) / epochs);
    EXPECT_TRUE(small.space->valid(all[i].architecture));
    EXPECT_EQ(small.space->canonical(all[i].architecture), all[i].architecture);
    std::vector<std::string> names;
    for (const auto& [name, value] : all[i].notes.numbers) {
      EXPECT_TRUE(std::isfinite(value)) << name;
      names.push_back(name);
    }
    for (const char* const name : {"entropy", "skip_share", "relaxed_accuracy", "derived_accuracy",
                                   "discretization_gap", "eigenvalue"}) {
      EXPECT_THAT(names, testing::Contains(name));
    }
  }
  EXPECT_TRUE(search->ask(1).empty());
}

TEST_P(DifferentiableContract, EqualSeedsGiveEqualSearches) {
  const auto run = [&](std::uint64_t seed) {
    Small small(choices_in_a_row(2), GetParam().epochs);
    small.context.rng = Rng(seed);
    return all_epochs(*GetParam().make(small.context, quick));
  };
  const std::vector<Candidate> one = run(1);
  EXPECT_EQ(one, run(1));
  EXPECT_NE(one, run(2));
}

TEST_P(DifferentiableContract, ASnapshotGoesOnBitByBit) {
  // With all that a search may have: a multiplier, draws, and a step of several batches.
  const std::function<Running<DifferentiableSearch>()> begin = [] {
    const int epochs = GetParam().epochs;
    auto small = std::make_shared<Small>(choices_in_a_row(2), epochs);
    small->training = make_shared_training(
        small->net, small->space, small_data(100),
        {.train = {.epochs = epochs, .batch_size = 10, .accumulate = 2, .learning_rate = 0.05},
         .rule = RuleKind::strategy});
    small->context.shared_training = small->training;
    Made search = GetParam().make(small->context, [](DifferentiableOptions& options) {
      quick(options);
      options.eigenvalue_every = 2;
      options.derive_samples = 2;
      options.cost = CostOptions{.metric = "macs", .target = 11'536};
    });
    return Running<DifferentiableSearch>{small, std::move(search)};
  };
  const std::vector<Candidate> whole = epochs_through_a_snapshot<DifferentiableSearch>(begin, 100);
  ASSERT_EQ(std::ssize(whole), GetParam().epochs);
  for (const std::size_t stop : {1U, 3U}) {
    EXPECT_EQ(epochs_through_a_snapshot<DifferentiableSearch>(begin, stop), whole) << stop;
  }
}

TEST_P(DifferentiableContract, FailedTrialsAreSurvived) {
  Small small(choices_in_a_row(2), GetParam().epochs);
  const Made search = GetParam().make(small.context, quick);
  int epochs = 0;
  while (!search->finished()) {
    const std::vector<Candidate> asked = search->ask(1);
    ASSERT_EQ(asked.size(), 1U);
    search->tell(failed_trial(asked[0]));
    ++epochs;
  }
  EXPECT_EQ(epochs, GetParam().epochs);
}

/// All numbers of all decisions learn, or it says why the space is none for it.
void expect_all_learn(const DifferentiableCase& one,
                      const std::shared_ptr<const SearchSpace>& space, const std::string& refusal) {
  Small small(space, one.epochs);
  const auto make = [&] {
    return one.make(small.context, [](DifferentiableOptions& options) {
      quick(options);
      options.architecture_weight_decay = 0;  // which is a part of the gradient
    });
  };
  if (!refusal.empty()) {
    try {
      make();
      ADD_FAILURE() << "it was to be refused";
    } catch (const Error& error) {
      EXPECT_THAT(error.what(), HasSubstr(refusal));
    }
    return;
  }
  const Made search = make();
  const ArchitectureParameters& parameters = std::as_const(*search).parameters();
  // By Adam's mean of squared gradients, which drawing numbers anew does not move.
  at::Tensor largest = at::zeros_like(parameters.values().detach());
  while (!search->finished()) {
    one_epoch(*search);
    largest = at::maximum(largest, parameters.tensors().at("alpha.square"));
  }
  for (std::size_t d = 0; d < parameters.decisions().size(); ++d) {
    EXPECT_GT(parameters.part(largest, d).min().item<double>(), 1e-20)
        << parameters.decisions()[d].name;
  }
}

TEST_P(DifferentiableContract, NumbersLearn) {
  expect_all_learn(GetParam(), with_numbers(), GetParam().without_numbers);
}

TEST_P(DifferentiableContract, InputsLearn) {
  expect_all_learn(GetParam(), two_of_three_beside_a_choice(), GetParam().without_inputs);
}

INSTANTIATE_TEST_SUITE_P(
    All, DifferentiableContract,
    testing::Values(
        DifferentiableCase{"darts", maker<Darts, DartsSearchOptions>()},
        DifferentiableCase{"darts_second_order", maker<Darts>(second_order())},
        DifferentiableCase{"pc_darts", maker<PcDarts, PcDartsOptions>()},
        DifferentiableCase{"fair_darts", maker<FairDarts, FairDartsOptions>(), 5,
                           "decision 'kernel' is on a number"},
        DifferentiableCase{"dr_nas", maker<DrNas, DrNasOptions>()},
        DifferentiableCase{"darts_minus", maker<DartsMinus, DartsMinusOptions>()},
        DifferentiableCase{"gdas", maker<Gdas, GdasOptions>()},
        DifferentiableCase{"snas", maker<Snas, SnasOptions>()},
        DifferentiableCase{"fbnet", maker<Fbnet, FbnetSearchOptions>()},
        DifferentiableCase{"dsnas", maker<Dsnas, DsnasOptions>()},
        DifferentiableCase{"proxyless",
                           maker<Proxyless>(proxyless_options(ProxylessGradient::two_paths))},
        DifferentiableCase{"proxyless_reinforce",
                           maker<Proxyless>(proxyless_options(ProxylessGradient::reinforce)), 5, "",
                           "2 of decision 'inputs' are picked"},
        DifferentiableCase{"sdarts_random", maker<Sdarts>(perturbed(Perturbation::random))},
        DifferentiableCase{"sdarts_adversarial",
                           maker<Sdarts>(perturbed(Perturbation::adversarial))},
        DifferentiableCase{"r_darts", r_darts, 18},
        DifferentiableCase{"sgas", maker<Sgas, SgasOptions>()},
        DifferentiableCase{"darts_pt", maker<DartsPt>(darts_pt_options())},
        DifferentiableCase{"p_darts", maker<PDarts, PDartsOptions>()}),
    [](const auto& test) { return test.param.name; });

}  // namespace
}  // namespace espalier
