#include "core/bootstrap.hpp"

#include <algorithm>
#include <vector>

#include "core/stats.hpp"

namespace espalier {

const OptionTable<BootstrapOptions>& bootstrap_options() {
  static const auto table =
      OptionTable<BootstrapOptions>("intervals from resampling")
          .add("resamples", &BootstrapOptions::resamples, "of a sample", between(1, 1 << 20))
          .add("confidence", &BootstrapOptions::confidence,
               "chance that an interval holds the true value",
               Range{.low = 0, .high = 1, .low_open = true, .high_open = true});
  return table;
}

Interval percentile_interval(std::span<const double> replicates, double confidence) {
  return {quantile(replicates, (1 - confidence) / 2), quantile(replicates, (1 + confidence) / 2)};
}

Estimate bootstrap_mean(std::span<const double> values, const BootstrapOptions& options, Rng rng) {
  bootstrap_options().validate(options);
  const double value = mean(values);
  std::vector<double> means(static_cast<std::size_t>(options.resamples));
  for (double& resampled : means) {
    double sum = 0;
    for (std::size_t i = 0; i < values.size(); ++i) sum += values[rng.below(values.size())];
    resampled = sum / static_cast<double>(values.size());
  }
  return {value, percentile_interval(means, options.confidence)};
}

}  // namespace espalier
