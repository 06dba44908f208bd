#pragma once

#include <vector>

#include "search_spaces/search_space.hpp"

namespace espalier {

/// One number per option of every decision: 1 where it is chosen (k of them for a pick-k decision),
/// 0 elsewhere and for inactive decisions.
std::vector<double> encode_one_hot(const SearchSpace& space, const Architecture& a);

/// One number in [0, 1] per decision: choice / (choices - 1), 0 for one-option decisions, and -1
/// for inactive ones.
std::vector<double> encode_ordinal(const SearchSpace& space, const Architecture& a);

}  // namespace espalier
