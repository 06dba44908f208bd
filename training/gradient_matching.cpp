#include "training/gradient_matching.hpp"

#include <ATen/ATen.h>

#include <algorithm>
#include <bit>
#include <cassert>
#include <limits>
#include <map>
#include <optional>
#include <string>

#include "nets/supernet.hpp"
#include "search_spaces/sampling.hpp"
#include "training/augmentation.hpp"
#include "training/batch.hpp"
#include "training/losses.hpp"
#include "training/threads.hpp"
#include "training/train_loop.hpp"

namespace espalier {
namespace {

using Gradients = std::vector<at::Tensor>;  // by parameter; undefined where there is none

double cosine(const Gradients& a, const Gradients& b) {
  double product = 0, square_a = 0, square_b = 0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    if (!a[i].defined() || !b[i].defined()) continue;
    const auto dot = [](const at::Tensor& x, const at::Tensor& y) {
      return (x * y).sum(at::kDouble).item<double>();
    };
    product += dot(a[i], b[i]);
    square_a += dot(a[i], a[i]);
    square_b += dot(b[i], b[i]);
  }
  return product / (std::sqrt(square_a) * std::sqrt(square_b) + 1e-6);
}

// The architectures that differ in one decision only, by its options; nothing where the decision
// does not matter in 1,000 draws.
std::optional<std::vector<Architecture>> siblings(const SearchSpace& space, DecisionId decision,
                                                  Rng& rng) {
  for (int draw = 0; draw < 1000; ++draw) {
    const Architecture a = sample_uniform(space, rng);
    std::vector<Architecture> result;
    for (std::uint32_t option = 0; option < space.choice_counts()[decision]; ++option) {
      Architecture sibling = a;
      sibling.choices[decision] = option;
      if (!space.valid(sibling) || !space.active(sibling, decision)) break;
      result.push_back(space.canonical(sibling));
    }
    if (result.size() == space.choice_counts()[decision]) return result;
  }
  return std::nullopt;
}

}  // namespace

OptionGroups split_options(const std::vector<std::vector<double>>& distances) {
  const std::size_t n = distances.size();
  assert(n >= 2 && n <= 20);
  OptionGroups best;
  double least = std::numeric_limits<double>::infinity();
  for (std::uint32_t members = 0; members < (1u << n); ++members) {
    if (static_cast<std::size_t>(std::popcount(members)) != n / 2) continue;
    OptionGroups groups;
    double within = 0;
    for (std::uint32_t i = 0; i < n; ++i) {
      const bool in_first = (members >> i & 1) != 0;
      (in_first ? groups.first : groups.second).push_back(i);
      for (std::uint32_t j = 0; j < i; ++j) {
        const bool together = (members >> j & 1) == (members >> i & 1);
        (together ? within : groups.score) += distances[i][j];
      }
    }
    if (within >= least) continue;
    least = within;
    groups.score /= static_cast<double>(groups.first.size() * groups.second.size());
    best = std::move(groups);
  }
  return best;
}

std::vector<std::vector<double>> gradient_distances(Supernet& supernet, const SearchSpace& space,
                                                    DecisionId decision, const Dataset& data,
                                                    const SupernetOptions& options,
                                                    const Rng& rng) {
  const TorchThreads threads(options.train.threads);
  const at::AutoGradMode grad(true);
  const std::size_t n = space.choice_counts()[decision];
  std::vector<std::vector<double>> distances(n, std::vector<double>(n, 0.0));
  std::map<std::string, at::Tensor> before;
  for (const auto& [name, value] : supernet.state()) before.emplace(name, value.clone());
  const Graph& graph = supernet.supergraph().graph();
  const Shape& input = graph.node(graph.input()).shape;
  const SplitView view = data.view(Split::train);
  supernet.train();
  supernet.set_activation_ranges(ActivationRanges::fixed);
  Rng draws = rng.fork("draws");
  int done = 0;
  for (; done < options.split.batches; ++done) {
    const auto architectures = siblings(space, decision, draws);
    if (!architectures) break;
    std::vector<std::uint32_t> indices;
    for (int i = 0; i < options.train.batch_size; ++i) {
      indices.push_back(view.indices[draws.below(view.indices.size())]);
    }
    std::vector<Gradients> gradients;
    const auto number = static_cast<std::uint64_t>(done);
    const Rng augmentation = draws.fork(number);
    for (const Architecture& a : *architectures) {
      const ImageTransform transform(data, {input[1].at(a.choices), input[2].at(a.choices)},
                                     options.train.augmentation);
      Rng same = augmentation;
      const Batch batch = moved(make_batch(transform, *view.images, indices, same), supernet);
      supernet.zero_grad();
      supernet.seed(rng.fork("dropout").fork(number));  // the same for all
      cross_entropy(supernet.forward(batch.images, a), batch.labels, options.train.label_smoothing)
          .backward();
      Gradients& of_option = gradients.emplace_back();
      for (const auto& [name, parameter] : supernet.parameters()) {
        of_option.push_back(parameter.grad());
      }
    }
    for (std::size_t i = 0; i < n; ++i) {
      for (std::size_t j = 0; j < i; ++j) {
        distances[i][j] += 1 - cosine(gradients[i], gradients[j]);
      }
    }
  }
  for (std::size_t i = 0; i < n && done > 0; ++i) {
    for (std::size_t j = 0; j < i; ++j) {
      distances[i][j] /= done;
      distances[j][i] = distances[i][j];
    }
  }
  supernet.zero_grad();
  supernet.set_activation_ranges(ActivationRanges::learned);
  supernet.load_state(before);
  return distances;
}

}  // namespace espalier
