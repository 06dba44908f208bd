#include "strategies/enas.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cassert>
#include <cmath>
#include <exception>
#include <new>
#include <stdexcept>
#include <string>
#include <utility>

#include "core/error.hpp"
#include "search_spaces/sampling.hpp"

namespace espalier {
namespace {

constexpr int max_known_draws = 20;  // of one candidate
constexpr int most_invalid_draws = 1000;

void require_known(const RunContext& context) {
  assert(context.known_metrics);
  Rng rng(0);
  std::optional<Metrics> known;
  try {
    known = context.known_metrics(sample_uniform(*context.space, rng));
  } catch (const UnsupportedError&) {
    return;  // another architecture may have them
  }
  const auto require = [&](const std::string& metric) {
    if (metric == "accuracy" || std::isfinite(known->at(metric))) return;
    throw ConfigError("", fmt::format("\"enas\" learns from the accuracy on batches and from "
                                      "what is known of a network, which \"{}\" is not",
                                      metric));
  };
  for (const Objective& o : context.goals.objectives()) require(o.metric);
  for (const Constraint& c : context.goals.constraints()) require(c.metric);
}

}  // namespace

OptionTable<EnasSearchOptions> enas_option_table() {
  using Options = EnasSearchOptions;
  OptionTable<Options> table("ENAS: a policy and the weights of all architectures learn in turn");
  table
      .add(
          "policy", &Options::policy, "a recurrent controller, or one softmax for each decision",
          named<PolicyKind>({{"lstm", PolicyKind::lstm}, {"independent", PolicyKind::independent}}))
      .add("hidden", &Options::hidden, "units of the LSTM", at_least(1))
      .add("logit_limit", &Options::logit_limit, "beyond which no logit goes", greater_than(0))
      .add("updates", &Options::updates, "of the policy after each epoch", at_least(1))
      .add("batch", &Options::batch, "architectures of an update", at_least(1))
      .add("candidates", &Options::candidates, "trials after each epoch", at_least(1))
      .add("learning_rate", &Options::learning_rate, "of Adam, for the policy", greater_than(0))
      .add("entropy", &Options::entropy, "weight of the policy's entropy", at_least(0))
      .add("baseline", &Options::baseline, "weight of the past in the mean reward",
           Range{.low = 0, .high = 1, .high_open = true})
      .add("reward", &Options::reward,
           "the rank within an update, or the accuracy, which is the default for one objective",
           reward_kinds());
  return add_start_options(table);
}

Enas::Enas(const RunContext& context, const EnasSearchOptions& options)
    : WeightSharingSearch(context, options, "enas"),
      options_(options),
      reward_(options.reward.value_or(context.goals.size() == 1 ? RewardKind::value
                                                                : RewardKind::rank)),
      known_metrics_(context.known_metrics),
      gradient_(
          make_policy(options.policy, *context.space, static_cast<std::size_t>(options.hidden),
                      context.rng.fork("parameters")),
          {.learning_rate = options.learning_rate,
           .entropy = options.entropy,
           .momentum = options.baseline}) {
  const Rewards checked(context.goals, reward_);
  require_known(context);
  policy().limit_logits(options.logit_limit);
  begin();
}

// As drawn: what is not active is decided, too, and a controller has read it.
PolicyDraw Enas::draw(Rng& rng) {
  for (int i = 0; i < most_invalid_draws; ++i) {
    PolicyDraw drawn = policy().draw(rng);
    if (space().valid(drawn.architecture)) return drawn;
  }
  return policy().recall(sample_uniform(space(), rng));
}

Architecture Enas::draw_architecture(Rng& rng) { return space().canonical(draw(rng).architecture); }

// Fails as a trial of the study would.
void Enas::measure(Trial& trial, const Rng& images) {
  const Architecture& a = trial.candidate.architecture;
  try {
    trial.metrics = known_metrics_(a);
    trial.metrics.set("accuracy", training().batch_accuracy(a, images));
    std::vector<double> values = goals().costs(trial.metrics);
    values.push_back(goals().violation(trial.metrics));
    for (const double value : values) {
      if (!std::isfinite(value)) throw NumericalError("a metric is not finite");
    }
  } catch (const std::bad_alloc&) {
    throw;
  } catch (const std::logic_error&) {
    throw;  // a bug
  } catch (const std::exception& error) {
    trial.state = TrialState::failed;
    trial.error = error.what();
  }
}

void Enas::update(const Rng& rng) {
  Rewards rewards(goals(), reward_);
  std::vector<PolicyExperience> experience;
  std::vector<bool> failed;
  for (std::size_t i = 0; i < static_cast<std::size_t>(options_.batch); ++i) {
    Rng own = rng.fork(i);
    PolicyExperience& one = experience.emplace_back();
    one.draw = draw(own);
    const Architecture a = space().canonical(one.draw.architecture);
    for (DecisionId d = 0; d < a.choices.size(); ++d) one.active.push_back(space().active(a, d));
    Trial trial;
    trial.candidate.trial_id = i;
    trial.candidate.architecture = a;
    measure(trial, own.fork("images"));
    failed.push_back(trial.state == TrialState::failed);
    rewards.add(trial);
  }
  const double unit = reward_ == RewardKind::value ? 100 : 1;  // of percent
  for (std::size_t i = 0; i < experience.size(); ++i) {
    // As a value, what cannot be measured is worth as little as an accuracy can be.
    experience[i].reward = failed[i] && reward_ == RewardKind::value ? 0 : rewards.of(i) / unit;
  }
  gradient_.update(experience);
}

std::vector<Candidate> Enas::next_round(const Rng& rng) {
  const StepArchitectures step = [this](Rng r) { return std::vector{draw_architecture(r)}; };
  if (!train(1, step)) return {};
  for (int i = 0; i < options_.updates; ++i) {
    if (stopping()) return {};
    update(rng.fork("update").fork(static_cast<std::uint64_t>(i)));
  }
  std::vector<Candidate> round;
  const auto add = [&](const Architecture& a) {
    const bool known = std::ranges::find(round, a, &Candidate::architecture) != round.end();
    if (!known) round.push_back({.architecture = a});
    return !known;
  };
  while (const auto known = start().next_known()) add(*known);
  Rng draws = rng.fork("candidates");
  const auto one = [&]() -> std::optional<Architecture> { return draw_architecture(draws); };
  for (int i = 0; i < options_.candidates; ++i) {
    for (int j = 0; j < max_known_draws && !add(*start().draw_screened(one)); ++j) {
    }
  }
  return round;
}

}  // namespace espalier
