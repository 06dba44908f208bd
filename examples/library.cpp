// The library without a config: random search for small networks of few multiply-accumulates that
// score well by a zero-cost proxy.
#include <cstdio>

#include "core/memory.hpp"
#include "evaluators/zero_cost.hpp"
#include "search_spaces/mobilenet_v3.hpp"
#include "strategies/random.hpp"
#include "study/study.hpp"

using namespace espalier;

int main() {
  keep_freed_memory();  // for tensors
  const std::shared_ptr<const SearchSpace> space =
      make_mobilenet_v3({.input = {1, 28, 28}, .classes = 10, .expansions = {2, 3}});
  ZeroCostOptions proxies;
  proxies.proxies = {"synflow"};
  StudyOptions options;
  options.budget.trials = 20;
  Study study(
      space,
      [](const RunContext& context) {
        return std::make_unique<RandomSearch>(context, RandomOptions{});
      },
      std::make_shared<ZeroCostEvaluator>(EvaluatorContext{.space = space}, proxies),
      {{"synflow", Direction::maximize}, {"macs", Direction::minimize}}, {}, options);
  for (const Trial& trial : study.run()) {
    if (trial.state != TrialState::complete) continue;
    std::printf("%llu: synflow %.3g, %.1f M macs\n",
                static_cast<unsigned long long>(trial.candidate.trial_id),
                trial.metrics.at("synflow"), trial.metrics.at("macs") / 1e6);
  }
}
