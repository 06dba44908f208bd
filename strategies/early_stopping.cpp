#include "strategies/early_stopping.hpp"

#include <cassert>
#include <utility>

#include "core/json.hpp"

namespace espalier {
namespace {

Json to_json(const std::deque<std::vector<Individual>>& curves) {
  Json list = Json::array();
  for (const std::vector<Individual>& curve : curves) {
    Json& points = list.emplace_back(Json::array());
    for (const Individual& one : curve) points.push_back(to_json(one));
  }
  return list;
}

std::deque<std::vector<Individual>> curves_of(const Json& list) {
  std::deque<std::vector<Individual>> curves;
  for (const Json& points : list) {
    std::vector<Individual>& curve = curves.emplace_back();
    for (const Json& point : points) curve.push_back(individual_from_json(point));
  }
  return curves;
}

}  // namespace

EarlyStopping::EarlyStopping(const RunContext& context, const StartOptions& start,
                             std::vector<double> fidelities)
    : space_(context.space),
      goals_(context.goals),
      rng_(context.rng),
      start_(context, start),
      asked_(context.space),
      fidelities_(std::move(fidelities)) {}

std::vector<Candidate> EarlyStopping::ask(std::size_t max_count) {
  std::vector<Candidate> candidates;
  while (candidates.size() < max_count) {
    std::optional<Candidate> candidate;
    Curve curve;
    if (!going_on_.empty()) {
      curve = std::move(going_on_.front());
      going_on_.pop_front();
      candidate =
          Candidate{.architecture = curve.back().architecture, .parent = curve.back().trial_id};
    } else if (!exhausted_) {
      candidate = start_.next_new(asked_, rng_);
      exhausted_ = !candidate;
      if (candidate) begun_.push_back(candidate->architecture);
    }
    if (!candidate) break;
    asked_.insert(candidate->architecture);
    candidate->trial_id = next_id_++;
    candidate->fidelity = fidelities_[curve.size()];
    running_.push_back(std::move(curve));
    candidates.push_back(*std::move(candidate));
  }
  return candidates;
}

void EarlyStopping::tell(const Trial& trial) {
  assert(!running_.empty());
  Curve curve = std::move(running_.front());
  running_.pop_front();
  curve.push_back(Individual::of(trial, goals_));
  if (curve.back().failed) return;
  if (curve.size() == fidelities_.size()) {
    complete(curve);
  } else if (!behind(curve)) {
    going_on_.push_back(std::move(curve));
  }
}

Json EarlyStopping::save_curves() const {
  Json json = {{"rng", rng_.to_string()},
               {"next_id", next_id_},
               {"exhausted", exhausted_},
               {"going_on", to_json(going_on_)},
               {"running", to_json(running_)},
               {"begun", Json::array()},
               {"others", nullptr}};
  for (const Architecture& a : begun_) json["begun"].push_back(a.choices);
  if (const auto& others = asked_.listed_others()) {
    json["others"] = Json::array();
    for (const Architecture& a : *others) json["others"].push_back(a.choices);
  }
  return json;
}

void EarlyStopping::load_curves(const Json& json) {
  const auto architectures = [](const Json& list) {
    std::vector<Architecture> result;
    for (const Json& choices : list) choices.get_to(result.emplace_back().choices);
    return result;
  };
  rng_ = Rng::from_string(json.at("rng").get<std::string>());
  json.at("next_id").get_to(next_id_);
  json.at("exhausted").get_to(exhausted_);
  going_on_ = curves_of(json.at("going_on"));
  running_ = curves_of(json.at("running"));
  begun_ = architectures(json.at("begun"));
  asked_ = AskedArchitectures(space_);
  for (const Architecture& a : begun_) {
    asked_.insert(a);
    start_.next_known();  // known ones came first
  }
  if (!json.at("others").is_null()) asked_.list_others(architectures(json["others"]));
}

}  // namespace espalier
