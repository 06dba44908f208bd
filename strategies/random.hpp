#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "strategies/asked_architectures.hpp"
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
/// finished() is as exact as AskedArchitectures::draw_other().
class RandomSearch : public Strategy {
 public:
  /// Throws ConfigError as Start does.
  RandomSearch(const RunContext& context, const RandomOptions& options);

  std::vector<Candidate> ask(std::size_t max_count) override;
  void tell(const Trial&) override {}
  bool finished() const override { return finished_; }

 private:
  std::shared_ptr<const SearchSpace> space_;
  Rng rng_;
  Start start_;
  std::uint64_t next_id_ = 0;
  bool finished_ = false;
  std::optional<AskedArchitectures> asked_;  // without replacement
};

}  // namespace espalier
