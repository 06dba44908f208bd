// Networks a second of one core: closing a supergraph, costs with and without building.
#include <benchmark/benchmark.h>

#include "graph/cost.hpp"
#include "graph/fingerprint.hpp"
#include "search_spaces/mobilenet_v3.hpp"
#include "search_spaces/nasbench201.hpp"
#include "search_spaces/sampling.hpp"

namespace espalier {
namespace {

std::vector<Architecture> samples(const SearchSpace& space) {
  Rng rng(1);
  std::vector<Architecture> result;
  for (int i = 0; i < 1024; ++i) result.push_back(sample_uniform(space, rng));
  return result;
}

template <class F>
void per_network(benchmark::State& state, const SearchSpace& space, F&& f) {
  const auto architectures = samples(space);
  std::size_t i = 0;
  for (auto _ : state) benchmark::DoNotOptimize(f(architectures[i++ % architectures.size()]));
  state.SetItemsProcessed(state.iterations());
}

void build(benchmark::State& state, const SearchSpace& space) {
  per_network(state, space, [&](const Architecture& a) { return space.build(a).size(); });
}
void build_and_cost(benchmark::State& state, const SearchSpace& space) {
  per_network(state, space, [&](const Architecture& a) { return cost(space.build(a)).params; });
}
void quick_cost(benchmark::State& state, const SearchSpace& space) {
  per_network(state, space, [&](const Architecture& a) { return space.quick_cost(a).macs; });
}
void canonical(benchmark::State& state, const SearchSpace& space) {
  per_network(state, space, [&](const Architecture& a) { return space.canonical(a); });
}
void build_and_fingerprint(benchmark::State& state, const SearchSpace& space) {
  per_network(state, space, [&](const Architecture& a) { return fingerprint(space.build(a)); });
}

const SearchSpace& nasbench201() {
  static const auto space = make_nasbench201();
  return *space;
}
const SearchSpace& mobilenet_v3() {
  static const auto space = make_mobilenet_v3({.resolutions = {128, 160, 192, 224}});
  return *space;
}

BENCHMARK_CAPTURE(build, nasbench201, nasbench201());
BENCHMARK_CAPTURE(build_and_cost, nasbench201, nasbench201());
BENCHMARK_CAPTURE(quick_cost, nasbench201, nasbench201());
BENCHMARK_CAPTURE(build_and_fingerprint, nasbench201, nasbench201());
BENCHMARK_CAPTURE(build_and_cost, mobilenet_v3, mobilenet_v3());
BENCHMARK_CAPTURE(quick_cost, mobilenet_v3, mobilenet_v3());
BENCHMARK_CAPTURE(canonical, mobilenet_v3, mobilenet_v3());

}  // namespace
}  // namespace espalier

