#ifdef ESPALIER_WITH_ONNX

#include "exporters/onnx_model.hpp"

#include <ATen/ATen.h>
#include <onnx/checker.h>
#include <onnx/shape_inference/implementation.h>

#include <algorithm>
#include <cmath>
#include <numbers>
#include <span>
#include <type_traits>
#include <utility>

#include "core/error.hpp"
#include "core/json.hpp"

namespace espalier {

namespace {

constexpr int opset_version = 14;
constexpr int ir_version = 7;  // of the release that has opset 14
// The format ends at 2^31 bytes; what is not weights takes far less than the rest.
constexpr std::size_t max_weight_bytes = 2'000'000'000;

using Names = std::vector<std::string>;

/// Rows and columns of padding before and after.
struct Padding {
  std::int64_t top, left, bottom, right;
};

class ModelWriter {
 public:
  explicit ModelWriter(const InferenceNet& net) : net_(net) {
    model_.set_ir_version(ir_version);
    model_.set_producer_name("espalier");
    model_.add_opset_import()->set_version(opset_version);
    graph_ = model_.mutable_graph();
    graph_->set_name("network");
  }

  onnx::ModelProto write() {
    const Graph& graph = net_.graph;
    value_.resize(graph.size());
    for (node_ = 0; node_ < graph.size(); ++node_) {
      in_.clear();
      for (NodeId input : graph.inputs(node_)) in_.push_back(value_[input]);
      value_[node_] = std::visit(*this, graph.node(node_).op);
    }
    return std::move(model_);
  }

  // One operator: what its value is called.

