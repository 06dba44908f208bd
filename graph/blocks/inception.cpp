#include "graph/blocks/inception.hpp"

#include <array>

namespace espalier {

namespace {

/// The parts of an inception module.
struct Parts {
  GraphBuilder& builder;
  NodeId x;  // the module's input

  NodeId conv(NodeId from, Dim channels, Extent kernel, std::string_view name) const {
    return conv_bn_act(builder, from, channels,
                       {.conv = {.kernel = kernel}, .batch_norm = inception_batch_norm}, name);
  }
  /// 3x3 with stride 2 and without padding.
  NodeId reduce(NodeId from, Dim channels, std::string_view name) const {
    return conv_bn_act(
        builder, from, channels,
        {.conv = {.kernel = 3, .stride = 2, .padding = 0}, .batch_norm = inception_batch_norm},
        name);
  }
  /// 3x3 average pooling, padding included in the mean, and a 1x1 convolution.
  NodeId average(Dim channels) const {
    const NodeId y = builder.avg_pool(x, {.kernel = 3, .stride = 1, .count_include_pad = true});
    return conv(y, channels, 1, "branch_pool");
  }
  /// 3x3 max pooling with stride 2 and without padding.
  NodeId max() const { return builder.max_pool(x, {.kernel = 3, .stride = 2, .padding = 0}); }
};

}  // namespace

NodeId inception(GraphBuilder& builder, NodeId x, const InceptionOptions& options,
                 std::string_view name) {
  const Dim out = options.conv1 + options.conv3 + options.conv5 + options.pool;
  const auto guard = builder.scope(name, "inception",
                                   block_attributes(builder, x, out,
                                                    {{"conv1", options.conv1},
                                                     {"conv3_reduce", options.conv3_reduce},
                                                     {"conv3", options.conv3},
                                                     {"conv5_reduce", options.conv5_reduce},
                                                     {"conv5", options.conv5},
                                                     {"pool", options.pool},
                                                     {"conv5_kernel", options.conv5_kernel}}));
  const Parts part{builder, x};
  const NodeId one = part.conv(x, options.conv1, 1, "branch1");
  NodeId three = part.conv(x, options.conv3_reduce, 1, "branch2.0");
  three = part.conv(three, options.conv3, 3, "branch2.1");
  NodeId five = part.conv(x, options.conv5_reduce, 1, "branch3.0");
  five = part.conv(five, options.conv5, options.conv5_kernel, "branch3.1");
  NodeId pool = builder.max_pool(x, {.kernel = 3, .stride = 1}, "branch4.0");
  pool = part.conv(pool, options.pool, 1, "branch4.1");
  return builder.concat(std::array{one, three, five, pool});
}

NodeId inception_a(GraphBuilder& builder, NodeId x, const InceptionAOptions& options,
                   std::string_view name) {
  const Dim out = options.conv1 + options.conv5 + options.double3 + options.pool;
  const auto guard = builder.scope(name, "inception_a",
                                   block_attributes(builder, x, out,
                                                    {{"conv1", options.conv1},
                                                     {"conv5_reduce", options.conv5_reduce},
                                                     {"conv5", options.conv5},
                                                     {"double3_reduce", options.double3_reduce},
                                                     {"double3", options.double3},
                                                     {"pool", options.pool}}));
  const Parts part{builder, x};
  const NodeId one = part.conv(x, options.conv1, 1, "branch1x1");
  NodeId five = part.conv(x, options.conv5_reduce, 1, "branch5x5_1");
  five = part.conv(five, options.conv5, 5, "branch5x5_2");
  NodeId three = part.conv(x, options.double3_reduce, 1, "branch3x3dbl_1");
  three = part.conv(three, options.double3, 3, "branch3x3dbl_2");
  three = part.conv(three, options.double3, 3, "branch3x3dbl_3");
  return builder.concat(std::array{one, five, three, part.average(options.pool)});
}

NodeId inception_b(GraphBuilder& builder, NodeId x, const InceptionBOptions& options,
                   std::string_view name) {
  const Dim out = options.conv3 + options.double3 + builder.channels(x);
  const auto guard = builder.scope(name, "inception_b",
                                   block_attributes(builder, x, out,
                                                    {{"conv3", options.conv3},
                                                     {"double3_reduce", options.double3_reduce},
                                                     {"double3", options.double3}}));
  const Parts part{builder, x};
  const NodeId three = part.reduce(x, options.conv3, "branch3x3");
  NodeId twice = part.conv(x, options.double3_reduce, 1, "branch3x3dbl_1");
  twice = part.conv(twice, options.double3, 3, "branch3x3dbl_2");
  twice = part.reduce(twice, options.double3, "branch3x3dbl_3");
  return builder.concat(std::array{three, twice, part.max()});
}

NodeId inception_c(GraphBuilder& builder, NodeId x, const InceptionCOptions& options,
                   std::string_view name) {
  const Dim mid = options.mid_channels, out = options.branch_channels;
  const auto guard = builder.scope(
      name, "inception_c",
      block_attributes(builder, x, out * 4, {{"mid_channels", mid}, {"kernel", options.kernel}}));
  const Extent row(1, options.kernel), column(options.kernel, 1);
  const Parts part{builder, x};
  const NodeId one = part.conv(x, out, 1, "branch1x1");
  NodeId two = part.conv(x, mid, 1, "branch7x7_1");
  two = part.conv(two, mid, row, "branch7x7_2");
  two = part.conv(two, out, column, "branch7x7_3");
  NodeId four = part.conv(x, mid, 1, "branch7x7dbl_1");
  four = part.conv(four, mid, column, "branch7x7dbl_2");
  four = part.conv(four, mid, row, "branch7x7dbl_3");
  four = part.conv(four, mid, column, "branch7x7dbl_4");
  four = part.conv(four, out, row, "branch7x7dbl_5");
  return builder.concat(std::array{one, two, four, part.average(out)});
}

NodeId inception_d(GraphBuilder& builder, NodeId x, const InceptionDOptions& options,
                   std::string_view name) {
  const Dim mid = options.mid_channels;
  const Dim out = options.conv3 + mid + builder.channels(x);
  const auto guard = builder.scope(
      name, "inception_d",
      block_attributes(
          builder, x, out,
          {{"mid_channels", mid}, {"conv3", options.conv3}, {"kernel", options.kernel}}));
  const Extent row(1, options.kernel), column(options.kernel, 1);
  const Parts part{builder, x};
  NodeId three = part.conv(x, mid, 1, "branch3x3_1");
  three = part.reduce(three, options.conv3, "branch3x3_2");
  NodeId seven = part.conv(x, mid, 1, "branch7x7x3_1");
  seven = part.conv(seven, mid, row, "branch7x7x3_2");
  seven = part.conv(seven, mid, column, "branch7x7x3_3");
  seven = part.reduce(seven, mid, "branch7x7x3_4");
  return builder.concat(std::array{three, seven, part.max()});
}

NodeId inception_e(GraphBuilder& builder, NodeId x, const InceptionEOptions& options,
                   std::string_view name) {
  const Dim out = options.conv1 + options.conv3 * 4 + options.pool;
  const auto guard = builder.scope(name, "inception_e",
                                   block_attributes(builder, x, out,
                                                    {{"conv1", options.conv1},
                                                     {"conv3", options.conv3},
                                                     {"double3_reduce", options.double3_reduce},
                                                     {"pool", options.pool}}));
  const Extent row(1, 3), column(3, 1);
  const Parts part{builder, x};
  const NodeId one = part.conv(x, options.conv1, 1, "branch1x1");
  NodeId three = part.conv(x, options.conv3, 1, "branch3x3_1");
  three = builder.concat(std::array{part.conv(three, options.conv3, row, "branch3x3_2a"),
                                    part.conv(three, options.conv3, column, "branch3x3_2b")},
                         "branch3x3_2");
  NodeId twice = part.conv(x, options.double3_reduce, 1, "branch3x3dbl_1");
  twice = part.conv(twice, options.conv3, 3, "branch3x3dbl_2");
  twice = builder.concat(std::array{part.conv(twice, options.conv3, row, "branch3x3dbl_3a"),
                                    part.conv(twice, options.conv3, column, "branch3x3dbl_3b")},
                         "branch3x3dbl_3");
  return builder.concat(std::array{one, three, twice, part.average(options.pool)});
}

}  // namespace espalier
