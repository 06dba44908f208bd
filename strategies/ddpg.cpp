#include "strategies/ddpg.hpp"

#include <algorithm>
#include <cmath>
#include <optional>
#include <utility>

#include "core/stats.hpp"

namespace espalier {
namespace {

constexpr double baseline_momentum = 0.95;
constexpr int most_doublings = 60;

OptionTable<ActorCriticOptions> actor_critic_option_table() {
  using Options = ActorCriticOptions;
  return OptionTable<Options>("an actor and a critic")
      .add("hidden", &Options::hidden, "units of each of the two hidden layers", at_least(1))
      .add("batch", &Options::batch, "steps of an update", at_least(1))
      .add("memory", &Options::memory, "latest steps that updates draw from", at_least(1))
      .add("actor_rate", &Options::actor_rate, "learning rate of the actor", greater_than(0))
      .add("critic_rate", &Options::critic_rate, "learning rate of the critic", greater_than(0))
      .add("target_rate", &Options::target_rate, "by which the targets follow",
           Range{.low = 0, .high = 1, .low_open = true});
}

}  // namespace

OptionTable<DdpgOptions> ddpg_option_table() {
  using Options = DdpgOptions;
  OptionTable<Options> table(
      "an actor and a critic that choose ratios, bits and other numbers, within bounds on costs");
  table.add("warmup", &Options::warmup, "trials with random actions", at_least(1))
      .add("noise", &Options::noise, "standard deviation of the actions after that, at first",
           greater_than(0))
      .add("decay", &Options::decay, "what the noise is multiplied by after each trial",
           Range{.low = 0, .high = 1, .low_open = true})
      .beside(&Options::networks, actor_critic_option_table())
      .add("reward", &Options::reward,
           "the rank among all trials, or the value of the only objective", reward_kinds());
  return add_start_options(table);
}

double truncated_normal(double mean, double deviation, Rng& rng) {
  const double low = normal_probability((0 - mean) / deviation);
  const double high = normal_probability((1 - mean) / deviation);
  const double drawn = normal_quantile(low + rng.uniform() * (high - low));
  return std::clamp(mean + deviation * drawn, 0.0, 1.0);
}

Ddpg::Ddpg(const RunContext& context, const DdpgOptions& options)
    : EpisodicSearch(context, options, options.reward),
      options_(options),
      walk_(*context.space, context.goals.constraints()),
      networks_(walk_.state_size(), options.networks, context.rng.fork("networks")),
      baseline_(baseline_momentum) {}

Episode Ddpg::draw(Rng& rng) {
  const double trained = static_cast<double>(rewards().size()) - options_.warmup;
  if (trained < 0) return walk(rng, std::nullopt);
  const double noise = options_.noise * std::pow(options_.decay, trained);
  return walk(rng, std::max(1e-6, std::min(std::ldexp(noise, known_draws_), options_.noise)));
}

std::optional<Episode> Ddpg::explore(Rng& rng) { return walk(rng, std::nullopt); }

Episode Ddpg::walk(Rng& rng, std::optional<double> deviation) {
  Episode episode{.drawn = {std::vector<std::uint32_t>(space().decisions().size())}};
  for (std::size_t t = 0; t < walk_.size(); ++t) {
    double action =
        deviation ? truncated_normal(networks_.act(walk_.state(t, episode.drawn)), *deviation, rng)
                  : rng.uniform();
    const std::span places = walk_.places(t);
    const std::vector<bool> allowed = walk_.allowed(t, episode.drawn);
    std::optional<std::size_t> nearest, nearest_allowed;
    const auto nearer = [&](std::size_t option, const std::optional<std::size_t>& than) {
      return !than || std::abs(places[option] - action) < std::abs(places[*than] - action);
    };
    for (std::size_t option = 0; option < places.size(); ++option) {
      if (nearer(option, nearest)) nearest = option;
      if (allowed[option] && nearer(option, nearest_allowed)) nearest_allowed = option;
    }
    if (nearest != nearest_allowed) action = places[*nearest_allowed];
    episode.drawn.choices[walk_.decision(t)] = static_cast<std::uint32_t>(*nearest_allowed);
    episode.values.push_back(action);
  }
  return episode;
}

Episode Ddpg::recall(const Architecture& a) {
  Episode episode{.drawn = a};
  for (std::size_t t = 0; t < walk_.size(); ++t) {
    episode.values.push_back(walk_.places(t)[a.choices[walk_.decision(t)]]);
  }
  return episode;
}

void Ddpg::learn(const Episode& episode, std::uint64_t trial_id) {
  const auto update = [&] {
    if (rewards().size() <= static_cast<std::size_t>(options_.warmup)) return;
    const double baseline = baseline_.value();
    networks_.update([&](std::uint64_t id) { return rewards().of(id) - baseline; });
  };
  if (trial_id < remembered_) {
    if (known_draws_ < most_doublings) ++known_draws_;
    update();
    return;
  }
  remembered_ = trial_id + 1;
  known_draws_ = 0;
  std::vector<Transition> transitions;
  for (std::size_t t = 0; t < walk_.size(); ++t) {
    if (!space().active(episode.canonical, walk_.decision(t))) continue;
    std::vector<double> state = walk_.state(t, episode.drawn);
    if (!transitions.empty()) transitions.back().next = state;
    transitions.push_back(
        {.state = std::move(state), .action = episode.values[t], .trial_id = trial_id, .next = {}});
  }
  baseline_.add(rewards().of(trial_id));
  for (Transition& transition : transitions) {
    networks_.remember(std::move(transition));
    update();
  }
}

}  // namespace espalier
