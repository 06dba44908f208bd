#include "predictors/encoder_decoder.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "core/error.hpp"
#include "core/stats.hpp"
#include "predictors/encoder_decoder_network.hpp"

namespace espalier {
namespace {

using Sequence = EncoderDecoder::Sequence;

// Sequences of 5 symbols of 4 each, and their weighted sums.
struct Problem {
  explicit Problem(std::size_t count) {
    Rng rng(1);
    for (std::size_t i = 0; i < count; ++i) {
      Sequence& sequence = sequences.emplace_back();
      for (int d = 0; d < 5; ++d) sequence.push_back(static_cast<std::uint32_t>(rng.below(4)));
      values.push_back(value_of(sequence));
    }
  }
  static double value_of(const Sequence& sequence) {
    double value = 0;
    for (std::size_t d = 0; d < sequence.size(); ++d) {
      value += static_cast<double>(sequence[d] * (1 + d % 2));
    }
    return value;
  }
  std::vector<Sequence> sequences;
  std::vector<double> values;
};

const std::vector<std::uint32_t> symbols(5, 4);
const EncoderDecoderOptions quick{.width = 32, .epochs = 150, .batch = 50, .learning_rate = 5e-3};

using Numbers = std::vector<double>;

Numbers numbers(const at::Tensor& t) {
  const at::Tensor whole = t.detach().contiguous();
  return {whole.data_ptr<double>(), whole.data_ptr<double>() + whole.numel()};
}
Numbers times(const Linear& linear, const Numbers& x) {
  const Numbers weight = numbers(linear.weight);
  Numbers result = numbers(linear.bias);
  for (std::size_t i = 0; i < result.size(); ++i) {
    for (std::size_t j = 0; j < x.size(); ++j) result[i] += weight[i * x.size() + j] * x[j];
  }
  return result;
}
Numbers unit(Numbers x) {
  double square = 0;
  for (const double v : x) square += v * v;
  for (double& v : x) v /= std::sqrt(square);
  return x;
}
double dot(const Numbers& a, const Numbers& b) {
  return std::inner_product(a.begin(), a.end(), b.begin(), 0.0);
}
void lstm(const Linear& read, const Linear& state, const Numbers& x, Numbers& held, Numbers& cell) {
  const auto sigmoid = [](double v) { return 1 / (1 + std::exp(-v)); };
  const Numbers a = times(read, x), b = times(state, held);
  const std::size_t width = held.size();
  for (std::size_t i = 0; i < width; ++i) {
    const auto gate = [&](std::size_t g) { return a[g * width + i] + b[g * width + i]; };
    cell[i] = sigmoid(gate(1)) * cell[i] + sigmoid(gate(0)) * std::tanh(gate(2));
    held[i] = sigmoid(gate(3)) * std::tanh(cell[i]);
  }
}

TEST(EncoderDecoder, IsThePublishedNetwork) {
  constexpr std::size_t width = 4;
  const std::vector<std::uint32_t> counts{2, 3, 3};
  const EncoderDecoderNetwork network(width, counts, Rng(4), at::kDouble);
  const std::vector<std::int64_t> given{1, 2, 6};  // through all: 2, 3 and 3 symbols
  const at::Tensor sequence = at::tensor(given, at::kLong).view({1, 3});
  const auto embedded = [&](std::int64_t symbol) { return numbers(network.embedding[symbol]); };
  const at::Tensor outputs = network.encode(sequence);
  Numbers held(width), cell(width);
  for (std::int64_t d = 0; d < 3; ++d) {
    lstm(network.encoder_read, network.encoder_state, embedded(given[static_cast<std::size_t>(d)]),
         held, cell);
    EXPECT_THAT(numbers(outputs[0][d]), testing::Pointwise(testing::DoubleNear(1e-12), unit(held)));
  }
  // One step up the gradient, by finite differences; vectors have length 1 again.
  const double step = 20;
  const at::Tensor moved = network.moved(outputs, step);
  std::vector<Numbers> vectors;
  for (std::int64_t d = 0; d < 3; ++d) {
    Numbers vector = numbers(outputs[0][d]);
    for (std::size_t i = 0; i < width; ++i) {
      const auto predicted = [&](double change) {
        const at::Tensor other = outputs.detach().clone();
        other[0][d][static_cast<std::int64_t>(i)] += change;
        return network.predict(other).item<double>();
      };
      vector[i] += step * (predicted(1e-6) - predicted(-1e-6)) / 2e-6;
    }
    vectors.push_back(unit(vector));
    EXPECT_THAT(numbers(moved[0][d]),
                testing::Pointwise(testing::DoubleNear(1e-6), vectors.back()));
  }
  // Decoded: an LSTM that begins with the mean, and attends.
  Numbers mean(width);
  for (const Numbers& vector : vectors) {
    for (std::size_t i = 0; i < width; ++i) mean[i] += vector[i];
  }
  const auto decoded = [&](const std::vector<std::int64_t>* forced, double* entropy) {
    Numbers state = unit(mean), memory = state;
    std::int64_t before = 8;  // the last row
    std::vector<std::int64_t> chosen;
    std::int64_t begin = 0;
    for (std::size_t d = 0; d < 3; ++d) {
      lstm(network.decoder_read, network.decoder_state, embedded(before), state, memory);
      Numbers share, context(width);
      for (const Numbers& vector : vectors) share.push_back(std::exp(dot(vector, state)));
      const double sum = std::accumulate(share.begin(), share.end(), 0.0);
      for (std::size_t v = 0; v < 3; ++v) {
        for (std::size_t i = 0; i < width; ++i) context[i] += share[v] / sum * vectors[v][i];
      }
      context.insert(context.end(), state.begin(), state.end());
      Numbers seen = times(network.attended, context);
      for (double& v : seen) v = std::tanh(v);
      const Numbers all = times(network.choose, seen);
      const Numbers scores(all.begin() + begin, all.begin() + begin + counts[d]);
      const auto best = std::ranges::max_element(scores) - scores.begin();
      chosen.push_back(best);
      const std::int64_t its = forced != nullptr ? (*forced)[d] - begin : best;
      double exponentials = 0;
      for (const double score : scores) exponentials += std::exp(score);
      if (entropy != nullptr) {
        *entropy += (std::log(exponentials) - scores[static_cast<std::size_t>(its)]) / 3;
      }
      before = begin + its;
      begin += counts[d];
    }
    return chosen;
  };
  const at::Tensor chosen = network.decode(moved);
  const auto wanted = decoded(nullptr, nullptr);
  for (std::int64_t d = 0; d < 3; ++d) {
    EXPECT_EQ(chosen[0][d].item<std::int64_t>(), wanted[static_cast<std::size_t>(d)]);
  }
  double entropy = 0;
  decoded(&given, &entropy);
  EXPECT_NEAR(network.reconstruction(moved, sequence).item<double>(), entropy, 1e-6);
}

TEST(EncoderDecoder, AscendsAndDecodes) {
  const Problem problem(200);
  EncoderDecoder model(quick, symbols, Rng(3));
  model.train(problem.sequences, problem.values);
  EXPECT_GT(kendall_tau_b(model.predict(problem.sequences), problem.values), 0.8);
  // Without a step, what is decoded is what was encoded.
  const std::vector<Sequence> same = model.ascend(problem.sequences, 0);
  int right = 0;
  for (std::size_t i = 0; i < same.size(); ++i) right += same[i] == problem.sequences[i];
  EXPECT_GT(right, 180);
  // With small steps, values rise.
  double before = 0, after = 0;
  const std::vector<Sequence> better = model.ascend(problem.sequences, 1);
  for (std::size_t i = 0; i < better.size(); ++i) {
    before += problem.values[i] / 200;
    after += Problem::value_of(better[i]) / 200;
    for (const std::uint32_t symbol : better[i]) EXPECT_LT(symbol, 4u);
  }
  EXPECT_GT(after, before + 1);
}

TEST(EncoderDecoder, IsAFunctionOfItsGenerator) {
  const Problem problem(20);
  const auto predicted = [&](std::uint64_t seed) {
    EncoderDecoder model({.width = 8, .epochs = 3}, symbols, Rng(seed));
    model.train(problem.sequences, problem.values);
    model.train(problem.sequences, problem.values);
    return model.predict(problem.sequences);
  };
  EXPECT_EQ(predicted(1), predicted(1));
  EXPECT_NE(predicted(1), predicted(2));
}

TEST(EncoderDecoder, TrainsOnFromItsWeights) {
  const Problem problem(50);
  EncoderDecoder model(quick, symbols, Rng(3));
  const auto error = [&] {
    const auto predicted = model.predict(problem.sequences);
    double sum = 0;
    for (std::size_t i = 0; i < predicted.size(); ++i) {
      sum += (predicted[i] - problem.values[i]) * (predicted[i] - problem.values[i]);
    }
    return sum;
  };
  model.train(problem.sequences, problem.values);
  const double once = error();
  model.train(problem.sequences, problem.values);
  EXPECT_LT(error(), once);
}

TEST(EncoderDecoder, RefusesWhatItCannotDo) {
  EncoderDecoder model({}, symbols, Rng(1));
  const Problem problem(2);
  EXPECT_THROW(model.predict(problem.sequences), Error);
  EXPECT_THROW(model.ascend(problem.sequences, 1), Error);
  EXPECT_THROW(model.train({}, {}), Error);
  EXPECT_THROW(model.train(problem.sequences, std::vector<double>{1}), Error);
  EXPECT_THROW(encoder_decoder_option_table().read({{"width", 0}}, ""), ConfigError);
  EXPECT_THROW(encoder_decoder_option_table().read({{"prediction_share", 1.1}}, ""), ConfigError);
}

}  // namespace
}  // namespace espalier
