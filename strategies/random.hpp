#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <unordered_set>
#include <vector>

#include "search_spaces/mixed_radix.hpp"
#include "strategies/start.hpp"
#include "strategies/strategy.hpp"

namespace espalier {

struct RandomOptions : StartOptions {
  bool replacement = false;  ///< whether an architecture may be asked for again
};
OptionTable<RandomOptions> random_option_table();

/// Random search: each decision drawn uniformly, invalid architectures drawn again, inactive
/// decisions closed. Without replacement, architectures that were asked for are drawn again.
///
/// finished() is exact for spaces of up to 2^20 choices: after 10,000 draws in a row without a new
/// architecture, those that are left are listed. In a larger space such a row ends the search.
class RandomSearch : public Strategy {
 public:
  /// Throws ConfigError as Start does.
  RandomSearch(const RunContext& context, const RandomOptions& options);

  std::vector<Candidate> ask(std::size_t max_count) override;
  void tell(const Trial&) override {}
  bool finished() const override { return finished_; }

 private:
  std::optional<Architecture> draw();
  bool asked(const Architecture& a) const;
  void mark_asked(const Architecture& a);
  void list_unseen();

  std::shared_ptr<const SearchSpace> space_;
  Rng rng_;
  Start start_;
  bool replacement_;
  std::uint64_t next_id_ = 0;
  bool finished_ = false;
  // What was asked for: bits in small spaces, a set in others.
  std::optional<MixedRadix> radix_;
  std::vector<bool> asked_bits_;
  std::unordered_set<Architecture, ArchitectureHash> asked_set_;
  // What is left, once it is listed, and maybe some that are not; unseen_left_ are.
  std::optional<std::vector<Architecture>> unseen_;
  std::size_t unseen_left_ = 0;
};

}  // namespace espalier
