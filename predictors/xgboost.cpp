#include "predictors/xgboost.hpp"

#ifdef ESPALIER_WITH_XGBOOST
#include <fmt/format.h>
#include <xgboost/c_api.h>

#include <cmath>
#include <cstdint>
#include <string>
#include <utility>

#include "core/stats.hpp"
#include "predictors/dense_features.hpp"
#endif

#include "core/error.hpp"

namespace espalier {

OptionTable<XgBoostOptions> xgboost_option_table() {
  using Options = XgBoostOptions;
  const Range share{.low = 0, .high = 1, .low_open = true};
  return OptionTable<Options>("gradient boosted trees by XGBoost, on dense features")
      .add("objective", &Options::objective, "what is learned: values, or the order of each two",
           named<BoostingObjective>({{"squared_error", BoostingObjective::squared_error},
                                     {"pairwise_rank", BoostingObjective::pairwise_rank}}))
      .add("rounds", &Options::rounds, "trees", at_least(1))
      .add("learning_rate", &Options::learning_rate, "share of each tree that counts", share)
      .add("depth", &Options::depth, "of each tree, at most", between(1, 30))
      .add("subsample", &Options::subsample, "share of the networks that each tree learns from",
           share)
      .add("columns", &Options::columns, "share of the numbers that each tree looks at", share);
}

#ifdef ESPALIER_WITH_XGBOOST

bool has_xgboost() { return true; }

namespace {

void check(int status) {
  if (status != 0) throw Error(fmt::format("XGBoost: {}", XGBGetLastError()));
}

// An owned handle of the C interface.
template <int (*release)(void*)>
class Handle {
 public:
  Handle() = default;
  Handle(Handle&& other) noexcept : raw(std::exchange(other.raw, nullptr)) {}
  Handle& operator=(Handle&& other) noexcept {
    std::swap(raw, other.raw);
    return *this;
  }
  ~Handle() {
    if (raw != nullptr) release(raw);
  }
  void* raw = nullptr;
};
using Matrix = Handle<XGDMatrixFree>;
using Booster = Handle<XGBoosterFree>;

Matrix matrix_of(const DenseFeatures& features, std::span<const Features> networks) {
  const std::vector<double> rows = features.rows(networks);
  const std::vector<float> numbers(rows.begin(), rows.end());
  Matrix matrix;
  check(XGDMatrixCreateFromMat(numbers.data(), networks.size(), features.width(), std::nanf(""),
                               &matrix.raw));
  return matrix;
}

}  // namespace

struct XgBoost::Implementation {
  XgBoostOptions options;
  Rng rng;
  DenseFeatures features = {};
  Booster booster = {};
  double center = 0, scale = 1;  // of the values, in what the trees add up to

  void fit(std::span<const Features> networks, std::span<const double> values) {
    check_fit_arguments(networks, values);
    const bool ranks = options.objective == BoostingObjective::pairwise_rank;
    features = DenseFeatures(networks);
    const Matrix matrix = matrix_of(features, networks);
    const double middle = mean(values);
    const double deviation = values.size() > 1 ? standard_deviation(values) : 0;
    const double unit = deviation > 0 ? deviation : 1;
    std::vector<float> labels;
    for (const double value : values) labels.push_back(static_cast<float>((value - middle) / unit));
    check(XGDMatrixSetFloatInfo(matrix.raw, "label", labels.data(), labels.size()));
    if (ranks) {
      const auto all = static_cast<unsigned>(networks.size());
      check(XGDMatrixSetUIntInfo(matrix.raw, "group", &all, 1));
    }
    Booster next;
    check(XGBoosterCreate(&matrix.raw, 1, &next.raw));
    const std::vector<std::pair<const char*, std::string>> parameters{
        {"verbosity", "0"},
        {"nthread", "1"},
        {"tree_method", "exact"},
        {"base_score", "0"},
        {"seed", std::to_string(Rng(rng).next() >> 33)},
        {"objective", ranks ? "rank:pairwise" : "reg:squarederror"},
        {"eta", fmt::format("{}", options.learning_rate)},
        {"max_depth", std::to_string(options.depth)},
        {"subsample", fmt::format("{}", options.subsample)},
        {"colsample_bytree", fmt::format("{}", options.columns)}};
    for (const auto& [name, value] : parameters) {
      check(XGBoosterSetParam(next.raw, name, value.c_str()));
    }
    for (int round = 0; round < options.rounds; ++round) {
      check(XGBoosterUpdateOneIter(next.raw, round, matrix.raw));
    }
    booster = std::move(next);
    center = middle;
    scale = unit;
    if (!ranks) return;
    const std::vector<double> known = sums(matrix, networks.size());
    const double spread = known.size() > 1 ? standard_deviation(known) : 0;
    scale = spread > 0 ? deviation / spread : 0;
    center = middle - scale * mean(known);
  }

  // What the trees add up to.
  std::vector<double> sums(const Matrix& matrix, std::size_t count) const {
    bst_ulong length = 0;
    const float* raw = nullptr;
    check(XGBoosterPredict(booster.raw, matrix.raw, 0, 0, 0, &length, &raw));
    return {raw, raw + count};
  }

  std::vector<Prediction> predict(std::span<const Features> networks) const {
    check_fitted(booster.raw != nullptr);
    std::vector<Prediction> predictions;
    if (networks.empty()) return predictions;
    for (const double sum : sums(matrix_of(features, networks), networks.size())) {
      predictions.push_back({.mean = center + scale * sum, .variance = 0});
    }
    return predictions;
  }
};

XgBoost::XgBoost(const XgBoostOptions& options, const Rng& rng)
    : implementation_(
          std::make_unique<Implementation>(Implementation{.options = options, .rng = rng})) {}

void XgBoost::fit(std::span<const Features> networks, std::span<const double> values) {
  implementation_->fit(networks, values);
}
std::vector<Prediction> XgBoost::predict(std::span<const Features> networks) const {
  return implementation_->predict(networks);
}

#else

bool has_xgboost() { return false; }

struct XgBoost::Implementation {};

XgBoost::XgBoost(const XgBoostOptions&, const Rng&) {
  throw UnsupportedError(
      "this build has no predictor \"xgboost\": XGBoost was not found when it was configured (on "
      "Debian: apt-get install libxgboost-dev)");
}
void XgBoost::fit(std::span<const Features>, std::span<const double>) {}
std::vector<Prediction> XgBoost::predict(std::span<const Features>) const { return {}; }

#endif

XgBoost::~XgBoost() = default;

}  // namespace espalier
