#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "core/options.hpp"
#include "core/rng.hpp"
#include "predictors/dense_features.hpp"
#include "predictors/predictor.hpp"

namespace espalier {

struct TreeOptions {
  double variables = 1.0 / 3;  ///< share of the numbers that a split is sought among, (0, 1]
  int split_size = 3;          ///< networks in a node that is split, at least, >= 2
};

/// A regression tree on rows of numbers. Each split is the one after which the squares of what is
/// left add up to the least, of those on a random share of the numbers (of more of them while none
/// of these differs among the node's rows); its threshold is drawn uniformly from between the two
/// neighbouring values. A leaf keeps mean and variance (divisor n) of its values.
class RegressionTree {
 public:
  struct Node {
    std::size_t variable = 0;  ///< of a split: rows of at most `threshold` there go left
    double threshold = 0;
    std::uint32_t left = 0, right = 0;  ///< positions of nodes; of a leaf 0
    double mean = 0, variance = 0;      ///< of the values in it
    std::size_t size = 0;               ///< how many there are
    bool leaf() const { return left == 0; }
  };
  /// Of rows of `width` numbers, the ones that `sample` names, perhaps several times.
  RegressionTree(std::span<const double> rows, std::size_t width, std::span<const double> values,
                 std::vector<std::size_t> sample, const TreeOptions& options, Rng& rng);

  /// The first one is the root.
  const std::vector<Node>& nodes() const { return nodes_; }
  const Node& leaf_of(std::span<const double> row) const;

 private:
  std::vector<Node> nodes_;
};

struct RandomForestOptions {
  int trees = 100;        ///< >= 1
  bool bootstrap = true;  ///< each tree learns from as many networks, drawn with replacement
  TreeOptions tree = {};
};
OptionTable<RandomForestOptions> random_forest_option_table();

/// A random forest of regression trees on dense features. The mean is that of the trees' means; the
/// variance that of the trees' means, plus the mean of the variances in their leaves.
///
/// fit() takes O(trees x numbers x n log n) for n networks.
///
/// Source: L. Breiman: Random forests, Machine Learning 2001; F. Hutter, L. Xu, H. Hoos, K.
/// Leyton-Brown: Algorithm runtime prediction: methods and evaluation, Artificial Intelligence
/// 2014, arXiv 1211.0906, section 4.3 (the variance by the law of total variance, thresholds drawn
/// uniformly); as the model of F. Hutter, H. Hoos, K. Leyton-Brown: Sequential model-based
/// optimization for general algorithm configuration, LION 2011. Differs from the sources: more
/// trees (10 there), a smaller share of the numbers (Breiman's third), smaller nodes are split, and
/// a split looks on where its share of the numbers holds none that differs.
/// Test: RandomForest.VarianceIsThatOfMeansPlusThatInLeaves.
class RandomForest : public Predictor {
 public:
  RandomForest(const RandomForestOptions& options, const Rng& rng) : options_(options), rng_(rng) {}

  void fit(std::span<const Features> networks, std::span<const double> values) override;
  std::vector<Prediction> predict(std::span<const Features> networks) const override;

  const std::vector<RegressionTree>& trees() const { return trees_; }

 private:
  RandomForestOptions options_;
  Rng rng_;
  DenseFeatures features_;
  std::vector<RegressionTree> trees_;
};

}  // namespace espalier
