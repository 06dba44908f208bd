#include "graph/onnx_import.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <fstream>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "core/error.hpp"
#include "core/json.hpp"
#include "core/rng.hpp"
#include "exporters/onnx.hpp"
#include "exporters/verify.hpp"
#include "graph/cost.hpp"
#include "graph/nets.hpp"
#include "tests/core/throws.hpp"
#include "tests/exporters/modules.hpp"

#ifdef ESPALIER_WITH_ONNX
#include "exporters/onnx_model.hpp"
#endif

namespace espalier {
namespace {

using testing::HasSubstr;

/// What an export computes, read back.
at::Tensor round_trip(GraphModule& module, const at::Tensor& x) {
  const TemporaryFile file("net.onnx");
  export_onnx(module, file.path());
  return read_onnx(file.path()).forward(x);
}

TEST(OnnxImport, ExportsComeBack) {
  if (!has_onnx()) GTEST_SKIP() << "built without ONNX";
  int read = 0;
  for (const auto& [name, graph] : operator_graphs()) {
    SCOPED_TRACE(name);
    const bool quantized = std::ranges::any_of(
        graph.nodes(), [](const Node& node) { return node.compression.quantization.has_value(); });
    if (quantized || name.starts_with("two_inputs")) continue;
    GraphModule module = random_module(graph);
    const at::Tensor x = random_batch(graph, 2, Rng(3)).to(at::kFloat);
    const at::Tensor y = module.forward(x);
    EXPECT_TRUE(at::allclose(round_trip(module, x), y, 1e-5, 1e-5 * y.abs().max().item<double>()));
    ++read;
  }
  EXPECT_GT(read, 50);
}

TEST(OnnxImport, ReferenceNetworksComeBackWithTheirCountsAndNames) {
  if (!has_onnx()) GTEST_SKIP() << "built without ONNX";
  for (const char* name : {"resnet18", "mobilenet_v3_small", "squeezenet1_1", "efficientnet_b0"}) {
    SCOPED_TRACE(name);
    const Graph graph = build_net(name, {.input = {3, 64, 64}, .classes = 7});
    GraphModule module = random_module(graph);
    const TemporaryFile file("net.onnx");
    export_onnx(module, file.path());
    const ImportedNetwork network = import_onnx(file.path());
    EXPECT_EQ(cost(network.graph).macs, cost(graph).macs);
    const at::Tensor x = random_batch(graph, 2, Rng(3)).to(at::kFloat);
    EXPECT_LT(difference(read_onnx(file.path()).forward(x), module.forward(x)), 1e-4);
    for (NodeId i = 0; i < network.graph.size(); ++i) {
      if (!std::holds_alternative<op::Conv2d>(network.graph.node(i).op)) continue;
      EXPECT_TRUE(network.weights.contains(network.graph.name(i) + ".weight"));
    }
  }
}

TEST(OnnxImport, FilesThatAreNotThereOrNoModelsAreErrors) {
  if (!has_onnx()) GTEST_SKIP() << "built without ONNX";
  const TemporaryFile file("net.onnx");
  EXPECT_THROW(import_onnx(file.path()), IoError);
  std::ofstream(file.path()) << "no model";
  EXPECT_THAT(throws<IoError>([&] { import_onnx(file.path()); }),
              HasSubstr("it is not an ONNX model"));
}

#ifdef ESPALIER_WITH_ONNX

/// A network with most of the operators that are read in a way of their own.
GraphModule various() {
  GraphBuilder b;
  NodeId x = b.activation(b.batch_norm(b.conv(b.input(4, 8, 8), 4, {.bias = true})),
                          ActivationKind::relu6, "clip");
  x = b.concat(std::array{b.slice(x, {0, 0, 2}, "cut"), b.conv(x, 2, {.kernel = 3}, "second")});
  x = b.activation(b.batch_norm(b.channel_shuffle(x, 2)), ActivationKind::hard_sigmoid, "gate");
  x = b.scale(b.avg_pool(x, {.kernel = 3, .stride = 1}));
  NodeId t = b.position_embedding(b.tokens(x));
  t = b.attention(b.linear(t, 4, {}, "q"), b.linear(t, 4, {}, "k"), b.linear(t, 4, {}, "v"), 2);
  t = b.layer_norm(t);
  x = b.linear(b.flatten(b.slice(t, {0, 0, 1}, "first")), 3, {}, "last");
  b.output(x);
  return random_module(b.build());
}

TEST(OnnxImport, SaysWhatIsNotSupportedAndWhere) {
  const TemporaryFile file("net.onnx");
  export_onnx(various(), file.path());
  const onnx::ModelProto original = read_onnx_model(file.path());
  EXPECT_NO_THROW(import_onnx(file.path()));
  const auto node = [](onnx::ModelProto& model, std::string_view name) {
    for (auto& n : *model.mutable_graph()->mutable_node()) {
      if (n.name() == name) return &n;
    }
    throw Error("no node " + std::string(name));
  };
  const auto tensor = [](onnx::ModelProto& model, std::string_view name) {
    for (auto& t : *model.mutable_graph()->mutable_initializer()) {
      if (t.name() == name) return &t;
    }
    throw Error("no initializer " + std::string(name));
  };
  const auto attribute = [&](onnx::ModelProto& model, std::string_view name, std::string_view key) {
    for (auto& a : *node(model, name)->mutable_attribute()) {
      if (a.name() == key) return &a;
    }
    throw Error("no attribute " + std::string(key));
  };
  const auto add_integer = [](onnx::NodeProto* n, const char* key, std::int64_t value) {
    auto* a = n->add_attribute();
    a->set_name(key);
    a->set_type(onnx::AttributeProto::INT);
    a->set_i(value);
  };
  const auto set_float = [](onnx::TensorProto* t, float value) {
    t->set_raw_data(std::string(reinterpret_cast<const char*>(&value), sizeof(value)));
  };
  using Model = onnx::ModelProto;
  const std::vector<std::pair<std::string, std::function<void(Model&)>>> cases{
      {"'clip' (Elu) has no counterpart",
       [&](Model& m) {
         node(m, "clip")->set_op_type("Elu");
         while (node(m, "clip")->input_size() > 1) node(m, "clip")->mutable_input()->RemoveLast();
       }},
      {"'clip' (Clip) clips to other bounds than [0, 6]",
       [&](Model& m) { set_float(tensor(m, "clip.high"), 7); }},
      {"'second' (Conv) has unequal padding on both sides",
       [&](Model& m) {
         attribute(m, "second", "pads")->set_ints(2, 2);
         attribute(m, "second", "pads")->set_ints(0, 0);
       }},
      {"'second' (Conv) has more padding before than after",
       [&](Model& m) {
         attribute(m, "second", "pads")->set_ints(0, 2);
         attribute(m, "second", "pads")->set_ints(2, 0);
       }},
      {"'second' (Conv) has auto_pad SAME_UPPER",
       [&](Model& m) {
         auto* a = node(m, "second")->add_attribute();
         a->set_name("auto_pad");
         a->set_type(onnx::AttributeProto::STRING);
         a->set_s("SAME_UPPER");
       }},
      {"'gate' (HardSigmoid) has another slope than 1/6",
       [&](Model& m) { attribute(m, "gate", "alpha")->set_f(0.2f); }},
      {"or another offset than 1/2",
       [&](Model& m) {
         auto* a = node(m, "gate")->add_attribute();
         a->set_name("beta");
         a->set_type(onnx::AttributeProto::FLOAT);
         a->set_f(0.4f);
       }},
      {"(AveragePool) counts padding on one side of the image in its means",
       [&](Model& m) {
         for (auto& n : *m.mutable_graph()->mutable_node()) {
           if (n.op_type() != "AveragePool") continue;
           n.clear_attribute();
           for (const auto& [key, values] : {std::pair("kernel_shape", std::vector{3, 3}),
                                             std::pair("pads", std::vector{0, 0, 2, 2})}) {
             auto* a = n.add_attribute();
             a->set_name(key);
             a->set_type(onnx::AttributeProto::INTS);
             for (const int v : values) a->add_ints(v);
           }
           add_integer(&n, "count_include_pad", 1);
         }
       }},
      {"'scale' (Mul) multiplies by a constant that is not one factor per channel",
       [&](Model& m) {  // 1 / 2, which is 0 for integers only
         for (const auto& [name, value] : {std::pair("one", 1.0f), std::pair("two", 2.0f)}) {
           auto* t = m.mutable_graph()->add_initializer();
           t->set_name(name);
           t->set_data_type(onnx::TensorProto::FLOAT);
           set_float(t, value);
         }
         auto* nodes = m.mutable_graph()->mutable_node();
         auto* n = nodes->Add();
         n->set_op_type("Div");
         n->add_input("one"), n->add_input("two"), n->add_output("half");
         for (int i = nodes->size() - 1; i > 0; --i) nodes->SwapElements(i, i - 1);
         node(m, "scale")->set_input(1, "half");
       }},
      {"'last' (Gemm) is not a plain linear layer",
       [&](Model& m) { add_integer(node(m, "last"), "transA", 1); }},
      {"'scale' (Mul) multiplies by a constant that is not one factor per channel",
       [&](Model& m) {
         tensor(m, "scale.weight")->clear_dims();
         set_float(tensor(m, "scale.weight"), 2);
       }},
      {"'shuffle/transposed' (Transpose) moves axes in a way that has no counterpart",
       [&](Model& m) {
         auto* perm = attribute(m, "shuffle/transposed", "perm");
         perm->set_ints(1, 1);
         perm->set_ints(2, 2);
       }},
      {"scales its scores by", [&](Model& m) { set_float(tensor(m, "attention.slope"), 0.3f); }},
      {"initializer 'second.weight' is stored in another file",
       [&](Model& m) {
         auto* weight = tensor(m, "second.weight");
         weight->set_data_location(onnx::TensorProto::EXTERNAL);
         weight->clear_raw_data();
         auto* place = weight->add_external_data();
         place->set_key("location");
         place->set_value("weights.bin");
       }},
      {"initializer 'second.weight' has the data type FLOAT16",
       [&](Model& m) {
         auto* weight = tensor(m, "second.weight");
         weight->set_data_type(onnx::TensorProto::FLOAT16);
         weight->set_raw_data(weight->raw_data().substr(0, weight->raw_data().size() / 2));
       }},
      {"the ONNX model is not valid", [&](Model& m) { node(m, "second")->clear_input(); }},
      {"has 2 outputs; one is supported",
       [&](Model& m) {
         auto* output = m.mutable_graph()->add_output();
         *output = m.graph().output(0);
         output->set_name("clip");
         output->mutable_type()->mutable_tensor_type()->clear_shape();
       }},
      {"is not the one batch of images",
       [&](Model& m) {
         auto* type = m.mutable_graph()->mutable_input(0)->mutable_type()->mutable_tensor_type();
         type->mutable_shape()->mutable_dim()->RemoveLast();
       }},
  };
  for (const auto& [text, change] : cases) {
    onnx::ModelProto model = original;
    change(model);
    write_file_atomically(file.path(), model.SerializeAsString());
    EXPECT_THAT(throws<UnsupportedError>([&] { import_onnx(file.path()); }), HasSubstr(text));
  }
}

TEST(OnnxImport, DamagedModelsAreRefusedOrRead) {
  const TemporaryFile file("net.onnx");
  export_onnx(various(), file.path());
  const std::string original = read_file(file.path());
  Rng rng(1);
  int read = 0, refused = 0;
  for (int round = 0; round < 600; ++round) {
    std::string bytes = original;
    for (std::uint64_t k = 0; k <= rng.below(3); ++k) {
      bytes[rng.below(bytes.size())] = static_cast<char>(rng.below(256));
    }
    if (rng.below(8) == 0) bytes.resize(rng.below(bytes.size()));
    write_file_atomically(file.path(), bytes);
    try {
      import_onnx(file.path());
      ++read;
    } catch (const Error&) {  // anything else fails the test
      ++refused;
    }
  }
  EXPECT_GT(read, 50);
  EXPECT_GT(refused, 50);
}

TEST(OnnxImport, QuantizedModelsAreRefused) {
  for (const auto& [name, graph] : operator_graphs()) {
    if (name != "token_linear_quantized") continue;
    const TemporaryFile file("net.onnx");
    export_onnx(random_module(graph), file.path());
    EXPECT_THAT(throws<UnsupportedError>([&] { import_onnx(file.path()); }),
                HasSubstr("quantized models are not read"));
    return;
  }
  ADD_FAILURE() << "no quantized network";
}

#endif

}  // namespace
}  // namespace espalier
