#include "exporters/inference_net.hpp"

#include <ATen/ATen.h>
#include <gmock/gmock.h>

#include <cmath>

#include "core/error.hpp"
#include "exporters/verify.hpp"
#include "tests/core/throws.hpp"
#include "tests/exporters/modules.hpp"

namespace espalier {
namespace {

using ::testing::HasSubstr;

Graph conv_bn(const Compression& bits = {}, bool affine = true) {
  GraphBuilder b;
  const NodeId x = b.append(op::Conv2d{.out_channels = 4, .kernel = 3, .bias = true},
                            std::array{b.input(2, 6, 6)}, "conv", bits);
  b.output(b.batch_norm(x, {.affine = affine}));
  return b.build();
}

NodeId find(const Graph& graph, const std::string& name) {
  for (NodeId i = 0; i < graph.size(); ++i) {
    if (graph.name(i) == name) return i;
  }
  ADD_FAILURE() << "no node " << name;
  return 0;
}

TEST(InferenceNet, FoldsBatchNormsAsTheirFormulaSays) {
  for (const bool affine : {true, false}) {
    const GraphModule module = random_module(conv_bn({}, affine));
    const InferenceNet net = inference_net(module, BatchNormFolding::all);
    ASSERT_EQ(net.graph.size(), 3u);
    EXPECT_EQ(net.module_node[1], "bn");
    const auto values = [&](const char* name) { return module.tensor(name).to(at::kDouble); };
    const at::Tensor gamma = affine ? values("bn.weight") : at::ones({4}, at::kDouble);
    const at::Tensor beta = affine ? values("bn.bias") : at::zeros({4}, at::kDouble);
    const at::Tensor factor =
        gamma / (values("bn.running_var") + static_cast<double>(1e-5f)).sqrt();
    EXPECT_LT(relative_difference(values("conv.weight") * factor.view({4, 1, 1, 1}),
                                  net.tensors[1].weight),
              1e-7);
    EXPECT_LT(relative_difference(beta + (values("conv.bias") - values("bn.running_mean")) * factor,
                                  net.tensors[1].bias),
              1e-7);
  }
}

TEST(InferenceNet, KeepsBatchNormsWhereTold) {
  const GraphModule module = random_module(conv_bn());
  const InferenceNet net = inference_net(module, BatchNormFolding::none);
  ASSERT_EQ(net.graph.size(), 4u);
  EXPECT_TRUE(net.tensors[1].weight.equal(module.tensor("conv.weight")));
  EXPECT_TRUE(net.tensors[2].running_var.equal(module.tensor("bn.running_var")));
}

TEST(InferenceNet, QuantizedWeightsKeepTheirIntegers) {
  const Compression bits{.quantization = Quantization{4, 8}};
  GraphModule module = random_module(conv_bn(bits));
  {
    const at::NoGradGuard no_grad;
    module.tensor("bn.weight").copy_(at::tensor({1.5f, -0.5f, 0.0f, 1.0f}));
  }
  const InferenceNet plain = inference_net(module, BatchNormFolding::none);
  const InferenceNet folded = inference_net(module, BatchNormFolding::all);
  const InferenceTensors& a = plain.tensors[1];
  const InferenceTensors& b = folded.tensors[1];
  EXPECT_EQ(a.integers.scalar_type(), at::kChar);
  EXPECT_EQ(a.integers.abs().max().item<int>(), 7);
  const at::Tensor signs = at::tensor({1, -1, 0, 1}).view({4, 1, 1, 1});
  EXPECT_TRUE(b.integers.equal((a.integers * signs).to(at::kChar)));
  EXPECT_TRUE((b.scale > 0).all().item<bool>());
  for (const InferenceTensors* t : {&a, &b}) {
    EXPECT_TRUE(t->weight.equal(t->integers.to(at::kFloat) * t->scale.view({4, 1, 1, 1})));
    ASSERT_TRUE(t->input_grid);
    EXPECT_EQ(t->input_grid->bits, 8);
    const float low = module.tensor("conv.activation_min").item<float>();
    const float high = module.tensor("conv.activation_max").item<float>();
    EXPECT_FLOAT_EQ(t->input_grid->scale, (high - low) / 255);
    EXPECT_EQ(t->input_grid->zero_point, std::round(-low / ((high - low) / 255)));
  }
}

TEST(InferenceNet, SimplifiesAndKeepsWeightsByName) {
  GraphBuilder b;
  const NodeId x = b.input(2, 6, 6);
  b.output(b.add(b.conv(x, 2, {}, "used"), b.conv(b.zero(x), 2, {}, "unused")));
  const GraphModule module = random_module(b.build());
  const InferenceNet net = inference_net(module, BatchNormFolding::all);
  ASSERT_EQ(net.graph.size(), 3u);
  const NodeId used = find(net.graph, "used");
  EXPECT_TRUE(net.tensors[used].weight.equal(module.tensor("used.weight")));
}

TEST(InferenceNet, IsInFloat32WhateverTheModuleIs) {
  GraphModule module(conv_bn(), {.dtype = at::kDouble});
  randomize(module, Rng(1));
  const InferenceNet net = inference_net(module, BatchNormFolding::all);
  EXPECT_EQ(net.tensors[1].weight.scalar_type(), at::kFloat);
  EXPECT_EQ(net.tensors[1].bias.scalar_type(), at::kFloat);
  EXPECT_TRUE(net.tensors[1].weight.is_contiguous());
}

TEST(InferenceNet, AnUnknownRangeIsRefused) {
  GraphModule module(conv_bn({.quantization = Quantization{8, 8}}));
  module.reset_parameters(Rng(1));
  EXPECT_THAT(
      throws<UnsupportedError>([&] { inference_net(module, BatchNormFolding::all); }),
      HasSubstr("node 'conv' quantizes its input to 8 bits, but the input's range is not known"));
}

TEST(InferenceNet, ValuesThatAreNotFiniteAreRefused) {
  const GraphModule module = random_module(conv_bn());
  {
    const at::NoGradGuard no_grad;
    module.tensor("bn.bias").select(0, 1).fill_(std::nan(""));
  }
  EXPECT_THAT(throws<NumericalError>([&] { inference_net(module, BatchNormFolding::all); }),
              HasSubstr("tensor 'bn.bias' has values that are not finite"));
}

}  // namespace
}  // namespace espalier
