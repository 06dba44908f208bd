#include "training/supernet_options.hpp"

#include <fmt/format.h>

namespace espalier {

OptionTable<SupernetOptions> supernet_option_table() {
  using S = SupernetOptions;
  OptionTable<S> table("how a supernet is trained");
  table.add(
      "rule", &S::rule,
      "which architectures learn in a step: one at random (uniform), every option once "
      "(fair), the largest, the smallest and some at random (sandwich), each of which is the best "
      "or the worst of several of as many macs (attentive), the largest, then more and more of the "
      "others (progressive), or those that the strategy says (strategy)",
      named<RuleKind>({{"uniform", RuleKind::uniform},
                       {"fair", RuleKind::fair},
                       {"sandwich", RuleKind::sandwich},
                       {"attentive", RuleKind::attentive},
                       {"progressive", RuleKind::progressive},
                       {"strategy", RuleKind::strategy}}));
  table.add("random_architectures", &S::random_architectures,
            "rules sandwich and attentive: architectures at random in each step", between(0, 1000));
  table.add("attention", &S::attention,
            "rule attentive: whether the candidate of the lowest loss learns, or of the highest",
            named<Attention>({{"best_up", Attention::best_up}, {"worst_up", Attention::worst_up}}));
  table.add("candidates", &S::candidates,
            "rule attentive: candidates for each architecture at random", between(2, 1000));
  const auto split =
      OptionTable<SplitOptions>("several supernets for parts of the space (few-shot)")
          .add("by", &SplitOptions::by,
               "one supernet for each option of a decision, or two for each part of the options "
               "of the decision whose gradients agree least, several times",
               named<SplitKind>({{"none", SplitKind::none},
                                 {"decision", SplitKind::decision},
                                 {"gradient_matching", SplitKind::gradient_matching}}))
          .add("decision", &SplitOptions::decision, "by decision: its name")
          .add("times", &SplitOptions::times, "gradient_matching: splits, one after the other",
               between(1, 6))
          .add("shared_epochs", &SplitOptions::shared_epochs,
               "share of the epochs before the last split",
               Range{.low = 0, .high = 1, .low_open = true, .high_open = true})
          .add("batches", &SplitOptions::batches,
               "gradient_matching: draws of images and architectures", between(1, 100'000))
          .check([](const SplitOptions& options) {
            const SplitOptions defaults;
            const auto only = [&](bool changed, const char* pointer, const char* by) {
              if (!changed) return;
              throw ConfigError(pointer, fmt::format("is only for \"by\": {}; leave it out", by));
            };
            if (options.by != SplitKind::gradient_matching) {
              only(options.times != defaults.times, "/times", "\"gradient_matching\"");
              only(options.batches != defaults.batches, "/batches", "\"gradient_matching\"");
            }
            if (options.by == SplitKind::none) {
              only(options.shared_epochs != defaults.shared_epochs, "/shared_epochs",
                   "\"decision\" and \"gradient_matching\"");
            }
            if ((options.by == SplitKind::decision) != !options.decision.empty()) {
              throw ConfigError("/decision",
                                options.decision.empty()
                                    ? "name the decision to split by"
                                    : "is only for \"by\": \"decision\"; leave it out");
            }
          });
  table.add("split", &S::split, "several supernets for parts of the space", split);
  table.beside(&S::train, train_option_table());
  table.check([](const S& options) {
    const bool attentive = options.rule == RuleKind::attentive;
    if (options.rule != RuleKind::sandwich && !attentive &&
        options.random_architectures != S().random_architectures) {
      throw ConfigError("/random_architectures",
                        "is only for the rules sandwich and attentive; leave it out");
    }
    if (!attentive && options.attention != S().attention) {
      throw ConfigError("/attention", "is only for the rule attentive; leave it out");
    }
    if (!attentive && options.candidates != S().candidates) {
      throw ConfigError("/candidates", "is only for the rule attentive; leave it out");
    }
    if (options.split.by != SplitKind::none &&
        (options.rule == RuleKind::progressive || options.rule == RuleKind::strategy)) {
      throw ConfigError("/split",
                        "the rules progressive and strategy cannot be split; take another one");
    }
    if (options.train.patience > 0) {
      throw ConfigError("/patience", "a supernet is not validated; write 0");
    }
    if (options.train.validate_every != 1) {
      throw ConfigError("/validate_every", "a supernet is not validated; leave it out");
    }
  });
  return table;
}

}  // namespace espalier
