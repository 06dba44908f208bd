#include "strategies/random.hpp"

#include <algorithm>

#include "search_spaces/sampling.hpp"

namespace espalier {
namespace {

constexpr std::uint64_t flat_limit = std::uint64_t{1} << 26;         // 8 MB of bits
constexpr std::uint64_t enumeration_limit = std::uint64_t{1} << 20;  // well under a second
constexpr int max_rejections = 10'000;

}  // namespace

OptionTable<RandomOptions> random_option_table() {
  OptionTable<RandomOptions> table("random search");
  table.add("replacement", &RandomOptions::replacement,
            "whether an architecture may be drawn again");
  return add_start_options(table);
}

RandomSearch::RandomSearch(const RunContext& context, const RandomOptions& options)
    : space_(context.space),
      rng_(context.rng),
      start_(context, options),
      replacement_(options.replacement) {
  if (replacement_) return;
  radix_ = MixedRadix::of(*space_, flat_limit);
  if (radix_) asked_bits_.resize(radix_->size());
}

std::vector<Candidate> RandomSearch::ask(std::size_t max_count) {
  std::vector<Candidate> candidates;
  candidates.reserve(std::min<std::size_t>(max_count, 1024));
  while (candidates.size() < max_count && !finished_) {
    std::optional<Architecture> a = start_.next_known();
    if (!a) a = start_.draw_screened([this] { return draw(); });
    if (!a) {
      finished_ = true;
      break;
    }
    if (!replacement_) mark_asked(*a);
    candidates.push_back({.trial_id = next_id_++, .architecture = *std::move(a)});
  }
  return candidates;
}

std::optional<Architecture> RandomSearch::draw() {
  if (replacement_) return sample_uniform(*space_, rng_);
  if (!unseen_) {
    for (int i = 0; i < max_rejections; ++i) {
      Architecture a = sample_uniform(*space_, rng_);
      if (!asked(a)) return a;
    }
    list_unseen();
  }
  while (!unseen_->empty()) {
    Architecture& a = (*unseen_)[rng_.below(unseen_->size())];
    if (!asked(a)) return a;
    a = std::move(unseen_->back());
    unseen_->pop_back();
  }
  return std::nullopt;
}

void RandomSearch::list_unseen() {
  unseen_.emplace();
  if (!radix_ || radix_->size() > enumeration_limit) return;
  enumerate(*space_, [this](const Architecture& a) {
    if (!asked(a)) unseen_->push_back(a);
    return true;
  });
  unseen_left_ = unseen_->size();
}

bool RandomSearch::asked(const Architecture& a) const {
  return radix_ ? asked_bits_[radix_->index(a)] : asked_set_.contains(a);
}

void RandomSearch::mark_asked(const Architecture& a) {
  if (radix_) {
    asked_bits_[radix_->index(a)] = true;
  } else {
    asked_set_.insert(a);
  }
  if (unseen_ && --unseen_left_ == 0) finished_ = true;
}

}  // namespace espalier
