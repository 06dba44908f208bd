#include "search_spaces/restriction.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <numeric>
#include <unordered_map>

#include "core/error.hpp"
#include "core/json.hpp"

namespace espalier {

const OptionTable<RestrictionOptions>& restriction_options() {
  static const auto table =
      OptionTable<RestrictionOptions>("what a space leaves out")
          .add("restrict", &RestrictionOptions::restrict,
               "the options that stay of each decision named, as labels; other decisions keep all",
               non_empty());
  return table;
}

namespace {

std::size_t index_of(const std::string& name, const std::vector<std::string>& names,
                     const std::string& pointer, const std::string& what) {
  const auto found = std::ranges::find(names, name);
  if (found == names.end()) {
    throw ConfigError(pointer, fmt::format("{} \"{}\"{}", what, name, suggestion(name, names)));
  }
  return static_cast<std::size_t>(found - names.begin());
}

std::vector<std::string> decision_names(const std::vector<Decision>& decisions) {
  std::vector<std::string> names;
  for (const Decision& d : decisions) names.push_back(d.name);
  return names;
}

std::vector<Decision> kept_decisions(std::vector<Decision> decisions,
                                     const std::vector<std::vector<std::uint32_t>>& options) {
  for (std::size_t d = 0; d < decisions.size(); ++d) {
    std::vector<std::string> labels;
    for (const std::uint32_t option : options[d]) labels.push_back(decisions[d].options[option]);
    decisions[d].options = std::move(labels);
  }
  return decisions;
}

/// The Dim that reads only the options that stay, by their new indices.
class DimRestriction {
 public:
  explicit DimRestriction(const std::vector<std::vector<std::uint32_t>>& options)
      : options_(&options) {}

  Dim operator()(Dim dim) {
    if (dim.constant()) return dim;
    if (const auto known = known_.find(dim); known != known_.end()) return known->second;
    std::vector<Dim> branches;
    for (const std::uint32_t option : (*options_)[dim.decision()]) {
      branches.push_back((*this)(dim.branches()[option]));
    }
    const Dim result = Dim::select(dim.decision(), branches);
    known_.emplace(dim, result);
    return result;
  }

