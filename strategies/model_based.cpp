#include "strategies/model_based.hpp"

#include <algorithm>
#include <cassert>
#include <span>
#include <utility>

#include "core/json.hpp"
#include "strategies/snapshot_file.hpp"

namespace espalier {

ModelBasedSearch::ModelBasedSearch(const RunContext& context, const StartOptions& start,
                                   ModelBasedPlan plan)
    : space_(context.space),
      rng_(context.rng),
      start_(context, start),
      plan_(std::move(plan)),
      asked_(space_),
      surrogate_(context, plan_.surrogate),
      first_count_(std::max(plan_.samples, start_.known_count())) {}

std::vector<Candidate> ModelBasedSearch::ask(std::size_t max_count) {
  std::vector<Candidate> candidates;
  while (candidates.size() < max_count && !finished_) {
    const bool first = in_order_.size() < first_count_;
    if (!first && !surrogate_.ready() && told_count_ < in_order_.size()) break;
    std::optional<Candidate> candidate =
        first || !surrogate_.ready() ? start_.next_new(asked_, rng_) : proposal();
    if (!candidate) {
      finished_ = true;
      break;
    }
    asked_.insert(candidate->architecture);
    candidate->trial_id = in_order_.size();
    in_order_.push_back(candidate->architecture);
    candidates.push_back(*std::move(candidate));
  }
  return candidates;
}

std::optional<Candidate> ModelBasedSearch::proposal() {
  if (proposed_.empty()) {
    const std::uint64_t id = in_order_.size();
    surrogate_.fit(std::span(in_order_).subspan(told_count_), rng_.fork("fit").fork(id));
    ProposalContext context{.space = *space_,
                            .surrogate = surrogate_,
                            .asked = asked_,
                            .rng = rng_,
                            .draws = rng_.fork("draws").fork(id),
                            .count = plan_.batch,
                            .round = rounds_++};
    for (Architecture& a : plan_.propose(context)) proposed_.push_back(std::move(a));
  }
  if (proposed_.empty()) return start_.next_new(asked_, rng_);
  Candidate candidate{.architecture = std::move(proposed_.front())};
  proposed_.pop_front();
  return candidate;
}

void ModelBasedSearch::tell(const Trial& trial) {
  assert(trial.candidate.trial_id == told_count_);
  ++told_count_;
  surrogate_.tell(trial);
}

bool ModelBasedSearch::save(const std::filesystem::path& directory) const {
  if (!plan_.surrogate.anew) return false;
  Json json = {{"rng", rng_.to_string()},  {"told_count", told_count_}, {"rounds", rounds_},
               {"asked", Json::array()},   {"proposed", Json::array()}, {"others", Json(nullptr)},
               {"told", surrogate_.save()}};
  for (const Architecture& a : in_order_) json["asked"].push_back(a.choices);
  for (const Architecture& a : proposed_) json["proposed"].push_back(a.choices);
  if (const auto& others = asked_.listed_others()) {
    json["others"] = Json::array();
    for (const Architecture& a : *others) json["others"].push_back(a.choices);
  }
  write_snapshot(directory, std::move(json));
  return true;
}

void ModelBasedSearch::load(const std::filesystem::path& directory) {
  const auto architectures = [](const Json& list) {
    std::vector<Architecture> result;
    for (const Json& choices : list) choices.get_to(result.emplace_back().choices);
    return result;
  };
  read_snapshot(directory, [&](const Json& json) {
    rng_ = Rng::from_string(json.at("rng").get<std::string>());
    json.at("told_count").get_to(told_count_);
    json.at("rounds").get_to(rounds_);
    in_order_ = architectures(json.at("asked"));
    asked_ = AskedArchitectures(space_);
    for (const Architecture& a : in_order_) asked_.insert(a);
    if (!json.at("others").is_null()) asked_.list_others(architectures(json.at("others")));
    for (std::size_t i = 0; i < in_order_.size(); ++i) {
      if (!start_.next_known()) break;
    }
    proposed_.clear();
    for (Architecture& a : architectures(json.at("proposed"))) proposed_.push_back(std::move(a));
    surrogate_.load(json.at("told"));
  });
}

}  // namespace espalier
