#include "graph/op.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>
#include <string>
#include <utility>
#include <vector>

#include "core/error.hpp"

namespace espalier {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::ThrowsMessage;

template <std::size_t... I>
std::vector<Op> all_ops(std::index_sequence<I...>) {
  return {Op(std::in_place_index<I>)...};
}

TEST(Op, NamesAreDistinct) {
  std::set<std::string_view> names;
  for (const Op& op : all_ops(std::make_index_sequence<std::variant_size_v<Op>>{})) {
    EXPECT_TRUE(names.insert(op_name(op)).second) << op_name(op);
  }
  EXPECT_TRUE(names.contains("conv2d"));
}

TEST(Op, ActivationNamesAreInverse) {
  for (const ActivationKind kind :
       {ActivationKind::relu, ActivationKind::relu6, ActivationKind::hard_swish,
        ActivationKind::hard_sigmoid, ActivationKind::sigmoid, ActivationKind::swish,
        ActivationKind::gelu, ActivationKind::tanh}) {
    EXPECT_EQ(activation_from_name(activation_name(kind)), kind);
  }
  EXPECT_EQ(activation_name(ActivationKind::hard_swish), "hard_swish");
  EXPECT_THAT([] { activation_from_name("hardswish"); },
              ThrowsMessage<ConfigError>(HasSubstr("did you mean \"hard_swish\"?")));
  EXPECT_EQ(pool_name(PoolKind::max), "max");
  EXPECT_EQ(pool_name(PoolKind::average), "average");
}

TEST(Op, OnlyAddAndMultiplyAreCommutative) {
  for (const Op& op : all_ops(std::make_index_sequence<std::variant_size_v<Op>>{})) {
    EXPECT_EQ(is_commutative(op), op_name(op) == "add" || op_name(op) == "multiply");
  }
}

TEST(Op, AttributesAndDimsInDeclarationOrder) {
  Op op = op::Conv2d{.out_channels = 8,
                     .kernel = {3, 5},
                     .stride = {1, 2},
                     .padding = {6, 7},
                     .dilation = {9, 10},
                     .group_width = 4,
                     .bias = true};
  std::vector<std::string> names;
  for_each_attribute(op, [&](std::string_view name, const auto&) { names.emplace_back(name); });
  EXPECT_THAT(names, ElementsAre("out_channels", "kernel", "stride", "padding", "dilation",
                                 "group_width", "bias"));
  std::string dims;
  for_each_dim(std::as_const(op), [&](std::string_view name, const Dim& d) {
    dims += std::string(name) + "=" + d.to_string() + " ";
  });
  EXPECT_EQ(dims,
            "out_channels=8 kernel_h=3 kernel_w=5 stride_h=1 stride_w=2 padding_h=6 padding_w=7 "
            "dilation_h=9 dilation_w=10 group_width=4 ");
  for_each_dim(op, [](std::string_view, Dim& d) { d = 0; });
  EXPECT_EQ(std::get<op::Conv2d>(op).kernel, Extent(0));
}

}  // namespace
}  // namespace espalier
