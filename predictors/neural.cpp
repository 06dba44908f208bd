#include "predictors/neural.hpp"

#include <ATen/Parallel.h>
#include <torch/optim.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "predictors/score_network.hpp"

namespace espalier {
namespace {

constexpr std::size_t predicted_together = 1024;

std::vector<double> scores_of(const ScoreNetwork& network, std::span<const Features> networks) {
  const at::NoGradGuard no_gradients;
  std::vector<double> scores;
  scores.reserve(networks.size());
  for (std::size_t begin = 0; begin < networks.size(); begin += predicted_together) {
    const auto part =
        networks.subspan(begin, std::min(predicted_together, networks.size() - begin));
    std::vector<std::int64_t> rows(part.size());
    std::iota(rows.begin(), rows.end(), 0);
    at::Tensor its = network.scorer(part)(rows, nullptr).to(at::kDouble);
    // Of a relation, half of how much better a network is as the first of two than as the second:
    // a's score less b's is the mean of "a before b" and the contrary of "b before a".
    if (its.dim() == 2) its = (its.select(1, 0) - its.select(1, 1)) / 2;
    its = its.contiguous();
    scores.insert(scores.end(), its.data_ptr<double>(), its.data_ptr<double>() + its.numel());
  }
  return scores;
}

void train(const ScoreNetwork& network, std::span<const Features> networks,
           std::span<const double> targets, const FitOptions& options, const Rng& rng) {
  const auto& weights = network.weights();
  torch::optim::AdamW optimizer(
      weights,
      torch::optim::AdamWOptions(options.learning_rate).weight_decay(options.weight_decay));
  const at::Tensor values = at::from_blob(const_cast<double*>(targets.data()),
                                          {static_cast<std::int64_t>(targets.size())}, at::kDouble)
                                .to(weights.front().scalar_type());
  const Scorer scorer = network.scorer(networks);
  Rng order_rng = rng.fork("order");
  at::Generator noise = generator_of(rng.fork("noise"));
  std::vector<std::int64_t> order(targets.size());
  std::iota(order.begin(), order.end(), 0);
  const std::size_t batch = static_cast<std::size_t>(options.batch);
  const std::size_t batches = (order.size() + batch - 1) / batch;
  for (int epoch = 0; epoch < options.epochs; ++epoch) {
    order_rng.shuffle(order);
    for (std::size_t b = 0; b < batches; ++b) {
      const std::size_t begin = order.size() * b / batches, end = order.size() * (b + 1) / batches;
      const Rows rows = Rows(order).subspan(begin, end - begin);
      const at::Tensor loss = predictor_loss(options.loss, scorer(rows, &noise),
                                             values.index_select(0, row_tensor(rows)));
      optimizer.zero_grad();
      loss.backward();
      optimizer.step();
    }
  }
}

}  // namespace

OptionTable<FitOptions> fit_option_table(const Named<PredictorLoss>& losses) {
  using Options = FitOptions;
  return OptionTable<Options>("how a neural predictor is trained")
      .add("loss", &Options::loss,
           "what is minimized: squared differences, or what is wrong in the order of each two "
           "networks (hinge, cross_entropy, relation) or of all together (listwise)",
           losses)
      .add("epochs", &Options::epochs, "how often each network is seen", between(1, 100000))
      .add("batch", &Options::batch, "networks in one step, at most", at_least(1))
      .add("learning_rate", &Options::learning_rate, "of Adam", greater_than(0))
      .add("weight_decay", &Options::weight_decay, "share of a weight, times the learning rate",
           at_least(0));
}

NeuralPredictor::NeuralPredictor(const FitOptions& options, Rng rng)
    : options_(options), rng_(rng) {}
NeuralPredictor::~NeuralPredictor() = default;

void NeuralPredictor::fit(std::span<const Features> networks, std::span<const double> values) {
  check_fit_arguments(networks, values);
  const OneThread one_thread;
  const double n = static_cast<double>(values.size());
  const auto moments = [n](std::span<const double> numbers) {
    const double average = std::accumulate(numbers.begin(), numbers.end(), 0.0) / n;
    double square = 0;
    for (const double x : numbers) square += (x - average) * (x - average);
    return std::pair(average, std::sqrt(square / n));
  };
  const auto [center, deviation] = moments(values);
  std::vector<double> targets(values.begin(), values.end());
  for (double& target : targets) target = (target - center) / (deviation > 0 ? deviation : 1);
  auto its = network(networks, rng_.fork("weights"));
  train(*its, networks, targets, options_, rng_);
  network_ = std::move(its);
  center_ = center;
  scale_ = deviation;
  if (options_.loss != PredictorLoss::regression) {
    const auto [score_center, score_deviation] = moments(scores_of(*network_, networks));
    scale_ = score_deviation > 0 ? deviation / score_deviation : 0;
    center_ = center - scale_ * score_center;
  }
}

std::vector<Prediction> NeuralPredictor::predict(std::span<const Features> networks) const {
  check_fitted(network_ != nullptr);
  const OneThread one_thread;
  std::vector<Prediction> predictions;
  predictions.reserve(networks.size());
  for (const double score : scores_of(*network_, networks)) {
    if (!std::isfinite(score)) {
      throw NumericalError("the predictor's scores are not finite: a lower learning_rate may help");
    }
    predictions.push_back({.mean = center_ + scale_ * score});
  }
  return predictions;
}

// Of score_network.hpp.

OneThread::OneThread() : before_(at::get_num_threads()) { at::set_num_threads(1); }
OneThread::~OneThread() { at::set_num_threads(before_); }

at::Generator generator_of(Rng rng) { return at::make_generator<at::CPUGeneratorImpl>(rng.next()); }

at::Tensor row_tensor(Rows rows) {
  return at::from_blob(const_cast<std::int64_t*>(rows.data()),
                       {static_cast<std::int64_t>(rows.size())}, at::kLong)
      .clone();
}

Weights::Weights(Rng rng, at::ScalarType type) : generator_(generator_of(rng)), type_(type) {}

at::Tensor Weights::add(at::Tensor values) {
  list_.push_back(values.to(type_).set_requires_grad(true));
  return list_.back();
}
at::Tensor Weights::uniform(at::IntArrayRef sizes, double bound) {
  return add(at::empty(sizes, at::kDouble).uniform_(-bound, bound, generator_));
}
at::Tensor Weights::normal(at::IntArrayRef sizes) {
  return add(at::empty(sizes, at::kDouble).normal_(0, 1, generator_));
}
at::Tensor Weights::constant(at::IntArrayRef sizes, double value) {
  return add(at::full(sizes, value, at::kDouble));
}

Linear::Linear(Weights& weights, std::int64_t in, std::int64_t out) {
  const double bound = 1 / std::sqrt(static_cast<double>(std::max<std::int64_t>(in, 1)));
  weight = weights.uniform({out, in}, bound);
  bias = weights.uniform({out}, bound);
}
at::Tensor Linear::operator()(const at::Tensor& x) const { return at::linear(x, weight, bias); }

Layers::Layers(Weights& weights, std::span<const std::int64_t> widths, double drops)
    : dropout(drops) {
  for (std::size_t i = 0; i + 1 < widths.size(); ++i) {
    linear.emplace_back(weights, widths[i], widths[i + 1]);
  }
}
at::Tensor Layers::operator()(at::Tensor x, at::Generator* generator) const {
  for (std::size_t i = 0; i < linear.size(); ++i) {
    x = linear[i](x);
    if (i + 1 < linear.size()) x = dropped(at::relu(x), dropout, generator);
  }
  return x;
}

std::pair<at::Tensor, at::Tensor> lstm_step(const at::Tensor& read, const Linear& state,
                                            const at::Tensor& held, const at::Tensor& cell) {
  const auto gates = (read + state(held)).chunk(4, 1);
  const at::Tensor next = at::sigmoid(gates[1]) * cell + at::sigmoid(gates[0]) * at::tanh(gates[2]);
  return {at::sigmoid(gates[3]) * at::tanh(next), next};
}

at::Tensor of_length_one(const at::Tensor& x) {
  return x / x.square().sum(-1, /*keepdim=*/true).sqrt().clamp_min(1e-12);
}

at::Tensor dropped(const at::Tensor& x, double probability, at::Generator* generator) {
  if (generator == nullptr || probability == 0) return x;
  const at::Tensor kept = at::empty_like(x).bernoulli_(1 - probability, *generator);
  return x * kept / (1 - probability);
}

}  // namespace espalier
