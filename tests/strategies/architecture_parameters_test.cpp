#include "strategies/architecture_parameters.hpp"

#include <ATen/ATen.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <torch/optim.h>

#include <cmath>
#include <limits>

#include "core/error.hpp"
#include "tests/core/throws.hpp"

namespace espalier {
namespace {

ArchitectureParameters two() {
  return {{{.name = "a", .options = 3}, {.name = "b", .options = 2}},
          {false, true},
          {.learning_rate = 0.1, .weight_decay = 0.01}};
}

TEST(ArchitectureParameters, PartsAreInOrderWithOneMoreForNone) {
  ArchitectureParameters p = two();
  p.reset(Rng(1), 5, 1);
  EXPECT_EQ(p.values().numel(), 6);
  EXPECT_TRUE(p.part(p.values(), 1).equal(p.values().narrow(0, 3, 3)));
  EXPECT_NEAR(p.values().mean().item<double>(), 5, 2);
}

TEST(ArchitectureParameters, AdamIsTorchs) {
  ArchitectureParameters p = two();
  p.reset(Rng(1), 0, 1);
  at::Tensor theirs = p.values().detach().clone().set_requires_grad(true);
  torch::optim::Adam adam({theirs},
                          torch::optim::AdamOptions(0.1).betas({0.5, 0.999}).weight_decay(0.01));
  Rng rng(2);
  for (int i = 0; i < 20; ++i) {
    at::Tensor gradient = at::empty({6}, at::kDouble);
    for (std::int64_t k = 0; k < 6; ++k) gradient[k] = rng.normal();
    p.step(gradient);
    theirs.mutable_grad() = gradient;
    adam.step();
    EXPECT_LT((p.values() - theirs).abs().max().item<double>(), 1e-12);
  }
}

TEST(ArchitectureParameters, WhatDoesNotMoveStaysWithItsMoments) {
  ArchitectureParameters p = two(), other = two();
  p.reset(Rng(1), 0, 1);
  other.reset(Rng(1), 0, 1);
  const at::Tensor gradient = at::ones({6}, at::kDouble);
  const at::Tensor moves = at::tensor({1.0, 0.0, 1.0, 1.0, 1.0, 1.0});
  const double before = p.values()[1].item<double>();
  p.step(gradient, moves);
  EXPECT_EQ(p.values()[1].item<double>(), before);
  p.step(gradient);
  other.step(gradient);
  EXPECT_EQ(p.values()[1].item<double>(), other.values()[1].item<double>());
}

TEST(ArchitectureParameters, NumbersThatAreNotFiniteNameTheirDecision) {
  ArchitectureParameters p = two();
  at::Tensor gradient = at::zeros({6}, at::kDouble);
  gradient[4] = std::numeric_limits<double>::quiet_NaN();
  EXPECT_THAT(throws<NumericalError>([&] { p.step(gradient); }),
              testing::HasSubstr("of decision 'b' are not finite"));
}

}  // namespace
}  // namespace espalier
