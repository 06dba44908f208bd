#include "predictors/lstm.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <tuple>

#include "core/error.hpp"
#include "predictors/lstm_network.hpp"

namespace espalier {
namespace {

constexpr std::int64_t hidden = 200;  // of the layers that score
constexpr double head_dropout = 0.1;

}  // namespace

LstmNetwork::LstmNetwork(std::int64_t width, std::span<const Features> networks, Rng rng,
                         at::ScalarType type)
    : count_(static_cast<std::int64_t>(networks[0].choices.size())), weights_(rng, type) {
  if (count_ == 0) throw Error("a predictor that reads choices was given a network without any");
  std::uint32_t most = 0;
  for (const Features& network : networks) {
    for (const std::uint32_t choice : network.choices) most = std::max(most, choice);
  }
  seen_.resize(std::size_t{most} + 1);
  for (const Features& network : networks) {
    for (const std::uint32_t choice : network.choices) seen_[choice] = true;
  }
  choices = weights_.normal({std::int64_t{most} + 2, embedding_width});
  decisions = weights_.normal({count_, embedding_width});
  read = Linear(weights_, 2 * embedding_width, 4 * width);
  state = Linear(weights_, width, 4 * width);
  head =
      Layers(weights_, std::array<std::int64_t, 5>{width, hidden, hidden, hidden, 1}, head_dropout);
  const at::NoGradGuard no_gradients;
  choices[choices.size(0) - 1].zero_();
}

at::Tensor LstmNetwork::embed(const at::Tensor& chosen) const {
  const std::int64_t n = chosen.size(0), width = state.weight.size(1);
  const at::Tensor first = read.weight.narrow(1, 0, embedding_width);
  const at::Tensor second = read.weight.narrow(1, embedding_width, embedding_width);
  // What each choice and each decision add to the gates.
  const at::Tensor by_choice = at::matmul(choices, first.t());
  const at::Tensor by_decision = at::linear(decisions, second, read.bias);
  at::Tensor held = at::zeros({n, width}, choices.options());
  at::Tensor cell = held, sum = held;
  for (std::int64_t d = 0; d < count_; ++d) {
    std::tie(held, cell) = lstm_step(
        by_choice.index_select(0, chosen.select(1, d)) + by_decision[d], state, held, cell);
    sum = sum + of_length_one(held);
  }
  return of_length_one(sum);
}

Scorer LstmNetwork::scorer(std::span<const Features> networks) const {
  const std::int64_t unseen = choices.size(0) - 1;
  at::Tensor chosen = at::empty({static_cast<std::int64_t>(networks.size()), count_}, at::kLong);
  std::int64_t* its = chosen.data_ptr<std::int64_t>();
  for (const Features& network : networks) {
    if (network.choices.size() != static_cast<std::size_t>(count_)) {
      throw Error(fmt::format("a network has {} choices as features; the others have {}",
                              network.choices.size(), count_));
    }
    for (const std::uint32_t choice : network.choices) {
      *its++ = choice < seen_.size() && seen_[choice] ? choice : unseen;
    }
  }
  return [this, chosen](Rows rows, at::Generator* generator) {
    return head(embed(chosen.index_select(0, row_tensor(rows))), generator).squeeze(1);
  };
}

OptionTable<LstmOptions> lstm_option_table() {
  using Options = LstmOptions;
  return OptionTable<Options>("an LSTM over the decisions of a network")
      .add("width", &Options::width, "of its state", between(1, 4096))
      .beside(&Options::fit, fit_option_table());
}

LstmPredictor::LstmPredictor(const LstmOptions& options, Rng rng)
    : NeuralPredictor(options.fit, rng), options_(options) {
  lstm_option_table().validate(options);
}
std::unique_ptr<ScoreNetwork> LstmPredictor::network(std::span<const Features> networks,
                                                     Rng rng) const {
  return std::make_unique<LstmNetwork>(options_.width, networks, rng);
}

}  // namespace espalier