  std::string operator()(const op::Input&) {
    const NodeId first = net_.graph.input();  // all inputs of a network are the same batch
    if (node_ == first) describe(graph_->add_input());
    return net_.graph.name(first);
  }
  std::string operator()(const op::Conv2d& o) {
    const InferenceTensors& t = tensors();
    const std::int64_t groups = input_shape()[0].value() / t.weight.size(1);
    const std::string x = quantized_input();
    Names inputs{x, weight()};
    if (t.bias.defined()) inputs.push_back(initializer("bias", t.bias));
    auto* node = add("Conv", inputs);
    set(node, "dilations", {o.dilation.h.value(), o.dilation.w.value()});
    set(node, "group", groups);
    set(node, "kernel_shape", {o.kernel.h.value(), o.kernel.w.value()});
    set_pads(node, padding(o.padding));
    set(node, "strides", {o.stride.h.value(), o.stride.w.value()});
    return name();
  }
  std::string operator()(const op::BatchNorm2d& o) {
    const InferenceTensors& t = tensors();
    const at::Tensor ones = at::ones_like(t.running_mean);
    auto* node =
        add("BatchNormalization", {in_[0], initializer("weight", o.affine ? t.weight : ones),
                                   initializer("bias", o.affine ? t.bias : at::zeros_like(ones)),
                                   initializer("running_mean", t.running_mean),
                                   initializer("running_var", t.running_var)});
    set(node, "epsilon", o.eps);
    return name();
  }
  std::string operator()(const op::Linear&) {
    const InferenceTensors& t = tensors();
    const std::string x = quantized_input();
    if (input_shape().rank == 2) {  // Gemm takes matrices only
      set(add("Transpose", {weight()}, "transposed"), "perm", {1, 0});
      if (!t.bias.defined()) return add("MatMul", {x, part("transposed")}), name();
      add("MatMul", {x, part("transposed")}, "product");
      add("Add", {part("product"), initializer("bias", t.bias)});
      return name();
    }
    Names inputs{x, weight()};
    if (t.bias.defined()) inputs.push_back(initializer("bias", t.bias));
    set(add("Gemm", inputs), "transB", std::int64_t{1});
    return name();
  }
  std::string operator()(const op::Activation& o) {
    switch (o.kind) {
      case ActivationKind::relu:
        add("Relu", in_);
        break;
      case ActivationKind::relu6:
        add("Clip", {in_[0], scalar("low", 0), scalar("high", 6)});
        break;
      case ActivationKind::hard_swish:
        add("HardSwish", in_);
        break;
      case ActivationKind::hard_sigmoid:
        set(add("HardSigmoid", in_), "alpha", 1.0f / 6);
        break;
      case ActivationKind::sigmoid:
        add("Sigmoid", in_);
        break;
      case ActivationKind::swish:
        add("Sigmoid", in_, "sigmoid");
        add("Mul", {in_[0], part("sigmoid")});
        break;
      case ActivationKind::gelu:  // x (1 + erf(x / sqrt(2))) / 2
        add("Mul", {in_[0], scalar("slope", std::numbers::sqrt2_v<float> / 2)}, "scaled");
        add("Erf", {part("scaled")}, "erf");
        add("Add", {part("erf"), scalar("one", 1)}, "shifted");
        add("Mul", {in_[0], part("shifted")}, "product");
        add("Mul", {part("product"), scalar("half", 0.5f)});
        break;
      case ActivationKind::tanh:
        add("Tanh", in_);
        break;
    }
    return name();
  }
  std::string operator()(const op::Pool2d& o) {
    // ONNX and LibTorch disagree about ceil_mode, and runtimes among each other. Padding at the end
    // says the same without it.
    const Shape& in = input_shape();
    const Shape& out = net_.graph.node(node_).shape;
    const auto end = [](Dim size, Dim outputs, Dim kernel, Dim stride, Dim pad) {
      const std::int64_t reached = (outputs.value() - 1) * stride.value() + kernel.value();
      return std::max(pad.value(), reached - size.value() - pad.value());
    };
    const Padding symmetric = padding(o.padding);
    const Padding all{symmetric.top, symmetric.left,
                      end(in[1], out[1], o.kernel.h, o.stride.h, o.padding.h),
                      end(in[2], out[2], o.kernel.w, o.stride.w, o.padding.w)};
    Padding outside = all;
    std::string x = in_[0];
    if (o.kind == PoolKind::average && o.count_include_pad) {
      // The padding counts in the mean, the cells that only ceil_mode adds do not: write the
      // padding as zeros of the input.
      outside = {0, 0, all.bottom - symmetric.bottom, all.right - symmetric.right};
      if (symmetric.top != 0 || symmetric.left != 0) {
        add("Pad",
            {x, initializer("pads", at::tensor({std::int64_t{0}, std::int64_t{0}, symmetric.top,
                                                symmetric.left, std::int64_t{0}, std::int64_t{0},
                                                symmetric.bottom, symmetric.right}))},
            "padded");
        x = part("padded");
      }
    }
    auto* node = add(o.kind == PoolKind::max ? "MaxPool" : "AveragePool", {x});
    set(node, "kernel_shape", {o.kernel.h.value(), o.kernel.w.value()});
    set_pads(node, outside);
    set(node, "strides", {o.stride.h.value(), o.stride.w.value()});
    return name();
  }
  std::string operator()(const op::GlobalAvgPool&) { return add("GlobalAveragePool", in_), name(); }
  std::string operator()(const op::Flatten&) { return add("Flatten", in_), name(); }
  std::string operator()(const op::Add&) {
    if (in_.size() == 1) return in_[0];
    add(in_.size() == 2 ? "Add" : "Sum", in_);
    return name();
  }
  std::string operator()(const op::Multiply&) { return add("Mul", in_), name(); }
  std::string operator()(const op::Concat&) {
    set(add("Concat", in_), "axis", std::int64_t{1});
    return name();
  }
  std::string operator()(const op::Dropout&) { return in_[0]; }
  std::string operator()(const op::Zero& o) {
    std::string x = in_[0];
    if (const std::int64_t stride = o.stride.value(); stride != 1) {
      const auto pair = [&](const char* suffix, std::int64_t a, std::int64_t b) {
        return initializer(suffix, at::tensor({a, b}));
      };
      constexpr std::int64_t past_the_end = std::int64_t{1} << 31;
      add("Slice",
          {x, pair("starts", 0, 0), pair("ends", past_the_end, past_the_end), pair("axes", 2, 3),
           pair("steps", stride, stride)},
          "strided");
      x = part("strided");
    }
    add("Mul", {x, scalar("zero", 0)});
    return name();
  }
  std::string operator()(const op::Slice& o) {
    const std::int64_t begin = o.begin.value();
    const std::int64_t size = shape()[static_cast<std::size_t>(o.axis.value())].value();
    const auto one = [&](const char* suffix, std::int64_t value) {
      return initializer(suffix, at::tensor({value}));
    };
    add("Slice",
        {in_[0], one("starts", begin), one("ends", begin + size), one("axes", o.axis.value() + 1)});
    return name();
  }
  std::string operator()(const op::ChannelShuffle& o) {
    const std::int64_t c = shape()[0].value(), h = shape()[1].value(), w = shape()[2].value();
    const std::int64_t groups = o.groups.value();
    add("Reshape", {in_[0], sizes("grouped_shape", {0, groups, c / groups, h, w})}, "grouped");
    set(add("Transpose", {part("grouped")}, "transposed"), "perm", {0, 2, 1, 3, 4});
    add("Reshape", {part("transposed"), sizes("shape", {0, c, h, w})});
    return name();
  }
  std::string operator()(const op::LayerNorm& o) {
    const std::int64_t axis = shape().rank == 3 ? 1 : -1;
    const auto mean = [&](const std::string& x, const char* suffix) {
      set(add("ReduceMean", {x}, suffix), "axes", {axis});
      return part(suffix);
    };
    add("Sub", {in_[0], mean(in_[0], "mean")}, "centred");
    add("Mul", {part("centred"), part("centred")}, "squared");
    add("Add", {mean(part("squared"), "variance"), scalar("eps", o.eps)}, "shifted");
    add("Sqrt", {part("shifted")}, "deviation");
    if (!o.affine) return add("Div", {part("centred"), part("deviation")}), name();
    add("Div", {part("centred"), part("deviation")}, "normalized");
    add("Mul", {part("normalized"), over_channels("weight", tensors().weight)}, "scaled");
    add("Add", {part("scaled"), over_channels("bias", tensors().bias)});
    return name();
  }
  std::string operator()(const op::Scale&) {
    add("Mul", {in_[0], over_channels("weight", tensors().weight)});
    return name();
  }
  std::string operator()(const op::Tokens&) {
    add("Reshape", {in_[0], sizes("flat_shape", {0, shape()[1].value(), shape()[0].value()})},
        "flat");
    set(add("Transpose", {part("flat")}), "perm", {0, 2, 1});
    return name();
  }
  std::string operator()(const op::ClassToken&) {
    // One token for each sample of the batch, whose size is not known here: zeros plus the token.
    const auto one = [&](const char* suffix, std::int64_t value) {
      return initializer(suffix, at::tensor({value}));
    };
    add("Slice", {in_[0], one("starts", 0), one("ends", 1), one("axes", 1)}, "first");
    add("Mul", {part("first"), scalar("zero", 0)}, "zeros");
    add("Add", {part("zeros"), initializer("weight", tensors().weight)}, "token");
    set(add("Concat", {part("token"), in_[0]}), "axis", std::int64_t{1});
    return name();
  }
  std::string operator()(const op::PositionEmbedding&) {
    add("Add", {in_[0], initializer("weight", tensors().weight)});
    return name();
  }
  std::string operator()(const op::Attention& o) {
    const std::int64_t tokens = shape()[0].value(), channels = shape()[1].value();
    const std::int64_t width = o.head_width.value();
    const std::string split = sizes("split_shape", {0, tokens, channels / width, width});
    const auto heads = [&](std::size_t k, const std::string& suffix,
                           std::initializer_list<std::int64_t> order) {
      add("Reshape", {in_[k], split}, suffix + "_split");
      set(add("Transpose", {part(suffix + "_split")}, suffix), "perm", order);
      return part(suffix);
    };
    add("Mul",
        {heads(0, "q", {0, 2, 1, 3}), scalar("slope", 1.0f / std::sqrt(static_cast<float>(width)))},
        "scaled");
    add("MatMul", {part("scaled"), heads(1, "k", {0, 2, 3, 1})}, "scores");
    set(add("Softmax", {part("scores")}, "weights"), "axis", std::int64_t{-1});
    add("MatMul", {part("weights"), heads(2, "v", {0, 2, 1, 3})}, "heads");
    set(add("Transpose", {part("heads")}, "joined"), "perm", {0, 2, 1, 3});
    add("Reshape", {part("joined"), sizes("shape", {0, tokens, channels})});
    return name();
  }
  std::string operator()(const op::DeformConv2d&) {
    throw UnsupportedError("deform_conv2d '" + name() +
                           "': ONNX has it from opset 19 on, and this file format is of opset " +
                           std::to_string(opset_version) +
                           "; export the network to json, or choose another convolution");
  }
  std::string operator()(const op::Choice&) {
    throw InvalidArchitecture("a choice cannot be exported; build a network from an architecture");
  }
  std::string operator()(const op::Output&) {
    add("Identity", in_);
    describe(graph_->add_output());
    return name();
  }

