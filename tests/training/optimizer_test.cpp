#include "training/optimizer.hpp"

#include <gtest/gtest.h>
#include <torch/optim.h>
#include <torch/types.h>

// Needs the types of those above.
#include <torch/nn/utils/clip_grad.h>

#include "training/losses.hpp"

namespace espalier {
namespace {

NamedTensors parameters() {
  NamedTensors list;
  list.emplace_back("weight", torch::linspace(-1, 1, 24).view({4, 6}).set_requires_grad(true));
  list.emplace_back("bias", torch::linspace(0.5, -0.5, 4).set_requires_grad(true));
  list.emplace_back("late", torch::ones({2, 2}).set_requires_grad(true));
  return list;
}

// Gradients of a loss that is not quadratic. "late" has one in steps 3, 4 and 6 only.
void backward(const NamedTensors& list, int step = 1) {
  const at::Tensor x = torch::linspace(-2, 2, 60).view({10, 6}).sin();
  const at::Tensor labels = torch::arange(10) % 4;
  for (const auto& [name, value] : list) value.mutable_grad().reset();
  at::Tensor loss = cross_entropy(torch::linear(x, list[0].second, list[1].second), labels);
  if (step == 3 || step == 4 || step == 6) loss = loss + list[2].second.exp().sum();
  loss.backward();
}

// Trains copies of the parameters with ours and with torch's, which must agree bit by bit.
void compare(const TrainOptions& options, torch::optim::Optimizer& theirs,
             const NamedTensors& their_parameters) {
  const NamedTensors ours = parameters();
  Optimizer optimizer(ours, options);
  for (int step = 1; step <= 6; ++step) {
    backward(ours, step);
    backward(their_parameters, step);
    optimizer.step(0.1 * step);
    for (auto& group : theirs.param_groups()) group.options().set_lr(0.1 * step);
    theirs.step();
    for (std::size_t i = 0; i < ours.size(); ++i) {
      ASSERT_TRUE(ours[i].second.equal(their_parameters[i].second)) << ours[i].first << step;
    }
  }
  EXPECT_FALSE(ours[2].second.equal(torch::ones({2, 2})));
}

template <class Options>
std::vector<torch::optim::OptimizerParamGroup> groups(const NamedTensors& list, Options decaying) {
  Options free = decaying;
  free.weight_decay(0);
  std::vector<torch::optim::OptimizerParamGroup> groups;
  groups.emplace_back(std::vector{list[0].second, list[2].second},
                      std::make_unique<Options>(decaying));
  groups.emplace_back(std::vector{list[1].second}, std::make_unique<Options>(free));
  return groups;
}

TEST(OptimizerTest, SgdIsTorchs) {
  for (const double momentum : {0.9, 0.0}) {
    for (const bool nesterov : {false, true}) {
      if (momentum == 0 && nesterov) continue;
      const NamedTensors list = parameters();
      const auto options =
          torch::optim::SGDOptions(0.1).momentum(momentum).nesterov(nesterov).weight_decay(0.01);
      torch::optim::SGD theirs(groups(list, options), options);
      compare({.momentum = momentum, .nesterov = nesterov, .weight_decay = 0.01}, theirs, list);
    }
  }
}

TEST(OptimizerTest, AdamwIsTorchs) {
  const NamedTensors list = parameters();
  const auto options = torch::optim::AdamWOptions(0.1).betas({0.8, 0.999}).weight_decay(0.05);
  torch::optim::AdamW theirs(groups(list, options), options);
  compare({.optimizer = OptimizerKind::adamw, .momentum = 0.8, .weight_decay = 0.05}, theirs, list);
}

TEST(OptimizerTest, CountsTheStepsOfEachParameter) {
  const NamedTensors list = parameters();
  Optimizer optimizer(list, {.optimizer = OptimizerKind::adamw});
  for (int step = 1; step <= 6; ++step) {
    backward(list, step);
    optimizer.step(0.1);
  }
  EXPECT_EQ(optimizer.state().at("weight.steps").item<int>(), 6);
  EXPECT_EQ(optimizer.state().at("late.steps").item<int>(), 3);
}

TEST(OptimizerTest, ClipsTheNormOfTheWholeGradient) {
  const NamedTensors ours = parameters(), theirs = parameters();
  Optimizer optimizer(ours, {});
  optimizer.clip_gradients(1);  // no gradient yet: nothing to do
  for (const double norm : {0.01, 100.0}) {
    backward(ours);
    backward(theirs);
    const at::Tensor before = ours[0].second.grad().clone();
    optimizer.clip_gradients(norm);
    torch::nn::utils::clip_grad_norm_({theirs[0].second, theirs[1].second}, norm);
    EXPECT_TRUE(torch::allclose(ours[0].second.grad(), theirs[0].second.grad(), 1e-4));
    EXPECT_TRUE(torch::allclose(ours[1].second.grad(), theirs[1].second.grad(), 1e-4));
    EXPECT_EQ(ours[0].second.grad().equal(before), norm == 100.0);
  }
}

TEST(OptimizerTest, ADirectionIsWhatAStepTakes) {
  for (const bool nesterov : {false, true}) {
    const NamedTensors list = parameters();
    TrainOptions options;
    options.nesterov = nesterov;
    options.weight_decay = 0.1;
    Optimizer optimizer(list, options);
    for (int step = 1; step <= 4; ++step) {
      backward(list, step);
      std::vector<at::Tensor> before, directions;
      for (std::size_t i = 0; i < 2; ++i) {
        before.push_back(list[i].second.detach().clone());
        directions.push_back(optimizer.direction(i, list[i].second.grad()));
      }
      optimizer.step(0.5);
      for (std::size_t i = 0; i < 2; ++i) {
        EXPECT_TRUE(list[i].second.detach().allclose(before[i] - 0.5 * directions[i]));
      }
    }
  }
}

}  // namespace
}  // namespace espalier
