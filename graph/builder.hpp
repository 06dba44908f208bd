#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "graph/graph.hpp"

namespace espalier {

/// Attributes of a scope, which key look-up tables and label drawings.
using ScopeAttributes = std::vector<std::pair<std::string, Dim>>;

/// Options of GraphBuilder::conv. Padding is "same" for odd kernels unless given.
struct ConvOptions {
  Extent kernel = 1;
  Extent stride = 1;
  Extent dilation = 1;
  std::optional<Extent> padding = {};  ///< default dilation * (kernel - 1) / 2
  Dim group_width = 0;                 ///< channels per group; 0 dense, 1 depthwise
  bool bias = false;
};

/// Options of GraphBuilder::linear.
struct LinearOptions {
  bool bias = true;
};

/// Options of GraphBuilder::max_pool and avg_pool. Padding is "same" for odd kernels unless given.
struct PoolOptions {
  Extent kernel = 2;
  Extent stride = 2;
  std::optional<Extent> padding = {};  ///< default (kernel - 1) / 2, rounded down
  bool ceil_mode = false;
  bool count_include_pad = false;
};

/// Builds a Graph operator by operator. Every method appends one node in the current scope and
/// returns it; names default to the operator's and are made unique. Throws ShapeError.
class GraphBuilder {
 public:
  /// Keeps a scope open while it lives.
  class ScopeGuard {
   public:
    ScopeGuard(const ScopeGuard&) = delete;
    ScopeGuard& operator=(const ScopeGuard&) = delete;
    ~ScopeGuard() { builder_.scope_ = parent_; }

   private:
    friend class GraphBuilder;
    ScopeGuard(GraphBuilder& builder, ScopeId parent) : builder_(builder), parent_(parent) {}
    GraphBuilder& builder_;
    ScopeId parent_;
  };

  virtual ~GraphBuilder() = default;

  /// Opens a scope "parent.name" of a kind, for example scope("block1", "mbconv", {{"kernel", 3}}).
  [[nodiscard]] ScopeGuard scope(std::string_view name, std::string_view kind = "",
                                 ScopeAttributes attributes = {});

  NodeId input(Dim channels, Dim height, Dim width);
  NodeId conv(NodeId x, Dim out_channels, const ConvOptions& options = {},
              std::string_view name = "conv");
  /// Depthwise convolution: as conv() with group_width 1, channels as the input's.
  NodeId depthwise(NodeId x, ConvOptions options, std::string_view name = "depthwise");
  NodeId batch_norm(NodeId x, op::BatchNorm2d options = {}, std::string_view name = "bn");
  NodeId activation(NodeId x, ActivationKind kind, std::string_view name = "act");
  NodeId linear(NodeId x, Dim out_features, const LinearOptions& options = {},
                std::string_view name = "linear");
  NodeId max_pool(NodeId x, const PoolOptions& options, std::string_view name = "pool");
  NodeId avg_pool(NodeId x, const PoolOptions& options, std::string_view name = "pool");
  NodeId global_avg_pool(NodeId x, std::string_view name = "pool");
  NodeId flatten(NodeId x, std::string_view name = "flatten");
  NodeId add(std::span<const NodeId> xs, std::string_view name = "add");
  NodeId add(NodeId a, NodeId b, std::string_view name = "add");
  NodeId multiply(NodeId a, NodeId b, std::string_view name = "multiply");
  NodeId concat(std::span<const NodeId> xs, std::string_view name = "concat");
  NodeId dropout(NodeId x, float probability, std::string_view name = "dropout");
  NodeId zero(NodeId x, Dim stride = 1, std::string_view name = "zero");
  /// Positions [begin, end) of an axis, see op::Slice; end 0: to the end.
  NodeId slice(NodeId x, const op::Slice& options, std::string_view name = "slice");
  NodeId channel_shuffle(NodeId x, Dim groups, std::string_view name = "shuffle");
  NodeId layer_norm(NodeId x, const op::LayerNorm& options = {}, std::string_view name = "ln");
  NodeId scale(NodeId x, float initial = 1, std::string_view name = "scale");
  NodeId tokens(NodeId x, std::string_view name = "tokens");
  NodeId class_token(NodeId x, std::string_view name = "class_token");
  NodeId position_embedding(NodeId x, std::string_view name = "position_embedding");
  NodeId attention(NodeId q, NodeId k, NodeId v, Dim head_width,
                   std::string_view name = "attention");
  /// `inputs` are x, the offsets, and optionally the factors.
  NodeId deform_conv(std::span<const NodeId> inputs, Dim out_channels, const ConvOptions& options,
                     std::string_view name = "conv");
  NodeId output(NodeId x);

  /// Any operator; what the methods above call.
  NodeId append(const Op& op, std::span<const NodeId> inputs, std::string_view name,
                const Compression& compression = {});

  const Shape& shape(NodeId x) const { return graph_.node(x).shape; }
  /// Of {C,H,W}, {T,C} or {C}.
  Dim channels(NodeId x) const { return shape(x)[shape(x).rank == 2 ? 1 : 0]; }
  const Graph& graph() const { return graph_; }
  /// The finished graph; the builder is empty afterwards. Throws ShapeError without an output.
  Graph build();

 protected:
  Graph graph_;
  ScopeId scope_ = no_scope;
};

}  // namespace espalier
