#include "strategies/brackets.hpp"

#include <fmt/format.h>

#include <cassert>
#include <utility>

#include "core/error.hpp"

namespace espalier {
namespace {

std::size_t power(int eta, std::size_t exponent) {
  std::size_t result = 1;
  while (exponent-- > 0) result *= static_cast<std::size_t>(eta);
  return result;
}

}  // namespace

BracketSizes halved(std::size_t samples, std::size_t rungs, int eta) {
  BracketSizes sizes;
  for (std::size_t k = 0; k < rungs; ++k) sizes.push_back(samples / power(eta, k));
  return sizes;
}

std::vector<BracketSizes> hyperband_brackets(std::size_t rungs, int eta) {
  std::vector<BracketSizes> brackets;
  for (std::size_t s = rungs; s-- > 0;) {
    const std::size_t samples = (rungs * power(eta, s) + s) / (s + 1);  // rounded up
    brackets.push_back(halved(samples, s + 1, eta));
  }
  return brackets;
}

Brackets::Brackets(const RunContext& context, const FidelityOptions& options,
                   std::vector<BracketSizes> brackets)
    : space_(context.space),
      rng_(context.rng),
      start_(context, options),
      asked_(space_),
      fidelities_(rung_fidelities(options)),
      goals_(context.goals),
      brackets_(std::move(brackets)) {}

std::vector<Candidate> Brackets::ask(std::size_t max_count) {
  std::vector<Candidate> candidates;
  while (candidates.size() < max_count && !finished_) {
    std::optional<Candidate> candidate;
    if (level_ > 0 && begun_ < promoted_.size()) {
      const Individual& individual = promoted_[begun_];
      candidate = Candidate{.architecture = individual.architecture, .parent = individual.trial_id};
    } else if (level_ == 0 && begun_ < sizes()[0] && !exhausted_) {
      candidate = propose();
      exhausted_ = !candidate;
    }
    if (candidate) {
      asked_.insert(candidate->architecture);
      candidate->trial_id = next_id_++;
      candidate->fidelity = fidelities_[rung()];
      candidates.push_back(*std::move(candidate));
      ++begun_;
    } else if (told_.size() < begun_) {
      break;
    } else {
      rise();
    }
  }
  return candidates;
}

// To the next rung, or to the next bracket.
void Brackets::rise() {
  promoted_.clear();
  if (++level_ < sizes().size()) {
    for (const std::size_t i : best_first(told_)) {
      if (promoted_.size() == sizes()[level_]) break;
      promoted_.push_back(told_[i]);
    }
  }
  told_.clear();
  begun_ = 0;
  if (!promoted_.empty()) return;
  level_ = 0;
  bracket_ = (bracket_ + 1) % brackets_.size();
  finished_ = exhausted_;
}

void Brackets::tell(const Trial& trial) {
  assert(told_.size() < begun_);
  told_.push_back(Individual::of(trial, goals_));
  learn(rung(), told_.back());
}

OptionTable<SuccessiveHalvingOptions> successive_halving_option_table() {
  using Options = SuccessiveHalvingOptions;
  OptionTable<Options> table("short evaluations of many, longer ones of the best of them");
  table.add("samples", &Options::samples,
            "new architectures of a bracket; by default eta^(rungs - 1), of which one is evaluated "
            "fully",
            at_least(1));
  add_fidelity_options(table);
  return table.check([](const Options& options) {
    if (!options.samples) return;
    const std::size_t least = power(options.eta, rung_fidelities(options).size() - 1);
    if (static_cast<std::size_t>(*options.samples) < least) {
      throw ConfigError("/samples",
                        fmt::format("{} architectures are too few for one of them to be evaluated "
                                    "fully; write {} or more, or a higher min_fidelity",
                                    *options.samples, least));
    }
  });
}

std::unique_ptr<Strategy> successive_halving(const RunContext& context,
                                             const SuccessiveHalvingOptions& options) {
  const std::size_t rungs = rung_fidelities(options).size();
  const std::size_t samples =
      options.samples ? static_cast<std::size_t>(*options.samples) : power(options.eta, rungs - 1);
  return std::make_unique<Brackets>(context, options,
                                    std::vector<BracketSizes>{halved(samples, rungs, options.eta)});
}

OptionTable<HyperbandOptions> hyperband_option_table() {
  OptionTable<HyperbandOptions> table("brackets of successive halving, from bold to cautious");
  return add_fidelity_options(table);
}

std::unique_ptr<Strategy> hyperband(const RunContext& context, const HyperbandOptions& options) {
  return std::make_unique<Brackets>(
      context, options, hyperband_brackets(rung_fidelities(options).size(), options.eta));
}

}  // namespace espalier
