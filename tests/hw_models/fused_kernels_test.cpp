#include "hw_models/fused_kernels.hpp"

#include <gmock/gmock.h>

#include <array>

#include "core/error.hpp"
#include "graph/blocks.hpp"
#include "graph/nets.hpp"

namespace espalier {
namespace {

using ::testing::ElementsAre;

TEST(FusedKernels, FoldsBatchNormAndActivationIntoTheConvolution) {
  GraphBuilder b;
  const NodeId x = b.input(3, 8, 8);
  const NodeId conv = b.conv(x, 4, {.kernel = 3});
  const NodeId bn = b.batch_norm(conv);
  const NodeId act = b.activation(bn, ActivationKind::relu);
  const NodeId pool = b.max_pool(act, {});
  b.output(pool);
  const std::vector<Kernel> kernels = fuse_kernels(b.build());
  ASSERT_EQ(kernels.size(), 2u);
  EXPECT_EQ(kernels[0].main, conv);
  EXPECT_EQ(kernels[0].output, act);
  EXPECT_THAT(kernels[0].nodes, ElementsAre(conv, bn, act));
  EXPECT_THAT(kernels[0].inputs, ElementsAre(x));
  EXPECT_TRUE(kernels[0].batch_norm);
  EXPECT_EQ(kernels[0].activation, ActivationKind::relu);
  EXPECT_EQ(kernels[1].main, pool);
  EXPECT_THAT(kernels[1].inputs, ElementsAre(act));
}

TEST(FusedKernels, DoesNotFoldWhatOthersReadToo) {
  GraphBuilder b;
  const NodeId x = b.input(4, 8, 8);
  const NodeId conv = b.conv(x, 4);
  const NodeId act = b.activation(conv, ActivationKind::relu);
  const NodeId sum = b.add(conv, act);
  b.output(sum);
  const std::vector<Kernel> kernels = fuse_kernels(b.build());
  ASSERT_EQ(kernels.size(), 3u);
  EXPECT_THAT(kernels[0].nodes, ElementsAre(conv));
  EXPECT_THAT(kernels[1].nodes, ElementsAre(act));
  EXPECT_THAT(kernels[2].inputs, ElementsAre(conv, act));
}

TEST(FusedKernels, FoldsOneActivationAndNoBatchNormAfterIt) {
  GraphBuilder b;
  const NodeId conv = b.conv(b.input(4, 8, 8), 4);
  const NodeId act = b.activation(conv, ActivationKind::relu);
  const NodeId bn = b.batch_norm(act);
  const NodeId act2 = b.activation(bn, ActivationKind::tanh);
  const NodeId act3 = b.activation(act2, ActivationKind::sigmoid);
  b.output(act3);
  const std::vector<Kernel> kernels = fuse_kernels(b.build());
  ASSERT_EQ(kernels.size(), 3u);
  EXPECT_THAT(kernels[0].nodes, ElementsAre(conv, act));
  EXPECT_THAT(kernels[1].nodes, ElementsAre(bn, act2));
  EXPECT_FALSE(kernels[1].batch_norm);
  EXPECT_THAT(kernels[2].nodes, ElementsAre(act3));
}

TEST(FusedKernels, PoolsAndConcatsKeepTheirActivationsApart) {
  GraphBuilder b;
  const NodeId x = b.input(4, 8, 8);
  const NodeId pool = b.max_pool(x, {});
  const NodeId bn = b.batch_norm(pool);
  b.output(bn);
  EXPECT_EQ(fuse_kernels(b.build()).size(), 2u);
}

TEST(FusedKernels, FlattenDropoutAndOutputAreViews) {
  GraphBuilder b;
  const NodeId x = b.input(4, 2, 2);
  const NodeId linear = b.linear(b.dropout(b.flatten(x), 0.2f), 10);
  b.output(b.dropout(linear, 0.5f));
  const std::vector<Kernel> kernels = fuse_kernels(b.build());
  ASSERT_EQ(kernels.size(), 1u);
  EXPECT_EQ(kernels[0].main, linear);
  EXPECT_THAT(kernels[0].inputs, ElementsAre(x));
}

TEST(FusedKernels, ReadsATensorOnce) {
  GraphBuilder b;
  const NodeId x = b.input(4, 2, 2);
  b.output(b.add(std::array{x, x, x}));
  EXPECT_THAT(fuse_kernels(b.build())[0].inputs, ElementsAre(x));
}

TEST(FusedKernels, LeavesSkippedNodesOut) {
  GraphBuilder b;
  const NodeId conv = b.conv(b.input(4, 8, 8), 4);
  const NodeId act = b.activation(conv, ActivationKind::relu);
  b.output(act);
  const Graph graph = b.build();
  std::vector<bool> skip(graph.size(), false);
  skip[conv] = true;
  const std::vector<Kernel> kernels = fuse_kernels(graph, skip);
  ASSERT_EQ(kernels.size(), 1u);
  EXPECT_EQ(kernels[0].main, act);
  EXPECT_THAT(kernels[0].inputs, ElementsAre(conv));
}

TEST(FusedKernels, ResNet18HasOneKernelPerConvolutionAdditionAndPool) {
  // 20 convolutions, 8 additions with their ReLU, 2 pools, 1 linear layer.
  EXPECT_EQ(fuse_kernels(resnet18()).size(), 31u);
}

TEST(FusedKernels, RefusesAChoice) {
  GraphBuilder b;
  const NodeId x = b.input(4, 8, 8);
  b.output(b.append(op::Choice{0, 1}, std::array{x, x}, "choice"));
  EXPECT_THROW(fuse_kernels(b.build()), InvalidArchitecture);
}

TEST(KernelKind, TellsConvolutionsApart) {
  GraphBuilder b;
  const NodeId x = b.input(4, 8, 8);
  const NodeId dense = b.conv(x, 8);
  const NodeId grouped = b.conv(dense, 8, {.group_width = 4});
  const NodeId depthwise = b.depthwise(grouped, {.kernel = 3});
  const NodeId whole = b.conv(depthwise, 4, {.group_width = 8});
  const NodeId pool = b.max_pool(whole, {});
  b.output(pool);
  const Graph graph = b.build();
  EXPECT_EQ(kernel_kind(graph, dense), "conv2d");
  EXPECT_EQ(kernel_kind(graph, grouped), "grouped_conv2d");
  EXPECT_EQ(kernel_kind(graph, depthwise), "depthwise_conv2d");
  EXPECT_EQ(kernel_kind(graph, whole), "conv2d");
  EXPECT_EQ(kernel_kind(graph, pool), "pool2d");
}

}  // namespace
}  // namespace espalier
