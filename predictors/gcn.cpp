#include "predictors/gcn.hpp"

#include <cmath>

#include "predictors/gcn_network.hpp"

namespace espalier {

GcnNetwork::GcnNetwork(const GcnOptions& options, std::span<const Features> networks, Rng rng,
                       at::ScalarType type)
    : options_(options), vocabulary_(networks), weights_(rng, type) {
  const std::int64_t width = options.width;
  const double bound = 1 / std::sqrt(static_cast<double>(width));
  ends = weights_.uniform({OperatorBatch::entrances + 2, width}, bound);
  kinds = weights_.uniform({vocabulary_.kinds(), width}, bound);
  attributes = weights_.uniform({3, width}, bound);
  for (int layer = 0; layer < options.layers; ++layer) {
    Convolution convolution;
    // The first layer's matrix is that of kinds and attributes.
    if (layer > 0) convolution.matrix = weights_.uniform({width, width}, bound);
    convolution.bias = weights_.uniform({width}, bound);
    convolution.scale = weights_.constant({width}, 1);
    convolution.offset = weights_.constant({width}, 0);
    layers.push_back(convolution);
  }
  head = Linear(weights_, width, options.fit.loss == PredictorLoss::relation ? 2 : 1);
  const at::NoGradGuard no_gradients;
  kinds[0].zero_();
}

at::Tensor GcnNetwork::embed(const OperatorBatch& batch, at::Generator* generator) const {
  constexpr std::int64_t entrances = OperatorBatch::entrances;
  const std::int64_t graphs = batch.graphs;
  // Rows: exits, operators, entrances that are read.
  const at::Tensor read = (batch.reads.from < entrances).nonzero().squeeze(1);
  const at::Tensor left = (batch.leaves.from < entrances).nonzero().squeeze(1);
  const at::Tensor reader = batch.reads.to.index_select(0, read);
  const at::Tensor exit = batch.leaves.to.index_select(0, left);
  const at::Tensor place =
      at::cat({batch.reads.from.index_select(0, read), batch.leaves.from.index_select(0, left)});
  const at::Tensor its = at::cat({batch.graph_of.index_select(0, reader), exit});
  const auto [entrance, row, counts] =
      at::_unique2(its * entrances + place, /*sorted=*/true, /*return_inverse=*/true);
  const at::Tensor entrance_place = entrance % entrances;
  const std::int64_t first_entrance = graphs + batch.operators;
  // Each vertex hears of those that read it.
  const at::Tensor from = at::cat({batch.returns.from, graphs + reader, exit});
  const at::Tensor to = at::cat({graphs + batch.returns.to, first_entrance + row});
  const at::Tensor graph_of = at::cat(
      {at::arange(graphs, at::kLong), batch.graph_of, at::div(entrance, entrances, "floor")});
  const std::int64_t rows = first_entrance + entrance.size(0);

  at::Tensor all = ends[entrances + 1].expand({batch.networks, -1});
  at::Tensor vertices =
      at::cat({ends[entrances].expand({graphs, -1}),
               kinds.index_select(0, batch.kind) + at::matmul(batch.attributes, attributes),
               ends.index_select(0, entrance_place)});
  const auto finished = [&](const at::Tensor& x, const Convolution& layer) {
    return dropped(at::relu(at::layer_norm(x + layer.bias, {x.size(1)}, layer.scale, layer.offset)),
                   options_.dropout, generator);
  };
  for (std::size_t l = 0; l < layers.size(); ++l) {
    const Convolution& layer = layers[l];
    const bool last = l + 1 == layers.size();
    const at::Tensor sum =
        all + gathered(summed(vertices, graph_of, graphs), batch.members, batch.networks);
    all = finished(l == 0 ? sum : at::matmul(sum, layer.matrix), layer);
    if (last) break;
    if (l > 0) vertices = at::matmul(vertices, layer.matrix);
    vertices = vertices + summed(vertices.index_select(0, from), to, rows);
    vertices = finished(vertices, layer);
  }
  return all;
}

Scorer GcnNetwork::scorer(std::span<const Features> networks) const {
  return [this, batches = OperatorBatches(vocabulary_, networks, weights_.type())](
             Rows rows, at::Generator* generator) {
    const at::Tensor scores = head(
        batches.rows(rows, [&](const OperatorBatch& batch) { return embed(batch, generator); }));
    return options_.fit.loss == PredictorLoss::relation ? scores : scores.squeeze(1);
  };
}

OptionTable<GcnOptions> gcn_option_table() {
  using Options = GcnOptions;
  return OptionTable<Options>("the graph convolutions of BRP-NAS on the operators of a network")
      .add("layers", &Options::layers, "convolutions", between(1, 64))
      .add("width", &Options::width, "numbers of each operator", between(1, 4096))
      .add("dropout", &Options::dropout, "share of what a layer drops in training", between(0, 0.9))
      .beside(&Options::fit, fit_option_table(predictor_loss_names_with_relation()));
}

GcnPredictor::GcnPredictor(const GcnOptions& options, Rng rng)
    : NeuralPredictor(options.fit, rng), options_(options) {
  gcn_option_table().validate(options);
}
std::unique_ptr<ScoreNetwork> GcnPredictor::network(std::span<const Features> networks,
                                                    Rng rng) const {
  return std::make_unique<GcnNetwork>(options_, networks, rng);
}

}  // namespace espalier
