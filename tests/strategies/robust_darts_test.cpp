#include "strategies/robust_darts.hpp"

#include <ATen/ATen.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <tuple>
#include <utility>
#include <vector>

#include "core/error.hpp"
#include "tests/core/temporary_directory.hpp"
#include "tests/core/throws.hpp"
#include "tests/strategies/differentiable_probe.hpp"

namespace espalier {
namespace {

TEST(Sdarts, NumbersBecomeWeightsThatSumToOne) {
  const auto near = [](const at::Tensor& got, const at::Tensor& wanted) {
    return (got - wanted).abs().max().item<double>() < 1e-12;
  };
  EXPECT_TRUE(near(as_weights(at::tensor({0.5, -0.2, 1.5}, at::kDouble)),
                   at::tensor({0.5 / 1.5, 0.0, 1.0 / 1.5}, at::kDouble)));
  EXPECT_TRUE(near(as_weights(at::tensor({-0.5, -0.2, -0.3}, at::kDouble)),
                   at::tensor({0.0, 1.0, 0.0}, at::kDouble)));
}

struct Attacking : Probe<Sdarts> {
  using Probe<Sdarts>::Probe;
  Learned learn_weights(const TrainStep& step) override {
    constexpr double size = 0.1;
    const Batch batch = step.batch({8, 8});
    const MixedWeights clean = [&] {
      const at::NoGradGuard no_grad;
      return expected_weights();
    }();
    const MixedWeights moved = attacked(step, batch, clean, size);
    const at::NoGradGuard no_grad;
    // As in the attack, by running statistics.
    steps().supernet().eval();
    const auto loss = [&](const MixedWeights& weights) {
      return cross_entropy(forward(batch, weights), batch.labels, 0).item<double>();
    };
    const double before = loss(clean);
    raised.push_back(loss(moved) - before);
    for (std::uint64_t i = 0; i < 8; ++i) {
      MixedWeights by_chance;
      Rng rng = step.rng().fork("chance").fork(i);
      for (const at::Tensor& weights : clean) {
        at::Tensor noise = at::empty_like(weights);
        for (std::int64_t k = 0; k < noise.numel(); ++k) noise[k] = size * (2 * rng.uniform() - 1);
        by_chance.push_back(as_weights(weights + noise));
      }
      most_by_chance = std::max(most_by_chance, loss(by_chance) - before);
    }
    steps().supernet().train();
    for (std::size_t d = 0; d < clean.size(); ++d) {
      EXPECT_NEAR(moved[d].sum().item<double>(), 1, 1e-9);
      EXPECT_GE(moved[d].min().item<double>(), 0);
      // Bringing the sum back to 1 may move a weight further than the radius, not far.
      EXPECT_LT((moved[d] - clean[d]).abs().max().item<double>(), 2 * size);
    }
    const at::AutoGradMode grad(true);
    return Probe<Sdarts>::learn_weights(step);
  }
  using Sdarts::attacked;
  using Sdarts::radius;
  using Sdarts::steps;
  std::vector<double> raised;
  double most_by_chance = 0;
};

TEST(Sdarts, TheAttackRaisesTheLossMoreThanChance) {
  SmallSearch small(small_cells(), 2);
  SdartsOptions options;
  options.eigenvalue_every = 0;
  Attacking search(small.context, options);
  search.spread();
  EXPECT_EQ(search.ask(1).size(), 1U);
  ASSERT_EQ(search.raised.size(), 4U);
  for (const double raised : search.raised) EXPECT_GE(raised, 0);
  EXPECT_GT(search.raised.back(), search.most_by_chance);
  EXPECT_GT(search.most_by_chance, 0);
}

/// Compares what is attacked, and what learns by it, with what the source says.
struct Attacked : Probe<Sdarts> {
  using Probe<Sdarts>::Probe;

