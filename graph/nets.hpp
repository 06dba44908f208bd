#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "graph/graph.hpp"

namespace espalier {

/// What a reference network reads and tells apart.
struct NetOptions {
  std::array<std::int64_t, 3> input{3, 224, 224};  ///< {channels, height, width}, each >= 1
  std::int64_t classes = 1000;                     ///< >= 1
};

/// The reference networks: {C,H,W} -> {classes}, without auxiliary heads. Where torchvision has the
/// network, structure and the names of convolutions, batch norms and linear layers are
/// torchvision's, so that "layer1.0.conv1" here is the "layer1.0.conv1.weight" of its state dict;
/// the scopes are those of graph/blocks.hpp. Each throws ShapeError for options below 1 and for
/// inputs too small for its pooling.

/// Source: Krizhevsky, "One weird trick for parallelizing convolutional neural networks", arXiv
/// 1404.5997.
/// Differs from the source: the classifier reads what the features leave, with no adaptive pooling
/// to 6x6 as in torchvision; that is the identity at 224x224. Inputs from 63x63.
/// Test: Nets.PublishedCounts.
Graph alexnet(const NetOptions& options = {});

/// Source: Simonyan and Zisserman, "Very Deep Convolutional Networks for Large-Scale Image
/// Recognition", ICLR 2015, arXiv 1409.1556, table 1, columns A and D.
/// Differs from the source: the classifier reads what the features leave, with no adaptive pooling
/// to 7x7 as in torchvision; that is the identity at 224x224. Inputs from 32x32.
/// Test: Nets.PublishedCounts.
Graph vgg11(const NetOptions& options = {});
Graph vgg16(const NetOptions& options = {});
/// vgg16 with batch norm after each convolution.
Graph vgg16_bn(const NetOptions& options = {});

/// Source: Szegedy et al., "Going Deeper with Convolutions", CVPR 2015, arXiv 1409.4842, table 1.
/// Differs from the source: as in torchvision, batch norm instead of local response normalization,
/// and 3x3 instead of 5x5 convolutions. Inputs from 31x31.
/// Test: Nets.PublishedCounts.
Graph googlenet(const NetOptions& options = {});
/// Source: Szegedy et al., "Rethinking the Inception Architecture for Computer Vision", CVPR 2016,
/// arXiv 1512.00567, table 1. Published for an input of {3, 299, 299}; inputs from 75x75.
/// Test: Nets.PublishedCounts.
Graph inception_v3(const NetOptions& options = {});

/// Source: He et al., "Deep Residual Learning for Image Recognition", CVPR 2016, arXiv 1512.03385.
/// Differs from the source: resnet50 strides in the 3x3 convolutions, see bottleneck().
/// Test: Nets.PublishedCounts.
Graph resnet18(const NetOptions& options = {});
Graph resnet50(const NetOptions& options = {});
/// Source: Xie et al., "Aggregated Residual Transformations for Deep Neural Networks", CVPR 2017,
/// arXiv 1611.05431, table 1.
/// Test: Nets.PublishedCounts.
Graph resnext50_32x4d(const NetOptions& options = {});
/// resnet50 with twice as many channels in the 3x3 convolutions.
/// Source: Zagoruyko and Komodakis, "Wide Residual Networks", BMVC 2016, arXiv 1605.07146.
/// Test: Nets.PublishedCounts.
Graph wide_resnet50_2(const NetOptions& options = {});

/// Source: Huang et al., "Densely Connected Convolutional Networks", CVPR 2017, arXiv 1608.06993,
/// table 1. Inputs from 29x29.
/// Test: Nets.PublishedCounts.
Graph densenet121(const NetOptions& options = {});

/// Source: Iandola et al., "SqueezeNet", arXiv 1602.07360, table 1; 1.1: its authors' repository.
/// Inputs from 29x29 (1.0) and 25x25 (1.1).
/// Test: Nets.PublishedCounts.
Graph squeezenet1_0(const NetOptions& options = {});
Graph squeezenet1_1(const NetOptions& options = {});

/// Not in torchvision.
/// Source: Howard et al., "MobileNets", arXiv 1704.04861, table 1.
/// Test: Nets.PaperCounts.
Graph mobilenet_v1(const NetOptions& options = {});
/// Source: Sandler et al., "MobileNetV2: Inverted Residuals and Linear Bottlenecks", CVPR 2018,
/// arXiv 1801.04381, table 2.
/// Test: Nets.PublishedCounts.
Graph mobilenet_v2(const NetOptions& options = {});
/// Source: Howard et al., "Searching for MobileNetV3", ICCV 2019, arXiv 1905.02244, tables 1 and 2.
/// Test: Nets.PublishedCounts.
Graph mobilenet_v3_large(const NetOptions& options = {});
Graph mobilenet_v3_small(const NetOptions& options = {});

/// MnasNet-B1, the variant without SE.
/// Source: Tan et al., "MnasNet", CVPR 2019, arXiv 1807.11626.
/// Test: Nets.PublishedCounts.
Graph mnasnet1_0(const NetOptions& options = {});
/// Source: Tan and Le, "EfficientNet", ICML 2019, arXiv 1905.11946, table 1.
/// Differs from the source: no stochastic depth in training.
/// Test: Nets.PublishedCounts.
Graph efficientnet_b0(const NetOptions& options = {});

/// Not in torchvision. GhostNet 1.0x.
/// Source: Han et al., "GhostNet: More Features from Cheap Operations", CVPR 2020, arXiv
/// 1911.11907, table 1; SE where its reference code has it.
/// Test: Nets.PaperCounts.
Graph ghostnet(const NetOptions& options = {});

/// Source: Radosavovic et al., "Designing Network Design Spaces", CVPR 2020, arXiv 2003.13678.
/// Test: Nets.PublishedCounts.
Graph regnet_x_400mf(const NetOptions& options = {});
Graph regnet_y_400mf(const NetOptions& options = {});

/// Not in torchvision. The training form; merge_repvgg (graph/passes.hpp) gives the deploy form.
/// Source: Ding et al., "RepVGG: Making VGG-style ConvNets Great Again", CVPR 2021, arXiv
/// 2101.03697, tables 2 and 3.
/// Test: Nets.PaperCounts.
Graph repvgg_a0(const NetOptions& options = {});

/// Not in torchvision. Inputs from 45x45.
/// Source: Lee et al., "An Energy and GPU-Computation Efficient Backbone Network", CVPR Workshops
/// 2019, arXiv 1904.09730, table 1.
/// Test: Nets.PaperCounts.
Graph vovnet39(const NetOptions& options = {});
/// VoVNetV2-39, of the same inputs: with shortcuts, and eSE at the end of each stage.
/// Source: Lee and Park, "CenterMask", CVPR 2020, arXiv 1911.06667, section 3.3.
/// Test: Nets.PaperCounts.
Graph vovnet39_ese(const NetOptions& options = {});

/// Not in torchvision. ShuffleNet v1 1x with three groups.
/// Source: Zhang et al., "ShuffleNet", CVPR 2018, arXiv 1707.01083, table 1.
/// Test: Nets.PaperCounts.
Graph shufflenet_v1_x1_0(const NetOptions& options = {});
/// Source: Ma et al., "ShuffleNet V2", ECCV 2018, arXiv 1807.11164, table 5.
/// Test: Nets.PublishedCounts.
Graph shufflenet_v2_x1_0(const NetOptions& options = {});

/// Inputs from 32x32. The linear layers of torchvision's blocks are 1x1 convolutions here.
/// Source: Liu et al., "A ConvNet for the 2020s", CVPR 2022, arXiv 2201.03545.
/// Differs from the source: no stochastic depth in training.
/// Test: Nets.PublishedCounts.
Graph convnext_tiny(const NetOptions& options = {});

/// Inputs from 16x16; positions are learned for the patches of the input's size. The rows of
/// torchvision's "in_proj_weight" are the layers "q", "k" and "v" here.
/// Source: Dosovitskiy et al., "An Image is Worth 16x16 Words", ICLR 2021, arXiv 2010.11929.
/// Test: Nets.PaperCounts.
Graph vit_b_16(const NetOptions& options = {});

/// The names that build_net knows, in the order above.
const std::vector<std::string>& net_names();
/// A reference network by name. Throws ConfigError naming the nearest one, and ShapeError.
Graph build_net(std::string_view name, const NetOptions& options = {});

}  // namespace espalier
