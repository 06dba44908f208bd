#include "strategies/ordinal_walk.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <limits>
#include <optional>
#include <utility>
#include <variant>

#include "core/error.hpp"
#include "search_spaces/sampling.hpp"
#include "search_spaces/supergraph.hpp"

namespace espalier {
namespace {

std::optional<double> number(const std::string& label) {
  double value = 0;
  const auto [end, error] = std::from_chars(label.data(), label.data() + label.size(), value);
  if (error != std::errc() || end != label.data() + label.size()) return std::nullopt;
  return value;
}

std::vector<double> places_of(const Decision& decision) {
  std::vector<double> places;
  for (const std::string& label : decision.options) {
    if (const std::optional<double> value = number(label)) places.push_back(*value);
  }
  if (places.size() < decision.options.size()) {
    places.clear();
    for (std::size_t i = 0; i < decision.options.size(); ++i) {
      places.push_back(static_cast<double>(i));
    }
  }
  const auto [least, most] = std::ranges::minmax(places);
  for (double& place : places) place = most > least ? (place - least) / (most - least) : 0;
  return places;
}

std::int64_t Cost::*bounded_cost(const std::string& metric) {
  if (metric == "macs") return &Cost::macs;
  if (metric == "params") return &Cost::params;
  if (metric == "storage_bytes") return &Cost::storage_bytes;
  return nullptr;
}

bool reads(Dim dim, DecisionId decision) {
  return !dim.constant() && std::ranges::binary_search(dim.support(), decision);
}
bool reads(const Extent& extent, DecisionId decision) {
  return reads(extent.h, decision) || reads(extent.w, decision);
}

// What a decision changes: the first layer that it changes, and what it is there.
struct LayerFeatures {
  std::array<double, 4> kind{};   // width, kernel, weight bits, activation bits
  std::array<double, 5> shape{};  // input and output channels, height, kernel, stride
};

LayerFeatures layer_features(const Graph& graph, DecisionId d) {
  LayerFeatures features;
  for (NodeId id = 0; id < graph.size(); ++id) {
    const Node& node = graph.node(id);
    const auto* conv = std::get_if<op::Conv2d>(&node.op);
    const auto* linear = std::get_if<op::Linear>(&node.op);
    if (conv == nullptr && linear == nullptr) continue;
    const Quantization bits = node.compression.quantization.value_or(Quantization{});
    const Shape& read = graph.node(graph.inputs(id)[0]).shape;
    const auto channels = [](const Shape& shape) {
      return shape[shape.rank == 3 ? 0 : shape.rank - 1];
    };
    const bool width = reads(conv != nullptr ? conv->out_channels : linear->out_features, d);
    const bool kernel = conv != nullptr && reads(conv->kernel, d);
    const bool weight_bits = reads(bits.weight_bits, d);
    const bool activation_bits = reads(bits.activation_bits, d);
    if (!width && !kernel && !weight_bits && !activation_bits) continue;
    features.kind = {double(width), double(kernel), double(weight_bits), double(activation_bits)};
    features.shape = {static_cast<double>(channels(read).max()),
                      static_cast<double>(channels(node.shape).max()),
                      node.shape.rank == 3 ? static_cast<double>(node.shape[1].max()) : 1.0,
                      conv != nullptr ? static_cast<double>(conv->kernel.h.max()) : 1.0,
                      conv != nullptr ? static_cast<double>(conv->stride.h.max()) : 1.0};
    break;
  }
  return features;
}

}  // namespace

OrdinalWalk::OrdinalWalk(const SearchSpace& space, std::span<const Constraint> constraints)
    : space_(&space) {
  for (DecisionId d = 0; d < space.decisions().size(); ++d) {
    const Decision& decision = space.decisions()[d];
    if (space.choice_counts()[d] == 1) continue;
    if (!decision.ordinal || decision.pick > 1) {
      throw ConfigError("/type", "an action on a scale cannot close the decision \"" +
                                     decision.name +
                                     "\", whose options are not numbers of which one is picked; "
                                     "take \"reinforce\", \"ppo\" or \"q_learning\", or restrict "
                                     "the space to one option of it");
    }
    steps_.push_back({.decision = d, .places = places_of(decision), .features = {}, .share = 0});
  }
  const Architecture smallest = smallest_architecture(space);
  largest_ = largest_architecture(space);
  for (const Constraint& constraint : constraints) {
    const auto member = bounded_cost(constraint.metric);
    if (member == nullptr || !std::isfinite(constraint.upper)) continue;
    if (bounds_.empty()) measured_ = member;
    Bound bound{.cost = member, .upper = constraint.upper, .cheapest = smallest};
    for (const Step& step : steps_) {
      // Of what is not active in the smallest network, in the largest one.
      for (const Architecture& around : {smallest, largest_}) {
        std::vector<double> costs;
        Architecture a = around;
        for (std::uint32_t option = 0; option < step.places.size(); ++option) {
          a.choices[step.decision] = option;
          costs.push_back(cost(a, member));
        }
        const auto [least, most] = std::ranges::minmax_element(costs);
        bound.cheapest.choices[step.decision] = static_cast<std::uint32_t>(least - costs.begin());
        if (*least < *most) break;
      }
    }
    bounds_.push_back(std::move(bound));
  }
  largest_cost_ = std::max(1.0, cost(largest_, measured_));
  for (Step& step : steps_) {
    double least = largest_cost_;
    Architecture a = largest_;
    for (std::uint32_t option = 0; option < step.places.size(); ++option) {
      a.choices[step.decision] = option;
      least = std::min(least, cost(a, measured_));
    }
    step.share = (largest_cost_ - least) / largest_cost_;
  }
  add_layer_features();
}

void OrdinalWalk::add_layer_features() {
  std::vector<LayerFeatures> layers(steps_.size());
  std::array<double, 5> most{};
  if (const Supergraph* supergraph = space_->supergraph()) {
    for (std::size_t t = 0; t < steps_.size(); ++t) {
      layers[t] = layer_features(supergraph->graph(), steps_[t].decision);
      for (std::size_t i = 0; i < most.size(); ++i) {
        most[i] = std::max(most[i], layers[t].shape[i]);
      }
    }
  }
  for (std::size_t t = 0; t < steps_.size(); ++t) {
    std::vector<double>& features = steps_[t].features;
    features.push_back(static_cast<double>(t) / static_cast<double>(steps_.size()));
    for (std::size_t other = 0; other < steps_.size(); ++other) features.push_back(other == t);
    features.insert(features.end(), layers[t].kind.begin(), layers[t].kind.end());
    features.push_back(steps_[t].share);
    for (std::size_t i = 0; i < most.size(); ++i) {
      features.push_back(most[i] > 0 ? layers[t].shape[i] / most[i] : 0);
    }
  }
}

// Infinite for what is not valid.
double OrdinalWalk::cost(const Architecture& a, std::int64_t Cost::*member) const {
  if (!space_->valid(a)) return std::numeric_limits<double>::infinity();
  const Cost all =
      member == &Cost::storage_bytes ? espalier::cost(space_->build(a)) : space_->quick_cost(a);
  return static_cast<double>(all.*member);
}

std::size_t OrdinalWalk::state_size() const {
  return steps_.empty() ? 1 : steps_[0].features.size() + 3;
}

std::vector<double> OrdinalWalk::state(std::size_t step, const Architecture& so_far) const {
  std::vector<double> state = steps_[step].features;
  Architecture a = largest_;
  for (std::size_t t = 0; t < step; ++t) {
    a.choices[steps_[t].decision] = so_far.choices[steps_[t].decision];
  }
  const double now = cost(a, measured_);
  state.push_back(std::isfinite(now) ? std::max(-1.0, (largest_cost_ - now) / largest_cost_) : 0);
  double rest = 0;
  for (std::size_t t = step + 1; t < steps_.size(); ++t) rest += steps_[t].share;
  state.push_back(std::min(1.0, rest));
  state.push_back(step == 0 ? 1.0
                            : steps_[step - 1].places[so_far.choices[steps_[step - 1].decision]]);
  return state;
}

std::vector<bool> OrdinalWalk::allowed(std::size_t step, const Architecture& so_far) const {
  const std::size_t count = steps_[step].places.size();
  std::vector<bool> allowed(count, true);
  std::size_t least_option = 0;
  double least_excess = std::numeric_limits<double>::infinity();
  for (std::uint32_t option = 0; option < count; ++option) {
    double excess = 0;
    for (const Bound& bound : bounds_) {
      Architecture a = bound.cheapest;
      for (std::size_t t = 0; t < step; ++t) {
        a.choices[steps_[t].decision] = so_far.choices[steps_[t].decision];
      }
      a.choices[steps_[step].decision] = option;
      excess =
          std::max(excess, violation({.metric = "", .upper = bound.upper}, cost(a, bound.cost)));
    }
    allowed[option] = excess <= 0;
    if (excess < least_excess) least_excess = excess, least_option = option;
  }
  if (std::ranges::find(allowed, true) == allowed.end()) allowed[least_option] = true;
  return allowed;
}

}  // namespace espalier
