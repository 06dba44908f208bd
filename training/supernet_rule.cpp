#include "training/supernet_rule.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <numeric>
#include <stdexcept>
#include <utility>

#include "core/error.hpp"
#include "search_spaces/sampling.hpp"

namespace espalier {

SupernetRule::SupernetRule(std::shared_ptr<const SearchSpace> space, const SupernetOptions& options)
    : space_(std::move(space)), options_(options) {
  const std::vector<std::uint32_t>& counts = space_->choice_counts();
  switch (options_.rule) {
    case RuleKind::uniform:
      return;
    case RuleKind::fair:
      if (space_->constrained()) {
        throw UnsupportedError(
            "strict fairness cannot keep a space's constraints; take the rule uniform");
      }
      for (std::uint32_t count : counts) most_choices_ = std::max(most_choices_, count);
      for (std::size_t d = 0; d < counts.size(); ++d) {
        if (most_choices_ % counts[d] == 0) continue;
        throw UnsupportedError(
            fmt::format("strict fairness needs numbers of choices that divide the largest one, "
                        "{}, but decision '{}' has {}; take the rule uniform",
                        most_choices_, space_->decisions()[d].name, counts[d]));
      }
      return;
    case RuleKind::attentive:
      // A fixed seed: what is drawn below is a sample of the space, not a part of the training.
      by_macs_ = std::make_shared<const MacsConditionedSampler>(space_, Rng(0));
      [[fallthrough]];
    case RuleKind::sandwich:
      largest_ = largest_architecture(*space_);
      smallest_ = smallest_architecture(*space_);
      return;
    case RuleKind::progressive:
      phases_ = shrinking_phases(*space_, options_.train.epochs);
      return;
    case RuleKind::strategy:
      throw std::logic_error("a strategy says which architectures learn");
  }
}

std::vector<SupernetPass> SupernetRule::passes(Rng rng, std::size_t phase) const {
  std::vector<SupernetPass> result;
  switch (options_.rule) {
    case RuleKind::uniform:
      result.push_back({.architecture = sample_uniform(*space_, rng)});
      break;
    case RuleKind::fair:
      result = fair_passes(rng);
      break;
    case RuleKind::sandwich:
      result.push_back({.architecture = largest_});
      result.push_back({.architecture = smallest_, .lesson = Lesson::first});
      for (int i = 0; i < options_.random_architectures; ++i) {
        result.push_back({.architecture = sample_uniform(*space_, rng), .lesson = Lesson::first});
      }
      break;
    case RuleKind::attentive:
      result.push_back({.architecture = largest_});
      result.push_back({.architecture = smallest_, .lesson = Lesson::first});
      for (int i = 0; i < options_.random_architectures; ++i) {
        result.push_back(
            {.architecture = {},
             .lesson = Lesson::first,
             .candidates = by_macs_->draw(static_cast<std::size_t>(options_.candidates), rng)});
      }
      break;
    case RuleKind::progressive:
      for (int i = 0; i < phases_[phase].architectures; ++i) {
        result.push_back(
            {.architecture = sample_open(*space_, phases_[phase], rng),
             .lesson = phases_[phase].distilled ? Lesson::labels_and_teacher : Lesson::labels});
      }
      break;
    case RuleKind::strategy:
      break;
  }
  return result;
}

Architecture SupernetRule::teacher_of(const Architecture& a) const {
  Architecture teacher = a;
  for (std::size_t d = 0; d < teacher.choices.size(); ++d) {
    const std::vector<std::uint32_t>& choices = phases_.front().choices[d];
    if (choices.size() == 1) teacher.choices[d] = choices.front();
  }
  return teacher;
}

std::vector<SupernetPass> SupernetRule::fair_passes(Rng& rng) const {
  const std::vector<std::uint32_t>& counts = space_->choice_counts();
  std::vector<SupernetPass> result(most_choices_);
  for (SupernetPass& pass : result) pass.architecture.choices.resize(counts.size());
  for (std::size_t d = 0; d < counts.size(); ++d) {
    std::vector<std::uint32_t> order(counts[d]);
    for (std::size_t i = 0; i < result.size(); ++i) {
      if (i % counts[d] == 0) {
        std::iota(order.begin(), order.end(), 0);
        rng.shuffle(order);
      }
      result[i].architecture.choices[d] = order[i % counts[d]];
    }
  }
  return result;
}

}  // namespace espalier
