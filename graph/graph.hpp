#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "graph/dim.hpp"
#include "graph/op.hpp"

namespace espalier {

using NodeId = std::uint32_t;
using NameId = std::uint32_t;
using ScopeId = std::uint32_t;
inline constexpr ScopeId no_scope = 0;  ///< the root scope

/// Limits of one operator, far above any network, that keep all counts of a graph within 64 bits.
inline constexpr std::int64_t max_attribute = std::int64_t{1} << 20;      ///< each integer
inline constexpr std::int64_t max_tensor_values = std::int64_t{1} << 31;  ///< an output's values
inline constexpr std::int64_t max_operator_macs = std::int64_t{1} << 44;  ///< and weights

/// A shape without the batch axis: {C,H,W}, {tokens, channels} or {features}.
struct Shape {
  std::array<Dim, 4> dims{};
  std::uint32_t rank = 0;

  constexpr Shape() = default;
  constexpr Shape(std::initializer_list<Dim> list) {
    for (Dim d : list) dims[rank++] = d;
  }
  constexpr Dim operator[](std::size_t i) const { return dims[i]; }
  constexpr Dim& operator[](std::size_t i) { return dims[i]; }
  std::span<const Dim> values() const { return {dims.data(), rank}; }
  /// Values of one sample. Throws InvalidArchitecture when open.
  std::int64_t elements() const;
  std::string to_string(std::span<const std::string> decision_names = {}) const;
  friend constexpr bool operator==(const Shape&, const Shape&) = default;
};

/// How a convolution or linear layer is quantized: bits per weight and per input activation.
struct Quantization {
  Dim weight_bits = 32;      ///< 2..8, or 32 for float
  Dim activation_bits = 32;  ///< 2..8, or 32 for float
  friend constexpr bool operator==(const Quantization&, const Quantization&) = default;
};

/// What compresses an operator without changing its shape. Only conv2d and linear carry it.
struct Compression {
  std::optional<Quantization> quantization;
  friend constexpr bool operator==(const Compression&, const Compression&) = default;
};

struct Node {
  Op op;
  Compression compression;
  Shape shape;  ///< of the output
  NameId name = 0;
  ScopeId scope = no_scope;
  std::uint32_t first_input = 0;  ///< into the graph's flat list of inputs
  std::uint32_t input_count = 0;
};

/// A named part of a network ("stage2.block1", kind "mbconv"), with the attributes that key a
/// look-up table. Attributes may be open in a supergraph.
struct Scope {
  std::string name;  ///< full path
  std::string kind;
  ScopeId parent = no_scope;
  std::vector<std::pair<std::string, Dim>> attributes;
};

/// Names and scopes of a graph. A graph closed from a supergraph shares the supergraph's.
struct GraphNames {
  std::vector<std::string> names;
  std::vector<Scope> scopes{Scope{}};  ///< scopes[0] is the root
  std::vector<std::string> decisions;  ///< names of the decisions that open Dims read
  std::unordered_map<std::string, NameId> name_ids;
  std::unordered_map<std::string, ScopeId> scope_ids{{"", no_scope}};
};

/// An operator DAG: typed, shape-checked, append-only, hence stored in topological order.
///
/// Nodes are appended with add(), which infers the shape (on Dims: a supergraph that is accepted
/// has only well-shaped architectures). Passes return a new Graph. Copying is cheap-ish: nodes are
/// copied, names shared. Not synchronized: concurrent reads are safe, writes are not.
class Graph {
 public:
  Graph();
  /// An empty graph that shares the names of another (for passes). Scope attributes are read with
  /// `choices` where they are open.
  static Graph like(const Graph& other, std::span<const std::uint32_t> choices = {});

  /// Appends a node. `name` is made unique by a suffix "_2", "_3", ... Throws ShapeError naming the
  /// operator, the node and the shapes.
  NodeId add(const Op& op, std::span<const NodeId> inputs, std::string_view name,
             ScopeId scope = no_scope, const Compression& compression = {});
  /// As add(), with an already known name of this graph and a shape that is trusted (a pass that
  /// has evaluated the shapes of a checked graph; verify() checks it in tests).
  NodeId add_trusted(const Op& op, std::span<const NodeId> inputs, NameId name, ScopeId scope,
                     const Compression& compression, const Shape& shape);
  /// Opens a scope below `parent`; its path is made unique like node names.
  ScopeId add_scope(std::string_view name, std::string_view kind, ScopeId parent,
                    std::vector<std::pair<std::string, Dim>> attributes = {});
  void set_decision_names(std::vector<std::string> names);
  void reserve(std::size_t nodes, std::size_t inputs);

  std::size_t size() const { return nodes_.size(); }
  const Node& node(NodeId id) const { return nodes_[id]; }
  std::span<const Node> nodes() const { return nodes_; }
  std::span<const NodeId> inputs(NodeId id) const {
    const Node& n = nodes_[id];
    return {inputs_.data() + n.first_input, n.input_count};
  }
  const std::string& name(NodeId id) const { return names_->names[nodes_[id].name]; }
  std::span<const Scope> scopes() const { return names_->scopes; }
  const Scope& scope(ScopeId id) const { return names_->scopes[id]; }
  std::span<const std::string> decision_names() const { return names_->decisions; }
  /// The value of a scope's attribute in a concrete graph; empty when it has no such attribute.
  std::optional<std::int64_t> scope_attribute(ScopeId scope, std::string_view key) const;
  /// All attributes of a scope with the values they have in this concrete graph.
  std::vector<std::pair<std::string, std::int64_t>> scope_attributes(ScopeId scope) const;

  /// The first Input and the Output. Throw ShapeError where there is none.
  NodeId input() const;
  NodeId output() const;
  /// Nodes that read each node, with repetition, ascending: consumers()[id].
  std::vector<std::vector<NodeId>> consumers() const;
  /// True when no node has an open Dim or a Choice.
  bool concrete() const;

 private:
  GraphNames& own_names();
  std::vector<Node> nodes_;
  std::vector<NodeId> inputs_;
  std::shared_ptr<GraphNames> names_;
  std::vector<std::uint32_t> choices_;  // what the scope attributes were closed with
};

/// The output shape of an operator. Throws ShapeError, also for attributes out of range (integers
/// above max_attribute, eps not positive, a tensor above max_tensor_values, weights or
/// multiply-accumulates above max_operator_macs); `where` is the node's name.
Shape infer_shape(const Op& op, std::span<const Shape> inputs, std::string_view where,
                  std::span<const std::string> decision_names = {});

/// Checks everything that every pass must keep: inputs come before their readers, one Output and it
/// is last, unique names, valid scopes, stored shapes equal inferred ones, attributes in range,
/// compression only on conv2d and linear with bits in range, equally many inputs for all Choices of
/// one decision. Throws ShapeError.
void verify(const Graph& graph);

}  // namespace espalier
