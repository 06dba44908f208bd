// Networks as features.
#pragma once

#include <functional>
#include <memory>
#include <span>
#include <unordered_map>
#include <utility>
#include <vector>

#include "core/options.hpp"
#include "graph/graph.hpp"
#include "predictors/predictor.hpp"
#include "search_spaces/search_space.hpp"

namespace espalier {

/// The decisions of an architecture, one after the other; all zeros for one that is not active. An
/// ordinal decision that picks one option has two numbers: 1, and the option's place from 0 to 1.
/// Any other has a number for each option: 1 / pick where it is picked.
std::vector<double> encode_decisions(const SearchSpace& space, const Architecture& a);

/// The Weisfeiler-Lehman labels of the operators of a concrete graph, for 0, 1, ..., `depth`
/// iterations: at first an operator's label is its kind and its attributes, and with each iteration
/// what it and the operators that it reads were labelled before. Operators that the input does not
/// reach, or from which it does not reach the output, do not count. Activations, normalizations and
/// dropout are not operators of their own: who reads them reads what they read, by another kind of
/// edge. Labels are hashes, equal on every machine. O(edges x depth), and sorting.
/// Source: N. Shervashidze et al.: Weisfeiler-Lehman graph kernels, JMLR 2011, section 3.2; for
/// architectures: B. Ru et al.: Interpretable neural architecture search via Bayesian optimisation
/// with Weisfeiler-Lehman kernels, ICLR 2021, arXiv 2006.07556. Differs from the sources:
/// contracted operators.
/// Test: WeisfeilerLehman.TellsNetworksOfTheSameOperatorsApart.
LabelCounts weisfeiler_lehman(const Graph& graph, int depth);

/// How often each way through a cell occurs: the operators between where the cell is entered and
/// where it is left, in their order, contracted as above; sums and concatenations do not count, nor
/// does what only passes its input on. Cells are the scopes of kind "cell" that are in no other; of
/// one with more than 1000 ways, only so many count. Nothing for a network without cells. Takes the
/// number of ways times their lengths.
/// Source: C. White, W. Neiswanger, Y. Savani: BANANAS: Bayesian optimization with neural
/// architectures for neural architecture search, AAAI 2021, arXiv 1910.11858, section 4.1 (path
/// encoding). Differs from the source: counts instead of whether a path is there, and cells of any
/// kind of network.
/// Test: CellPaths.AreTheWaysThroughACell.
LabelCounts cell_paths(const Graph& graph);

/// A network's parts as graphs of operators, those that are equal once, with how often they occur,
/// in the order of the network. Parts are its cells, the outermost scopes of kind "cell"; of a
/// network without cells, its outermost scopes but for those of kind "stage", whose own scopes are
/// taken; and all operators outside of these together.
///
/// Operators that the input does not reach, or from which it does not reach the output, do not
/// count. Operators of one block, the outermost scope of a kind inside a part, are one: a separable
/// convolution. Activations count as a part of the operator that reads them in the same part;
/// behind a sum or at a part's end they are not seen. Sums, concatenations and what only passes its
/// input on (normalizations, dropout, slices, shuffles, flattening) are no vertices: an edge says
/// by how many ways through them one operator reads another. So a cell with operators on its edges
/// (as of NAS-Bench-201 and DARTS) becomes one with operators on its vertices, with the same paths.
/// Each value that a part reads of others is an entrance, in the order of the network. What is left
/// over of a network whose input does not reach its output is one graph of an exit.
///
/// Widths stand in the attributes as channels times height, since usual networks double the one as
/// they halve the other: their repeated cells are equal. O(vertices x edges) a part.
std::vector<std::pair<OperatorGraph, std::uint32_t>> operator_graphs(const Graph& graph);

/// The adjacency matrices of a network's cells and the operators in them, as patterns: one for each
/// edge, by the places of its operators in the cell, and one for each place with its operator, and
/// how many cells have it. Operators are contracted as above and placed in their topological order
/// after the cell's inputs. Of a network without cells, all of it is one.
/// Source: C. White, W. Neiswanger, S. Nolen, Y. Savani: A study on encodings for neural
/// architecture search, NeurIPS 2020, arXiv 2007.04965, section 3 (one-hot adjacency matrix).
/// Differs from the source: any number of operators, and counts over cells.
/// Test: CellAdjacency.IsTheEdgesAndOperatorsByTheirPlaces.
LabelCounts cell_adjacency(const Graph& graph);

/// Which patterns of a network's operators are features: none, the ways through its cells (of a
/// network without cells, its Weisfeiler-Lehman labels), these labels, or its cells' adjacency
/// matrices.
enum class Patterns { none, paths, weisfeiler_lehman, adjacency };

struct EncodingOptions {
  Patterns patterns = Patterns::paths;
  bool costs = true;    ///< log(1 + MACs) and log(1 + params)
  bool graphs = false;  ///< operator_graphs()
  int depth = 2;        ///< iterations of the Weisfeiler-Lehman labels, >= 0
};
OptionTable<EncodingOptions> encoding_option_table();

/// Further numbers of an architecture, such as its zero-cost scores: always as many, NaN where
/// there is none.
using Scores = std::function<std::vector<double>(const Architecture&)>;

/// Encodes the architectures of a space; remembers up to 2^17 of them, with graphs up to 2^14. Not
/// synchronized.
class Encoder {
 public:
  Encoder(std::shared_ptr<const SearchSpace> space, const EncodingOptions& options,
          Scores scores = {})
      : space_(std::move(space)), options_(options), scores_(std::move(scores)) {}
  /// Of valid canonical architectures, one after the other.
  std::vector<Features> encode(std::span<const Architecture> architectures);

 private:
  std::shared_ptr<const SearchSpace> space_;
  EncodingOptions options_;
  Scores scores_;
  std::unordered_map<Architecture, Features, ArchitectureHash> known_;
};

}  // namespace espalier
