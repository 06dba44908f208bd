#include "predictors/mlp.hpp"

#include <cstdint>
#include <vector>

#include "predictors/dense_features.hpp"
#include "predictors/score_network.hpp"

namespace espalier {
namespace {

class MlpNetwork : public ScoreNetwork {
 public:
  MlpNetwork(const MlpOptions& options, std::span<const Features> networks, Rng rng)
      : weights_(rng), features_(networks) {
    const at::Tensor known = numbers(networks);
    center_ = known.mean(0);
    const at::Tensor deviation = known.std(0, /*unbiased=*/false);
    // A number that never differed tells nothing.
    factor_ = at::where(deviation > 1e-6, 1 / deviation, at::zeros_like(deviation));
    std::vector<std::int64_t> widths(static_cast<std::size_t>(options.layers) + 2, options.width);
    widths.front() = known.size(1);
    widths.back() = 1;
    layers_ = Layers(weights_, widths, options.dropout);
  }

  Scorer scorer(std::span<const Features> networks) const override {
    const at::Tensor x = ((numbers(networks) - center_) * factor_).to(weights_.type());
    return [this, x](Rows rows, at::Generator* generator) {
      return layers_(x.index_select(0, row_tensor(rows)), generator).squeeze(1);
    };
  }
  const std::vector<at::Tensor>& weights() const override { return weights_.list(); }

 private:
  at::Tensor numbers(std::span<const Features> networks) const {
    return at::tensor(at::ArrayRef<double>(features_.rows(networks)), at::kDouble)
        .view({static_cast<std::int64_t>(networks.size()),
               static_cast<std::int64_t>(features_.width())});
  }

  Weights weights_;
  DenseFeatures features_;
  at::Tensor center_, factor_;
  Layers layers_;
};

}  // namespace

OptionTable<MlpOptions> mlp_option_table() {
  using Options = MlpOptions;
  return OptionTable<Options>("a network of linear layers on decisions, patterns and costs")
      .add("layers", &Options::layers, "hidden ones", between(1, 100))
      .add("width", &Options::width, "of each", between(1, 4096))
      .add("dropout", &Options::dropout, "share of what a layer drops in training", between(0, 0.9))
      .beside(&Options::fit, fit_option_table());
}

MlpPredictor::MlpPredictor(const MlpOptions& options, Rng rng)
    : NeuralPredictor(options.fit, rng), options_(options) {
  mlp_option_table().validate(options);
}

std::unique_ptr<ScoreNetwork> MlpPredictor::network(std::span<const Features> networks,
                                                    Rng rng) const {
  return std::make_unique<MlpNetwork>(options_, networks, rng);
}

}  // namespace espalier
