#include "strategies/random.hpp"

#include <algorithm>

#include "search_spaces/sampling.hpp"

namespace espalier {
OptionTable<RandomOptions> random_option_table() {
  OptionTable<RandomOptions> table("random search");
  table.add("replacement", &RandomOptions::replacement,
            "whether an architecture may be drawn again");
  return add_start_options(table);
}

RandomSearch::RandomSearch(const RunContext& context, const RandomOptions& options)
    : space_(context.space), rng_(context.rng), start_(context, options) {
  if (!options.replacement) asked_.emplace(space_);
}

std::vector<Candidate> RandomSearch::ask(std::size_t max_count) {
  std::vector<Candidate> candidates;
  candidates.reserve(std::min<std::size_t>(max_count, 1024));
  while (candidates.size() < max_count && !finished_) {
    std::optional<Architecture> a = start_.next_known();
    if (!a) {
      a = start_.draw_screened([this] {
        return asked_ ? asked_->draw_other(rng_) : std::optional(sample_uniform(*space_, rng_));
      });
    }
    if (!a) {
      finished_ = true;
      break;
    }
    if (asked_) asked_->insert(*a);
    candidates.push_back({.trial_id = next_id_++, .architecture = *std::move(a)});
  }
  return candidates;
}

}  // namespace espalier
