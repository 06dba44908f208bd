#pragma once

#include <optional>
#include <string>
#include <vector>

#include "graph/graph.hpp"

namespace espalier {

/// A part of a network that is measured as one: a fused kernel, or a whole scope.
struct Part {
  ScopeId scope = no_scope;    ///< the whole scope, or the one that the operator is in
  std::optional<NodeId> node;  ///< the main operator; empty for a whole scope
  std::vector<NodeId> nodes;   ///< all that it covers, ascending
  /// The activation that is folded into the operator.
  std::optional<ActivationKind> activation = {};
};

/// Splits a concrete graph: each outermost scope whose kind is one of `scope_kinds` is one part,
/// the rest is fused into kernels (fuse_kernels). In the order of their first nodes.
std::vector<Part> split_into_parts(const Graph& graph, const std::vector<std::string>& scope_kinds);

/// One column of a part's key.
struct Feature {
  std::string name;
  std::string value;
  /// A table without this column describes parts that have this value.
  std::optional<std::string> default_value = {};
  /// A table may go without this column whatever the value is.
  bool optional = false;
};

/// "op" or "scope": the column that holds part_kind().
std::string part_family(const Part& part);
/// The operator's name ("conv2d") or the scope's kind ("mbconv").
std::string part_kind(const Graph& graph, const Part& part);

/// What a part's cost depends on. Whole numbers; "1" and "0" for yes and no; "3", or "3x5" where
/// height and width differ; several values joined by '+'.
///
/// An operator on {C,H,W} has in_channels, in_height and in_width, one on {features} or {tokens,
/// features} in_features and tokens (default 1), then, by operator:
///   conv2d        out_channels, kernel, stride, dilation (default 1), padding (default dilation
///                 (kernel - 1) / 2), group_width (default 0), bias (optional, counts a folded
///                 batch norm)
///   linear        out_features, bias (optional)
///   activation    activation
///   pool2d        pool, kernel, stride, padding (default (kernel - 1) / 2), ceil_mode (default 0)
///   add, multiply inputs (default 2), broadcast (default 0; 1: the second input is {C,1,1})
///   concat        in_channels has one value per input
///   zero          stride
/// conv2d, linear, batch_norm2d, add and multiply have activation, the one folded in (default
/// "none"); conv2d and linear have weight_bits and activation_bits (default 32). activation, add,
/// multiply and zero, which run on both, have the features of the other kind of input too: 0
/// (default), tokens 1.
/// A scope has its attributes, macs (optional), and weight_bits and activation_bits of its
/// convolutions and linear layers (default 32, also where there are none; one value when all
/// agree). All have batch_size (default 1). So the parts of one kind have the same features, but
/// for scopes with different attributes.
std::vector<Feature> part_features(const Graph& graph, const Part& part, int batch_size);

}  // namespace espalier
