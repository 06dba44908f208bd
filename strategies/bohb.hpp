#pragma once

#include <cstddef>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "core/rng.hpp"
#include "search_spaces/search_space.hpp"
#include "strategies/brackets.hpp"

namespace espalier {

/// A kernel density over the architectures of a space: the mean, over given ones, of the product of
/// a kernel for each decision, all of n points in d decisions that have a choice.
///
/// Nominal decisions of c options have the kernel of Aitchison and Aitken: 1 - h for the point's
/// own option and h / (c - 1) for each other. Ordinal ones have a normal distribution of deviation
/// h about the point's place: an option has the part within half a place, as a share of that within
/// the range. A decision that is not active in the point or in the architecture has 1 / c. The
/// bandwidth h is 1.06 s n^(-1 / (4 + d)), where s is the standard deviation of the places, or of a
/// nominal decision the root of half the probability that two of the points differ; for ordinal
/// ones at least a thousandth of the range, for nominal ones from 0.001 to (c - 1) / c.
/// Source: S. Falkner, A. Klein, F. Hutter: BOHB: robust and efficient hyperparameter optimization
/// at scale, ICML 2018, arXiv 1807.01774, section 4.1 and appendix D; J. Aitchison, C. Aitken:
/// Multivariate binary discrimination by the kernel method, Biometrika 1976; normal reference
/// bandwidths as in statsmodels.
/// Differs from the source: s of a nominal decision does not depend on the order of its options
/// (with two of them it is the same), and its kernel has the options of the decision, not those
/// that occur; decisions that are not active are spread evenly, not filled in at random.
/// Test: ArchitectureDensity.IsTheMeanOfTheKernels.
class ArchitectureDensity {
 public:
  /// Of points of the space, at least one. The space must outlive it.
  ArchitectureDensity(const SearchSpace& space, std::vector<Architecture> points);

  /// The logarithm of the density, over architectures in range; kernels count as at least 1e-32.
  double log(const Architecture& a) const;
  /// An architecture in range from the density whose bandwidths are `factor` times as large, for
  /// nominal decisions at most (c - 1) / c; it may be neither valid nor canonical.
  Architecture draw(double factor, Rng& rng) const;
  /// The bandwidth of each decision.
  std::span<const double> bandwidths() const { return bandwidths_; }

 private:
  bool ordinal(DecisionId d) const;
  std::vector<double> ordinal_kernel(DecisionId d, std::uint32_t place, double bandwidth) const;

  const SearchSpace* space_;
  std::vector<Architecture> points_;
  std::vector<double> bandwidths_;
  // Logarithms: of ordinal decisions by the point's place and the option, of nominal ones of each
  // other option and of the point's own.
  std::vector<std::vector<std::vector<double>>> kernels_;
};

struct BohbOptions : FidelityOptions {
  double random_fraction = 1.0 / 3;  ///< of new architectures that are random, in [0, 1]
  double quantile = 0.15;            ///< share that are the good ones, in (0, 1)
  int candidates = 64;               ///< drawn for each new architecture, >= 1
  double bandwidth_factor = 3;       ///< of the bandwidths candidates are drawn with, > 0
};
OptionTable<BohbOptions> bohb_option_table();

/// Hyperband whose new architectures come from a model: where the rungs have enough trials, one
/// density of the good architectures and one of the bad, both of the highest rung with at least
/// m + 2 trials, m being one more than the decisions that have a choice; good are the max(m,
/// floor(quantile * n)) best of its n trials, bad the max(m, n - good) worst. Of `candidates` drawn
/// from the good density with wider kernels, the one is taken whose good density is the most times
/// the bad one. Known architectures come first, a random fraction stays random, and random ones
/// take the place where all that was drawn was asked for before. Failed trials are the worst.
///
/// Source: as ArchitectureDensity, algorithms 1 and 2, equations 2 to 4.
/// Differs from the source: constraints and several objectives, by best_first(); no architecture
/// begins twice; brackets follow each other, also where several candidates are in flight.
/// Test: Bohb.ProposesTheLargestRatioOfTheHighestRungWithEnoughTrials,
/// Bohb.DensitiesTellArchitecturesOfManyDecisionsApart.
class Bohb : public Brackets {
 public:
  /// Throws ConfigError as Start does.
  Bohb(const RunContext& context, const BohbOptions& options);

 protected:
  std::optional<Candidate> propose() override;
  void learn(std::size_t rung, const Individual& individual) override;

 private:
  struct Model {
    ArchitectureDensity good, bad;
  };
  void fit();

  BohbOptions options_;
  std::size_t least_;                          // points of a density
  std::vector<std::vector<Individual>> told_;  // in each rung
  std::optional<Model> model_;
  bool fitted_ = true;  // to what is told now
};

}  // namespace espalier
