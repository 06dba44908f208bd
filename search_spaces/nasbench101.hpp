#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "core/options.hpp"
#include "search_spaces/search_space.hpp"

namespace espalier {

struct Nasbench101Options {
  std::vector<std::int64_t> input{3, 32, 32};  ///< {C, H, W}
  int classes = 10;
  int channels = 128;  ///< of the stem and the first stack; doubled in each of the two others
  int cells = 3;       ///< per stack
};
const OptionTable<Nasbench101Options>& nasbench101_options();

/// The cell space of NAS-Bench-101: a graph of at most 7 vertices, the first the cell's input, the
/// last its output, each one between a 3x3 convolution, a 1x1 convolution (both with batch norm and
/// ReLU) or a 3x3 max pooling, and at most 9 edges. What comes from the input is projected by a 1x1
/// convolution, what else enters a vertex is added up, and what enters the output is joined along
/// the channels, plus the projected input where an edge says so; the vertices before the output
/// share its channels, the first ones take one more where they do not divide, and a vertex passes
/// the first channels on to one that has fewer. Three stacks of equal cells, with a 2x2 max pooling
/// between.
///
/// Decisions: edgeI_J for each two of the seven vertices, and opJ. Vertices and edges on no path
/// from the input to the output are pruned; more than 9 edges after that, or no path, are invalid.
/// Edges from the input have the options {yes, no}, all others {no, yes}, so that a pruned vertex,
/// whose choices are all 0, takes part as soon as one edge leaves it. canonical() prunes and moves
/// the vertices that are left to the front, in their order. Isomorphic cells stay apart: where the
/// channels do not divide, their order decides who has one more.
///
/// Architecture strings are the pruned cell: rows of the adjacency matrix joined by '/', a space,
/// and the operators, "011/001/000 input,conv3x3-bn-relu,output". parse() also reads the notation
/// of lists, "[[0, 1, 1], [0, 0, 1], [0, 0, 0]] ['input', 'conv3x3-bn-relu', 'output']", and
/// prunes.
///
/// Source: Ying et al., NAS-Bench-101, ICML 2019, arXiv 1902.09635, section 2.
/// Test: Nasbench101.ParamsAreThePublishedOnes.
/// Differs from the source: running statistics have momentum 0.1 instead of 0.003.
/// Throws ConfigError for options that nasbench101_options() refuses; build() throws ShapeError for
/// networks above the limits of graph/graph.hpp.
std::unique_ptr<SearchSpace> make_nasbench101(const Nasbench101Options& options = {});

}  // namespace espalier
