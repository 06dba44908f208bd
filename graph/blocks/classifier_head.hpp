#pragma once

#include "graph/builder.hpp"

namespace espalier {

/// How mobile networks end: 1x1 convolution, batch norm, activation, global average pooling,
/// dropout and classifier. {C,H,W} -> {classes}. Opens a scope "head".
struct ClassifierHeadOptions {
  Dim channels = 1280;  ///< of the convolution
  ActivationKind activation = ActivationKind::relu;
  double dropout = 0;  ///< probability, [0, 1); 0 leaves the operator out
  op::BatchNorm2d batch_norm = {};
  bool bias = true;  ///< of the classifier
};
NodeId classifier_head(GraphBuilder& builder, NodeId x, Dim classes,
                       const ClassifierHeadOptions& options = {});

}  // namespace espalier
