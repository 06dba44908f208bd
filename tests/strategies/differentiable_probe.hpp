// Small relaxations in float64, and a look inside of differentiable strategies.
#pragma once

#include <ATen/ATen.h>
#include <gtest/gtest.h>
#include <torch/autograd.h>

#include <array>
#include <cmath>
#include <functional>
#include <memory>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "core/error.hpp"
#include "graph/cost.hpp"
#include "nets/supernet.hpp"
#include "search_spaces/cell_blocks.hpp"
#include "search_spaces/darts.hpp"
#include "search_spaces/nasbench201.hpp"
#include "strategies/differentiable_search.hpp"
#include "tests/core/temporary_directory.hpp"
#include "tests/strategies/fake_training.hpp"
#include "tests/training/images.hpp"
#include "training/losses.hpp"
#include "training/step_training.hpp"

namespace espalier {

inline std::shared_ptr<const SearchSpace> small_cells() {
  return make_nasbench201({.input = {1, 8, 8}, .classes = 4, .channels = 4, .cells = 1});
}
/// Whose nodes choose their inputs.
inline std::shared_ptr<const SearchSpace> small_darts() {
  return make_darts({.input = {1, 8, 8}, .classes = 4, .channels = 4, .layers = 3});
}
/// Choices in a row between operators: for what takes many epochs.
inline std::shared_ptr<const SearchSpace> choices_in_a_row(
    int count,
    const std::vector<std::string>& operators = {"nor_conv_3x3", "avg_pool_3x3", "skip_connect"}) {
  SupergraphBuilder b;
  NodeId x = b.conv(b.input(1, 8, 8), 4, {.kernel = 3});
  for (int i = 0; i < count; ++i) {
    const std::string name = "choice" + std::to_string(i);
    const auto scope = b.scope(name);
    std::vector<NodeId> options;
    for (const std::string& option : operators) {
      options.push_back(option == "skip_connect" ? x
                        : option == "avg_pool_3x3"
                            ? b.avg_pool(x, {.kernel = 3, .stride = 1}, option)
                            : relu_conv_bn(b, x, 4, option == "nor_conv_3x3" ? 3 : 1, 1, option));
    }
    x = b.choice(b.decide({.name = name, .options = operators}), options);
  }
  const auto scope = b.scope("head");
  x = b.activation(b.batch_norm(x), ActivationKind::relu);
  b.output(b.linear(b.flatten(b.global_avg_pool(x)), 4));
  return std::make_shared<SupergraphSpace>(b.finish());
}

/// Two of three inputs, which do not end with operators to be chosen.
inline std::shared_ptr<const SearchSpace> two_of_three() {
  SupergraphBuilder b;
  const NodeId x = b.input(1, 8, 8);
  std::vector<NodeId> inputs;
  for (const int kernel : {1, 3, 5}) {
    const auto scope = b.scope("k" + std::to_string(kernel));
    inputs.push_back(b.conv(x, 4, {.kernel = kernel}));
  }
  const DecisionId d = b.decide({.name = "inputs", .options = {"1", "3", "5"}, .pick = 2});
  b.output(b.linear(b.flatten(b.global_avg_pool(b.choice(d, inputs))), 4));
  return std::make_shared<SupergraphSpace>(b.finish());
}

/// Two of three inputs, of which one ends with no operator to be chosen; the last decision.
inline std::shared_ptr<const SearchSpace> two_of_three_beside_a_choice() {
  SupergraphBuilder b;
  const NodeId x = b.conv(b.input(1, 8, 8), 4, {.kernel = 3});
  std::vector<NodeId> inputs{x};
  for (const char* const name : {"a", "b"}) {
    const auto scope = b.scope(name);
    const std::array options{x, relu_conv_bn(b, x, 4, 3, 1, "three")};
    inputs.push_back(
        b.choice(b.decide({.name = name, .options = {"skip_connect", "three"}}), options));
  }
  const NodeId sum =
      b.choice(b.decide({.name = "inputs", .options = {"x", "a", "b"}, .pick = 2}), inputs);
  b.output(b.linear(b.flatten(b.global_avg_pool(sum)), 4));
  return std::make_shared<SupergraphSpace>(b.finish());
}

/// With "macs" as a cost.
inline RunContext with_macs(const RunContext& context) {
  RunContext result = context;
  result.cost_parts = [](const std::string& metric) -> CostParts {
    if (metric != "macs") throw UnsupportedError("no sum: " + metric);
    return [](const Graph& graph) {
      std::vector<CostPart> parts;
      for (NodeId id = 0; id < graph.size(); ++id) {
        parts.push_back({graph.node(id).scope, static_cast<double>(node_macs(graph, id))});
      }
      return parts;
    };
  };
  return result;
}

/// What a strategy trains, with a fifth of the images held out.
struct SmallSearch {
  explicit SmallSearch(std::shared_ptr<const SearchSpace> given, int epochs = 2,
                       std::int64_t images = 200)
      : space(std::move(given)),
        net(*space->supergraph(), {.dtype = at::kDouble}),
        training(make_shared_training(
            net, space, small_data(images),
            {.train = {.epochs = epochs, .batch_size = 20, .learning_rate = 0.05},
             .rule = RuleKind::strategy})),
        context(sharing_context(space, training, accuracy_goal())) {}

