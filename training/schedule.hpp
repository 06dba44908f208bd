// Learning rates.
#pragma once

#include <cstdint>

#include "training/train_options.hpp"

namespace espalier {

/// The learning rate of step `step` (from 0) of options.epochs * steps_per_epoch. In the warm-up of
/// w = round(warmup_epochs * steps_per_epoch) steps it is base * (step + 1) / w. After it, with t
/// the share of the remaining steps that is done: `cosine` base * (1 + cos(pi t)) / 2, `constant`
/// base, `step` base * step_factor for each of step_epochs that is over. Source: I. Loshchilov, F.
/// Hutter: SGDR: stochastic gradient descent with warm restarts, ICLR 2017, arXiv 1608.03983,
/// equation 5 (cosine, without restarts); P. Goyal et al.: Accurate, large minibatch SGD, arXiv
/// 1706.02677, section 2.2 (warm-up).
/// Test: ScheduleTest.CosineAfterAWarmup.
double learning_rate_at(const TrainOptions& options, std::int64_t step,
                        std::int64_t steps_per_epoch);

}  // namespace espalier
