#include "strategies/expected_cost.hpp"

#include <ATen/ATen.h>
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <set>
#include <utility>

#include "core/error.hpp"
#include "search_spaces/sampling.hpp"

namespace espalier {
namespace {

constexpr std::int64_t most_combinations = 20'000;  // of the decisions of one scope
constexpr int checks = 20, walks = 8;
constexpr double precise = 1e-6;

/// What a part is of: the nodes in a scope, or all that it encloses.
using Place = std::pair<ScopeId, bool>;

/// The decisions that each part may depend on.
std::map<Place, std::set<DecisionId>> read_by_parts(const Supergraph& supergraph) {
  const Graph& graph = supergraph.graph();
  std::map<Place, std::set<DecisionId>> read;
  for (NodeId id = 0; id < graph.size(); ++id) {
    const Node& node = graph.node(id);
    std::set<DecisionId> own;
    const auto add = [&](Dim dim) {
      for (const DecisionId d : dim.support()) own.insert(d);
    };
    add(supergraph.node_active(id));
    for_each_dim(node.op, [&](std::string_view, Dim d) { add(d); });
    for (const Dim d : node.shape.values()) add(d);
    for (const NodeId input : graph.inputs(id)) {
      for (const Dim d : graph.node(input).shape.values()) add(d);
    }
    if (const auto* choice = std::get_if<op::Choice>(&node.op)) {
      // One that picks several is a sum of its own.
      if (supergraph.decisions()[choice->decision].pick > 1) own.insert(choice->decision);
    }
    if (const auto& quantized = node.compression.quantization) {
      add(quantized->weight_bits);
      add(quantized->activation_bits);
    }
    read[{node.scope, false}].insert(own.begin(), own.end());
    for (ScopeId scope = node.scope; scope != no_scope; scope = graph.scope(scope).parent) {
      for (const auto& [name, value] : graph.scope(scope).attributes) add(value);
      read[{scope, true}].insert(own.begin(), own.end());
    }
  }
  return read;
}

std::map<Place, double> by_place(const std::vector<CostPart>& parts) {
  std::map<Place, double> result;
  for (const CostPart& part : parts) result[{part.scope, part.whole}] += part.value;
  return result;
}

}  // namespace

ExpectedCost::ExpectedCost(const Supergraph& supergraph, const CostParts& parts,
                           const std::string& metric)
    : supergraph_(supergraph) {
  const std::vector<Decision>& decisions = supergraph.decisions();
  const Graph& graph = supergraph.graph();
  // Parts that depend on the same decisions share a table.
  std::map<std::vector<DecisionId>, std::vector<Place>> alike;
  for (const auto& [place, read] : read_by_parts(supergraph)) {
    alike[{read.begin(), read.end()}].push_back(place);
  }
  Rng rng(1);
  const std::vector<std::uint32_t> first(decisions.size(), 0);
  std::vector<std::map<Place, double>> samples;  // of some networks
  for (int i = 0; i < checks; ++i) {
    Architecture a;
    for (const Decision& d : decisions) {
      a.choices.push_back(static_cast<std::uint32_t>(rng.below(choice_count(d))));
    }
    samples.push_back(by_place(parts(supergraph.close(a))));
  }
  for (const auto& [ids, places] : alike) {
    Table table{.decisions = ids, .sizes = {}, .values = {}};
    std::int64_t count = 1;
    for (const DecisionId d : ids) {
      table.sizes.push_back(choice_count(decisions[d]));
      count = std::min(count * table.sizes.back(), most_combinations + 1);
    }
    if (count > most_combinations) {
      // Most are none of the model's parts, or cost nothing.
      const auto counts = [&](const std::map<Place, double>& sample) {
        return std::ranges::any_of(places, [&](const Place& place) {
          const auto found = sample.find(place);
          return found != sample.end() && found->second != 0;
        });
      };
      if (std::ranges::none_of(samples, counts)) continue;
      throw UnsupportedError(fmt::format(
          "the expectation of {}: what is in scope '{}' depends on {} decisions with more than {} "
          "combinations; take a table of smaller scopes",
          metric, graph.scope(places[0].first).name, ids.size(), most_combinations));
    }
    std::vector<double> values;
    for (std::int64_t i = 0; i < count; ++i) {
      Architecture a{first};
      std::int64_t rest = i;
      for (std::size_t k = ids.size(); k-- > 0;) {
        a.choices[ids[k]] = static_cast<std::uint32_t>(rest % table.sizes[k]);
        rest /= table.sizes[k];
      }
      const std::map<Place, double> costs = by_place(parts(supergraph.close(a)));
      double sum = 0;
      for (const Place& place : places) {
        const auto found = costs.find(place);
        if (found != costs.end()) sum += found->second;
      }
      values.push_back(sum);
    }
    if (std::ranges::all_of(values, [](double value) { return value == 0; })) continue;
    table.values = at::tensor(values, at::kDouble).view(table.sizes);
    tables_.push_back(std::move(table));
  }
  for (int i = 0; i < checks; ++i) {
    Architecture a;
    for (const Decision& d : decisions) {
      a.choices.push_back(static_cast<std::uint32_t>(rng.below(choice_count(d))));
    }
    double wanted = 0;
    for (const CostPart& part : parts(supergraph.close(a))) wanted += part.value;
    if (std::abs(of(a) - wanted) <= precise * std::max(1.0, std::abs(wanted))) continue;
    throw UnsupportedError(fmt::format(
        "{} is not a sum over the scopes of a network that each depend on their own decisions: one "
        "network's is {:.6g}, its scopes' {:.6g}; take another metric for the cost",
        metric, wanted, of(a)));
  }
}

at::Tensor ExpectedCost::of(const std::vector<at::Tensor>& weights) const {
  const std::vector<Decision>& decisions = supergraph_.decisions();
  std::vector<at::Tensor> probabilities;  // by choice
  for (DecisionId d = 0; d < decisions.size(); ++d) {
    const at::Tensor own = weights[d].to(at::kDouble);
    if (decisions[d].pick == 1) {
      probabilities.push_back(own);
      continue;
    }
    std::vector<at::Tensor> subsets;
    for (std::uint32_t c = 0; c < choice_count(decisions[d]); ++c) {
      at::Tensor product = at::ones({}, at::kDouble);
      for (const std::uint32_t k : picked_options(decisions[d], c)) {
        product = product * own[static_cast<std::int64_t>(k)];
      }
      subsets.push_back(product);
    }
    const at::Tensor all = at::stack(subsets);
    probabilities.push_back(all / all.sum());
  }
  at::Tensor sum = at::zeros({}, at::kDouble);
  for (const Table& table : tables_) {
    at::Tensor left = table.values;
    for (std::size_t k = table.decisions.size(); k-- > 0;) {
      left = (left * probabilities[table.decisions[k]]).sum(-1);
    }
    sum = sum + left;
  }
  return sum;
}

double ExpectedCost::of(const Architecture& a) const {
  double sum = 0;
  for (const Table& table : tables_) {
    std::int64_t at = 0;
    for (std::size_t k = 0; k < table.decisions.size(); ++k) {
      at = at * table.sizes[k] + a.choices[table.decisions[k]];
    }
    sum += table.values.data_ptr<double>()[at];
  }
  return sum;
}

ExpectedCost::Bounds ExpectedCost::bounds(const SearchSpace& space, Rng rng) const {
  const auto walk = [&](Architecture a, double sign) {
    double cost = of(a);
    for (bool moved = true; moved;) {
      moved = false;
      for (std::size_t d = 0; d < a.choices.size(); ++d) {
        for (std::uint32_t c = 0; c < space.choice_counts()[d]; ++c) {
          Architecture next = a;
          next.choices[d] = c;
          const double value = of(next);
          if (sign * value >= sign * cost || !space.valid(next)) continue;
          a = next;
          cost = value;
          moved = true;
        }
      }
    }
    return cost;
  };
  Bounds result{std::numeric_limits<double>::infinity(), 0};
  for (int i = 0; i < walks; ++i) {
    const Architecture a = sample_uniform(space, rng);
    result.least = std::min(result.least, walk(a, 1));
    result.most = std::max(result.most, walk(a, -1));
  }
  return result;
}

}  // namespace espalier
