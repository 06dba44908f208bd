#include "evaluators/composite.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <string>
#include <utility>

#include "core/error.hpp"
#include "core/files.hpp"

namespace espalier {

CompositeEvaluator::CompositeEvaluator(std::vector<std::unique_ptr<Evaluator>> members)
    : members_(std::move(members)) {
  for (const auto& member : members_) {
    for (const MetricInfo& metric : member->metrics()) {
      if (std::ranges::find(metrics_, metric.name, &MetricInfo::name) != metrics_.end()) {
        throw ConfigError(
            "", fmt::format("two evaluators give the metric \"{}\"; expected one", metric.name));
      }
      metrics_.push_back(metric);
    }
  }
}

void CompositeEvaluator::prepare(const PrepareContext& context) {
  for (std::size_t i = 0; i < members_.size(); ++i) {
    std::filesystem::path own;
    if (!context.directory.empty()) {
      own = context.directory / std::to_string(i);
      make_directories(own);
    }
    members_[i]->prepare(
        {.directory = own, .rng = context.rng.fork(i), .stop_requested = context.stop_requested});
  }
}

std::vector<double> CompositeEvaluator::evaluate(const Candidate& candidate, const Network& network,
                                                 Rng& rng) {
  std::vector<double> values;
  values.reserve(metrics_.size());
  for (std::size_t i = 0; i < members_.size(); ++i) {
    Rng own = rng.fork(i);
    const std::vector<double> part = members_[i]->evaluate(candidate, network, own);
    values.insert(values.end(), part.begin(), part.end());
  }
  return values;
}

bool CompositeEvaluator::thread_safe() const {
  return std::ranges::all_of(members_, [](const auto& member) { return member->thread_safe(); });
}

std::shared_ptr<SharedTraining> CompositeEvaluator::shared_training() {
  for (const auto& member : members_) {
    if (auto training = member->shared_training()) return training;
  }
  return nullptr;
}

}  // namespace espalier
