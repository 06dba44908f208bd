#include "strategies/reinforce.hpp"

namespace espalier {
namespace {

Named<PolicyKind> policy_kinds() {
  return named<PolicyKind>({{"lstm", PolicyKind::lstm}, {"independent", PolicyKind::independent}});
}

const Range momentum_range{.low = 0, .high = 1, .high_open = true};

// The options that both strategies have.
template <class Options>
void add_policy_options(OptionTable<Options>& table) {
  table
      .add("policy", &Options::policy, "a recurrent controller, or one softmax for each decision",
           policy_kinds())
      .add("hidden", &Options::hidden, "units of the LSTM", at_least(1))
      .add("batch", &Options::batch, "candidates of an update", at_least(1))
      .add("learning_rate", &Options::learning_rate,
           "of Adam; by default 0.01 with an LSTM, 0.1 with independent softmaxes", greater_than(0))
      .add("entropy", &Options::entropy, "weight of the policy's entropy", at_least(0))
      .add("baseline", &Options::baseline, "weight of the past in the mean reward", momentum_range)
      .add("reward", &Options::reward,
           "the rank among all trials, or the value of the only objective", reward_kinds());
}

template <class Options>
PolicySearchOptions search_options(const Options& options, std::optional<Clipping> clipping) {
  const double rate = options.policy == PolicyKind::lstm ? 0.01 : 0.1;
  return {.policy = options.policy,
          .hidden = options.hidden,
          .batch = options.batch,
          .gradient = {.learning_rate = options.learning_rate.value_or(rate),
                       .entropy = options.entropy,
                       .momentum = options.baseline,
                       .clipping = clipping},
          .reward = options.reward};
}

}  // namespace

PolicySearch::PolicySearch(const RunContext& context, const StartOptions& start,
                           const PolicySearchOptions& options)
    : EpisodicSearch(context, start, options.reward),
      batch_(static_cast<std::size_t>(options.batch)),
      gradient_(
          make_policy(options.policy, *context.space, static_cast<std::size_t>(options.hidden),
                      context.rng.fork("parameters")),
          options.gradient) {}

Episode PolicySearch::draw(Rng& rng) {
  PolicyDraw draw = policy().draw(rng);
  return {.drawn = std::move(draw.architecture), .values = std::move(draw.log_probs)};
}

Episode PolicySearch::recall(const Architecture& a) {
  return {.drawn = a, .values = policy().recall(a).log_probs};
}

void PolicySearch::learn(const Episode& episode, std::uint64_t trial_id) {
  PolicyExperience one{
      .draw = {.architecture = episode.drawn, .log_probs = episode.values, .entropies = {}},
      .active = {}};
  for (DecisionId d = 0; d < episode.values.size(); ++d) {
    one.active.push_back(space().active(episode.canonical, d));
  }
  experience_.push_back(std::move(one));
  trials_.push_back(trial_id);
  if (experience_.size() < batch_) return;
  for (std::size_t i = 0; i < experience_.size(); ++i) {
    experience_[i].reward = rewards().of(trials_[i]);
  }
  gradient_.update(experience_);
  experience_.clear();
  trials_.clear();
}

OptionTable<ReinforceOptions> reinforce_option_table() {
  OptionTable<ReinforceOptions> table("REINFORCE: a policy that learns which options are rewarded");
  add_policy_options(table);
  return add_start_options(table);
}

std::unique_ptr<Strategy> reinforce(const RunContext& context, const ReinforceOptions& options) {
  return std::make_unique<PolicySearch>(context, options, search_options(options, std::nullopt));
}

OptionTable<PpoOptions> ppo_option_table() {
  OptionTable<PpoOptions> table(
      "proximal policy optimization: several careful steps on each batch");
  add_policy_options(table);
  table
      .add("clip", &PpoOptions::clip, "how far from 1 ratios of probabilities count",
           greater_than(0))
      .add("epochs", &PpoOptions::epochs, "steps on each batch", at_least(1));
  return add_start_options(table);
}

std::unique_ptr<Strategy> ppo(const RunContext& context, const PpoOptions& options) {
  return std::make_unique<PolicySearch>(
      context, options,
      search_options(options, Clipping{.range = options.clip, .epochs = options.epochs}));
}

}  // namespace espalier
