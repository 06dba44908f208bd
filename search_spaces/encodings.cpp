#include "search_spaces/encodings.hpp"

namespace espalier {

std::vector<double> encode_one_hot(const SearchSpace& space, const Architecture& a) {
  std::vector<double> code;
  for (DecisionId d = 0; d < space.decisions().size(); ++d) {
    const Decision& decision = space.decisions()[d];
    const std::size_t begin = code.size();
    code.resize(begin + decision.options.size(), 0.0);
    if (!space.active(a, d)) continue;
    for (std::uint32_t option : picked_options(decision, a.choices.at(d))) {
      code[begin + option] = 1.0;
    }
  }
  return code;
}

std::vector<double> encode_ordinal(const SearchSpace& space, const Architecture& a) {
  std::vector<double> code;
  const auto& counts = space.choice_counts();
  for (DecisionId d = 0; d < counts.size(); ++d) {
    if (!space.active(a, d)) {
      code.push_back(-1.0);
    } else {
      code.push_back(counts[d] < 2 ? 0.0 : a.choices.at(d) / static_cast<double>(counts[d] - 1));
    }
  }
  return code;
}

}  // namespace espalier
