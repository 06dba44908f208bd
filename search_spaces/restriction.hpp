#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/options.hpp"
#include "search_spaces/search_space.hpp"
#include "search_spaces/supergraph.hpp"

namespace espalier {

/// The options that stay, as labels by the name of their decision; other decisions keep all.
using Restriction = std::map<std::string, std::vector<std::string>>;

/// What the config of every space of the catalogue takes besides its own options.
struct RestrictionOptions {
  std::optional<Restriction> restrict = {};
};
const OptionTable<RestrictionOptions>& restriction_options();

/// A search space with some options left out: the same networks, under the same names and strings,
/// as far as they do without those options. Works for every space; one with a supergraph keeps one,
/// without the nodes and widths that only the options left out need, so weights are still shared.
/// All decisions stay, in their order, some with a single choice.
class RestrictedSpace : public SearchSpace {
 public:
  /// Throws ConfigError, with a pointer into the restriction, for a decision or an option that
  /// `whole` does not have (naming the nearest), an option named twice, and fewer options than the
  /// decision picks.
  RestrictedSpace(std::shared_ptr<const SearchSpace> whole, const Restriction& restriction);

  bool valid(const Architecture& a) const override;
  bool constrained() const override { return whole_->constrained(); }
  Graph build(const Architecture& a) const override;
  /// As the whole space's, but a choice that does not change the network becomes the first that
  /// stays.
  Architecture canonical(const Architecture& a) const override;
  bool active(const Architecture& a, DecisionId d) const override;
  const Supergraph* supergraph() const override { return supergraph_ ? &*supergraph_ : nullptr; }
  Cost quick_cost(const Architecture& a) const override { return whole_->quick_cost(lift(a)); }
  std::string to_string(const Architecture& a) const override { return whole_->to_string(lift(a)); }
  /// Throws InvalidArchitecture also for an architecture that uses an option that was left out.
  Architecture parse(std::string_view text) const override;

  /// The space without restriction. It is not a RestrictedSpace: one of a RestrictedSpace shares
  /// its whole space.
  const std::shared_ptr<const SearchSpace>& whole() const { return whole_; }
  /// The same network as an architecture of the whole space. `a` must be in range.
  Architecture lift(const Architecture& a) const;
  /// Inverse of lift(); empty where the architecture has an option that was left out.
  std::optional<Architecture> lower(const Architecture& of_whole) const;
  /// The decisions that have lost options of the whole space, each with those that stay.
  Restriction restriction() const;

 private:
  // Ascending choices of a decision of the whole space.
  using Choices = std::vector<std::uint32_t>;
  struct Kept {
    std::shared_ptr<const SearchSpace> whole;
    std::vector<Choices> options;  // of each decision
  };
  static Kept keep(std::shared_ptr<const SearchSpace> whole, const Restriction& restriction);
  explicit RestrictedSpace(Kept kept);

  std::shared_ptr<const SearchSpace> whole_;
  std::vector<Choices> options_;  // of each decision, indices into the whole space's
  std::vector<Choices> choices_;  // of the whole space, by choice; options_ where one is picked
  std::optional<Supergraph> supergraph_;
};

/// The supergraph with only some options of each decision (`options[d]`: ascending indices, at
/// least as many as are picked). Nodes that no architecture needs any more are left out; names and
/// scopes stay, so weights of the whole supergraph fit, sliced where widths have become smaller.
Supergraph restrict_supergraph(const Supergraph& supergraph,
                               const std::vector<std::vector<std::uint32_t>>& options);

/// The space as `options` say, itself where they say nothing. Throws what RestrictedSpace throws,
/// the pointer begins with "/restrict".
std::unique_ptr<SearchSpace> restrict_space(std::unique_ptr<SearchSpace> space,
                                            const RestrictionOptions& options);

/// The config of `space`, given that of the space that it restricts: read again, it makes `space`.
Json restricted_config(Json config, const RestrictedSpace& space);

}  // namespace espalier
