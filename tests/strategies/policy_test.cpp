#include "strategies/policy.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <map>

#include "core/json.hpp"
#include "tests/strategies/subset_space.hpp"
#include "tests/strategies/toy_search.hpp"

namespace espalier {
namespace {

// With every kind of decision; 3 * 1 * 6 * 2 = 36 architectures.
const SubsetSpace& mixed_space() {
  static const SubsetSpace space({{3, 1}, {1, 1}, {4, 2}, {2, 1}});
  return space;
}

template <class F>
void for_each_architecture(F visit) {
  for (std::uint32_t a = 0; a < 3; ++a) {
    for (std::uint32_t b = 0; b < 6; ++b) {
      for (std::uint32_t c = 0; c < 2; ++c) visit(Architecture{{a, 0, b, c}});
    }
  }
}

double sum(std::span<const double> values) {
  double result = 0;
  for (const double value : values) result += value;
  return result;
}

class AnyPolicy : public testing::TestWithParam<PolicyKind> {
 protected:
  static std::unique_ptr<Policy> make(std::uint64_t seed = 3) {
    auto policy = make_policy(GetParam(), mixed_space(), 5, Rng(seed));
    Rng rng(seed + 1);
    for (double& parameter : policy->parameters()) parameter = rng.normal();
    return policy;
  }
};

TEST_P(AnyPolicy, ProbabilitiesOfAllArchitecturesSumToOne) {
  const auto policy = make();
  double total = 0;
  for_each_architecture([&](const Architecture& a) {
    const PolicyDraw draw = policy->recall(a);
    EXPECT_EQ(draw.architecture, a);
    EXPECT_EQ(draw.log_probs[1], 0);
    total += std::exp(sum(draw.log_probs));
  });
  EXPECT_NEAR(total, 1, 1e-12);
}

TEST_P(AnyPolicy, DrawsAreAsProbableAsItSays) {
  const auto policy = make();
  Rng rng(7);
  std::map<Architecture, int> counts;
  const int draws = 20000;
  for (int i = 0; i < draws; ++i) {
    const PolicyDraw draw = policy->draw(rng);
    ASSERT_TRUE(mixed_space().valid(draw.architecture));
    if (i < 100) {
      EXPECT_EQ(policy->recall(draw.architecture).log_probs, draw.log_probs);
      EXPECT_EQ(policy->recall(draw.architecture).entropies, draw.entropies);
    }
    ++counts[draw.architecture];
  }
  double chi_squared = 0;
  for_each_architecture([&](const Architecture& a) {
    const double expected = draws * std::exp(sum(policy->recall(a).log_probs));
    chi_squared += (counts[a] - expected) * (counts[a] - expected) / std::max(expected, 1.0);
  });
  EXPECT_LT(chi_squared, 80);  // 35 degrees of freedom; of this seed
}

void expect_gradients_of_finite_differences(Policy* policy) {
  const Architecture a{{2, 0, 4, 1}};
  const std::vector<double> by_log_probs{0.7, 0.3, -1.1, 0.4}, by_entropies{0.2, 0.1, 0.5, -0.3};
  const auto objective = [&] {
    const PolicyDraw draw = policy->recall(a);
    double value = 0;
    for (std::size_t d = 0; d < 4; ++d) {
      value += by_log_probs[d] * draw.log_probs[d] + by_entropies[d] * draw.entropies[d];
    }
    return value;
  };
  policy->add_gradient(a, by_log_probs, by_entropies);
  std::size_t moved = 0;
  for (std::size_t i = 0; i < policy->parameters().size(); ++i) {
    double& parameter = policy->parameters()[i];
    const double kept = parameter, step = 1e-6;
    parameter = kept + step;
    const double above = objective();
    parameter = kept - step;
    const double below = objective();
    parameter = kept;
    EXPECT_NEAR(policy->gradient()[i], (above - below) / (2 * step), 1e-7) << i;
    moved += std::abs(above - below) > 1e-9;
  }
  EXPECT_GT(moved, policy->parameters().size() / 2);
}

TEST_P(AnyPolicy, GradientsAreThoseOfFiniteDifferences) {
  expect_gradients_of_finite_differences(make().get());
}

TEST_P(AnyPolicy, AStepGoesUpTheGradientOnce) {
  const auto policy = make();
  const Architecture a{{2, 0, 4, 1}};
  const std::vector<double> ones(4, 1.0), zeros(4, 0.0);
  const double before = sum(policy->recall(a).log_probs);
  policy->add_gradient(a, ones, zeros);
  policy->ascend(0.01);
  EXPECT_GT(sum(policy->recall(a).log_probs), before);
  for (const double value : policy->gradient()) EXPECT_EQ(value, 0);
}

INSTANTIATE_TEST_SUITE_P(All, AnyPolicy, testing::Values(PolicyKind::independent, PolicyKind::lstm),
                         [](const auto& test) {
                           return test.param == PolicyKind::lstm ? "lstm" : "independent";
                         });

TEST_P(AnyPolicy, ASnapshotGoesOnAlike) {
  const auto first = make(), second = make();
  const Architecture a{{2, 0, 4, 1}};
  const std::vector<double> ones(4, 1.0), zeros(4, 0.0);
  const auto step = [&](Policy& policy) {
    policy.add_gradient(a, ones, zeros);
    policy.ascend(0.1);
  };
  step(*first);
  second->load(Json::parse(first->save().dump()));
  step(*first);
  step(*second);
  EXPECT_EQ(first->recall(a).log_probs, second->recall(a).log_probs);
  EXPECT_THROW(second->load(Json::object()), Json::exception);
}

TEST_P(AnyPolicy, GradientsOfLimitedLogitsAreThoseOfFiniteDifferences) {
  const auto policy = make();
  policy->limit_logits(0.7);
  expect_gradients_of_finite_differences(policy.get());
}

TEST(IndependentPolicy, LimitedLogitsKeepEveryOptionLikely) {
  IndependentPolicy policy(*test_space({2}));
  policy.limit_logits(1.1);
  policy.parameters()[0] = 100;
  policy.parameters()[1] = -100;
  const double p = std::exp(policy.recall(Architecture{{1}}).log_probs[0]);
  EXPECT_NEAR(p, 1 / (1 + std::exp(2.2)), 1e-12);
}

TEST(IndependentPolicy, EachDecisionIsASoftmax) {
  IndependentPolicy policy(*test_space({2, 3}));
  const std::vector<double> logits{0.5, -1, 0, 2, 1};
  std::ranges::copy(logits, policy.parameters().begin());
  for (std::uint32_t a = 0; a < 2; ++a) {
    for (std::uint32_t b = 0; b < 3; ++b) {
      const PolicyDraw draw = policy.recall(Architecture{{a, b}});
      EXPECT_NEAR(draw.log_probs[0], logits[a] - std::log(std::exp(0.5) + std::exp(-1.0)), 1e-12);
      EXPECT_NEAR(draw.log_probs[1], logits[2 + b] - std::log(1 + std::exp(2.0) + std::exp(1.0)),
                  1e-12);
    }
  }
}

TEST(IndependentPolicy, IsUniformOverSubsetsAtFirst) {
  IndependentPolicy policy(mixed_space());
  for_each_architecture([&](const Architecture& a) {
    EXPECT_NEAR(sum(policy.recall(a).log_probs), -std::log(36), 1e-12);
  });
}

TEST(LstmPolicy, AChoiceDependsOnThoseBefore) {
  LstmPolicy policy(*test_space({2, 2, 2}), 4, Rng(1));
  // Only what is far back differs.
  const double a = policy.recall(Architecture{{0, 1, 1}}).log_probs[2];
  const double b = policy.recall(Architecture{{1, 1, 1}}).log_probs[2];
  EXPECT_GT(std::abs(a - b), 1e-9);
  // What comes later does not count.
  EXPECT_EQ(policy.recall(Architecture{{0, 1, 0}}).log_probs[1],
            policy.recall(Architecture{{0, 1, 1}}).log_probs[1]);
}

TEST(LstmPolicy, LearnsWhatIndependentDecisionsCannot) {
  // Both options equal: a policy without memory has at most half of the probability on these.
  LstmPolicy policy(*test_space({2, 2}), 8, Rng(1));
  const std::vector<double> ones(2, 1.0), zeros(2, 0.0);
  for (int i = 0; i < 200; ++i) {
    policy.add_gradient(Architecture{{0, 0}}, ones, zeros);
    policy.add_gradient(Architecture{{1, 1}}, ones, zeros);
    policy.ascend(0.05);
  }
  EXPECT_GT(std::exp(sum(policy.recall(Architecture{{0, 0}}).log_probs)), 0.45);
  EXPECT_GT(std::exp(sum(policy.recall(Architecture{{1, 1}}).log_probs)), 0.45);
}

}  // namespace
}  // namespace espalier
