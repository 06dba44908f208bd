#include "graph/nets/net_builder.hpp"

namespace espalier {

namespace {

NodeId conv(NetBuilder& b, NodeId x, Dim channels, const ConvOptions& options,
            std::string_view name) {
  return conv_bn_act(b, x, channels, {.conv = options, .batch_norm = inception_batch_norm}, name);
}

NodeId classify(NetBuilder& b, NodeId x, float dropout, std::int64_t classes) {
  x = b.global_avg_pool(x, "avgpool");
  x = b.flatten(x);
  x = b.dropout(x, dropout);
  return b.linear(x, classes, {}, "fc");
}

}  // namespace

Graph googlenet(const NetOptions& options) {
  NetBuilder b;
  const auto module = [&](NodeId x, InceptionOptions widths, std::string_view name) {
    widths.conv5_kernel = 3;
    return inception(b, x, widths, name);
  };
  const PoolOptions pool{.kernel = 3, .stride = 2, .padding = 0, .ceil_mode = true};
  NodeId x = b.input(options);
  x = conv(b, x, 64, {.kernel = 7, .stride = 2}, "conv1");
  x = b.max_pool(x, pool, "maxpool1");
  x = conv(b, x, 64, {}, "conv2");
  x = conv(b, x, 192, {.kernel = 3}, "conv3");
  x = b.max_pool(x, pool, "maxpool2");
  x = module(x, {64, 96, 128, 16, 32, 32}, "inception3a");
  x = module(x, {128, 128, 192, 32, 96, 64}, "inception3b");
  x = b.max_pool(x, pool, "maxpool3");
  x = module(x, {192, 96, 208, 16, 48, 64}, "inception4a");
  x = module(x, {160, 112, 224, 24, 64, 64}, "inception4b");
  x = module(x, {128, 128, 256, 24, 64, 64}, "inception4c");
  x = module(x, {112, 144, 288, 32, 64, 64}, "inception4d");
  x = module(x, {256, 160, 320, 32, 128, 128}, "inception4e");
  x = b.max_pool(x, {.ceil_mode = true}, "maxpool4");
  x = module(x, {256, 160, 320, 32, 128, 128}, "inception5a");
  x = module(x, {384, 192, 384, 48, 128, 128}, "inception5b");
  return b.finish(classify(b, x, 0.2f, options.classes));
}

Graph inception_v3(const NetOptions& options) {
  NetBuilder b;
  const PoolOptions pool{.kernel = 3, .stride = 2, .padding = 0};
  NodeId x = b.input(options);
  x = conv(b, x, 32, {.kernel = 3, .stride = 2, .padding = 0}, "Conv2d_1a_3x3");
  x = conv(b, x, 32, {.kernel = 3, .padding = 0}, "Conv2d_2a_3x3");
  x = conv(b, x, 64, {.kernel = 3}, "Conv2d_2b_3x3");
  x = b.max_pool(x, pool, "maxpool1");
  x = conv(b, x, 80, {}, "Conv2d_3b_1x1");
  x = conv(b, x, 192, {.kernel = 3, .padding = 0}, "Conv2d_4a_3x3");
  x = b.max_pool(x, pool, "maxpool2");
  x = inception_a(b, x, {.pool = 32}, "Mixed_5b");
  x = inception_a(b, x, {.pool = 64}, "Mixed_5c");
  x = inception_a(b, x, {.pool = 64}, "Mixed_5d");
  x = inception_b(b, x, {}, "Mixed_6a");
  x = inception_c(b, x, {.mid_channels = 128}, "Mixed_6b");
  x = inception_c(b, x, {.mid_channels = 160}, "Mixed_6c");
  x = inception_c(b, x, {.mid_channels = 160}, "Mixed_6d");
  x = inception_c(b, x, {.mid_channels = 192}, "Mixed_6e");
  x = inception_d(b, x, {}, "Mixed_7a");
  x = inception_e(b, x, {}, "Mixed_7b");
  x = inception_e(b, x, {}, "Mixed_7c");
  return b.finish(classify(b, x, 0.5f, options.classes));
}

}  // namespace espalier
