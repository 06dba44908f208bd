#include "search_spaces/search_space.hpp"

#include <algorithm>
#include <boost/multiprecision/cpp_int.hpp>
#include <numeric>
#include <set>

#include "core/error.hpp"
#include "core/json.hpp"
#include "search_spaces/sampling.hpp"
#include "search_spaces/supergraph.hpp"

namespace espalier {

SearchSpace::SearchSpace(std::vector<Decision> decisions) : decisions_(std::move(decisions)) {
  std::set<std::string> names;
  for (const Decision& d : decisions_) {
    counts_.push_back(choice_count(d));
    if (!names.insert(d.name).second) {
      throw ConfigError("", "two decisions are named '" + d.name + "'");
    }
    if (std::set<std::string>(d.options.begin(), d.options.end()).size() != d.options.size()) {
      throw ConfigError("", "decision '" + d.name + "' has two equal options");
    }
  }
}

bool SearchSpace::valid(const Architecture& a) const {
  if (a.choices.size() != counts_.size()) return false;
  for (std::size_t d = 0; d < counts_.size(); ++d) {
    if (a.choices[d] >= counts_[d]) return false;
  }
  return true;
}

bool SearchSpace::active(const Architecture&, DecisionId) const { return true; }

Cost SearchSpace::quick_cost(const Architecture& a) const {
  const Cost full = cost(build(a));
  return {.params = full.params, .macs = full.macs};
}

void SearchSpace::require_valid(const Architecture& a) const {
  if (a.choices.size() != counts_.size()) {
    throw InvalidArchitecture("the space has " + std::to_string(counts_.size()) +
                              " decisions, the architecture " + std::to_string(a.choices.size()));
  }
  for (std::size_t d = 0; d < counts_.size(); ++d) {
    if (a.choices[d] >= counts_[d]) {
      throw InvalidArchitecture("decision '" + decisions_[d].name + "' has " +
                                std::to_string(counts_[d]) + " choices (0 to " +
                                std::to_string(counts_[d] - 1) + "), not choice " +
                                std::to_string(a.choices[d]));
    }
  }
  if (!valid(a)) {
    throw InvalidArchitecture("the architecture breaks a constraint of the space: " + to_string(a));
  }
}

std::string SearchSpace::to_string(const Architecture& a) const {
  std::string text;
  for (std::size_t d = 0; d < decisions_.size(); ++d) {
    if (d > 0) text += ',';
    text += decisions_[d].name + "=" + choice_label(decisions_[d], a.choices.at(d));
  }
  return text;
}

namespace {

/// Index of the decision `name`; throws with the nearest name.
std::size_t find_decision(const SearchSpace& space, const std::string& name) {
  const auto& decisions = space.decisions();
  for (std::size_t d = 0; d < decisions.size(); ++d) {
    if (decisions[d].name == name) return d;
  }
  std::vector<std::string> known;
  for (const Decision& d : decisions) known.push_back(d.name);
  throw InvalidArchitecture("the space has no decision '" + name + "'" + suggestion(name, known));
}

}  // namespace

Architecture SearchSpace::parse(std::string_view text) const {
  Architecture a{std::vector<std::uint32_t>(decisions_.size(), 0)};
  std::vector<bool> seen(decisions_.size(), false);
  // A comma at the end leaves an empty last part, which is refused like any other.
  for (std::size_t begin = 0; !text.empty() && begin <= text.size();) {
    const std::size_t end = std::min(text.find(',', begin), text.size());
    const std::string_view part = text.substr(begin, end - begin);
    const std::size_t equals = part.find('=');
    if (equals == std::string_view::npos) {
      throw InvalidArchitecture("'" + std::string(part) +
                                "' is not of the form decision=label; an architecture of this "
                                "space looks like " +
                                to_string(a));
    }
    const std::size_t d = find_decision(*this, std::string(part.substr(0, equals)));
    if (seen[d]) throw InvalidArchitecture("decision '" + decisions_[d].name + "' is given twice");
    seen[d] = true;
    a.choices[d] = choice_from_label(decisions_[d], std::string(part.substr(equals + 1)));
    begin = end + 1;
  }
  const auto missing = std::find(seen.begin(), seen.end(), false);
  if (missing != seen.end()) {
    throw InvalidArchitecture("decision '" +
                              decisions_[static_cast<std::size_t>(missing - seen.begin())].name +
                              "' is missing");
  }
  return a;
}

Json architecture_to_json(const SearchSpace& space, const Architecture& a) {
  Json json = Json::object();
  const auto& decisions = space.decisions();
  for (std::size_t d = 0; d < decisions.size(); ++d) {
    json[decisions[d].name] = choice_label(decisions[d], a.choices.at(d));
  }
  return json;
}

Architecture architecture_from_json(const SearchSpace& space, const Json& json) {
  if (!json.is_object()) {
    throw InvalidArchitecture("an architecture is an object {decision: label}, not " +
                              std::string(json.type_name()));
  }
  Architecture a{std::vector<std::uint32_t>(space.decisions().size(), 0)};
  for (const auto& [name, label] : json.items()) {
    const std::size_t d = find_decision(space, name);
    if (!label.is_string()) {
      throw InvalidArchitecture("decision '" + name + "' needs a label in quotes, not " +
                                std::string(label.type_name()));
    }
    a.choices[d] = choice_from_label(space.decisions()[d], label.get<std::string>());
  }
  return a;
}

Architecture parse_architecture(const SearchSpace& space, std::string_view text) {
  const std::size_t first = text.find_first_not_of(" \t\r\n");
  if (first == std::string_view::npos || text[first] != '{') return space.parse(text);
  try {
    return architecture_from_json(space, parse_json(text, "the architecture"));
  } catch (const ConfigError& error) {
    throw InvalidArchitecture(error.what());
  }
}

SpaceSize space_size(const SearchSpace& space) {
  using boost::multiprecision::cpp_int;
  const auto& counts = space.choice_counts();
  cpp_int product = 1;
  for (std::uint32_t c : counts) product *= c;
  constexpr std::int64_t enumerable = 2'000'000;
  constexpr int valid_draws = 100'000;
  const Supergraph* supergraph = space.supergraph();
  if (supergraph == nullptr) {
    if (product > enumerable) return {product.str(), true};
    std::int64_t count = 0;
    enumerate(space, [&](const Architecture&) { return ++count, true; });
    return {std::to_string(count), false};
  }
  // Decisions fall into components that do not read each other's activity: the size is the product
  // of the components' numbers of canonical vectors.
  std::vector<DecisionId> component(counts.size());
  std::iota(component.begin(), component.end(), DecisionId{0});
  const auto find = [&](DecisionId d) {
    while (component[d] != d) d = component[d] = component[component[d]];
    return d;
  };
  for (DecisionId d = 0; d < counts.size(); ++d) {
    for (DecisionId e : supergraph->decision_active(d).support()) component[find(d)] = find(e);
  }
  cpp_int size = 1;
  bool estimate = false;
  for (DecisionId root = 0; root < counts.size(); ++root) {
    if (find(root) != root) continue;
    std::vector<DecisionId> members;
    std::int64_t all = 1;
    cpp_int exact_all = 1;
    for (DecisionId d = 0; d < counts.size(); ++d) {
      if (find(d) != root) continue;
      members.push_back(d);
      exact_all *= counts[d];
      all = std::min(all * counts[d], enumerable + 1);
    }
    Architecture a{std::vector<std::uint32_t>(counts.size(), 0)};
    const auto is_canonical = [&] {
      return std::all_of(members.begin(), members.end(), [&](DecisionId d) {
        return a.choices[d] == 0 || supergraph->decision_active(d).at(a.choices) != 0;
      });
    };
    if (all <= enumerable) {
      std::int64_t count = 0;
      for (std::int64_t i = 0; i < all; ++i) {
        std::int64_t rest = i;
        for (DecisionId d : members) {
          a.choices[d] = static_cast<std::uint32_t>(rest % counts[d]);
          rest /= counts[d];
        }
        count += is_canonical();
      }
      size *= count;
    } else {
      // Each canonical vector stands for itself: the share of them among uniform vectors.
      constexpr std::int64_t draws = 1'000'000;
      Rng rng(0x5123);
      std::int64_t count = 0;
      for (std::int64_t i = 0; i < draws; ++i) {
        for (DecisionId d : members) {
          a.choices[d] = static_cast<std::uint32_t>(rng.below(counts[d]));
        }
        count += is_canonical();
      }
      size = size * exact_all * std::max<std::int64_t>(count, 1) / draws;
      estimate = true;
    }
  }
  if (!space.constrained()) return {size.str(), estimate};
  if (product <= valid_draws) {
    std::int64_t count = 0;
    enumerate(space, [&](const Architecture&) { return ++count, true; });
    return {std::to_string(count), false};
  }
  // Every canonical architecture stands for as many vectors as its inactive decisions have options,
  // so a drawn one weighs one over their number.
  Rng rng(0x5124);
  double all = 0, valid = 0;
  for (int draw = 0; draw < valid_draws; ++draw) {
    Architecture a{std::vector<std::uint32_t>(counts.size())};
    double weight = 1;
    for (DecisionId d = 0; d < counts.size(); ++d) {
      a.choices[d] = static_cast<std::uint32_t>(rng.below(counts[d]));
    }
    for (DecisionId d = 0; d < counts.size(); ++d) {
      if (!space.active(a, d)) weight /= counts[d];
    }
    all += weight;
    if (space.valid(a)) valid += weight;
  }
  constexpr std::int64_t parts = 1'000'000'000;
  const auto share = static_cast<std::int64_t>(valid / all * parts);
  return {cpp_int(size * share / parts).str(), true};
}

const Graph& Network::graph() const {
  if (!graph_) graph_ = std::make_unique<Graph>(space_->build(*architecture_));
  return *graph_;
}

const Cost& Network::cost() const {
  if (!cost_) cost_ = std::make_unique<Cost>(espalier::cost(graph()));
  return *cost_;
}

}  // namespace espalier