 private:
  const std::string& name() const { return net_.graph.name(node_); }
  std::string part(const std::string& suffix) const { return name() + "/" + suffix; }
  const InferenceTensors& tensors() const { return net_.tensors[node_]; }
  const Shape& input_shape() const { return net_.graph.node(net_.graph.inputs(node_)[0]).shape; }
  const Shape& shape() const { return net_.graph.node(node_).shape; }
  static Padding padding(Extent e) { return {e.h.value(), e.w.value(), e.h.value(), e.w.value()}; }

  /// An operator of this node; `suffix` is empty for the one that computes the node's value.
  onnx::NodeProto* add(const char* type, const Names& inputs, const std::string& suffix = "") {
    auto* node = graph_->add_node();
    node->set_op_type(type);
    node->set_name(suffix.empty() ? name() : part(suffix));
    for (const std::string& input : inputs) node->add_input(input);
    node->add_output(node->name());
    return node;
  }
  static onnx::AttributeProto* attribute(onnx::NodeProto* node, const char* key) {
    auto* attribute = node->add_attribute();
    attribute->set_name(key);
    return attribute;
  }
  static void set(onnx::NodeProto* node, const char* key, float value) {
    auto* a = attribute(node, key);
    a->set_type(onnx::AttributeProto::FLOAT);
    a->set_f(value);
  }
  static void set(onnx::NodeProto* node, const char* key, std::int64_t value) {
    auto* a = attribute(node, key);
    a->set_type(onnx::AttributeProto::INT);
    a->set_i(value);
  }
  static void set(onnx::NodeProto* node, const char* key,
                  std::initializer_list<std::int64_t> values) {
    auto* a = attribute(node, key);
    a->set_type(onnx::AttributeProto::INTS);
    for (std::int64_t value : values) a->add_ints(value);
  }
  static void set_pads(onnx::NodeProto* node, const Padding& p) {
    set(node, "pads", {p.top, p.left, p.bottom, p.right});
  }