  /// Signs of the gradient of the training loss, from a random point, each step within the radius.
  MixedWeights by_hand(const TrainStep& step, const Batch& batch, const MixedWeights& clean,
                       double radius, int attack_steps) {
    MixedWeights moved;
    for (std::size_t d = 0; d < clean.size(); ++d) {
      Rng rng = pass(step, Part::weights).rng.fork(d);
      moved.push_back(clean[d].clone());
      for (std::int64_t k = 0; k < moved[d].numel(); ++k) {
        moved[d][k] += radius * (2 * rng.uniform() - 1);
      }
      moved[d] = as_weights(moved[d]);
    }
    steps().supernet().eval();
    for (int i = 0; i < attack_steps; ++i) {
      for (at::Tensor& weights : moved) weights = weights.detach().set_requires_grad(true);
      const auto up =
          torch::autograd::grad({cross_entropy(forward(batch, moved), batch.labels, 0)}, moved, {});
      const at::NoGradGuard no_grad;
      for (std::size_t d = 0; d < moved.size(); ++d) {
        const at::Tensor further = moved[d] + up[d].sign() * (2 * radius / attack_steps);
        moved[d] = as_weights(at::max(at::min(further, clean[d] + radius), clean[d] - radius));
      }
    }
    steps().supernet().train();
    return moved;
  }
  at::Tensor gradient_at(const Batch& batch, const MixedWeights& weights) {
    at::Tensor head = steps().supernet().tensor("head.linear.weight");
    return torch::autograd::grad({cross_entropy(forward(batch, weights), batch.labels, 0)}, {head},
                                 {})[0];
  }

