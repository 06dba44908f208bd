#include "strategies/asha.hpp"

#include <algorithm>
#include <cassert>
#include <utility>

namespace espalier {

OptionTable<AshaOptions> asha_option_table() {
  OptionTable<AshaOptions> table("successive halving in which nothing waits for a rung to be full");
  return add_fidelity_options(table);
}

Asha::Asha(const RunContext& context, const AshaOptions& options)
    : goals_(context.goals),
      rng_(context.rng),
      start_(context, options),
      asked_(context.space),
      fidelities_(rung_fidelities(options)),
      eta_(static_cast<std::size_t>(options.eta)),
      rungs_(fidelities_.size()) {}

std::optional<Asha::Place> Asha::promotable() const {
  for (std::size_t k = rungs_.size() - 1; k-- > 0;) {
    const Rung& rung = rungs_[k];
    const std::size_t best = std::min(rung.told.size() / eta_, rung.order.size());
    for (std::size_t i = 0; i < best; ++i) {
      if (!rung.promoted[rung.order[i]]) return Place{.rung = k, .trial = rung.order[i]};
    }
  }
  return std::nullopt;
}

std::vector<Candidate> Asha::ask(std::size_t max_count) {
  std::vector<Candidate> candidates;
  while (candidates.size() < max_count) {
    std::optional<Candidate> candidate;
    std::size_t rung = 0;
    if (const std::optional<Place> place = promotable()) {
      rung = place->rung + 1;
      rungs_[place->rung].promoted[place->trial] = true;
      const Individual& individual = rungs_[place->rung].told[place->trial];
      candidate = Candidate{.architecture = individual.architecture, .parent = individual.trial_id};
    } else if (!exhausted_) {
      candidate = start_.next_new(asked_, rng_);
      exhausted_ = !candidate;
    }
    if (!candidate) break;
    asked_.insert(candidate->architecture);
    candidate->trial_id = next_id_++;
    candidate->fidelity = fidelities_[rung];
    running_.push_back(rung);
    candidates.push_back(*std::move(candidate));
  }
  return candidates;
}

void Asha::tell(const Trial& trial) {
  assert(!running_.empty());
  Rung& rung = rungs_[running_.front()];
  running_.pop_front();
  rung.told.push_back(Individual::of(trial, goals_));
  rung.promoted.push_back(false);
  rung.order = best_first(rung.told);
}

}  // namespace espalier
