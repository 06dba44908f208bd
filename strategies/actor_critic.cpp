#include "strategies/actor_critic.hpp"

#include <cassert>
#include <utility>

namespace espalier {
namespace {

// Each state followed by its action.
std::vector<double> joined(std::span<const double> states, std::span<const double> actions) {
  const std::size_t size = states.size() / actions.size();
  std::vector<double> rows;
  rows.reserve(states.size() + actions.size());
  for (std::size_t i = 0; i < actions.size(); ++i) {
    const auto state = states.subspan(i * size, size);
    rows.insert(rows.end(), state.begin(), state.end());
    rows.push_back(actions[i]);
  }
  return rows;
}

void follow(DenseNet& target, DenseNet& net, double rate) {
  for (std::size_t i = 0; i < net.parameters().size(); ++i) {
    target.parameters()[i] += rate * (net.parameters()[i] - target.parameters()[i]);
  }
}

std::vector<std::size_t> widths(std::size_t input, int hidden) {
  return {input, static_cast<std::size_t>(hidden), static_cast<std::size_t>(hidden)};
}

}  // namespace

ActorCritic::ActorCritic(std::size_t state_size, const ActorCriticOptions& options, Rng rng)
    : options_(options),
      state_size_(state_size),
      actor_(widths(state_size, options.hidden), DenseOutput::sigmoid, rng.fork("actor")),
      critic_(widths(state_size + 1, options.hidden), DenseOutput::linear, rng.fork("critic")),
      actor_target_(actor_),
      critic_target_(critic_),
      actor_adam_(actor_.parameters().size()),
      critic_adam_(critic_.parameters().size()),
      rng_(rng.fork("batches")) {}

double ActorCritic::act(std::span<const double> state) { return actor_.forward(state, 1)[0]; }

double ActorCritic::value(std::span<const double> state, double action) {
  return critic_.forward(joined(state, std::span(&action, 1)), 1)[0];
}

void ActorCritic::remember(Transition transition) {
  assert(transition.state.size() == state_size_);
  memory_.push_back(std::move(transition));
  if (memory_.size() > static_cast<std::size_t>(options_.memory)) memory_.pop_front();
}

void ActorCritic::update(const std::function<double(std::uint64_t)>& reward) {
  if (memory_.empty()) return;
  const auto batch = static_cast<std::size_t>(options_.batch);
  const double share = 1 / static_cast<double>(batch);
  std::vector<double> states, actions, targets, next;
  std::vector<std::size_t> goes_on;
  for (std::size_t i = 0; i < batch; ++i) {
    const Transition& drawn = memory_[rng_.below(memory_.size())];
    states.insert(states.end(), drawn.state.begin(), drawn.state.end());
    actions.push_back(drawn.action);
    targets.push_back(reward(drawn.trial_id));
    if (drawn.next.empty()) continue;
    next.insert(next.end(), drawn.next.begin(), drawn.next.end());
    goes_on.push_back(i);
  }
  if (!goes_on.empty()) {
    const std::vector<double> then = critic_target_.forward(
        joined(next, actor_target_.forward(next, goes_on.size())), goes_on.size());
    for (std::size_t i = 0; i < goes_on.size(); ++i) targets[goes_on[i]] += then[i];
  }

  std::vector<double> error = critic_.forward(joined(states, actions), batch);
  for (std::size_t i = 0; i < batch; ++i) error[i] = 2 * share * (error[i] - targets[i]);
  std::vector<double> critic_gradient(critic_.parameters().size());
  critic_.backward(error, critic_gradient);
  critic_adam_.descend(critic_.parameters(), critic_gradient, options_.critic_rate);

  critic_.forward(joined(states, actor_.forward(states, batch)), batch);
  const std::vector<double> by_inputs =
      critic_.backward(std::vector(batch, -share), critic_gradient);
  std::vector<double> by_actions;
  for (std::size_t i = 0; i < batch; ++i) {
    by_actions.push_back(by_inputs[i * (state_size_ + 1) + state_size_]);
  }
  std::vector<double> actor_gradient(actor_.parameters().size());
  actor_.backward(by_actions, actor_gradient);
  actor_adam_.descend(actor_.parameters(), actor_gradient, options_.actor_rate);

  follow(actor_target_, actor_, options_.target_rate);
  follow(critic_target_, critic_, options_.target_rate);
}

}  // namespace espalier