  void learn_architecture(const TrainStep& step) override {
    MixedWeights clean;
    for (std::size_t d = 0; d < 6; ++d) clean.push_back(logits(d).softmax(0));
    const Batch batch = architecture_batch(step);
    const at::Tensor wanted = architecture_gradient(loss(step, batch, clean));
    const at::Tensor before = parameters().tensors().at("alpha.mean").clone();
    Probe<Sdarts>::learn_architecture(step);
    const at::Tensor got = parameters().tensors().at("alpha.mean") * 2 - before;
    EXPECT_LT((got - wanted).abs().max().item<double>(), 1e-12);
    ++seen;
  }
  Learned learn_weights(const TrainStep& step) override {
    const Batch batch = step.batch({8, 8});
    MixedWeights clean;
    {
      const at::NoGradGuard no_grad;
      for (std::size_t d = 0; d < 6; ++d) clean.push_back(logits(d).softmax(0));
    }
    const double size = radius(step.epoch());
    const MixedWeights moved = attacked(step, batch, clean, size);
    const MixedWeights wanted = by_hand(step, batch, clean, size, 3);
    for (std::size_t d = 0; d < 6; ++d) {
      EXPECT_LT((moved[d] - wanted[d]).abs().max().item<double>(), 1e-12) << d;
    }
    const Learned learned = Probe<Sdarts>::learn_weights(step);
    const at::Tensor got = steps().supernet().tensor("head.linear.weight").grad();
    EXPECT_LT((got - gradient_at(batch, moved)).abs().max().item<double>(), 1e-12);
    EXPECT_GT((got - gradient_at(batch, clean)).abs().max().item<double>(), 1e-4);
    ++seen;
    return learned;
  }
  using Sdarts::architecture_batch;
  using Sdarts::attacked;
  using Sdarts::loss;
  using Sdarts::radius;
  using Sdarts::steps;
  int seen = 0;
};

TEST(Sdarts, TheAttackIsProjectedSignStepsFromARandomStart) {
  SmallSearch small(small_cells(), 1);
  SdartsOptions options;
  options.eigenvalue_every = 0;
  options.architecture_weight_decay = 0;
  options.first_radius = 0.1;
  options.attack_steps = 3;
  Attacked search(small.context, options);
  search.spread();
  one_epoch(search);
  EXPECT_EQ(search.seen, 8);  // four steps of both
}

TEST(Sdarts, ChanceHasNoAttack) {
  SmallSearch small(small_cells());
  SdartsOptions options;
  options.perturbation = Perturbation::random;
  options.attack_steps = 3;
  EXPECT_THAT(throws<ConfigError>([&] { const Sdarts search(small.context, options); }),
              testing::StartsWith("/attack_steps: what moves at random has no attack"));
}

TEST(Sdarts, TheRadiusGrows) {
  SmallSearch small(small_cells(), 4);
  SdartsOptions options;
  options.first_radius = 0.1;
  options.last_radius = 0.5;
  const Attacking search(small.context, options);
  EXPECT_NEAR(search.radius(0), 0.1, 1e-12);
  EXPECT_NEAR(search.radius(1), 0.2, 1e-12);
  EXPECT_NEAR(search.radius(3), 0.4, 1e-12);
}

TEST(Sdarts, WeightsLearnAtTheRadiusOfTheEpoch) {
  // Searches to different radii begin alike.
  std::vector<std::array<at::Tensor, 2>> weights;
  for (const double last : {0.1, 0.9}) {
    SmallSearch small(small_cells(), 2);
    SdartsOptions options;
    options.eigenvalue_every = 0;
    options.perturbation = Perturbation::random;
    options.first_radius = 0.1;
    options.last_radius = last;
    Probe<Sdarts> search(small.context, options);
    const auto after = [&] {
      one_epoch(search);
      return small.net.tensor("head.linear.weight").detach().clone();
    };
    const at::Tensor first = after();
    weights.push_back({first, after()});
  }
  EXPECT_TRUE(weights[0][0].equal(weights[1][0]));
  EXPECT_FALSE(weights[0][1].equal(weights[1][1]));
}

TEST(Sdarts, NeedsADecisionThatPicksOneOption) {
  SmallSearch small(two_of_three());
  EXPECT_THAT(
      throws<UnsupportedError>([&] { const Sdarts search(small.context, SdartsOptions{}); }),
      testing::HasSubstr("\"sdarts\" moves the weights of options of which one is picked"));
}

TEST(Sdarts, MayMoveAllWeightToNone) {
  for (const Perturbation perturbation : {Perturbation::random, Perturbation::adversarial}) {
    SmallSearch small(small_darts(), 1, 64);
    SdartsOptions options;
    options.eigenvalue_every = 0;
    options.perturbation = perturbation;
    options.first_radius = 0.9;
    Probe<Sdarts> search(small.context, options);
    EXPECT_EQ(all_epochs(search).size(), 1U);
  }
}

TEST(Sdarts, ChanceMovesWeightsAlsoWithoutTheAttack) {
  SmallSearch small(small_darts(), 1), other(small_darts(), 1);
  SdartsOptions options;
  options.eigenvalue_every = 0;
  options.perturbation = Perturbation::random;
  Probe<Sdarts> search(small.context, options);
  DartsSearchOptions plain;
  plain.eigenvalue_every = 0;
  Probe<Darts> darts(other.context, plain);
  EXPECT_EQ(search.ask(1).size(), 1U);
  EXPECT_EQ(darts.ask(1).size(), 1U);
  EXPECT_FALSE(
      small.net.tensor("head.linear.weight").equal(other.net.tensor("head.linear.weight")));
}

/// Whose loss is made sharp from the seventh epoch on, until the search goes back.
struct SharpRDarts : Probe<RDarts> {
  using Probe<RDarts>::Probe;
  void begin_epoch() override {
    Probe<RDarts>::begin_epoch();
    went_back |= epoch() < highest;
    highest = std::max(highest, epoch());
  }
  void end_epoch(const Rng& rng) override {
    const at::NoGradGuard no_grad;
    for (const auto& [name, tensor] : learning()) {
      at::Tensor weight = tensor;
      if (name != "head.linear.weight") continue;
      sums.emplace(std::pair(went_back, epoch()), weight.abs().sum().item<double>());
      if (epoch() > 6 && !went_back) weight.mul_(8);
    }
    Probe<RDarts>::end_epoch(rng);
  }
  using RDarts::epoch;
  using RDarts::learning;
  using RDarts::steps;
  int highest = 0;
  bool went_back = false;
  std::map<std::pair<bool, int>, double> sums;
};

double weight_decay_of(const Candidate& candidate) {
  for (const auto& [name, value] : candidate.notes.numbers) {
    if (name == "weight_decay") return value;
  }
  return -1;
}

TEST(RDarts, GoesBackToTheEpochBeforeTheGrowthWithMoreWeightDecay) {
  for (const double factor : {1.001, 1000.0}) {
    SCOPED_TRACE(factor);
    SmallSearch small(choices_in_a_row(2), 14, 100);
    RDartsOptions options;
    options.weight_decay_factor = factor;
    options.most_weight_decay = small.training->by_steps()->options().weight_decay * factor;
    SharpRDarts search(small.context, options);
    const std::vector<Candidate> all = all_epochs(search);
    ASSERT_GT(all.size(), 14U);
    EXPECT_EQ(all.back().fidelity, 1);
    const double decay = search.steps().options().weight_decay;
    std::optional<std::size_t> back;
    for (std::size_t i = 1; i < all.size(); ++i) {
      if (all[i].fidelity > all[i - 1].fidelity) continue;
      EXPECT_FALSE(back.has_value());  // once, then the weight decay is at its most
      back = i;
    }
    ASSERT_TRUE(back.has_value());
    // Which the notes have said, in the place of a warning.
    EXPECT_EQ(all[*back - 1].notes.numbers.back().first, "goes_back_to");
    EXPECT_EQ(all[*back - 1].notes.numbers.back().second,
              std::lround(all[*back].fidelity * 14) - 1);
    EXPECT_EQ(all[*back - 1].notes.warning.find("sharp"), std::string::npos);
    // As EigenvalueGrowth has it: the middle of the window before.
    const int epoch = static_cast<int>(std::lround(all[*back].fidelity * 14));
    EXPECT_EQ(epoch, static_cast<int>(*back) - 6 + 1);
    for (std::size_t i = 0; i < all.size(); ++i) {
      EXPECT_NEAR(weight_decay_of(all[i]), i < *back ? decay : decay * factor, 1e-12);
    }
    // From the weights of then: the epoch is what it was, but for the decay.
    const double before = search.sums.at({false, epoch}), again = search.sums.at({true, epoch});
    const double changed = std::abs(again / before - 1);
    if (factor < 2) {
      EXPECT_LT(changed, 1e-5);
    } else {
      EXPECT_GT(changed, 1e-3);
    }
  }
}

TEST(RDarts, ASnapshotHasTheEpochsToGoBackTo) {
  const auto run = [](std::size_t stop) {
    const auto begin = [] {
      RDartsOptions options;
      options.most_weight_decay = 1;
      options.monitor_batches = 1;
      return running<SharpRDarts>(std::make_shared<SmallSearch>(choices_in_a_row(2), 12, 100),
                                  options);
    };
    return epochs_through_a_snapshot<SharpRDarts>(begin, stop,
                                                  [](const SharpRDarts& from, SharpRDarts& to) {
                                                    to.highest = from.highest;
                                                    to.went_back = from.went_back;
                                                  });
  };
  const std::vector<Candidate> whole = run(1000);
  ASSERT_GT(whole.size(), 12U);
  EXPECT_EQ(run(8), whole);
}

TEST(RDarts, GoesBackAgain) {
  // Sharp again some epochs after each time.
  struct Sharp : SharpRDarts {
    using SharpRDarts::SharpRDarts;
    void end_epoch(const Rng& rng) override {
      went_back = went_back && epoch() < sharp_again;
      if (epoch() >= sharp_again) sharp_again = 100;
      SharpRDarts::end_epoch(rng);
      for (std::size_t i = 1; i < measured().size(); ++i) {
        EXPECT_GT(measured()[i].epoch, measured()[i - 1].epoch);
      }
    }
    using RDarts::measured;
    int sharp_again = 13;
  };
  SmallSearch small(choices_in_a_row(2), 18, 100);
  RDartsOptions options;
  options.weight_decay_factor = 2;
  options.most_weight_decay = 4.5 * small.training->by_steps()->options().weight_decay;
  Sharp search(small.context, options);
  std::vector<double> decays;
  int backs = 0;
  double fidelity = 0;
  while (!search.finished()) {
    const Candidate candidate = one_epoch(search);
    backs += candidate.fidelity < fidelity ? 1 : 0;
    fidelity = candidate.fidelity;
    decays.push_back(weight_decay_of(candidate));
  }
  EXPECT_EQ(backs, 2);
  EXPECT_NEAR(decays.back(), 4 * decays.front(), 1e-12);
}

TEST(RDarts, AStoppedSearchGoesOnFromItsCheckpoints) {
  const auto run = [](int allowed) {
    const TemporaryDirectory directory;
    int polls = 0;
    std::unique_ptr<SmallSearch> small;
    std::unique_ptr<SharpRDarts> search;
    const auto begin = [&] {
      small = std::make_unique<SmallSearch>(choices_in_a_row(2), 12, 100);
      small->context.long_work = {.directory = directory.path() / "work", .stop_requested = [&] {
                                    return allowed > 0 && ++polls > allowed;
                                  }};
      RDartsOptions options;
      options.most_weight_decay = 1;
      options.monitor_batches = 1;
      search = std::make_unique<SharpRDarts>(small->context, options);
    };
    begin();
    std::vector<Candidate> all;
    std::size_t saved = 0;
    std::pair<int, bool> seen{0, false};
    while (!search->finished()) {
      const std::vector<Candidate> asked = search->ask(1);
      if (asked.empty()) {  // stopped in an epoch: from the last snapshot on, again
        polls = 0;
        begin();
        if (saved > 0) search->load(directory.path() / "snapshot");
        std::tie(search->highest, search->went_back) = seen;
        all.resize(saved);
        continue;
      }
      all.push_back(asked[0]);
      search->tell(accuracy_trial(asked[0], 30));
      if (all.size() % 5 == 0) {
        std::filesystem::create_directories(directory.path() / "snapshot");
        search->save(directory.path() / "snapshot");
        saved = all.size();
        seen = {search->highest, search->went_back};
      }
    }
    return all;
  };
  const std::vector<Candidate> whole = run(0);
  ASSERT_GT(whole.size(), 12U);
  EXPECT_EQ(run(13), whole);
}

TEST(RDarts, RefusesWhatItCannotDo) {
  SmallSearch small(small_cells(), 4);
  const auto refused = [&](const std::function<void(RDartsOptions&)>& change,
                           const RunContext& context) {
    RDartsOptions options;
    change(options);
    return throws<ConfigError>([&] { const RDarts search(context, options); });
  };
  SmallSearch longer(small_cells(), 14);
  EXPECT_THAT(refused([](RDartsOptions& o) { o.early_stopping = true; }, longer.context),
              testing::StartsWith("/early_stopping: \"r_darts\" cannot end with"));
  EXPECT_THAT(refused([](RDartsOptions& o) { o.eigenvalue_every = 0; }, small.context),
              testing::StartsWith("/eigenvalue_every: "));
  EXPECT_THAT(refused([](RDartsOptions& o) { o.most_weight_decay = 1e-9; }, small.context),
              testing::StartsWith("/most_weight_decay: "));
  EXPECT_THAT(
      refused([](RDartsOptions&) {}, small.context),
      testing::StartsWith("/eigenvalue_every: 4 epochs are too few to see the eigenvalue grow"));
  const auto training = make_shared_training(
      small.net, small.space, small_data(200),
      {.train = {.epochs = 4, .batch_size = 20, .weight_decay = 0}, .rule = RuleKind::strategy});
  RunContext context = small.context;
  context.shared_training = std::shared_ptr<SharedTraining>(small.training, training.get());
  EXPECT_THAT(refused([](RDartsOptions&) {}, context),
              testing::StartsWith("/weight_decay_factor: "));
}

}  // namespace
}  // namespace espalier
