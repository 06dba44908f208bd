#include "predictors/random_forest.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>

namespace espalier {
namespace {

// A split, while a tree grows: the rows whose number at `variable` is `low` or less go left.
struct Split {
  double gain = 0;  // in the sum over both sides of (sum of values)^2 / count
  std::size_t variable = 0;
  double low = 0, high = 0;  // the neighbouring values
  bool found = false;
};

// The values of the rows whose numbers are equal.
struct Group {
  double number, sum, count;
};

constexpr std::size_t few = 16;

// The groups of some rows by their numbers, ascending. Most features have few different numbers, so
// that nothing need be sorted.
void group(std::span<const std::size_t> members, std::span<const double> rows, std::size_t width,
           std::size_t variable, std::span<const double> values, double mean,
           std::vector<Group>& groups) {
  const auto number = [&](std::size_t i) { return rows[i * width + variable]; };
  groups.clear();
  for (const std::size_t i : members) {
    const auto found = std::ranges::find(groups, number(i), &Group::number);
    if (found == groups.end()) {
      groups.push_back({.number = number(i), .sum = values[i] - mean, .count = 1});
      if (groups.size() > few) break;
    } else {
      found->sum += values[i] - mean;
      ++found->count;
    }
  }
  if (groups.size() > few) {
    groups.clear();
    for (const std::size_t i : members) groups.push_back({number(i), values[i] - mean, 1});
    std::ranges::stable_sort(groups, {}, &Group::number);
    std::size_t last = 0;
    for (std::size_t g = 1; g < groups.size(); ++g) {
      if (groups[g].number == groups[last].number) {
        groups[last].sum += groups[g].sum;
        ++groups[last].count;
      } else {
        groups[++last] = groups[g];
      }
    }
    groups.resize(last + 1);
  } else {
    std::ranges::sort(groups, {}, &Group::number);
  }
}

// The best split on one variable of rows whose values add up to 0.
void seek_split(const std::vector<Group>& groups, std::size_t variable, double n, Split& best) {
  double sum = 0, count = 0;
  for (std::size_t g = 0; g + 1 < groups.size(); ++g) {
    sum += groups[g].sum;
    count += groups[g].count;
    const double gain = sum * sum / count + sum * sum / (n - count);
    if (!best.found || gain > best.gain) {
      best = {.gain = gain,
              .variable = variable,
              .low = groups[g].number,
              .high = groups[g + 1].number,
              .found = true};
    }
  }
}

}  // namespace

RegressionTree::RegressionTree(std::span<const double> rows, std::size_t width,
                               std::span<const double> values, std::vector<std::size_t> sample,
                               const TreeOptions& options, Rng& rng) {
  const auto share =
      static_cast<std::size_t>(std::ceil(options.variables * static_cast<double>(width) - 1e-9));
  std::vector<std::size_t> variables(width);
  std::iota(variables.begin(), variables.end(), std::size_t{0});
  std::vector<Group> groups;
  struct Open {
    std::uint32_t node;
    std::size_t begin, end;  // in the sample
  };
  std::vector<Open> open{{.node = 0, .begin = 0, .end = sample.size()}};
  nodes_.emplace_back();
  while (!open.empty()) {
    const Open its = open.back();
    open.pop_back();
    const std::span<std::size_t> members(sample.data() + its.begin, its.end - its.begin);
    const double n = static_cast<double>(members.size());
    double sum = 0, squares = 0;
    for (const std::size_t i : members) sum += values[i];
    const double mean = sum / n;
    for (const std::size_t i : members) squares += (values[i] - mean) * (values[i] - mean);
    Node& node = nodes_[its.node];
    node.mean = mean;
    node.variance = squares / n;
    node.size = members.size();
    const auto differs = [&](std::size_t i) { return values[i] != values[members[0]]; };
    if (members.size() < static_cast<std::size_t>(options.split_size) ||
        std::ranges::none_of(members, differs)) {
      continue;
    }
    Split best;
    for (std::size_t v = 0; v < width && (v < share || !best.found); ++v) {
      std::swap(variables[v], variables[v + rng.below(width - v)]);
      group(members, rows, width, variables[v], values, mean, groups);
      seek_split(groups, variables[v], n, best);
    }
    if (!best.found) continue;
    double threshold = best.low + rng.uniform() * (best.high - best.low);
    if (threshold >= best.high) threshold = best.low;  // rounded up, of neighbours
    const auto right = std::ranges::stable_partition(
        members, [&](std::size_t i) { return rows[i * width + best.variable] <= threshold; });
    const std::size_t middle =
        its.begin + static_cast<std::size_t>(right.begin() - members.begin());
    const auto left_node = static_cast<std::uint32_t>(nodes_.size());
    node.variable = best.variable;
    node.threshold = threshold;
    node.left = left_node;
    node.right = left_node + 1;
    nodes_.resize(nodes_.size() + 2);
    open.push_back({.node = left_node + 1, .begin = middle, .end = its.end});
    open.push_back({.node = left_node, .begin = its.begin, .end = middle});
  }
}

const RegressionTree::Node& RegressionTree::leaf_of(std::span<const double> row) const {
  std::uint32_t at = 0;
  while (!nodes_[at].leaf()) {
    at = row[nodes_[at].variable] <= nodes_[at].threshold ? nodes_[at].left : nodes_[at].right;
  }
  return nodes_[at];
}

OptionTable<RandomForestOptions> random_forest_option_table() {
  using Options = RandomForestOptions;
  using Tree = TreeOptions;
  OptionTable<Tree> tree("a regression tree");
  tree.add("variables", &Tree::variables, "share of the numbers that a split is sought among",
           Range{.low = 0, .high = 1, .low_open = true})
      .add("split_size", &Tree::split_size, "networks in a node that is split, at least",
           at_least(2));
  return OptionTable<Options>("random forest of regression trees, on dense features")
      .add("trees", &Options::trees, "that vote", at_least(1))
      .add("bootstrap", &Options::bootstrap,
           "whether each tree learns from as many networks, drawn with replacement")
      .beside(&Options::tree, tree);
}

void RandomForest::fit(std::span<const Features> networks, std::span<const double> values) {
  check_fit_arguments(networks, values);
  features_ = DenseFeatures(networks);
  const std::vector<double> rows = features_.rows(networks);
  trees_.clear();
  for (int t = 0; t < options_.trees; ++t) {
    Rng rng = rng_.fork(static_cast<std::uint64_t>(t));
    std::vector<std::size_t> sample(networks.size());
    for (std::size_t i = 0; i < sample.size(); ++i) {
      sample[i] = options_.bootstrap ? rng.below(sample.size()) : i;
    }
    trees_.emplace_back(rows, features_.width(), values, std::move(sample), options_.tree, rng);
  }
}

std::vector<Prediction> RandomForest::predict(std::span<const Features> networks) const {
  check_fitted(!trees_.empty());
  const std::vector<double> rows = features_.rows(networks);
  const double count = static_cast<double>(trees_.size());
  std::vector<Prediction> predictions(networks.size());
  for (std::size_t i = 0; i < networks.size(); ++i) {
    const auto row = std::span(rows).subspan(i * features_.width(), features_.width());
    double mean = 0, within = 0, between = 0;
    std::vector<double> means;
    for (const RegressionTree& tree : trees_) {
      const RegressionTree::Node& leaf = tree.leaf_of(row);
      means.push_back(leaf.mean);
      mean += leaf.mean;
      within += leaf.variance;
    }
    mean /= count;
    for (const double its : means) between += (its - mean) * (its - mean);
    predictions[i] = {.mean = mean, .variance = (between + within) / count};
  }
  return predictions;
}

}  // namespace espalier
