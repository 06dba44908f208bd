#include "strategies/local_search.hpp"

#include <algorithm>
#include <cassert>
#include <utility>

#include "search_spaces/sampling.hpp"

namespace espalier {

OptionTable<LocalSearchOptions> local_search_option_table() {
  using Options = LocalSearchOptions;
  OptionTable<Options> table("climbs from neighbour to better neighbour, from random starts");
  table.add("improvement", &Options::improvement,
            "whether a climb goes on from the first better neighbour, or from the best of all",
            named<Improvement>({{"first", Improvement::first}, {"best", Improvement::best}}));
  return add_start_options(table);
}

LocalSearch::LocalSearch(const RunContext& context, const LocalSearchOptions& options)
    : space_(context.space),
      goals_(context.goals),
      rng_(context.rng),
      start_(context, options, Moves::screened),
      improvement_(options.improvement),
      asked_(space_) {}

std::vector<Candidate> LocalSearch::ask(std::size_t max_count) {
  std::vector<Candidate> candidates;
  while (candidates.size() < max_count && !finished_) {
    std::optional<Candidate> candidate = next();
    if (!candidate) break;
    asked_.insert(candidate->architecture);
    candidate->trial_id = next_id_++;
    candidates.push_back(*std::move(candidate));
  }
  return candidates;
}

std::optional<Candidate> LocalSearch::next() {
  if (auto known = start_.next_known()) return Candidate{.architecture = *std::move(known)};
  if (!neighbours_.empty()) {
    Candidate candidate{.architecture = std::move(neighbours_.back()), .parent = exploring_};
    neighbours_.pop_back();
    return candidate;
  }
  if (!front_.empty() || told_.size() < next_id_) return std::nullopt;
  if (auto a = start_.draw_screened([this] { return asked_.draw_other(rng_); })) {
    return Candidate{.architecture = *std::move(a)};
  }
  finished_ = true;
  return std::nullopt;
}

void LocalSearch::tell(const Trial& trial) {
  assert(trial.candidate.trial_id == told_.size());
  told_ids_.emplace(trial.candidate.architecture, trial.candidate.trial_id);
  told_.push_back(Individual::of(trial, goals_));
  offer(trial.candidate.trial_id);
  advance();
}

// Into the front of the climb, unless a member is as good.
void LocalSearch::offer(std::uint64_t id) {
  const Individual& offered = told_[id];
  if (offered.failed) return;
  for (const Member& member : front_) {
    const Individual& other = told_[member.id];
    if (better(other, offered) || as_good(other, offered)) return;
  }
  std::erase_if(front_, [&](const Member& member) { return better(offered, told_[member.id]); });
  front_.push_back({.id = id});
}

// Goes on to other neighbours, or ends the climb, where that does not depend on trials in flight.
void LocalSearch::advance() {
  if (told_.size() < start_.known_count()) return;  // the first climb starts at the best of these
  const bool in_flight = told_.size() < next_id_;
  while (true) {
    if (exploring_) {
      Member* member = find_member(*exploring_);
      if (member != nullptr || improvement_ == Improvement::best) {
        if (!neighbours_.empty() || in_flight) return;
        if (member != nullptr) member->explored = true;
      }
      exploring_.reset();
    }
    std::vector<std::uint64_t> unexplored;
    for (const Member& member : front_) {
      if (!member.explored) unexplored.push_back(member.id);
    }
    if (unexplored.empty()) {
      if (!in_flight) front_.clear();
      return;
    }
    explore(unexplored[rng_.below(unexplored.size())]);
  }
}

void LocalSearch::explore(std::uint64_t id) {
  exploring_ = id;
  neighbours_.clear();
  std::vector<Architecture> all = neighbours(*space_, told_[id].architecture);
  rng_.shuffle(all);
  for (Architecture& a : all) {
    if (!asked_.contains(a)) {
      neighbours_.push_back(std::move(a));
    } else if (const auto found = told_ids_.find(a); found != told_ids_.end()) {
      offer(found->second);
    }
  }
  start_.sort_moves(neighbours_);
}

LocalSearch::Member* LocalSearch::find_member(std::uint64_t id) {
  const auto found = std::ranges::find(front_, id, &Member::id);
  return found == front_.end() ? nullptr : &*found;
}

}  // namespace espalier