  std::shared_ptr<const SearchSpace> space;
  Supernet net;
  std::shared_ptr<SharedTraining> training;
  RunContext context;
};

/// The candidate of the next epoch, which is told an accuracy.
inline Candidate one_epoch(Strategy& search) {
  const std::vector<Candidate> asked = search.ask(1);
  if (asked.size() != 1) throw std::logic_error("an epoch is one candidate");
  search.tell(accuracy_trial(asked[0], 30));
  return asked[0];
}
inline std::vector<Candidate> all_epochs(Strategy& search) {
  std::vector<Candidate> all;
  while (!search.finished()) all.push_back(one_epoch(search));
  return all;
}

/// What notes say of it.
inline double number(const Notes& notes, const std::string& name) {
  for (const auto& [own, value] : notes.numbers) {
    if (own == name) return value;
  }
  ADD_FAILURE() << "no " << name;
  return 0;
}

template <class S>
struct Running {
  std::shared_ptr<SmallSearch> small;  // or what derives from it
  std::unique_ptr<S> search;
};
template <class S, class Options>
Running<S> running(std::shared_ptr<SmallSearch> small, const Options& options) {
  auto search = std::make_unique<S>(small->context, options);
  return {std::move(small), std::move(search)};
}

/// All epochs of a search whose place another one takes after `stop` of them, by a snapshot;
/// `carry` hands on what a test has added to it.
template <class S>
std::vector<Candidate> epochs_through_a_snapshot(
    const std::function<Running<S>()>& begin, std::size_t stop,
    const std::function<void(const S& from, S& to)>& carry = {}) {
  const TemporaryDirectory directory;
  Running<S> running = begin();
  std::vector<Candidate> all;
  while (!running.search->finished()) {
    if (all.size() == stop) {
      EXPECT_TRUE(running.search->save(directory.path()));
      Running<S> next = begin();
      next.search->load(directory.path());
      if (carry) carry(*running.search, *next.search);
      running.search = std::move(next.search);
      running.small = std::move(next.small);
    }
    all.push_back(one_epoch(*running.search));
  }
  return all;
}

template <class S>
class Probe : public S {
 public:
  using S::accuracy;
  using S::alive;
  using S::architecture_gradient;
  using S::architecture_loss;
  using S::architecture_penalty;
  using S::cost_weights;
  using S::derivable;
  using S::descend;
  using S::end_epoch;
  using S::expected_weights;
  using S::forward;
  using S::keep;
  using S::learn_architecture;
  using S::learn_weights;
  using S::logits;
  using S::parameters;
  using S::pass;
  using S::relaxed;
  using S::S;
  using S::sampled;
  using S::trained_weights;
  using S::warmup_epochs;
  using typename S::Part;
  using typename S::Pass;

