#include "training/schedule.hpp"

#include <cmath>
#include <numbers>

namespace espalier {

double learning_rate_at(const TrainOptions& options, std::int64_t step,
                        std::int64_t steps_per_epoch) {
  const double base = options.base_learning_rate();
  const std::int64_t warmup =
      std::llround(options.warmup_epochs * static_cast<double>(steps_per_epoch));
  if (step < warmup) return base * static_cast<double>(step + 1) / static_cast<double>(warmup);
  switch (options.schedule) {
    case ScheduleKind::constant:
      break;
    case ScheduleKind::cosine: {
      const double total = static_cast<double>(options.epochs * steps_per_epoch - warmup);
      const double done = static_cast<double>(step - warmup) / total;
      return base * (1 + std::cos(std::numbers::pi * done)) / 2;
    }
    case ScheduleKind::step: {
      double rate = base;
      for (const int epoch : options.step_epochs) {
        if (step >= epoch * steps_per_epoch) rate *= options.step_factor;
      }
      return rate;
    }
  }
  return base;
}

}  // namespace espalier
