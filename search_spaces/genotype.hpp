#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace espalier {

/// One cell of a genotype: two pairs of an operator and the state that it reads for each block,
/// where 0 and 1 are the cell's inputs (the last but one cell first) and 2 is the first block; and
/// the states that are joined at the end.
struct GenotypeCell {
  std::vector<std::pair<std::string, int>> edges;
  std::vector<int> concat;
  friend bool operator==(const GenotypeCell&, const GenotypeCell&) = default;
};

/// What the reference code of DARTS prints and reads.
struct Genotype {
  GenotypeCell normal, reduce;
  friend bool operator==(const Genotype&, const Genotype&) = default;
};

/// "Genotype(normal=[('sep_conv_3x3', 0), ...], normal_concat=range(2, 6), reduce=[...],
/// reduce_concat=[4, 5, 6])"; two or more states in a row are written as a range.
/// Source: Liu et al., "DARTS: Differentiable Architecture Search", ICLR 2019, arXiv 1806.09055,
/// the notation of its code. Test: Genotype.RoundTrips.
std::string to_string(const Genotype& genotype);

/// Inverse, for the start of a text: what follows the genotype is left in `text`. White space, both
/// kinds of quotes, lists and ranges are accepted. Throws InvalidArchitecture saying what is
/// expected where.
Genotype parse_genotype(std::string_view& text);

}  // namespace espalier