  /// A constant of this node.
  std::string initializer(const std::string& suffix, const at::Tensor& values) {
    weight_bytes_ += values.nbytes();
    if (weight_bytes_ > max_weight_bytes) {
      throw UnsupportedError(
          "an ONNX file holds at most 2 GB, and the network's weights are larger; export it to "
          "torchscript");
    }
    auto* tensor = graph_->add_initializer();
    tensor->set_name(name() + "." + suffix);
    tensor->set_data_type(values.scalar_type() == at::kFloat  ? onnx::TensorProto::FLOAT
                          : values.scalar_type() == at::kChar ? onnx::TensorProto::INT8
                                                              : onnx::TensorProto::INT64);
    for (std::int64_t size : values.sizes()) tensor->add_dims(size);
    tensor->set_raw_data(values.data_ptr(), values.nbytes());  // ONNX is little-endian, as we are
    return tensor->name();
  }
  /// A shape; 0 stands for the size that the input has there.
  std::string sizes(const std::string& suffix, std::initializer_list<std::int64_t> values) {
    return initializer(suffix, at::tensor(at::ArrayRef<std::int64_t>(values)));
  }
  /// A value per channel that broadcasts over this node's output.
  std::string over_channels(const std::string& suffix, const at::Tensor& values) {
    return initializer(suffix, shape().rank == 3 ? values.view({-1, 1, 1}) : values);
  }
  std::string scalar(const std::string& suffix, float value) {
    return initializer(suffix, at::scalar_tensor(value, at::kFloat));
  }

