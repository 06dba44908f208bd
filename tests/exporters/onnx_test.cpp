#include "exporters/onnx.hpp"

#include <ATen/ATen.h>
#include <gmock/gmock.h>

#include <algorithm>
#include <map>
#include <set>

#include "core/error.hpp"
#include "core/json.hpp"
#include "exporters/verify.hpp"
#include "graph/nets.hpp"
#include "search_spaces/catalogue.hpp"
#include "search_spaces/chain.hpp"
#include "search_spaces/mobilenet_v3.hpp"
#include "search_spaces/nasbench201.hpp"
#include "search_spaces/sampling.hpp"
#include "tests/core/throws.hpp"
#include "tests/exporters/modules.hpp"
#include "tests/exporters/onnx_runtime.hpp"
#include "tests/graph/test_graphs.hpp"
#include "tests/search_spaces/small_spaces.hpp"

#ifdef ESPALIER_WITH_ONNX
#include "exporters/onnx_model.hpp"

namespace espalier {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

onnx::ModelProto model_of(const GraphModule& module) {
  return make_onnx_model(inference_net(module, BatchNormFolding::all));
}

std::vector<std::string> operators(const onnx::ModelProto& model) {
  std::vector<std::string> types;
  for (const auto& node : model.graph().node()) types.push_back(node.op_type());
  return types;
}

const onnx::TensorProto& initializer(const onnx::ModelProto& model, const std::string& name) {
  for (const auto& tensor : model.graph().initializer()) {
    if (tensor.name() == name) return tensor;
  }
  throw Error("no initializer " + name);
}

Graph quantized_conv(std::int64_t weight_bits, std::int64_t activation_bits) {
  GraphBuilder b;
  b.output(b.append(op::Conv2d{.out_channels = 4, .kernel = 3}, std::array{b.input(2, 6, 6)},
                    "conv", {.quantization = Quantization{weight_bits, activation_bits}}));
  return b.build();
}

/// The largest difference between ONNX Runtime and the module.
double runtime_difference(const GraphModule& module, const std::filesystem::path& file,
                          std::int64_t count, bool optimize = true) {
  const at::Tensor x = verification_batch(module.graph(), count);
  const at::Tensor y = run_in_onnx_runtime({{file, x, optimize}})[0];
  return relative_difference(verification_copy(module).forward(x).flatten(), y);
}

TEST(Onnx, EveryOperatorIsWrittenAndVerified) {
  for (const auto& [name, graph] : operator_graphs()) {
    const TemporaryFile file(name + ".onnx");
    const GraphModule module = random_module(graph);
    EXPECT_NO_THROW(export_onnx(module, file.path())) << name;
    EXPECT_TRUE(file.exists()) << name;
  }
}

TEST(Onnx, RandomGraphsAreWrittenAndVerified) {
  Rng rng(7);
  const TemporaryFile file("random.onnx");
  for (int i = 0; i < 60; ++i) {
    const GraphModule module = random_module(random_graph(rng, 12, all_operators(), true), i);
    EXPECT_NO_THROW(export_onnx(module, file.path())) << i;
  }
}

TEST(Onnx, BatchNormsAreFoldedAndTheBatchIsOpen) {
  const onnx::ModelProto model = model_of(random_module(resnet18({.input = {3, 32, 32}})));
  const std::vector<std::string> types = operators(model);
  EXPECT_EQ(std::ranges::count(types, "Conv"), 20);
  EXPECT_EQ(std::ranges::count(types, "BatchNormalization"), 0);
  EXPECT_EQ(model.opset_import(0).version(), 14);
  ASSERT_EQ(model.graph().input_size(), 1);
  EXPECT_EQ(model.graph().input(0).name(), "input");
  EXPECT_EQ(model.graph().input(0).type().tensor_type().shape().dim(0).dim_param(), "batch");
  ASSERT_EQ(model.graph().output_size(), 1);
  EXPECT_EQ(model.graph().output(0).name(), "output");
  EXPECT_EQ(model.graph().output(0).type().tensor_type().shape().dim(1).dim_value(), 1000);
  EXPECT_NO_THROW(initializer(model, "layer1.0.conv1.weight"));
}

TEST(Onnx, QuantizationIsWrittenOnInt8Carriers) {
  const GraphModule module = random_module(quantized_conv(4, 8));
  const onnx::ModelProto model = model_of(module);
  EXPECT_THAT(operators(model), ElementsAre("QuantizeLinear", "DequantizeLinear",
                                            "DequantizeLinear", "Conv", "Identity"));
  const auto& weight = initializer(model, "conv.weight");
  EXPECT_EQ(weight.data_type(), onnx::TensorProto::INT8);
  std::set<int> values;
  for (const char c : weight.raw_data()) values.insert(static_cast<signed char>(c));
  EXPECT_GE(*values.begin(), -7);
  EXPECT_LE(*values.rbegin(), 7);
  EXPECT_EQ(initializer(model, "conv.weight_scale").dims(0), 4);
  EXPECT_EQ(initializer(model, "conv.input_zero_point").data_type(), onnx::TensorProto::INT8);
  // Fewer bits than the carrier has are cut off before.
  EXPECT_THAT(operators(model_of(random_module(quantized_conv(8, 4)))),
              ElementsAre("Clip", "QuantizeLinear", "DequantizeLinear", "DequantizeLinear", "Conv",
                          "Identity"));
  EXPECT_THAT(operators(model_of(random_module(quantized_conv(32, 8)))),
              ElementsAre("QuantizeLinear", "DequantizeLinear", "Conv", "Identity"));
  EXPECT_THAT(operators(model_of(random_module(quantized_conv(2, 32)))),
              ElementsAre("DequantizeLinear", "Conv", "Identity"));
}

TEST(Onnx, ActivationsUseTheirBitsOnly) {
  for (const std::int64_t bits : {2, 3, 4, 8}) {
    const GraphModule module = random_module(quantized_conv(8, bits));
    const at::Tensor x = 10 * verification_batch(module.graph(), 2);  // beyond the range
    std::int64_t low = 0, high = 0;
    run_onnx_model(model_of(module), x, [&](const std::string& name, at::Tensor& value) {
      if (name != "conv/input_quantized") return;
      low = value.min().item<std::int64_t>();
      high = value.max().item<std::int64_t>();
    });
    EXPECT_EQ(low, -(1 << (bits - 1))) << bits;
    EXPECT_EQ(high, (1 << (bits - 1)) - 1) << bits;
  }
}

TEST(Onnx, TheReaderAgreesWithTheModuleEndToEnd) {
  for (const auto& [name, graph] : operator_graphs()) {
    GraphModule module = random_module(graph);
    const at::NoGradGuard no_grad;
    const at::Tensor x = verification_batch(graph, 3);
    EXPECT_LT(relative_difference(module.forward(x), run_onnx_model(model_of(module), x)), 1e-5)
        << name;
  }
}

// Each change to a correct model must be noticed.
TEST(Onnx, VerificationNoticesAWrongModel) {
  GraphBuilder b;
  NodeId x = b.conv(b.input(4, 7, 5), 6, {.kernel = 3, .stride = 2, .bias = true}, "conv");
  x = b.avg_pool(x, {.kernel = 3, .stride = 1}, "pool");
  b.output(b.activation(x, ActivationKind::hard_sigmoid, "gate"));
  const GraphModule module = random_module(b.build());
  GraphModule reference = verification_copy(module);
  const at::NoGradGuard no_grad;
  const at::Tensor batch = verification_batch(module.graph(), 2);
  const at::Tensor expected = reference.forward(batch);
  const auto changed = [&](auto&& change) {
    onnx::ModelProto model = model_of(module);
    change(*model.mutable_graph());
    return relative_difference(expected, run_onnx_model(model, batch));
  };
  const auto node = [](onnx::GraphProto& graph, const char* name) -> onnx::NodeProto& {
    for (auto& candidate : *graph.mutable_node()) {
      if (candidate.name() == name) return candidate;
    }
    throw Error(std::string("no node ") + name);
  };
  EXPECT_LT(changed([](auto&) {}), 1e-6);
  EXPECT_GT(changed([](auto& g) {
              auto& data = *g.mutable_initializer(0)->mutable_raw_data();
              data[3] ^= 0x40;  // the exponent of one weight
            }),
            export_tolerance);
  EXPECT_GT(
      changed([](auto& g) { g.mutable_initializer(1)->mutable_raw_data()->assign(24, '\0'); }),
      export_tolerance);
  EXPECT_GT(changed([&](auto& g) {
              for (auto& a : *node(g, "conv").mutable_attribute()) {
                if (a.name() == "pads") a.set_ints(0, 0), a.set_ints(2, 2);
              }
            }),
            export_tolerance);
  EXPECT_GT(changed([&](auto& g) { node(g, "gate").clear_attribute(); }), export_tolerance);
  EXPECT_GT(changed([&](auto& g) { node(g, "pool").set_op_type("MaxPool"); }), export_tolerance);
}

TEST(Onnx, TheReaderRefusesWhatItDoesNotKnow) {
  onnx::ModelProto model = model_of(random_module(quantized_conv(8, 8)));
  model.mutable_graph()->mutable_node(0)->set_op_type("LRN");
  const at::Tensor x = at::zeros({1, 2, 6, 6});
  EXPECT_THAT(throws<NumericalError>([&] { run_onnx_model(model, x); }),
              HasSubstr("cannot verify the ONNX operator LRN"));
}

TEST(Onnx, TheCheckerSeesInvalidModelsAndWrongShapes) {
  const GraphModule module = random_module(quantized_conv(32, 32));
  onnx::ModelProto model = model_of(module);
  EXPECT_NO_THROW(check_onnx_model(model, module.graph()));

  onnx::ModelProto unknown = model;
  unknown.mutable_graph()->mutable_node(0)->set_op_type("Konv");
  EXPECT_THAT(throws<NumericalError>([&] { check_onnx_model(unknown, module.graph()); }),
              HasSubstr("the ONNX model is not valid"));

  GraphBuilder b;
  b.output(b.conv(b.input(2, 6, 6), 4, {.kernel = 3}, "conv"));
  EXPECT_THAT(throws<NumericalError>([&] { check_onnx_model(model, b.build()); }),
              HasSubstr("the shape of 'conv' in the ONNX model is {batch, 4, 4, 4} where the "
                        "network has {batch, 4, 6, 6}"));
}

TEST(Onnx, WeightsThatAFileCannotHoldAreRefused) {
  InferenceNet net = inference_net(random_module(quantized_conv(32, 32)), BatchNormFolding::all);
  const auto conv = std::ranges::find_if(
      net.tensors, [](const InferenceTensors& t) { return t.weight.defined(); });
  ASSERT_NE(conv, net.tensors.end());
  conv->weight = at::zeros({1, 1, 1, 1}).expand({1 << 28, 2, 1, 1});  // 2^31 bytes of one value
  EXPECT_THAT(throws<UnsupportedError>([&] { make_onnx_model(net); }),
              HasSubstr("an ONNX file holds at most 2 GB"));
}

TEST(Onnx, FilesThatAreNotModelsAreRefused) {
  const TemporaryFile file("net.onnx");
  write_file_atomically(file.path(), "not a model");
  EXPECT_THAT(throws<IoError>([&] { read_onnx_model(file.path()); }),
              HasSubstr("net.onnx: it is not an ONNX model"));
}

TEST(Onnx, ADeformableConvolutionIsRefused) {
  GraphBuilder b;
  const NodeId x = b.input(2, 4, 4);
  b.output(b.deform_conv(std::array{x, b.conv(x, 18)}, 3, {.kernel = 3}));
  const TemporaryFile file("deformable.onnx");
  EXPECT_THAT(throws<UnsupportedError>([&] { export_onnx(random_module(b.build()), file.path()); }),
              HasSubstr("deform_conv2d 'conv_2': ONNX has it from opset 19 on"));
  EXPECT_FALSE(file.exists());
}

TEST(Onnx, NothingIsLeftOfARefusedExport) {
  const TemporaryFile file("refused.onnx");
  GraphModule module(quantized_conv(8, 8));
  module.reset_parameters(Rng(1));  // no ranges
  throws<UnsupportedError>([&] { export_onnx(module, file.path()); });
  EXPECT_FALSE(file.exists());
}

TEST(Onnx, AFullDiskIsAnIoErrorAndLeavesNothing) {
  const TemporaryFile file("full.onnx");
  const GraphModule module =
      random_module(mobilenet_v3_small({.input = {1, 28, 28}, .classes = 10}));
  for (const rlim_t bytes : {0, 5000, 1000000}) {
    throws<IoError>([&] {
      const FullDisk full(bytes);
      export_onnx(module, file.path());
    });
    EXPECT_FALSE(file.exists());
    EXPECT_FALSE(std::filesystem::exists(file.path().string() + ".unverified"));
  }
}

TEST(Onnx, ADirectoryThatDoesNotExistIsAnIoError) {
  const GraphModule module = random_module(quantized_conv(8, 8));
  throws<IoError>([&] { export_onnx(module, "no/such/directory/net.onnx"); });
}

class OnnxRuntime : public testing::Test {
 protected:
  void SetUp() override {
    if (!has_onnx_runtime()) {
      GTEST_SKIP() << "node or tests/onnxruntime/node_modules is missing: no exported network is "
                      "run in ONNX Runtime";
    }
  }
};

TEST_F(OnnxRuntime, AgreesOnEveryOperator) {
  std::vector<std::unique_ptr<TemporaryFile>> files;
  std::vector<OnnxJob> jobs;
  std::vector<at::Tensor> expected;
  std::vector<std::string> names;
  for (const auto& [name, graph] : operator_graphs()) {
    const GraphModule module = random_module(graph);
    files.push_back(std::make_unique<TemporaryFile>(name + ".onnx"));
    export_onnx(module, files.back()->path());
    const at::Tensor x = verification_batch(graph, 3);
    const at::NoGradGuard no_grad;
    jobs.push_back({files.back()->path(), x});
    expected.push_back(verification_copy(module).forward(x));
    names.push_back(name);
  }
  const std::vector<at::Tensor> outputs = run_in_onnx_runtime(jobs);
  for (std::size_t i = 0; i < jobs.size(); ++i) {
    EXPECT_LT(relative_difference(expected[i].flatten(), outputs[i]), 1e-5) << names[i];
  }
}

TEST_F(OnnxRuntime, AgreesOnReferenceNetworks) {
  const at::NoGradGuard no_grad;
  for (const char* const name : {"resnet18", "mobilenet_v3_small"}) {
    const TemporaryFile file("net.onnx");
    const GraphModule module =
        random_module(build_net(name, {.input = {3, 64, 64}, .classes = 10}));
    export_onnx(module, file.path());
    EXPECT_LT(runtime_difference(module, file.path(), 1), export_tolerance) << name;
    EXPECT_LT(runtime_difference(module, file.path(), 3), export_tolerance) << name;
  }
}

void expect_agreement(const SearchSpace& space, int architectures) {
  const at::NoGradGuard no_grad;
  Rng rng(5);
  std::vector<std::unique_ptr<TemporaryFile>> files;
  std::vector<OnnxJob> jobs;
  std::vector<at::Tensor> expected;
  for (int i = 0; i < architectures; ++i) {
    const GraphModule module = random_module(space.build(sample_uniform(space, rng)), i);
    files.push_back(std::make_unique<TemporaryFile>(std::to_string(i) + ".onnx"));
    export_onnx(module, files.back()->path());
    jobs.push_back({files.back()->path(), verification_batch(module.graph(), 2)});
    expected.push_back(verification_copy(module).forward(jobs.back().input));
  }
  const std::vector<at::Tensor> outputs = run_in_onnx_runtime(jobs);
  for (std::size_t i = 0; i < jobs.size(); ++i) {
    EXPECT_LT(relative_difference(expected[i].flatten(), outputs[i]), export_tolerance) << i;
  }
}

TEST_F(OnnxRuntime, AgreesOnTwentyArchitecturesOfThreeSpaces) {
  expect_agreement(*make_nasbench201({.input = {3, 16, 16}, .cells = 1}), 20);
  expect_agreement(*make_chain({.input = {3, 16, 16}}), 20);
  expect_agreement(*make_mobilenet_v3({.input = {3, 64, 64}, .classes = 10, .width = 0.5}), 20);
}

TEST_F(OnnxRuntime, AgreesOnArchitecturesOfEverySpace) {
  const SpaceRegistry spaces = space_registry();
  for (const Json& config : small_spaces()) {
    SCOPED_TRACE(config.dump());
    expect_agreement(*spaces.create(config, "/space"), 4);
  }
}

/// The graph with bits on all its convolutions and linear layers.
Graph with_bits(const Graph& graph, Quantization bits) {
  Graph result;
  for (NodeId i = 0; i < graph.size(); ++i) {
    const Op& op = graph.node(i).op;
    Compression compression;
    if (std::holds_alternative<op::Conv2d>(op) || std::holds_alternative<op::Linear>(op)) {
      compression.quantization = bits;
    }
    result.add(op, graph.inputs(i), graph.name(i), no_scope, compression);
  }
  return result;
}

/// A deep quantized network in which every number is a small whole number times a power of two, so
/// that no sum depends on its order and no rounding on the last bit of what is rounded. The first
/// channel of every batch norm has a weight of its own.
GraphModule exact_quantized_network(double first_batch_norm_weight) {
  const Quantization bits{4, 8};
  GraphBuilder b;
  NodeId x = b.input(4, 8, 8);
  const auto conv = [&](const op::Conv2d& o) {
    const NodeId y = b.append(o, std::array{x}, "conv", {.quantization = bits});
    return b.batch_norm(y, {.eps = 1});
  };
  x = conv({.out_channels = 4, .kernel = 3, .padding = 1});
  for (int block = 0; block < 6; ++block) {
    const NodeId before = x;
    x = b.activation(conv({.out_channels = 16, .kernel = 1}), ActivationKind::relu);
    x = b.activation(conv({.kernel = 3, .padding = 1, .group_width = 1}), ActivationKind::relu6);
    x = b.add(before, conv({.out_channels = 4, .kernel = 3, .padding = 1}));
  }
  x = b.flatten(b.global_avg_pool(x));
  b.output(
      b.append(op::Linear{.out_features = 5}, std::array{x}, "linear", {.quantization = bits}));
  GraphModule module(b.build());

  const at::NoGradGuard no_grad;
  const Rng rng(11);
  // Whole numbers from low to high, times 2^-shift.
  const auto whole = [](const at::Tensor& value, Rng own, std::int64_t low, std::int64_t high,
                        int shift) {
    at::Tensor numbers = at::empty(value.sizes(), at::kDouble);
    for (std::int64_t i = 0; i < numbers.numel(); ++i) {
      numbers.data_ptr<double>()[i] = static_cast<double>(own.uniform_int(low, high));
    }
    value.copy_(numbers * std::ldexp(1, -shift));
  };
  for (auto [name, value] : module.parameters()) {
    if (value.dim() > 1) {
      whole(value, rng.fork(name), -7, 7, 4);
      value.flatten(1).select(1, 0).fill_(7. / 16);  // the scale of every row is 1/16
    } else if (name.find("bn") != std::string::npos && name.ends_with(".weight")) {
      value.fill_(0.5);
      value[0] = first_batch_norm_weight;
    } else {
      whole(value, rng.fork(name), -8, 8, 3);
    }
  }
  for (auto [name, value] : module.buffers()) {
    if (name.ends_with("_mean")) whole(value, rng.fork(name), -4, 4, 3);
    if (name.ends_with("_var")) value.fill_(3);  // and eps: 4
    if (name.ends_with("_min")) value.fill_(-64. / 16);
    if (name.ends_with("_max")) value.fill_(191. / 16);
  }
  module.eval();
  return module;
}

TEST_F(OnnxRuntime, AgreesExactlyOnADeepQuantizedNetwork) {
  const at::NoGradGuard no_grad;
  for (const double weight : {0.5, -0.5, 0., 1e-12}) {
    const GraphModule module = exact_quantized_network(weight);
    const TemporaryFile file("exact.onnx");
    export_onnx(module, file.path());
    const at::Tensor y = verification_copy(module).forward(verification_batch(module.graph(), 4));
    EXPECT_GT(y.std().item<double>(), 0.01) << weight;
    EXPECT_EQ(runtime_difference(module, file.path(), 4, false), 0) << weight;
    EXPECT_EQ(runtime_difference(module, file.path(), 4, true), 0) << weight;
  }
}

TEST_F(OnnxRuntime, AgreesOnQuantizedNetworksUpToRoundings) {
  const at::NoGradGuard no_grad;
  for (const bool optimize : {false, true}) {
    const Graph graph =
        with_bits(mobilenet_v3_small({.input = {3, 32, 32}, .classes = 10}), {4, 8});
    GraphModule module(graph);
    randomize(module, Rng(3), Ranges::unset);
    module.forward(verification_batch(graph, 16));  // ranges
    module.eval();
    const TemporaryFile file("quantized.onnx");
    export_onnx(module, file.path());
    // A value next to the middle of a step may fall on either side of it, which changes what comes
    // after by a part of a step: 1/255 of the range. Where no value can, the test above is exact.
    EXPECT_LT(runtime_difference(module, file.path(), 4, optimize), 0.05) << optimize;
  }
}

TEST_F(OnnxRuntime, SaysWhatItDoesNotAccept) {
  const TemporaryFile file("broken.onnx");
  write_file_atomically(file.path(), "not a model");
  EXPECT_THROW(run_in_onnx_runtime({{file.path(), at::zeros({1, 1})}}), Error);
}

}  // namespace
}  // namespace espalier

#else

namespace espalier {

TEST(Onnx, ABuildWithoutItSaysSo) {
  GraphBuilder b;
  b.output(b.input(1, 1, 1));
  EXPECT_FALSE(has_onnx());
  EXPECT_THROW(export_onnx(GraphModule(b.build()), "x.onnx"), UnsupportedError);
}

}  // namespace espalier

#endif
