#include "strategies/regularized_evolution.hpp"

#include <algorithm>
#include <cassert>

#include "search_spaces/sampling.hpp"

namespace espalier {
namespace {

constexpr int max_known_children = 20;

}  // namespace

OptionTable<RegularizedEvolutionOptions> regularized_evolution_option_table() {
  using Options = RegularizedEvolutionOptions;
  OptionTable<Options> table("evolution by tournaments in which the oldest dies");
  table.add("population", &Options::population, "living individuals", at_least(1))
      .add("sample", &Options::sample, "individuals drawn for a tournament", at_least(1))
      .add("mutations", &Options::mutations, "decisions changed from parent to child", at_least(1))
      .add("repeats", &Options::repeats, "whether architectures may be evaluated again");
  return add_start_options(table);
}

RegularizedEvolution::RegularizedEvolution(const RunContext& context,
                                           const RegularizedEvolutionOptions& options)
    : space_(context.space),
      goals_(context.goals),
      rng_(context.rng),
      start_(context, options, Moves::screened),
      options_(options),
      asked_(space_),
      first_generation_(
          std::max(static_cast<std::size_t>(options.population), start_.known_count())) {}

std::vector<Candidate> RegularizedEvolution::ask(std::size_t max_count) {
  std::vector<Candidate> candidates;
  candidates.reserve(std::min<std::size_t>(max_count, 1024));
  while (candidates.size() < max_count && !finished_) {
    const bool first = next_id_ < first_generation_;
    if (!first && told_ < first_generation_) break;
    std::optional<Candidate> candidate;
    if (!options_.repeats) {
      if (!first) candidate = new_child();
      if (!candidate) candidate = start_.next_new(asked_, rng_);
      if (!candidate) {
        finished_ = true;
        break;
      }
      asked_.insert(candidate->architecture);
    } else {
      if (!first) candidate = child();
      if (!candidate) candidate = random();
    }
    candidate->trial_id = next_id_++;
    candidates.push_back(*std::move(candidate));
  }
  return candidates;
}

std::optional<Candidate> RegularizedEvolution::child() {
  const Individual* parent = choose_parent();
  if (parent == nullptr) return std::nullopt;
  Candidate candidate;
  candidate.parent = parent->trial_id;
  candidate.architecture =
      *start_.draw_move([&] { return std::optional(mutation(parent->architecture)); });
  return candidate;
}

Architecture RegularizedEvolution::mutation(const Architecture& parent) {
  Architecture made = mutate(*space_, parent, rng_);
  for (int i = 1; i < options_.mutations; ++i) made = mutate(*space_, made, rng_);
  return made;
}

Candidate RegularizedEvolution::random() {
  if (auto known = start_.next_known()) return {.architecture = *std::move(known)};
  const auto draw = [this] { return std::optional(sample_uniform(*space_, rng_)); };
  return {.architecture = *start_.draw_screened(draw)};
}

// What a screen chooses from is new, or it would choose the same few again and again.
std::optional<Candidate> RegularizedEvolution::new_child() {
  return start_.draw_move([&]() -> std::optional<Candidate> {
    for (int i = 0; i < max_known_children; ++i) {
      const Individual* parent = choose_parent();
      if (parent == nullptr) return std::nullopt;
      Candidate made{.architecture = mutation(parent->architecture), .parent = parent->trial_id};
      if (!asked_.contains(made.architecture)) return made;
    }
    return std::nullopt;
  });
}

void RegularizedEvolution::tell(const Trial& trial) {
  assert(trial.candidate.trial_id < next_id_);
  ++told_;
  ranked_ = false;
  population_.push_back({.individual = Individual::of(trial, goals_)});
  if (population_.size() > static_cast<std::size_t>(options_.population)) population_.pop_front();
}

bool RegularizedEvolution::wins(const Member& a, const Member& b) const {
  if (a.individual.failed || b.individual.failed || goals_.size() == 1) {
    return better(a.individual, b.individual);
  }
  return a.key < b.key;
}

void RegularizedEvolution::rank_population() {
  ranked_ = true;
  std::vector<const Individual*> pool;
  for (const Member& member : population_) {
    if (!member.individual.failed) pool.push_back(&member.individual);
  }
  const auto keys = rank_and_crowding(pool);
  auto key = keys.begin();
  for (Member& member : population_) {
    if (!member.individual.failed) member.key = *key++;
  }
}

const Individual* RegularizedEvolution::choose_parent() {
  if (goals_.size() > 1 && !ranked_) rank_population();
  const Member* best = nullptr;
  for (int i = 0; i < options_.sample; ++i) {
    const Member& drawn = population_[rng_.below(population_.size())];
    if (best == nullptr || wins(drawn, *best)) best = &drawn;
  }
  if (!best->individual.failed) return &best->individual;
  std::vector<const Individual*> others;
  for (const Member& member : population_) {
    if (!member.individual.failed) others.push_back(&member.individual);
  }
  return others.empty() ? nullptr : others[rng_.below(others.size())];
}

}  // namespace espalier
