// One number instead of several costs.
#pragma once

#include <span>

namespace espalier {

/// The sum of weight times cost; to be minimized. Of equal sizes.
double weighted_sum(std::span<const double> costs, std::span<const double> weights);

/// The largest weight times distance from the ideal point; to be minimized. Its minima reach every
/// point of a front, also of one that is not convex. Of equal sizes; weights >= 0.
/// Source: K. Miettinen: Nonlinear multiobjective optimization, 1999, section 3.4.
/// Test: ScalarizationTest.TchebycheffReachesAFrontThatIsNotConvex.
double tchebycheff(std::span<const double> costs, std::span<const double> weights,
                   std::span<const double> ideal);

/// The exponents of mnasnet_reward below and above the target.
struct MnasnetExponents {
  double below = -0.07;
  double above = -0.07;
};

/// accuracy x (latency / target)^w, to be maximized; w is `below` up to the target and `above`
/// beyond it. {0, -1} makes the target a hard limit. Latency and target are positive, in the same
/// unit; throws NumericalError otherwise. Source: M. Tan et al.: MnasNet: platform-aware neural
/// architecture search for mobile, CVPR 2019, arXiv 1807.11626, equations 2 and 3.
/// Test: ScalarizationTest.MnasnetRewardTradesAsThePaperSays.
double mnasnet_reward(double accuracy, double latency, double target,
                      MnasnetExponents exponents = {});

}  // namespace espalier
