#include "strategies/episodic_search.hpp"

#include <cassert>

namespace espalier {
namespace {

constexpr int most_known_draws = 20;
constexpr int most_invalid_draws = 1000;

}  // namespace

EpisodicSearch::EpisodicSearch(const RunContext& context, const StartOptions& start,
                               RewardKind reward)
    : space_(context.space),
      rng_(context.rng),
      start_(context, start),
      rewards_(context.goals, reward),
      asked_(space_) {}

std::vector<Candidate> EpisodicSearch::ask(std::size_t max_count) {
  std::vector<Candidate> candidates;
  while (candidates.size() < max_count && !finished_) {
    std::optional<Episode> episode = next_episode();
    if (!episode) {
      finished_ = true;
      break;
    }
    asked_.insert(episode->canonical);
    candidates.push_back({.trial_id = next_id_++, .architecture = episode->canonical});
    in_flight_.push_back(*std::move(episode));
  }
  return candidates;
}

std::optional<Episode> EpisodicSearch::next_episode() {
  const auto of_canonical = [this](const Architecture& a) {
    Episode episode = recall(a);
    episode.canonical = a;
    return episode;
  };
  if (const std::optional<Architecture> known = start_.next_known()) return of_canonical(*known);
  int known = 0, invalid = 0;
  while (known < most_known_draws && invalid < most_invalid_draws) {
    Episode episode = draw(rng_);
    if (!space_->valid(episode.drawn)) {
      ++invalid;
      continue;
    }
    episode.canonical = space_->canonical(episode.drawn);
    if (!asked_.contains(episode.canonical)) return episode;
    ++known;
    const auto told = told_ids_.find(episode.canonical);
    if (told != told_ids_.end()) learn(episode, told->second);
  }
  for (int i = 0; i < most_known_draws; ++i) {
    std::optional<Episode> episode = explore(rng_);
    if (!episode) break;
    if (!space_->valid(episode->drawn)) continue;
    episode->canonical = space_->canonical(episode->drawn);
    if (!asked_.contains(episode->canonical)) return episode;
  }
  const std::optional<Candidate> other = start_.next_new(asked_, rng_);
  if (!other) return std::nullopt;
  return of_canonical(other->architecture);
}

void EpisodicSearch::tell(const Trial& trial) {
  rewards_.add(trial);
  const Episode episode = std::move(in_flight_.front());
  in_flight_.pop_front();
  assert(episode.canonical == trial.candidate.architecture);
  told_ids_.emplace(episode.canonical, trial.candidate.trial_id);
  learn(episode, trial.candidate.trial_id);
}

}  // namespace espalier