 private:
  const std::vector<std::vector<std::uint32_t>>* options_;
  std::unordered_map<Dim, Dim> known_;
};

}  // namespace

RestrictedSpace::Kept RestrictedSpace::keep(std::shared_ptr<const SearchSpace> whole,
                                            const Restriction& restriction) {
  const std::vector<Decision>& decisions = whole->decisions();
  std::vector<Choices> options(decisions.size());
  for (std::size_t d = 0; d < decisions.size(); ++d) {
    options[d].resize(decisions[d].options.size());
    std::iota(options[d].begin(), options[d].end(), 0u);
  }
  for (const auto& [name, labels] : restriction) {
    const std::string pointer = pointer_to("", name);
    const std::size_t d =
        index_of(name, decision_names(decisions), pointer, "the space has no decision");
    options[d].clear();
    for (std::size_t i = 0; i < labels.size(); ++i) {
      const std::size_t option = index_of(labels[i], decisions[d].options, pointer_to(pointer, i),
                                          fmt::format("decision \"{}\" has no option", name));
      options[d].push_back(static_cast<std::uint32_t>(option));
    }
    std::ranges::sort(options[d]);
    const auto twice = std::ranges::adjacent_find(options[d]);
    if (twice != options[d].end()) {
      throw ConfigError(pointer, fmt::format("lists \"{}\" twice; write each option once",
                                             decisions[d].options[*twice]));
    }
    if (options[d].size() < static_cast<std::size_t>(decisions[d].pick)) {
      throw ConfigError(pointer, fmt::format("the decision picks {} of its options, and {} would "
                                             "be left",
                                             decisions[d].pick, options[d].size()));
    }
  }
  if (const auto* restricted = dynamic_cast<const RestrictedSpace*>(whole.get())) {
    for (std::size_t d = 0; d < options.size(); ++d) {
      for (std::uint32_t& option : options[d]) option = restricted->options_[d][option];
    }
    whole = restricted->whole_;
  }
  return {std::move(whole), std::move(options)};
}

RestrictedSpace::RestrictedSpace(std::shared_ptr<const SearchSpace> whole,
                                 const Restriction& restriction)
    : RestrictedSpace(keep(std::move(whole), restriction)) {}

RestrictedSpace::RestrictedSpace(Kept kept)
    : SearchSpace(kept_decisions(kept.whole->decisions(), kept.options)),
      whole_(std::move(kept.whole)),
      options_(std::move(kept.options)),
      choices_(options_) {
  for (std::size_t d = 0; d < options_.size(); ++d) {
    if (decisions()[d].pick == 1) continue;
    choices_[d].clear();
    for (std::uint32_t choice = 0; choice < choice_counts()[d]; ++choice) {
      std::vector<std::uint32_t> subset = picked_options(decisions()[d], choice);
      for (std::uint32_t& option : subset) option = options_[d][option];
      choices_[d].push_back(rank_subset(subset));
    }
  }
  if (const Supergraph* supergraph = whole_->supergraph()) {
    supergraph_ = restrict_supergraph(*supergraph, options_);
  }
}

Architecture RestrictedSpace::lift(const Architecture& a) const {
  Architecture lifted = a;
  for (std::size_t d = 0; d < choices_.size(); ++d) {
    lifted.choices[d] = choices_[d].at(a.choices.at(d));
  }
  return lifted;
}

std::optional<Architecture> RestrictedSpace::lower(const Architecture& of_whole) const {
  Architecture lowered = of_whole;
  for (std::size_t d = 0; d < choices_.size(); ++d) {
    // Subsets in colexicographic order stay in order when their members do.
    const auto found = std::ranges::lower_bound(choices_[d], of_whole.choices.at(d));
    if (found == choices_[d].end() || *found != of_whole.choices[d]) return std::nullopt;
    lowered.choices[d] = static_cast<std::uint32_t>(found - choices_[d].begin());
  }
  return lowered;
}

bool RestrictedSpace::valid(const Architecture& a) const {
  return SearchSpace::valid(a) && whole_->valid(lift(a));
}

Graph RestrictedSpace::build(const Architecture& a) const {
  require_valid(a);
  return whole_->build(lift(a));
}

Architecture RestrictedSpace::canonical(const Architecture& a) const {
  if (supergraph_) {
    // A constraint of the whole space may read decisions that are not active.
    Architecture result = supergraph_->canonical(a);
    return valid(result) ? result : a;
  }
  const Architecture target = whole_->canonical(lift(a));
  Architecture result = a;
  for (std::size_t d = 0; d < choices_.size(); ++d) {
    const auto found = std::ranges::lower_bound(choices_[d], target.choices[d]);
    const bool stays = found != choices_[d].end() && *found == target.choices[d];
    result.choices[d] = stays ? static_cast<std::uint32_t>(found - choices_[d].begin()) : 0;
  }
  // A canonical form that needs an option that was left out is none here.
  return valid(result) && whole_->canonical(lift(result)) == target ? result : a;
}

bool RestrictedSpace::active(const Architecture& a, DecisionId d) const {
  return supergraph_ ? supergraph_->decision_active(d).at(a.choices) != 0
                     : whole_->active(lift(a), d);
}

Architecture RestrictedSpace::parse(std::string_view text) const {
  Architecture parsed = whole_->parse(text);
  const Architecture read = parsed;
  for (std::size_t d = 0; d < choices_.size(); ++d) {
    if (std::ranges::binary_search(choices_[d], parsed.choices[d])) continue;
    if (!whole_->active(read, static_cast<DecisionId>(d))) {  // a text may say nothing of it
      parsed.choices[d] = choices_[d].front();
      continue;
    }
    throw InvalidArchitecture(
        fmt::format("decision '{}' has no '{}' in this restriction of the "
                    "space; it has '{}'",
                    decisions()[d].name, choice_label(whole_->decisions()[d], parsed.choices[d]),
                    fmt::join(decisions()[d].options, "', '")));
  }
  return *lower(parsed);
}

Restriction RestrictedSpace::restriction() const {
  Restriction result;
  for (std::size_t d = 0; d < options_.size(); ++d) {
    if (decisions()[d].options.size() < whole_->decisions()[d].options.size()) {
      result[decisions()[d].name] = decisions()[d].options;
    }
  }
  return result;
}

Supergraph restrict_supergraph(const Supergraph& supergraph,
                               const std::vector<std::vector<std::uint32_t>>& options) {
  const Graph& old = supergraph.graph();
  const std::vector<Decision> decisions = kept_decisions(supergraph.decisions(), options);
  const auto inputs_of = [&](NodeId id) {
    const auto inputs = old.inputs(id);
    const auto* choice = std::get_if<op::Choice>(&old.node(id).op);
    if (choice == nullptr) return std::vector<NodeId>(inputs.begin(), inputs.end());
    std::vector<NodeId> kept;
    for (const std::uint32_t option : options[choice->decision]) kept.push_back(inputs[option]);
    return kept;
  };
  std::vector<bool> reached(old.size(), false);
  reached[old.output()] = true;
  for (NodeId id = static_cast<NodeId>(old.size()); id-- > 0;) {
    if (!reached[id]) continue;
    for (const NodeId input : inputs_of(id)) reached[input] = true;
  }
  DimRestriction restricted(options);
  Graph graph;
  graph.set_decision_names(decision_names(decisions));
  for (ScopeId s = 1; s < old.scopes().size(); ++s) {
    const Scope& scope = old.scope(s);
    const std::string& above = old.scope(scope.parent).name;
    auto attributes = scope.attributes;
    for (auto& [name, value] : attributes) value = restricted(value);
    graph.add_scope(above.empty() ? scope.name : scope.name.substr(above.size() + 1), scope.kind,
                    scope.parent, std::move(attributes));
  }
  std::vector<NodeId> renumbered(old.size());
  for (NodeId id = 0; id < old.size(); ++id) {
    if (!reached[id]) continue;
    Node node = old.node(id);
    for_each_dim(node.op, [&](std::string_view, Dim& d) { d = restricted(d); });
    if (auto& quantization = node.compression.quantization) {
      quantization->weight_bits = restricted(quantization->weight_bits);
      quantization->activation_bits = restricted(quantization->activation_bits);
      if (*quantization == Quantization{}) quantization.reset();
    }
    std::vector<NodeId> inputs = inputs_of(id);
    for (NodeId& input : inputs) input = renumbered[input];
    renumbered[id] = graph.add(node.op, inputs, old.name(id), node.scope, node.compression);
  }
  return Supergraph(std::move(graph), decisions);
}

std::unique_ptr<SearchSpace> restrict_space(std::unique_ptr<SearchSpace> space,
                                            const RestrictionOptions& options) {
  if (!options.restrict) return space;
  try {
    return std::make_unique<RestrictedSpace>(std::move(space), *options.restrict);
  } catch (const ConfigError& error) {
    throw error.within("/restrict");
  }
}

Json restricted_config(Json config, const RestrictedSpace& space) {
  const Restriction restriction = space.restriction();
  config.erase("restrict");
  // In the order of the decisions, which a map does not have.
  for (const Decision& decision : space.decisions()) {
    if (restriction.contains(decision.name)) {
      config["restrict"][decision.name] = decision.options;
    }
  }
  return config;
}

}  // namespace espalier
