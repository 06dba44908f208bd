#include "training/supernet_options.hpp"

namespace espalier {

OptionTable<SupernetOptions> supernet_option_table() {
  using S = SupernetOptions;
  OptionTable<S> table("how a supernet is trained");
  table.add("train", &S::train, "epochs, optimizer and so on", train_option_table());
  table.add(
      "rule", &S::rule,
      "which architectures learn in a step: one at random (uniform), every option once "
      "(fair), the largest, the smallest and some at random (sandwich), or the largest, then more "
      "and more of the others (progressive)",
      named<RuleKind>({{"uniform", RuleKind::uniform},
                       {"fair", RuleKind::fair},
                       {"sandwich", RuleKind::sandwich},
                       {"progressive", RuleKind::progressive}}));
  table.add("random_architectures", &S::random_architectures,
            "rule sandwich: architectures at random in each step", between(0, 1000));
  table.check([](const S& options) {
    if (options.train.patience > 0) {
      throw ConfigError("/train/patience", "a supernet is not validated; write 0");
    }
    if (options.train.validate_every != 1) {
      throw ConfigError("/train/validate_every", "a supernet is not validated; leave it out");
    }
  });
  return table;
}

}  // namespace espalier
