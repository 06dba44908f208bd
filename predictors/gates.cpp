#include "predictors/gates.hpp"

#include <array>
#include <cmath>

#include "predictors/gates_network.hpp"

namespace espalier {
namespace {

constexpr std::int64_t head_width = 200;  // of the layers that score
constexpr double head_dropout = 0.1;
constexpr double update_scale = 0.1;
constexpr double init_gain = 1;
constexpr std::int64_t noisy_places = 64;  // later operators of a graph begin again

}  // namespace

InformationFlow::InformationFlow(Weights& weights, std::int64_t in, std::int64_t width,
                                 std::int64_t embedding, std::int64_t layers) {
  for (std::int64_t layer = 0; layer < layers; ++layer) {
    const std::int64_t rows = layer == 0 ? in : width;
    matrix.push_back(
        weights.uniform({rows, width}, init_gain / std::sqrt(static_cast<double>(rows))));
    gate.emplace_back(weights, embedding, width);
  }
}

InformationFlow::Held InformationFlow::operator()(at::Tensor sources, const at::Tensor& embedding,
                                                  const WeightedEdges& edges) const {
  at::Tensor operators;
  for (std::size_t layer = 0; layer < matrix.size(); ++layer) {
    const at::Tensor all = layer == 0 ? at::matmul(sources, matrix[layer])
                                      : at::matmul(at::cat({sources, operators}), matrix[layer]);
    const at::Tensor open = at::sigmoid(gate[layer](embedding));
    // Before the first layer operators hold nothing.
    const at::Tensor read =
        layer == 0 ? at::cat({all, at::zeros({embedding.size(0), all.size(1)}, all.options())})
                   : all;
    operators = open * gathered(read, edges, embedding.size(0));
    sources = all.narrow(0, 0, sources.size(0));
    if (layer + 1 < matrix.size()) {
      sources = at::relu(sources);
      operators = at::relu(operators);
    }
  }
  return {.sources = sources, .operators = operators};
}

GatesNetwork::GatesNetwork(const GatesNetworkOptions& options, std::span<const Features> networks,
                           Rng rng, at::ScalarType type)
    : options_(options), vocabulary_(networks), weights_(rng.fork("weights"), type) {
  const std::int64_t width = options.width;
  const std::int64_t layers = std::max<std::int64_t>(vocabulary_.longest_way(), 1);
  source = weights_.normal({OperatorBatch::entrances, source_width});
  source_layer = Linear(weights_, source_width, GatesNetwork::hidden);
  kinds = kind_table(weights_, vocabulary_.kinds(), embedding_width);
  attributes = weights_.uniform({3, embedding_width}, std::sqrt(1.0 / 3));
  forward = InformationFlow(weights_, GatesNetwork::hidden, width, embedding_width, layers);
  if (options.steps > 1) {
    backward = InformationFlow(weights_, width, width, embedding_width, layers);
    turn = Layers(weights_, std::array{width, width, width}, 0);
    update = Layers(weights_, std::array{embedding_width + 2 * width, width, embedding_width}, 0);
  }
  head = Layers(weights_, std::array<std::int64_t, 5>{width, head_width, head_width, head_width, 1},
                head_dropout);
  noise_ = Weights(rng.fork("noise"), type).normal({noisy_places, embedding_width}).detach() *
           options.noise;
}

at::Tensor GatesNetwork::embed(const OperatorBatch& batch) const {
  at::Tensor embedding =
      kinds.index_select(0, batch.kind) + at::matmul(batch.attributes, attributes);
  if (options_.noise > 0)
    embedding = embedding + noise_.index_select(0, batch.place % noisy_places);
  const at::Tensor sources = source_layer(source);
  for (std::int64_t step = 1;; ++step) {
    const auto held = forward(sources, embedding, batch.reads);
    const at::Tensor arrived =
        gathered(at::cat({held.sources, held.operators}), batch.leaves, batch.graphs);
    if (step == options_.steps) return gathered(arrived, batch.members, batch.networks);
    const auto returned = backward(turn(arrived, nullptr), embedding, batch.returns);
    const at::Tensor change = update(
        at::cat({embedding.detach(), held.operators.detach(), returned.operators}, 1), nullptr);
    embedding = embedding + update_scale * change * batch.weighted;
  }
}

Scorer GatesNetwork::scorer(std::span<const Features> networks) const {
  return [this, batches = OperatorBatches(vocabulary_, networks, weights_.type())](
             Rows rows, at::Generator* generator) {
    const at::Tensor embedded =
        batches.rows(rows, [this](const OperatorBatch& batch) { return embed(batch); });
    return head(embedded, generator).squeeze(1);
  };
}

OptionTable<GatesOptions> gates_option_table() {
  using Options = GatesOptions;
  return OptionTable<Options>("GATES: information that flows through the operators of a network")
      .add("width", &Options::width, "numbers that flow", between(1, 4096))
      .beside(&Options::fit, fit_option_table());
}

GatesPredictor::GatesPredictor(const GatesOptions& options, Rng rng)
    : NeuralPredictor(options.fit, rng), options_(options) {
  gates_option_table().validate(options);
}
std::unique_ptr<ScoreNetwork> GatesPredictor::network(std::span<const Features> networks,
                                                      Rng rng) const {
  return std::make_unique<GatesNetwork>(GatesNetworkOptions{.width = options_.width}, networks,
                                        rng);
}

OptionTable<TaGatesOptions> ta_gates_option_table() {
  using Options = TaGatesOptions;
  return OptionTable<Options>(
             "TA-GATES: information that flows through the operators of a network and back")
      .add("width", &Options::width, "numbers that flow", between(1, 4096))
      .add("steps", &Options::steps, "flows to the exit", between(2, 100))
      .add("noise", &Options::noise, "standard deviation, on the embeddings of operators",
           at_least(0))
      .beside(&Options::fit, fit_option_table());
}

TaGatesPredictor::TaGatesPredictor(const TaGatesOptions& options, Rng rng)
    : NeuralPredictor(options.fit, rng), options_(options) {
  ta_gates_option_table().validate(options);
}
std::unique_ptr<ScoreNetwork> TaGatesPredictor::network(std::span<const Features> networks,
                                                        Rng rng) const {
  return std::make_unique<GatesNetwork>(
      GatesNetworkOptions{
          .width = options_.width, .steps = options_.steps, .noise = options_.noise},
      networks, rng);
}

}  // namespace espalier
