#pragma once

/// Blocks: plain functions that append operators to a GraphBuilder in a named scope. Widths and
/// kernels are Dims, so every block is searchable. x is {C,H,W} unless it says otherwise; what does
/// not fit (a kernel larger than the padded input, groups that do not divide the channels) is a
/// ShapeError.

#include "graph/blocks/classifier_head.hpp"
#include "graph/blocks/conv.hpp"
#include "graph/blocks/convnext.hpp"
#include "graph/blocks/deformable.hpp"
#include "graph/blocks/densenet.hpp"
#include "graph/blocks/fbnet.hpp"
#include "graph/blocks/ghost.hpp"
#include "graph/blocks/inception.hpp"
#include "graph/blocks/mobile.hpp"
#include "graph/blocks/repvgg.hpp"
#include "graph/blocks/resnet.hpp"
#include "graph/blocks/shufflenet.hpp"
#include "graph/blocks/squeezenet.hpp"
#include "graph/blocks/vision_transformer.hpp"
#include "graph/blocks/vovnet.hpp"
