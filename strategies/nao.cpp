#include "strategies/nao.hpp"

#include <algorithm>
#include <optional>
#include <set>
#include <utility>
#include <vector>

#include "predictors/normal_scores.hpp"
#include "search_spaces/sampling.hpp"
#include "strategies/model_based.hpp"

namespace espalier {
namespace {

constexpr int most_steps = 100;

// Of each decision 0 where it is not active, else its choice plus 1.
EncoderDecoder::Sequence sequence_of(const SearchSpace& space, const Architecture& a) {
  EncoderDecoder::Sequence sequence;
  for (DecisionId d = 0; d < a.choices.size(); ++d) {
    sequence.push_back(space.active(a, d) ? a.choices[d] + 1 : 0);
  }
  return sequence;
}

std::optional<Architecture> architecture_of(const SearchSpace& space,
                                            const EncoderDecoder::Sequence& sequence) {
  Architecture a;
  for (const std::uint32_t symbol : sequence) a.choices.push_back(symbol > 0 ? symbol - 1 : 0);
  if (!space.valid(a)) return std::nullopt;
  return space.canonical(a);
}

std::vector<Architecture> walk(ProposalContext& context, const NaoOptions& options) {
  const SearchSpace& space = context.space;
  // Worst first: the places are values, which those with equal keys share, and those that are as
  // good, between which crowding tells.
  std::vector<Individual> told = context.surrogate.best(context.surrogate.size());
  std::ranges::reverse(told);
  std::vector<const Individual*> pool;
  for (const Individual& individual : told) pool.push_back(&individual);
  const auto keys = rank_and_crowding(pool);
  std::vector<EncoderDecoder::Sequence> sequences;
  std::vector<double> places;
  for (std::size_t i = 0; i < told.size(); ++i) {
    sequences.push_back(sequence_of(space, told[i].architecture));
    const auto same = static_cast<std::size_t>(
        std::ranges::find_if(told,
                             [&](const Individual& other) { return as_good(other, told[i]); }) -
        told.begin());
    const bool shared = same == i && i > 0 && keys[i] == keys[i - 1];
    places.push_back(shared ? places.back() : same < i ? places[same] : static_cast<double>(i));
  }
  std::vector<double> values = normal_scores(places);

  std::vector<std::uint32_t> symbols;
  for (const std::uint32_t count : space.choice_counts()) symbols.push_back(count + 1);
  if (symbols.empty()) return {};
  EncoderDecoder model(options.network, symbols, context.draws);
  model.train(sequences, values);
  const auto first_seed =
      std::max<std::ptrdiff_t>(0, static_cast<std::ptrdiff_t>(sequences.size()) - options.seeds);
  const std::vector<EncoderDecoder::Sequence> seeds(sequences.begin() + first_seed,
                                                    sequences.end());
  if (options.unlabelled > 0) {
    std::vector<EncoderDecoder::Sequence> unlabelled;
    for (int i = 0; i < options.unlabelled; ++i) {
      unlabelled.push_back(sequence_of(space, sample_uniform(space, context.rng)));
    }
    const std::vector<double> predicted = model.predict(unlabelled);
    // Those with values of their own count as much as all others.
    const std::size_t labelled = sequences.size();
    const std::size_t times = std::max<std::size_t>(1, unlabelled.size() / labelled);
    for (std::size_t i = 0; i < (times - 1) * labelled; ++i) {
      sequences.push_back(sequences[i]);
      values.push_back(values[i]);
    }
    sequences.insert(sequences.end(), unlabelled.begin(), unlabelled.end());
    values.insert(values.end(), predicted.begin(), predicted.end());
    model.train(sequences, values);
  }

  std::vector<Architecture> found;
  std::set<Architecture> seen;
  for (int step = 1; step <= most_steps && found.size() < context.count; ++step) {
    for (const EncoderDecoder::Sequence& decoded : model.ascend(seeds, step)) {
      const std::optional<Architecture> a = architecture_of(space, decoded);
      if (!a || context.asked.contains(*a) || !seen.insert(*a).second) continue;
      if (found.size() < context.count) found.push_back(*a);
    }
  }
  // Each training is for a whole batch.
  for (std::size_t i = found.size(); i < context.count; ++i) {
    if (auto a = context.asked.draw_other(context.rng); a && seen.insert(*a).second) {
      found.push_back(*std::move(a));
    }
  }
  return found;
}

template <class T>
OptionTable<T> option_table(const char* doc) {
  OptionTable<T> table(doc);
  table
      .add("samples", static_cast<int T::*>(&T::samples), "random architectures at first",
           at_least(2))
      .add("batch", static_cast<int T::*>(&T::batch), "candidates found after one training",
           at_least(1))
      .add("seeds", static_cast<int T::*>(&T::seeds), "the best told, from which walks begin",
           at_least(1))
      .add("unlabelled", static_cast<int T::*>(&T::unlabelled),
           "random architectures that are learned with predicted values", at_least(0))
      .add("network", static_cast<EncoderDecoderOptions T::*>(&T::network),
           "encoder, predictor and decoder", encoder_decoder_option_table());
  return add_start_options(table);
}

}  // namespace

OptionTable<NaoOptions> nao_option_table() {
  return option_table<NaoOptions>("NAO: walks to better architectures along a gradient");
}
OptionTable<SemiNasOptions> semi_nas_option_table() {
  return option_table<SemiNasOptions>("SemiNAS: NAO that learns from random architectures, too");
}

std::unique_ptr<Strategy> nao(const RunContext& context, const NaoOptions& options) {
  ModelBasedPlan plan;
  plan.samples = static_cast<std::size_t>(options.samples);
  plan.batch = static_cast<std::size_t>(options.batch);
  plan.propose = [options](ProposalContext& proposal) { return walk(proposal, options); };
  return std::make_unique<ModelBasedSearch>(context, options, std::move(plan));
}

}  // namespace espalier
