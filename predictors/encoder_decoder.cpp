#include "predictors/encoder_decoder.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <numeric>
#include <utility>

#include "core/error.hpp"
#include "predictors/score_network.hpp"

namespace espalier {
namespace {

constexpr std::int64_t hidden = 200;  // of the layers that predict
constexpr std::size_t together = 1024;

at::Tensor of_length_one(const at::Tensor& x) {
  return x / x.square().sum(-1, /*keepdim=*/true).sqrt().clamp_min(1e-12);
}

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

struct EncoderDecoder::Network {
  Network(std::int64_t width, const std::vector<std::uint32_t>& symbols, const Rng& rng)
      : weights(rng) {
    std::int64_t all = 0;
    for (const std::uint32_t count : symbols) {
      begins.push_back(all);
      counts.push_back(count);
      all += count;
    }
    const double bound = 1 / std::sqrt(static_cast<double>(width));
    // The last row stands before the first symbol of the decoder.
    embedding = weights.uniform({all + 1, width}, bound);
    encoder_read = Linear(weights, width, 4 * width);
    encoder_state = Linear(weights, width, 4 * width);
    decoder_read = Linear(weights, width, 4 * width);
    decoder_state = Linear(weights, width, 4 * width);
    attended = Linear(weights, 2 * width, width);
    choose = Linear(weights, width, all);
    value = Layers(weights, std::array<std::int64_t, 3>{width, hidden, 1}, 0);
  }

  static std::pair<at::Tensor, at::Tensor> lstm(const Linear& read, const Linear& state,
                                                const at::Tensor& x, const at::Tensor& held,
                                                const at::Tensor& cell) {
    const auto gates = (read(x) + state(held)).chunk(4, 1);
    const at::Tensor next =
        at::sigmoid(gates[1]) * cell + at::sigmoid(gates[0]) * at::tanh(gates[2]);
    return {at::sigmoid(gates[3]) * at::tanh(next), next};
  }

  // {n, decisions, width}.
  at::Tensor encode(const at::Tensor& symbols) const {
    at::Tensor held = at::zeros({symbols.size(0), embedding.size(1)}, embedding.options());
    at::Tensor cell = held;
    std::vector<at::Tensor> outputs;
    for (std::size_t d = 0; d < begins.size(); ++d) {
      const at::Tensor x = embedding.index_select(0, symbols.select(1, static_cast<int64_t>(d)));
      std::tie(held, cell) = lstm(encoder_read, encoder_state, x, held, cell);
      outputs.push_back(of_length_one(held));
    }
    return at::stack(outputs, 1);
  }
  static at::Tensor whole(const at::Tensor& outputs) { return of_length_one(outputs.mean(1)); }
  at::Tensor predicted(const at::Tensor& outputs) const {
    return value(whole(outputs), nullptr).squeeze(1);
  }

  // Calls `choice` with each decision and the scores {n, its symbols}; it returns the symbols {n},
  // numbered through all, that go before the next decision.
  template <class Choice>
  void decode(const at::Tensor& outputs, Choice choice) const {
    const std::int64_t n = outputs.size(0);
    at::Tensor held = whole(outputs), cell = held;
    at::Tensor before = at::full({n}, embedding.size(0) - 1, at::kLong);
    for (std::size_t d = 0; d < begins.size(); ++d) {
      std::tie(held, cell) =
          lstm(decoder_read, decoder_state, embedding.index_select(0, before), held, cell);
      const at::Tensor share = at::softmax(at::bmm(outputs, held.unsqueeze(2)), 1);
      const at::Tensor context = (share * outputs).sum(1);
      const at::Tensor seen = at::tanh(attended(at::cat({context, held}, 1)));
      before = choice(d, at::linear(seen, choose.weight.narrow(0, begins[d], counts[d]),
                                    choose.bias.narrow(0, begins[d], counts[d])));
    }
  }

  Weights weights;
  std::vector<std::int64_t> begins, counts;  // of each decision's symbols among all
  at::Tensor embedding;
  Linear encoder_read, encoder_state, decoder_read, decoder_state, attended, choose;
  Layers value;
};

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
    network_ = std::make_unique<Network>(options_.width, symbols_, rng_.fork("weights"));
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
          (network_->predicted(outputs) - targets.index_select(0, rows)).square().mean();
      at::Tensor entropy = at::zeros({}, error.options());
      network_->decode(outputs, [&](std::size_t d, const at::Tensor& scores) {
        const at::Tensor given = its.select(1, static_cast<std::int64_t>(d));
        entropy = entropy + at::cross_entropy_loss(scores, given - network_->begins[d]);
        return given;
      });
      const double share = options_.prediction_share;
      const at::Tensor loss =
          share * error + (1 - share) * entropy / static_cast<double>(symbols_.size());
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
        network_->predicted(network_->encode(tensor_of(part, network_->begins))).contiguous();
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
  at::Tensor outputs;
  {
    const torch::NoGradGuard no_gradients;
    outputs = network_->encode(tensor_of(sequences, network_->begins));
  }
  {
    const torch::AutoGradMode gradients_wanted(true);
    const at::Tensor moved = outputs.clone().set_requires_grad(true);
    const at::Tensor sum = network_->predicted(moved).sum();
    outputs = outputs + step * torch::autograd::grad({sum}, {moved})[0];
  }
  const torch::NoGradGuard no_gradients;
  std::vector<Sequence> result(sequences.size());
  network_->decode(outputs, [&](std::size_t d, const at::Tensor& scores) {
    const at::Tensor chosen = scores.argmax(1).contiguous();
    const std::int64_t* its = chosen.data_ptr<std::int64_t>();
    for (std::size_t i = 0; i < result.size(); ++i) {
      result[i].push_back(static_cast<std::uint32_t>(its[i]));
    }
    return chosen + network_->begins[d];
  });
  return result;
}

}  // namespace espalier