  std::string weight() {
    const InferenceTensors& t = tensors();
    if (!t.integers.defined()) return initializer("weight", t.weight);
    auto* node = add("DequantizeLinear",
                     {initializer("weight", t.integers), initializer("weight_scale", t.scale),
                      initializer("weight_zero_point", at::zeros({t.scale.size(0)}, at::kChar))},
                     "weight");
    set(node, "axis", std::int64_t{0});
    return part("weight");
  }

  std::string quantized_input() {
    const auto& grid = tensors().input_grid;
    if (!grid) return in_[0];
    const int steps = (1 << grid->bits) - 1;
    std::string x = in_[0];
    if (grid->bits < 8) {
      const auto end = [&](const char* suffix, int integer) {
        return scalar(suffix, static_cast<float>(integer - grid->zero_point) * grid->scale);
      };
      add("Clip", {x, end("input_low", 0), end("input_high", steps)}, "input_clipped");
      x = part("input_clipped");
    }
    // Integers of 0 to 2^bits - 1, moved so that they fit into int8.
    const int offset = 1 << (grid->bits - 1);
    const std::string scale = scalar("input_scale", grid->scale);
    const std::string zero_point =
        initializer("input_zero_point", at::scalar_tensor(grid->zero_point - offset, at::kChar));
    add("QuantizeLinear", {x, scale, zero_point}, "input_quantized");
    add("DequantizeLinear", {part("input_quantized"), scale, zero_point}, "input");
    return part("input");
  }

  /// Type and shape of the network's input or output.
  void describe(onnx::ValueInfoProto* value) const {
    value->set_name(name());
    auto* type = value->mutable_type()->mutable_tensor_type();
    type->set_elem_type(onnx::TensorProto::FLOAT);
    type->mutable_shape()->add_dim()->set_dim_param("batch");
    for (Dim d : net_.graph.node(node_).shape.values()) {
      type->mutable_shape()->add_dim()->set_dim_value(d.value());
    }
  }

