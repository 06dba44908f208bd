// Random search and regularized evolution on the published NAS-Bench-201 table: searches on
// c10_valid, reports c10_test of the best, over many seeds. See nasbench201_search.md.
#include <fmt/format.h>

#include <cstdlib>
#include <functional>
#include <memory>
#include <string>

#include "core/memory.hpp"
#include "core/stats.hpp"
#include "evaluators/table.hpp"
#include "search_spaces/nasbench201.hpp"
#include "strategies/random.hpp"
#include "strategies/regularized_evolution.hpp"
#include "study/study.hpp"

using namespace espalier;

namespace {

/// Test accuracy of the trial with the best validation accuracy, the first of equals.
double reported_accuracy(const std::vector<Trial>& trials) {
  const Trial* best = nullptr;
  for (const Trial& t : trials) {
    if (t.state != TrialState::complete) continue;
    if (best == nullptr || t.metrics.at("accuracy") > best->metrics.at("accuracy")) best = &t;
  }
  return best->metrics.at("test_accuracy");
}

}  // namespace

int main(int argc, char** argv) {
  keep_freed_memory();
  const int seeds = argc > 1 ? std::atoi(argv[1]) : 200;
  std::shared_ptr<const SearchSpace> space = make_nasbench201();
  TableOptions table;
  table.file = std::string(ESPALIER_SOURCE_DIR) + "/benchmarks/tables/nasbench201.csv.gz";
  table.key = "arch";
  table.metrics = {{"accuracy", "c10_valid"}};
  table.report = {{"test_accuracy", "c10_test"}};
  const auto evaluator = std::make_shared<TableEvaluator>(space, table);

  const std::vector<std::pair<std::string, StrategyFactory>> strategies{
      {"random",
       [](const RunContext& context) -> std::unique_ptr<Strategy> {
         return std::make_unique<RandomSearch>(context, RandomOptions{});
       }},
      {"regularized_evolution", [](const RunContext& context) -> std::unique_ptr<Strategy> {
         RegularizedEvolutionOptions options;
         options.population = 10;
         options.sample = 3;
         return std::make_unique<RegularizedEvolution>(context, options);
       }}};
  fmt::print("strategy,trials,seeds,mean,std,standard_error\n");
  for (const auto& [name, strategy] : strategies) {
    for (const std::uint64_t trials : {100, 200, 500}) {
      std::vector<double> accuracies;
      for (int seed = 1; seed <= seeds; ++seed) {
        StudyOptions options;
        options.seed = static_cast<std::uint64_t>(seed);
        options.budget.trials = trials;
        Study study(space, strategy, evaluator, {{"accuracy", Direction::maximize}}, {}, options);
        accuracies.push_back(reported_accuracy(study.run()));
      }
      const double std = standard_deviation(accuracies);
      fmt::print("{},{},{},{:.3f},{:.3f},{:.3f}\n", name, trials, seeds, mean(accuracies), std,
                 std / std::sqrt(seeds));
    }
  }
}
