// Trials a second through the whole loop, with and without a run store, and loading of the table.
#include <benchmark/benchmark.h>

#include <memory>

#include "evaluators/table.hpp"
#include "search_spaces/nasbench201.hpp"
#include "strategies/random.hpp"
#include "strategies/regularized_evolution.hpp"
#include "study/study.hpp"
#include "tests/core/temporary_directory.hpp"

namespace espalier {
namespace {

std::shared_ptr<const SearchSpace> space() {
  static const std::shared_ptr<const SearchSpace> s = make_nasbench201();
  return s;
}

TableOptions table_options() {
  TableOptions options;
  options.file = std::string(ESPALIER_SOURCE_DIR) + "/benchmarks/tables/nasbench201.csv.gz";
  options.key = "arch";
  options.metrics = {{"accuracy", "c10_valid"}};
  return options;
}

std::shared_ptr<Evaluator> table() {
  static const auto t = std::make_shared<TableEvaluator>(space(), table_options());
  return t;
}

std::unique_ptr<Strategy> random_search(const RunContext& context) {
  RandomOptions options;
  options.replacement = true;
  return std::make_unique<RandomSearch>(context, options);
}

std::unique_ptr<Strategy> evolution(const RunContext& context) {
  return std::make_unique<RegularizedEvolution>(context, RegularizedEvolutionOptions{});
}

void run_trials(benchmark::State& state, const StrategyFactory& strategy, bool store) {
  const auto trials = static_cast<std::uint64_t>(state.range(0));
  for (auto _ : state) {
    const TemporaryDirectory directory;
    StudyOptions options;
    options.budget.trials = trials;
    options.batch = static_cast<std::size_t>(state.range(1));
    if (store) options.directory = directory.path();
    Study study(space(), strategy, table(), {{"accuracy", Direction::maximize}}, {}, options);
    benchmark::DoNotOptimize(study.run().size());
  }
  state.SetItemsProcessed(state.iterations() * static_cast<std::int64_t>(trials));
}

void random_without_store(benchmark::State& state) { run_trials(state, random_search, false); }
void random_with_store(benchmark::State& state) { run_trials(state, random_search, true); }
void evolution_without_store(benchmark::State& state) { run_trials(state, evolution, false); }
BENCHMARK(random_without_store)->Args({1'000'000, 1})->Args({1'000'000, 64})->UseRealTime();
BENCHMARK(random_with_store)->Args({300'000, 1})->Args({300'000, 64})->UseRealTime();
BENCHMARK(evolution_without_store)->Args({300'000, 1})->UseRealTime();

void load_table(benchmark::State& state) {
  for (auto _ : state) {
    benchmark::DoNotOptimize(TableEvaluator(space(), table_options()).row_count());
  }
}
BENCHMARK(load_table)->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace espalier