  Pass pass_of(int epoch, int epochs, std::uint64_t seed = 7,
               Part part = Part::architecture) const {
    return {part, epoch, epochs, Rng(seed)};
  }
  /// Other numbers than those at the beginning.
  void spread(std::uint64_t seed = 3, double deviation = 0.7) {
    const at::NoGradGuard no_grad;
    Rng rng(seed);
    at::Tensor values = parameters().values();
    for (std::int64_t i = 0; i < values.numel(); ++i) values[i] = deviation * rng.normal();
  }
  /// Position of an option among all numbers.
  std::int64_t place(std::size_t d, std::size_t option) const {
    std::int64_t before = 0;
    for (std::size_t i = 0; i < d; ++i) {
      before += S::parameters().part(S::parameters().values(), i).numel();
    }
    return before + static_cast<std::int64_t>(option);
  }
};

inline Batch small_batch(std::uint64_t seed = 11) {
  Rng rng(seed);
  Batch batch{at::empty({6, 1, 8, 8}, at::kDouble), at::empty({6}, at::kLong)};
  for (std::int64_t i = 0; i < batch.images.numel(); ++i) {
    batch.images.data_ptr<double>()[i] = rng.normal();
  }
  for (std::int64_t i = 0; i < 6; ++i) batch.labels[i] = static_cast<std::int64_t>(rng.below(4));
  return batch;
}

/// Central differences of a function of some of a leaf's numbers; NaN for the others.
inline at::Tensor numeric_gradient(const std::function<double()>& value, const at::Tensor& leaf,
                                   std::int64_t every = 1) {
  constexpr double step = 1e-5;
  const at::NoGradGuard no_grad;
  at::Tensor values = leaf, result = at::full_like(leaf, std::nan(""));
  for (std::int64_t i = 0; i < values.numel(); i += every) {
    const double before = values[i].item<double>();
    values[i] = before + step;
    const double up = value();
    values[i] = before - step;
    const double down = value();
    values[i] = before;
    result[i] = (up - down) / (2 * step);
  }
  return result;
}

/// The architecture's gradient, penalties included, and some of the weights', of one pass.
template <class S>
void expect_exact_gradients(SmallSearch& small, Probe<S>& search, typename Probe<S>::Pass pass) {
  small.net.train();
  const Batch batch = small_batch();
  const auto loss = [&] {
    const at::Tensor value =
        cross_entropy(search.forward(batch, search.relaxed(pass)), batch.labels, 0);
    const at::Tensor penalty = search.architecture_penalty();
    return penalty.defined() ? value + penalty : value;
  };
  const at::Tensor alpha = search.parameters().values();
  const at::Tensor got = torch::autograd::grad({loss()}, {alpha}, {})[0];
  const at::Tensor wanted = numeric_gradient([&] { return loss().template item<double>(); }, alpha,
                                             1 + alpha.numel() / 40);
  EXPECT_LT((got - wanted).nan_to_num().abs().max().template item<double>(), 1e-6);
  EXPECT_GT(wanted.nan_to_num().abs().max().template item<double>(), 1e-4);

  int checked = 0;
  for (const auto& [name, weight] : small.net.parameters()) {
    if (!name.ends_with(".weight") || weight.dim() < 2 || ++checked % 16 != 0) continue;
    const at::Tensor of_weight =
        torch::autograd::grad({loss()}, {weight}, {}, c10::nullopt, false, true)[0];
    const at::NoGradGuard no_grad;
    const auto first_of = [](at::Tensor t) {
      while (t.defined() && t.dim() > 0) t = t.select(0, 0);
      return t;
    };
    at::Tensor first = first_of(weight);
    const double before = first.template item<double>();
    const auto at_first = [&](double value) {
      first.fill_(value);
      return loss().template item<double>();
    };
    const double numeric = (at_first(before + 1e-5) - at_first(before - 1e-5)) / 2e-5;
    at_first(before);
    const at::Tensor exact = first_of(of_weight);
    EXPECT_NEAR(exact.defined() ? exact.template item<double>() : 0, numeric, 1e-6) << name;
  }
  EXPECT_GT(checked, 16);
}

}  // namespace espalier
