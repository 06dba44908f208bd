// Zero-cost scores of NAS-Bench-201 networks, for zero_cost_pytorch.py, which runs this program in
// turn with PyTorch, and compares scores: zero_cost_speed CELL BATCH THREADS ROUNDS PROXY... scores
// a cell ROUNDS times after one that is not counted, building the network each time, and prints its
// seconds, those of all processors together, and scores. With WEIGHTS in the environment it writes
// the float32 weights, in the order of the operators, the images {N,H,W,C} and the labels to that
// file.
#include <ATen/ATen.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <fstream>
#include <set>
#include <string>
#include <vector>

#include "core/json.hpp"
#include "core/memory.hpp"
#include "evaluators/proxies/passes.hpp"
#include "search_spaces/nasbench201.hpp"
#include "training/threads.hpp"

using namespace espalier;

int main(int argc, char** argv) {
  keep_freed_memory();
  if (argc < 6) {
    std::fprintf(stderr, "usage: zero_cost_speed CELL BATCH THREADS ROUNDS PROXY...\n");
    return 2;
  }
  const int batch = std::atoi(argv[2]), rounds = std::atoi(argv[4]);
  const TorchThreads threads(std::atoi(argv[3]));
  const std::vector<std::string> names(argv + 5, argv + argc);
  const ProxyCatalogue catalogue = proxy_catalogue();
  std::set<ProxyPass> wanted;
  for (const std::string& name : names) {
    const Proxy& proxy = catalogue.at(name);
    wanted.insert(proxy.passes.begin(), proxy.passes.end());
  }
  const auto space = make_nasbench201();
  const Architecture cell = parse_architecture(*space, argv[1]);
  const Rng rng(1);
  Rng draws = rng.fork("images");
  ImageBatch images;
  images.shape = {batch, 32, 32, 3};
  for (int i = 0; i < batch * 32 * 32 * 3; ++i) {
    images.pixels.push_back(static_cast<float>(draws.normal()));
  }
  for (int i = 0; i < batch; ++i)
    images.labels.push_back(static_cast<std::int64_t>(draws.below(10)));

  Json seconds = Json::array(), processor = Json::array(), scores;
  for (int round = 0; round <= rounds; ++round) {
    const auto begin = std::chrono::steady_clock::now();
    const std::clock_t processor_begin = std::clock();
    const Network network(*space, cell);
    ProxyInput input{network, rng, images};
    ProxyPasses passes(input, wanted);
    input.passes = &passes;
    for (const std::string& name : names) scores[name] = catalogue.at(name).score(input);
    const std::chrono::duration<double> taken = std::chrono::steady_clock::now() - begin;
    const double used = double(std::clock() - processor_begin) / CLOCKS_PER_SEC;
    if (round > 0) seconds.push_back(taken.count());
    if (round > 0) processor.push_back(used);
    if (const char* path = std::getenv("WEIGHTS"); path != nullptr && round == 0) {
      std::ofstream file(path, std::ios::binary);
      const auto write = [&](const auto* data, std::size_t count) {
        file.write(reinterpret_cast<const char*>(data),
                   static_cast<std::streamsize>(count * sizeof(*data)));
      };
      for (const auto& [name, parameter] : passes.module().parameters()) {
        const at::Tensor values = parameter.detach().contiguous();
        write(values.data_ptr<float>(), static_cast<std::size_t>(values.numel()));
      }
      write(images.pixels.data(), images.pixels.size());
      write(images.labels.data(), images.labels.size());
    }
  }
  std::puts(
      Json{{"seconds", seconds}, {"processor", processor}, {"scores", scores}}.dump().c_str());
}
