#include "strategies/unrolled_gradient.hpp"

#include <ATen/ATen.h>
#include <gtest/gtest.h>
#include <torch/autograd.h>

namespace espalier {
namespace {

// Training loss 1/2 w'Aw - w'Bp + (p'w)^2 c, validation loss 1/2 |w - t|^2 + p'q: quadratic in w,
// so that the step and its derivative are known.
struct Quadratic {
  at::Tensor a, b, t, q, w, p;
  double rate = 0.1, slope = 1;

  Quadratic() {
    const auto draw = [](at::IntArrayRef size, std::uint64_t seed) {
      return at::randn(size, at::make_generator<at::CPUGeneratorImpl>(seed), at::kDouble);
    };
    const at::Tensor root = draw({4, 4}, 1);
    a = root.mm(root.t());
    b = draw({4, 3}, 2);
    t = draw({4}, 3);
    q = draw({3}, 4);
    w = draw({4}, 5).set_requires_grad(true);
    p = draw({3}, 6).set_requires_grad(true);
  }
  at::Tensor training(const at::Tensor& at) const {
    return 0.5 * at.dot(a.mv(at)) - at.dot(b.mv(p)) + 0.3 * p.square().sum() * at.square().sum();
  }
  at::Tensor validation(const at::Tensor& at) const {
    return 0.5 * (at - t).square().sum() + p.dot(q);
  }
  Bilevel problem() {
    return {.weights = {w},
            .parameters = p,
            .training_loss = [this] { return training(w); },
            .validation_loss = [this] { return validation(w); },
            .step = [this](const std::vector<at::Tensor>& gradients) -> std::vector<at::Tensor> {
              return {slope * gradients[0]};
            },
            .slope = slope,
            .learning_rate = rate};
  }
  /// Through the step itself.
  at::Tensor exact() const {
    const at::Tensor gradient = torch::autograd::grad({training(w)}, {w}, {}, true, true)[0];
    return torch::autograd::grad({validation(w - rate * slope * gradient)}, {p}, {})[0];
  }
};

TEST(UnrolledGradient, IsTheImplicitTermOfAQuadraticProblem) {
  Quadratic quadratic;
  const at::Tensor before = quadratic.w.detach().clone();
  const at::Tensor got = unrolled_gradient(quadratic.problem());
  EXPECT_LT((got - quadratic.exact()).abs().max().item<double>(), 1e-7);
  EXPECT_TRUE(quadratic.w.detach().equal(before));
  // The first order is another one, and so is a wrong sign of the term.
  const at::Tensor first =
      torch::autograd::grad({quadratic.validation(quadratic.w)}, {quadratic.p}, {})[0];
  EXPECT_GT((got - first).abs().max().item<double>(), 0.05);
  // Of a step that goes further.
  quadratic.slope = 1.9;
  EXPECT_LT((unrolled_gradient(quadratic.problem()) - quadratic.exact()).abs().max().item<double>(),
            1e-7);
}

TEST(UnrolledGradient, PutsTheWeightsBackAfterAnError) {
  Quadratic quadratic;
  Bilevel problem = quadratic.problem();
  problem.validation_loss = []() -> at::Tensor { throw std::runtime_error("no loss"); };
  const at::Tensor before = quadratic.w.detach().clone();
  EXPECT_THROW(unrolled_gradient(problem), std::runtime_error);
  EXPECT_TRUE(quadratic.w.detach().equal(before));
}

}  // namespace
}  // namespace espalier
