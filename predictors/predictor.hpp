// What estimates the value of a network from those of others.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <utility>
#include <vector>

namespace espalier {

/// How often each label occurs, by label, ascending.
using LabelCounts = std::vector<std::pair<std::uint64_t, std::uint32_t>>;

/// Operators and the ways between them: a part of a network as a graph whose vertices are where it
/// is entered, its operators, and where it is left, in this order; edges go from earlier vertices
/// to later ones.
struct OperatorGraph {
  struct Vertex {
    std::uint64_t kind = 0;  ///< equal for equal operators, but for their widths; of no entrance: 0
    /// Of the value: log2 of its channels times its height. Of the operator: log2 of its kernel and
    /// of its stride; 0 where there is none.
    std::array<float, 3> attributes = {};
    enum class Role : std::uint8_t { entrance, plain, weighted, exit };
    Role role = Role::plain;  ///< weighted: an operator that has weights
    friend bool operator==(const Vertex&, const Vertex&) = default;
  };
  struct Edge {
    std::uint32_t from = 0, to = 0;
    float ways = 1;  ///< how many, by sums and concatenations alone
    friend bool operator==(const Edge&, const Edge&) = default;
  };
  std::vector<Vertex> vertices = {};  ///< the last one is the exit
  std::vector<Edge> edges = {};       ///< by `to`, then by `from`
  friend bool operator==(const OperatorGraph&, const OperatorGraph&) = default;
};

/// What predictors see of a network. What is empty is not compared.
struct Features {
  std::vector<double> decisions = {};  ///< as many for all networks
  LabelCounts patterns = {};           ///< of its operators
  std::vector<double> costs = {};      ///< their logarithms; as many for all networks
  std::vector<double> scores = {};     ///< such as zero-cost ones, NaN where there is none; as many
  /// Of each decision 0 where it is not active, else its choice plus 1; as many for all networks.
  std::vector<std::uint32_t> choices = {};
  /// Its parts that differ, and how often it has each.
  std::vector<std::pair<OperatorGraph, std::uint32_t>> graphs = {};
};

struct Prediction {
  double mean = 0;
  double variance = 0;  ///< of what is not known, >= 0
};

/// Learns numbers of networks and predicts those of others. A function of its options, its
/// generator and what it was fitted to, in its order. Not synchronized.
class Predictor {
 public:
  virtual ~Predictor() = default;
  /// Learns from networks, at least 1, and as many finite values; what was learned before is
  /// replaced. Throws NumericalError for other values, Error for other numbers.
  virtual void fit(std::span<const Features> networks, std::span<const double> values) = 0;
  /// As fit(), but may keep what the last fit() found out about itself, such as lengths.
  virtual void fit_again(std::span<const Features> networks, std::span<const double> values) {
    fit(networks, values);
  }
  /// One for each network. Throws Error before the first fit().
  virtual std::vector<Prediction> predict(std::span<const Features> networks) const = 0;
};

/// Throws what Predictor::fit() promises.
void check_fit_arguments(std::span<const Features> networks, std::span<const double> values);
/// Throws what Predictor::predict() promises.
void check_fitted(bool fitted);

}  // namespace espalier