  const InferenceNet& net_;
  onnx::ModelProto model_;
  onnx::GraphProto* graph_;
  std::size_t weight_bytes_ = 0;
  NodeId node_ = 0;
  Names in_;                        // the values that node_ reads
  std::vector<std::string> value_;  // by node
};

std::string shape_text(const onnx::TensorShapeProto& shape) {
  std::string text = "{";
  for (const auto& dim : shape.dim()) {
    text += text.size() > 1 ? ", " : "";
    text += dim.has_dim_value()   ? std::to_string(dim.dim_value())
            : dim.has_dim_param() ? dim.dim_param()
                                  : "?";
  }
  return text + "}";
}

}  // namespace

onnx::ModelProto make_onnx_model(const InferenceNet& net) { return ModelWriter(net).write(); }

onnx::ModelProto read_onnx_model(const std::filesystem::path& path) {
  onnx::ModelProto model;
  if (!model.ParseFromString(read_file(path))) {
    throw IoError(path.string(), "it is not an ONNX model");
  }
  return model;
}

void check_onnx_model(const onnx::ModelProto& model, const Graph& graph) {
  onnx::ModelProto inferred = model;
  try {
    onnx::checker::check_model(model);
    onnx::shape_inference::InferShapes(inferred, onnx::OpSchemaRegistry::Instance(), {true, 1});
  } catch (const std::exception& error) {
    throw NumericalError(std::string("the ONNX model is not valid: ") + error.what());
  }
  std::map<std::string, const onnx::TypeProto*> types;
  for (const auto* values : {&inferred.graph().value_info(), &inferred.graph().output()}) {
    for (const auto& value : *values) types[value.name()] = &value.type();
  }
  std::map<std::string, bool> written;
  for (const auto& node : model.graph().node()) written[node.output(0)] = true;
  for (NodeId i = 0; i < graph.size(); ++i) {
    const std::string& name = graph.name(i);
    if (!written.contains(name)) continue;  // an alias of another value
    const auto it = types.find(name);
    std::string wanted = "{batch";
    for (Dim d : graph.node(i).shape.values()) wanted += ", " + d.to_string();
    wanted += "}";
    const std::string got =
        it == types.end() ? "nothing" : shape_text(it->second->tensor_type().shape());
    if (got != wanted) {
      throw NumericalError("the shape of '" + name + "' in the ONNX model is " + got +
                           " where the network has " + wanted);
    }
  }
}

// ---- Reading: from the text of the ONNX standard, not from what is above ----

namespace {

const onnx::AttributeProto* find_attribute(const onnx::NodeProto& node, const char* name) {
  for (const auto& attribute : node.attribute()) {
    if (attribute.name() == name) return &attribute;
  }
  return nullptr;
}

std::vector<std::int64_t> integers(const onnx::NodeProto& node, const char* name,
                                   std::vector<std::int64_t> otherwise) {
  const auto* a = find_attribute(node, name);
  return a == nullptr ? otherwise : std::vector<std::int64_t>(a->ints().begin(), a->ints().end());
}

std::int64_t integer(const onnx::NodeProto& node, const char* name, std::int64_t otherwise) {
  const auto* a = find_attribute(node, name);
  return a == nullptr ? otherwise : a->i();
}

double number(const onnx::NodeProto& node, const char* name, float otherwise) {
  const auto* a = find_attribute(node, name);
  return static_cast<double>(a == nullptr ? otherwise : a->f());
}

at::Tensor constant(const onnx::TensorProto& proto) {
  const at::ScalarType type = proto.data_type() == onnx::TensorProto::FLOAT  ? at::kFloat
                              : proto.data_type() == onnx::TensorProto::INT8 ? at::kChar
                                                                             : at::kLong;
  const std::vector<std::int64_t> sizes(proto.dims().begin(), proto.dims().end());
  at::Tensor tensor = at::empty(sizes, type);
  std::copy(proto.raw_data().begin(), proto.raw_data().end(),
            static_cast<char*>(tensor.data_ptr()));
  return tensor;
}

/// Pads the last two axes by ONNX's {top, left, bottom, right}.
at::Tensor padded(const at::Tensor& x, const std::vector<std::int64_t>& pads, double value) {
  return at::constant_pad_nd(x, {pads[1], pads[3], pads[0], pads[2]}, value);
}

at::Tensor pooled(const onnx::NodeProto& node, const at::Tensor& x) {
  const auto kernel = integers(node, "kernel_shape", {});
  const auto strides = integers(node, "strides", {1, 1});
  const auto pads = integers(node, "pads", {0, 0, 0, 0});
  if (node.op_type() == "MaxPool") {
    return at::max_pool2d(padded(x, pads, -std::numeric_limits<double>::infinity()), kernel,
                          strides);
  }
  const at::Tensor sum = at::avg_pool2d(padded(x, pads, 0), kernel, strides);
  const at::Tensor inside = at::avg_pool2d(padded(at::ones_like(x), pads, 0), kernel, strides);
  return sum / inside;  // padding does not count
}

/// Along `axis` where the scale is a vector.
at::Tensor spread(const at::Tensor& values, const at::Tensor& over, std::int64_t axis) {
  if (values.dim() == 0) return values;
  std::vector<std::int64_t> sizes(static_cast<std::size_t>(over.dim()), 1);
  sizes[static_cast<std::size_t>(axis)] = -1;
  return values.view(sizes);
}

at::Tensor run_node(const onnx::NodeProto& node, const std::vector<at::Tensor>& in) {
  const std::string& type = node.op_type();
  const auto optional = [&](std::size_t i) { return in.size() > i ? in[i] : at::Tensor(); };
  const at::Tensor& x = in[0];
  if (type == "Identity") return x;
  if (type == "Conv") {
    return at::conv2d(padded(x, integers(node, "pads", {0, 0, 0, 0}), 0), in[1], optional(2),
                      integers(node, "strides", {1, 1}), std::vector<std::int64_t>{0, 0},
                      integers(node, "dilations", {1, 1}), integer(node, "group", 1));
  }
  if (type == "Gemm") {
    const at::Tensor product = x.matmul(integer(node, "transB", 0) != 0 ? in[1].t() : in[1]);
    return in.size() > 2 ? product + in[2] : product;
  }
  if (type == "BatchNormalization") {
    const auto channels = [](const at::Tensor& t) { return t.view({-1, 1, 1}); };
    return (x - channels(in[3])) / (channels(in[4]) + number(node, "epsilon", 1e-5f)).sqrt() *
               channels(in[1]) +
           channels(in[2]);
  }
  if (type == "Relu") return x.clamp_min(0);
  if (type == "Clip") return x.clamp(in[1].item(), in[2].item());
  if (type == "HardSigmoid") {
    return (x * number(node, "alpha", 0.2f) + number(node, "beta", 0.5f)).clamp(0, 1);
  }
  if (type == "HardSwish") return x * (x / 6 + 0.5).clamp(0, 1);
  if (type == "Sigmoid") return 1 / (1 + (-x).exp());
  if (type == "Tanh") return x.tanh();
  if (type == "Erf") return x.erf();
  if (type == "Add" || type == "Sum") {
    at::Tensor sum = x;
    for (std::size_t i = 1; i < in.size(); ++i) sum = sum + in[i];
    return sum;
  }
  if (type == "Mul") return x * in[1];
  if (type == "Sub") return x - in[1];
  if (type == "Div") return x / in[1];
  if (type == "Sqrt") return x.sqrt();
  if (type == "MatMul") return at::matmul(x, in[1]);
  if (type == "Softmax") return at::softmax(x, integer(node, "axis", -1));
  if (type == "ReduceMean") return x.mean(integers(node, "axes", {}), true);
  if (type == "Transpose") return x.permute(integers(node, "perm", {}));
  if (type == "Reshape") {
    std::vector<std::int64_t> shape;
    for (std::int64_t i = 0; i < in[1].size(0); ++i) {
      const std::int64_t size = in[1][i].item<std::int64_t>();
      shape.push_back(size == 0 ? x.size(i) : size);
    }
    return x.reshape(shape);
  }
  if (type == "Concat") return at::cat(in, integer(node, "axis", 0));
  if (type == "MaxPool" || type == "AveragePool") return pooled(node, x);
  if (type == "GlobalAveragePool") return x.mean({2, 3}, true);
  if (type == "Flatten") return x.reshape({x.size(0), -1});
  if (type == "Pad") {
    const auto* p = in[1].data_ptr<std::int64_t>();
    return at::constant_pad_nd(x, {p[3], p[7], p[2], p[6]}, 0);
  }
  if (type == "Slice") {
    at::Tensor y = x;
    for (std::int64_t i = 0; i < in[1].size(0); ++i) {
      const auto at = [&](std::size_t input) { return in[input][i].item<std::int64_t>(); };
      y = y.slice(at(3), at(1), std::min(at(2), y.size(at(3))), in.size() > 4 ? at(4) : 1);
    }
    return y;
  }
  if (type == "QuantizeLinear") {
    return (at::round(x / in[1]) + in[2]).clamp(-128, 127).to(at::kChar);
  }
  if (type == "DequantizeLinear") {
    const std::int64_t axis = integer(node, "axis", 1);
    return (x.to(at::kFloat) - spread(in[2], x, axis).to(at::kFloat)) * spread(in[1], x, axis);
  }
  throw NumericalError("cannot verify the ONNX operator " + type);
}

}  // namespace

at::Tensor run_onnx_model(const onnx::ModelProto& model, const at::Tensor& x,
                          const ValueVisitor& visit) {
  std::map<std::string, at::Tensor> values{{model.graph().input(0).name(), x}};
  for (const auto& tensor : model.graph().initializer()) {
    values[tensor.name()] = constant(tensor);
  }
  for (const auto& node : model.graph().node()) {
    std::vector<at::Tensor> inputs;
    for (const std::string& input : node.input()) inputs.push_back(values.at(input));
    at::Tensor value = run_node(node, inputs);
    if (visit) visit(node.output(0), value);
    values[node.output(0)] = value;
  }
  return values.at(model.graph().output(0).name());
}

}  // namespace espalier

#endif  // ESPALIER_WITH_ONNX
