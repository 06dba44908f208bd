#include "training/losses.hpp"

#include <gtest/gtest.h>
#include <torch/types.h>

#include <cmath>

namespace espalier {
namespace {

TEST(CrossEntropyTest, SmoothsLabelsByTheFormula) {
  const at::Tensor logits = torch::linspace(-3, 2, 12).view({3, 4}).sin() * 4;
  const at::Tensor labels = torch::tensor({2, 0, 3}, torch::kLong);
  const at::Tensor log_p = torch::log_softmax(logits, 1);
  for (const double smoothing : {0.0, 0.1, 0.7}) {
    at::Tensor target = torch::full({3, 4}, smoothing / 4);
    for (int i = 0; i < 3; ++i) target[i][labels[i].item<std::int64_t>()] += 1 - smoothing;
    EXPECT_NEAR(cross_entropy(logits, labels, smoothing).item<double>(),
                -(target * log_p).sum().item<double>() / 3, 1e-6);
  }
}

TEST(DistillationLossTest, IsTheDivergence) {
  const at::Tensor student = at::tensor({0.5, -1.0, 2.0, 0.0, 0.0, 0.0}).view({2, 3});
  const at::Tensor teacher = at::tensor({1.0, 0.0, -1.0, 3.0, 1.0, 0.0}).view({2, 3});
  double expected = 0;
  for (int row = 0; row < 2; ++row) {
    double sum_s = 0, sum_t = 0;
    for (int c = 0; c < 3; ++c) {
      sum_s += std::exp(student[row][c].item<double>());
      sum_t += std::exp(teacher[row][c].item<double>());
    }
    for (int c = 0; c < 3; ++c) {
      const double s = std::exp(student[row][c].item<double>()) / sum_s;
      const double t = std::exp(teacher[row][c].item<double>()) / sum_t;
      expected += t * std::log(t / s) / 2;
    }
  }
  EXPECT_NEAR(distillation_loss(student, teacher).item<double>(), expected, 1e-12);
  EXPECT_NEAR(distillation_loss(teacher, teacher).item<double>(), 0, 1e-12);
}

TEST(DistillationLossTest, OnlyTheStudentLearns) {
  const at::Tensor student = at::zeros({2, 3}).set_requires_grad(true);
  const at::Tensor teacher = at::eye(3).slice(0, 0, 2).clone().set_requires_grad(true);
  distillation_loss(student, teacher).backward();
  EXPECT_TRUE(student.grad().defined());
  EXPECT_FALSE(teacher.grad().defined());
}

}  // namespace
}  // namespace espalier
