#include "predictors/encoder_decoder.hpp"

#include <torch/autograd.h>
#include <torch/optim.h>

// Needs the types of those above.
#include <torch/nn/utils/clip_grad.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <numeric>
#include <tuple>
#include <utility>

#include "core/error.hpp"
#include "predictors/encoder_decoder_network.hpp"

namespace espalier {
namespace {

constexpr std::size_t together = 1024;

// {n, decisions}, of symbols that are numbered through all decisions.
at::Tensor tensor_of(std::span<const EncoderDecoder::Sequence> sequences,
                     const std::vector<std::int64_t>& begins) {
  const auto n = static_cast<std::int64_t>(sequences.size());
  at::Tensor result = at::empty({n, static_cast<std::int64_t>(begins.size())}, at::kLong);
  std::int64_t* its = result.data_ptr<std::int64_t>();
  for (const EncoderDecoder::Sequence& sequence : sequences) {
    for (std::size_t d = 0; d < begins.size(); ++d) {
      *its++ = begins[d] + static_cast<std::int64_t>(sequence[d]);
    }
  }
  return result;
}

}  // namespace

EncoderDecoderNetwork::EncoderDecoderNetwork(std::int64_t width,
                                             std::span<const std::uint32_t> symbols, const Rng& rng,
                                             at::ScalarType type)
    : weights(rng, type) {
  std::int64_t all = 0;
  for (const std::uint32_t count : symbols) {
    begins.push_back(all);
    counts.push_back(count);
    all += count;
  }
  embedding = weights.uniform({all + 1, width}, 1 / std::sqrt(static_cast<double>(width)));
  encoder_read = Linear(weights, width, 4 * width);
  encoder_state = Linear(weights, width, 4 * width);
  decoder_read = Linear(weights, width, 4 * width);
  decoder_state = Linear(weights, width, 4 * width);
  attended = Linear(weights, 2 * width, width);
  choose = Linear(weights, width, all);
  value = Layers(weights, std::array<std::int64_t, 3>{width, hidden, 1}, 0);
}

// The states of an LSTM that reads the symbols {n, decisions}.
at::Tensor EncoderDecoderNetwork::states(const at::Tensor& symbols, const Linear& read,
                                         const Linear& state, at::Tensor held,
                                         at::Tensor cell) const {
  const std::int64_t n = symbols.size(0), count = symbols.size(1);
  const at::Tensor reads = read(embedding.index_select(0, symbols.flatten())).view({n, count, -1});
  std::vector<at::Tensor> all;
  for (std::int64_t d = 0; d < count; ++d) {
    std::tie(held, cell) = lstm_step(reads.select(1, d), state, held, cell);
    all.push_back(held);
  }
  return at::stack(all, 1);
}

at::Tensor EncoderDecoderNetwork::encode(const at::Tensor& symbols) const {
  const at::Tensor zero = at::zeros({symbols.size(0), embedding.size(1)}, embedding.options());
  return of_length_one(states(symbols, encoder_read, encoder_state, zero, zero));
}

at::Tensor EncoderDecoderNetwork::whole(const at::Tensor& outputs) const {
  return of_length_one(outputs.mean(1));
}

at::Tensor EncoderDecoderNetwork::predict(const at::Tensor& outputs) const {
  return value(whole(outputs), nullptr).squeeze(1);
}

at::Tensor EncoderDecoderNetwork::moved(const at::Tensor& outputs, double step) const {
  const torch::AutoGradMode gradients_wanted(true);
  const at::Tensor from = outputs.detach().clone().set_requires_grad(true);
  const at::Tensor gradient = torch::autograd::grad({predict(from).sum()}, {from})[0];
  return of_length_one(outputs.detach() + step * gradient);
}

// {n, k, width}, of k states of the decoder {n, k, width}.
at::Tensor EncoderDecoderNetwork::seen(const at::Tensor& held, const at::Tensor& outputs) const {
  const at::Tensor share = at::softmax(at::bmm(held, outputs.transpose(1, 2)), 2);
  return at::tanh(attended(at::cat({at::bmm(share, outputs), held}, 2)));
}

// {n, symbols of the decision}, of {n, width}.
at::Tensor EncoderDecoderNetwork::scores(std::size_t d, const at::Tensor& seen) const {
  return at::linear(seen, choose.weight.narrow(0, begins[d], counts[d]),
                    choose.bias.narrow(0, begins[d], counts[d]));
}

at::Tensor EncoderDecoderNetwork::first(std::int64_t n) const {
  return at::full({n, 1}, embedding.size(0) - 1, at::kLong);
}

at::Tensor EncoderDecoderNetwork::reconstruction(const at::Tensor& outputs,
                                                 const at::Tensor& symbols) const {
  const at::Tensor start = whole(outputs);
  const at::Tensor before =
      at::cat({first(symbols.size(0)), symbols.narrow(1, 0, symbols.size(1) - 1)}, 1);
  const at::Tensor all = seen(states(before, decoder_read, decoder_state, start, start), outputs);
  at::Tensor entropy = at::zeros({}, outputs.options());
  for (std::size_t d = 0; d < begins.size(); ++d) {
    const auto place = static_cast<std::int64_t>(d);
    entropy = entropy + at::cross_entropy_loss(scores(d, all.select(1, place)),
                                               symbols.select(1, place) - begins[d]);
  }
  return entropy / static_cast<double>(begins.size());
}

at::Tensor EncoderDecoderNetwork::decode(const at::Tensor& outputs) const {
  at::Tensor held = whole(outputs), cell = held;
  at::Tensor before = first(outputs.size(0)).squeeze(1);
  std::vector<at::Tensor> chosen;
  for (std::size_t d = 0; d < begins.size(); ++d) {
    std::tie(held, cell) =
        lstm_step(decoder_read(embedding.index_select(0, before)), decoder_state, held, cell);
    chosen.push_back(scores(d, seen(held.unsqueeze(1), outputs).squeeze(1)).argmax(1));
    before = chosen.back() + begins[d];
  }
  return at::stack(chosen, 1);
}

OptionTable<EncoderDecoderOptions> encoder_decoder_option_table() {
  using Options = EncoderDecoderOptions;
  return OptionTable<Options>("an encoder, a predictor and a decoder of architectures")
      .add("width", &Options::width, "of the states", between(1, 4096))
      .add("epochs", &Options::epochs, "of a training", between(1, 100000))
      .add("batch", &Options::batch, "architectures in one step, at most", at_least(1))
      .add("learning_rate", &Options::learning_rate, "of Adam", greater_than(0))
      .add("prediction_share", &Options::prediction_share,
           "of the loss; the rest is that of reconstruction", between(0, 1));
}

EncoderDecoder::EncoderDecoder(const EncoderDecoderOptions& options,
                               std::vector<std::uint32_t> symbols, const Rng& rng)
    : options_(options), symbols_(std::move(symbols)), rng_(rng) {}
EncoderDecoder::~EncoderDecoder() = default;

void EncoderDecoder::train(std::span<const Sequence> sequences, std::span<const double> values) {
  if (sequences.empty() || sequences.size() != values.size()) {
    throw Error("an encoder and decoder needs at least one sequence, and as many values");
  }
  const OneThread one_thread;
  const torch::AutoGradMode gradients_wanted(true);
  if (!network_) {
    network_ =
        std::make_unique<EncoderDecoderNetwork>(options_.width, symbols_, rng_.fork("weights"));
    const double n = static_cast<double>(values.size());
    center_ = std::accumulate(values.begin(), values.end(), 0.0) / n;
    double square = 0;
    for (const double value : values) square += (value - center_) * (value - center_);
    scale_ = square > 0 ? std::sqrt(square / n) : 1;
  }
  const at::Tensor symbols = tensor_of(sequences, network_->begins);
  std::vector<float> scaled;
  for (const double value : values)
    scaled.push_back(static_cast<float>((value - center_) / scale_));
  const at::Tensor targets = torch::tensor(scaled);
  torch::optim::Adam optimizer(network_->weights.list(),
                               torch::optim::AdamOptions(options_.learning_rate));
  Rng order_rng = rng_.fork("order").fork(trainings_++);
  std::vector<std::int64_t> order(sequences.size());
  std::iota(order.begin(), order.end(), 0);
  const auto batch = static_cast<std::size_t>(options_.batch);
  const std::size_t batches = (order.size() + batch - 1) / batch;
  for (int epoch = 0; epoch < options_.epochs; ++epoch) {
    order_rng.shuffle(order);
    for (std::size_t b = 0; b < batches; ++b) {
      const std::size_t begin = order.size() * b / batches, end = order.size() * (b + 1) / batches;
      const at::Tensor rows = row_tensor(Rows(order).subspan(begin, end - begin));
      const at::Tensor its = symbols.index_select(0, rows);
      const at::Tensor outputs = network_->encode(its);
      const at::Tensor error =
          (network_->predict(outputs) - targets.index_select(0, rows)).square().mean();
      const double share = options_.prediction_share;
      const at::Tensor loss = share * error + (1 - share) * network_->reconstruction(outputs, its);
      optimizer.zero_grad();
      loss.backward();
      torch::nn::utils::clip_grad_norm_(network_->weights.list(), 5.0);
      optimizer.step();
    }
  }
}

std::vector<double> EncoderDecoder::predict(std::span<const Sequence> sequences) const {
  if (!network_) throw Error("an encoder and decoder was asked before it was trained");
  const OneThread one_thread;
  const torch::NoGradGuard no_gradients;
  std::vector<double> values;
  for (std::size_t begin = 0; begin < sequences.size(); begin += together) {
    const auto part = sequences.subspan(begin, std::min(together, sequences.size() - begin));
    const at::Tensor predicted =
        network_->predict(network_->encode(tensor_of(part, network_->begins))).contiguous();
    const float* its = predicted.data_ptr<float>();
    for (std::size_t i = 0; i < part.size(); ++i) {
      values.push_back(center_ + scale_ * static_cast<double>(its[i]));
    }
  }
  return values;
}

std::vector<EncoderDecoder::Sequence> EncoderDecoder::ascend(std::span<const Sequence> sequences,
                                                             double step) const {
  if (!network_) throw Error("an encoder and decoder was asked before it was trained");
  if (sequences.empty()) return {};
  const OneThread one_thread;
  const torch::NoGradGuard no_gradients;
  const at::Tensor outputs =
      network_->moved(network_->encode(tensor_of(sequences, network_->begins)), step);
  const at::Tensor chosen = network_->decode(outputs).contiguous();
  const std::int64_t* its = chosen.data_ptr<std::int64_t>();
  std::vector<Sequence> result(sequences.size());
  for (Sequence& sequence : result) {
    for (std::size_t d = 0; d < symbols_.size(); ++d) {
      sequence.push_back(static_cast<std::uint32_t>(*its++));
    }
  }
  return result;
}

}  // namespace espalier
