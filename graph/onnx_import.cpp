#include "graph/onnx_import.hpp"

#include "core/error.hpp"

#ifdef ESPALIER_WITH_ONNX

#include <onnx/checker.h>
#include <onnx/onnx_pb.h>
#include <onnx/shape_inference/implementation.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <functional>
#include <iterator>
#include <numbers>
#include <numeric>
#include <optional>
#include <unordered_map>
#include <utility>

#include <fmt/format.h>

#include "core/json.hpp"
#include "graph/builder.hpp"

namespace espalier {

namespace {

using Sizes = std::vector<std::int64_t>;

constexpr int max_nodes = 50'000;
/// Of values that are converted for each other: far above any network, below the stack's end.
constexpr std::size_t max_depth = 4'000;

/// A tensor whose values are known: an initializer, or what was computed from some.
struct Constant {
  Sizes sizes;
  std::vector<double> values;
  bool integer = false;  // by its type: it is divided without a rest

  bool scalar() const { return values.size() == 1; }
};

Constant read_tensor(const onnx::TensorProto& tensor) {
  Constant c;
  std::size_t count = 1;
  for (std::int64_t d : tensor.dims()) {
    if (d < 0) throw UnsupportedError("initializer '" + tensor.name() + "' has a negative size");
    c.sizes.push_back(d);
    count *= static_cast<std::size_t>(d);
  }
  const auto fail = [&](const std::string& what) {
    throw UnsupportedError("initializer '" + tensor.name() + "' " + what);
  };
  const auto raw = [&]<class T>(T) {
    const std::string& bytes = tensor.raw_data();
    if (bytes.size() != count * sizeof(T)) fail("has another size than its shape");
    std::vector<T> values(count);
    if (count > 0) std::memcpy(values.data(), bytes.data(), bytes.size());
    c.values.assign(values.begin(), values.end());
  };
  const auto typed = [&](const auto& field) {
    if (static_cast<std::size_t>(field.size()) != count) fail("has another size than its shape");
    c.values.assign(field.begin(), field.end());
  };
  switch (tensor.data_type()) {
    case onnx::TensorProto::FLOAT:
      tensor.has_raw_data() ? raw(float{}) : typed(tensor.float_data());
      break;
    case onnx::TensorProto::DOUBLE:
      tensor.has_raw_data() ? raw(double{}) : typed(tensor.double_data());
      break;
    case onnx::TensorProto::INT64:
      c.integer = true;
      tensor.has_raw_data() ? raw(std::int64_t{}) : typed(tensor.int64_data());
      break;
    case onnx::TensorProto::INT32:
      c.integer = true;
      tensor.has_raw_data() ? raw(std::int32_t{}) : typed(tensor.int32_data());
      break;
    case onnx::TensorProto::BOOL:
      tensor.has_raw_data() ? raw(std::uint8_t{}) : typed(tensor.int32_data());
      break;
    default:
      fail("has the data type " + onnx::TensorProto_DataType_Name(tensor.data_type()) +
           "; weights must be float32 (quantized models are not read)");
  }
  return c;
}

std::int64_t product(const Sizes& sizes) {
  return std::accumulate(sizes.begin(), sizes.end(), std::int64_t{1}, std::multiplies<>());
}

/// Sizes, axes and the like; "to the end" may be the largest integer there is. Throws
/// UnsupportedError for what is no whole number.
Sizes whole(const Constant& c) {
  Sizes sizes;
  for (double v : c.values) {
    if (!std::isfinite(v) || v != std::trunc(v)) {
      throw UnsupportedError(fmt::format("the ONNX model computes a size of {}", v));
    }
    sizes.push_back(static_cast<std::int64_t>(std::clamp(v, -0x1p62, 0x1p62)));
  }
  return sizes;
}

/// A value of the ONNX graph as a node here. ONNX has no axes of its own for channels-last images:
/// they are {C,H,W} nodes that are marked.
struct Value {
  NodeId node = 0;
  bool channels_last = false;
};

class Importer {
 public:
  explicit Importer(onnx::ModelProto model) : model_(std::move(model)) {
    if (!model_.has_graph() || model_.graph().output_size() != 1) {
      throw UnsupportedError("the ONNX model has " + std::to_string(model_.graph().output_size()) +
                             " outputs; one is supported");
    }
    check();
    infer_shapes();
    for (const auto& tensor : model_.graph().initializer()) initializers_[tensor.name()] = &tensor;
    for (const auto& node : model_.graph().node()) {
      for (int k = 0; k < node.output_size(); ++k) producers_[node.output(k)] = {&node, k};
    }
  }

  ImportedNetwork run() {
    for (const auto& input : model_.graph().input()) {
      if (initializers_.contains(input.name())) continue;
      const Sizes* sizes = shape_of(input.name());
      if (values_.empty() && sizes != nullptr && sizes->size() == 4) {
        values_[input.name()] = {builder_.input((*sizes)[1], (*sizes)[2], (*sizes)[3])};
      } else {
        throw UnsupportedError(
            "input '" + input.name() +
            "' of the ONNX model is not the one batch of images, float {N, C, H, "
            "W} with known C, H and W");
      }
    }
    const Value result = value(model_.graph().output(0).name());
    if (result.channels_last) fail_at(model_.graph().output(0).name(), "is a channels-last image");
    builder_.output(result.node);
    return {builder_.build(), std::move(weights_)};
  }

 private:
  using Node = onnx::NodeProto;
  struct Producer {
    const Node* node;
    int output;
  };

  // What is known of the model.

  /// The schemas of ONNX: later on, operators have the inputs that they must have.
  void check() const {
    if (model_.graph().node_size() > max_nodes) {
      throw UnsupportedError("the ONNX model has " + std::to_string(model_.graph().node_size()) +
                             " nodes, more than " + std::to_string(max_nodes));
    }
    for (const auto& tensor : model_.graph().initializer()) {
      if (tensor.data_location() == onnx::TensorProto::EXTERNAL) {
        throw UnsupportedError("initializer '" + tensor.name() +
                               "' is stored in another file; save the model as one file");
      }
    }
    try {
      onnx::checker::check_model(model_);
    } catch (const std::exception& error) {
      throw UnsupportedError(std::string("the ONNX model is not valid: ") + error.what());
    }
  }

  void infer_shapes() {
    // Shapes that a model computes are those of one sample.
    auto* inputs = model_.mutable_graph()->mutable_input();
    for (auto& input : *inputs) {
      auto* type = input.mutable_type()->mutable_tensor_type();
      if (!type->has_shape() || type->shape().dim_size() != 4) continue;
      type->mutable_shape()->mutable_dim(0)->set_dim_value(1);
    }
    try {
      onnx::shape_inference::InferShapes(model_, onnx::OpSchemaRegistry::Instance(),
                                         {false, 0, true});
    } catch (const std::exception& error) {
      throw UnsupportedError(std::string("the shapes of the ONNX model do not fit: ") +
                             error.what());
    }
    const auto note = [&](const onnx::ValueInfoProto& info) {
      const auto& type = info.type().tensor_type();
      if (!type.has_shape()) return;
      Sizes sizes;
      for (const auto& dim : type.shape().dim()) {
        if (!dim.has_dim_value()) return;
        sizes.push_back(dim.dim_value());
      }
      shapes_[info.name()] = std::move(sizes);
    };
    for (const auto& info : model_.graph().input()) note(info);
    for (const auto& info : model_.graph().value_info()) note(info);
    for (const auto& info : model_.graph().output()) note(info);
  }

  const Sizes* shape_of(const std::string& name) const {
    const auto it = shapes_.find(name);
    return it == shapes_.end() ? nullptr : &it->second;
  }

  const Node* producer(const std::string& name) const {
    const auto it = producers_.find(name);
    return it == producers_.end() ? nullptr : it->second.node;
  }
  /// The operator that makes a value, if it is of this type; passes over Identity and Dropout.
  const Node* made_by(const std::string& name, std::string_view type) const {
    const Node* node = producer(name);
    while (node != nullptr && (node->op_type() == "Identity" || node->op_type() == "Dropout")) {
      node = producer(node->input(0));
    }
    return node != nullptr && node->op_type() == type ? node : nullptr;
  }
  /// The name of a value behind Identity and Dropout.
  std::string origin(std::string name) const {
    for (const Node* node = producer(name);
         node != nullptr && (node->op_type() == "Identity" || node->op_type() == "Dropout");
         node = producer(name)) {
      name = node->input(0);
    }
    return name;
  }

  [[noreturn]] static void fail(const Node& node, const std::string& what) {
    throw UnsupportedError("ONNX node '" + (node.name().empty() ? node.output(0) : node.name()) +
                           "' (" + node.op_type() + ") " + what);
  }
  [[noreturn]] void fail_at(const std::string& name, const std::string& what) const {
    const Node* node = producer(name);
    if (node != nullptr) fail(*node, what);
    throw UnsupportedError("value '" + name + "' of the ONNX model " + what);
  }

  static const onnx::AttributeProto* attribute(const Node& node, std::string_view key) {
    for (const auto& a : node.attribute()) {
      if (a.name() == key) return &a;
    }
    return nullptr;
  }
  static std::int64_t integer(const Node& node, std::string_view key, std::int64_t otherwise) {
    const auto* a = attribute(node, key);
    return a == nullptr ? otherwise : a->i();
  }
  static double number(const Node& node, std::string_view key, double otherwise) {
    const auto* a = attribute(node, key);
    return a == nullptr ? otherwise : static_cast<double>(a->f());
  }
  static Sizes integers(const Node& node, std::string_view key, Sizes otherwise = {}) {
    const auto* a = attribute(node, key);
    return a == nullptr ? otherwise : Sizes(a->ints().begin(), a->ints().end());
  }
  bool has_input(const Node& node, int k) const {
    return node.input_size() > k && !node.input(k).empty();
  }

  // Constants.

  /// The values of a tensor, where they do not depend on the input.
  const Constant* constant(const std::string& name) {
    const auto it = constants_.find(name);
    if (it != constants_.end()) return it->second ? &*it->second : nullptr;
    constants_[name] = std::nullopt;  // a value that depends on itself is not constant
    std::optional<Constant> result;
    if (const auto found = initializers_.find(name); found != initializers_.end()) {
      result = read_tensor(*found->second);
    } else if (const Node* node = producer(name); node != nullptr) {
      result = folded(*node);
    }
    auto& slot = constants_[name] = std::move(result);
    return slot ? &*slot : nullptr;
  }

  Sizes constant_integers(const Node& node, int k) {
    const Constant* c = has_input(node, k) ? constant(node.input(k)) : nullptr;
    if (c == nullptr) fail(node, "needs a constant input " + std::to_string(k));
    return whole(*c);
  }
  /// Axes and the like, an attribute in old opsets and an input in new ones.
  Sizes axes_of(const Node& node, std::string_view key, int k) {
    if (attribute(node, key) != nullptr) return integers(node, key);
    return has_input(node, k) ? constant_integers(node, k) : Sizes{};
  }

  std::optional<Constant> folded(const Node& node) {
    const std::string& type = node.op_type();
    if (type == "Constant") {
      if (const auto* a = attribute(node, "value")) return read_tensor(a->t());
      if (const auto* a = attribute(node, "value_float")) return Constant{{}, {a->f()}};
      if (const auto* a = attribute(node, "value_int")) {
        return Constant{{}, {static_cast<double>(a->i())}, true};
      }
      if (const auto* a = attribute(node, "value_ints")) {
        return Constant{{a->ints_size()}, {a->ints().begin(), a->ints().end()}, true};
      }
      return std::nullopt;
    }
    if (type == "Shape") {
      const Sizes* sizes = shape_of(node.input(0));
      if (sizes == nullptr) return std::nullopt;
      return Constant{
          {static_cast<std::int64_t>(sizes->size())}, {sizes->begin(), sizes->end()}, true};
    }
    std::vector<const Constant*> in;
    for (int k = 0; k < node.input_size(); ++k) {
      if (node.input(k).empty()) continue;
      const Constant* c = constant(node.input(k));
      if (c == nullptr) return std::nullopt;
      in.push_back(c);
    }
    if (in.empty()) return std::nullopt;
    const Constant& x = *in[0];
    const auto binary = [&](auto f) -> std::optional<Constant> {
      if (in.size() != 2) return std::nullopt;
      const Constant &a = x, &b = *in[1];
      const std::size_t count = std::max(a.values.size(), b.values.size());
      if ((!a.scalar() && a.values.size() != count) || (!b.scalar() && b.values.size() != count)) {
        return std::nullopt;
      }
      Constant c{a.values.size() == count && a.sizes.size() >= b.sizes.size() ? a.sizes : b.sizes,
                 std::vector<double>(count), a.integer && b.integer};
      for (std::size_t i = 0; i < count; ++i) {
        c.values[i] = f(a.values[a.scalar() ? 0 : i], b.values[b.scalar() ? 0 : i]);
      }
      return c;
    };
    if (type == "Identity") return x;
    if (type == "Cast") {
      Constant c = x;
      const std::int64_t to = integer(node, "to", 0);
      c.integer = to == onnx::TensorProto::INT64 || to == onnx::TensorProto::INT32;
      if (c.integer) {
        for (double& v : c.values) v = std::trunc(v);
      }
      return c;
    }
    if (type == "Add") return binary([](double a, double b) { return a + b; });
    if (type == "Sub") return binary([](double a, double b) { return a - b; });
    if (type == "Mul") return binary([](double a, double b) { return a * b; });
    if (type == "Div") {
      std::optional<Constant> c = binary([](double a, double b) { return a / b; });
      if (c && c->integer) {
        if (!std::ranges::all_of(c->values, [](double v) { return std::isfinite(v); })) {
          return std::nullopt;
        }
        for (double& v : c->values) v = std::trunc(v);
      }
      return c;
    }
    if (type == "Equal") return binary([](double a, double b) { return a == b ? 1.0 : 0.0; });
    if (type == "Where" && in.size() == 3 && in[1]->values.size() == x.values.size() &&
        in[2]->values.size() == x.values.size()) {
      Constant c = *in[1];
      for (std::size_t i = 0; i < c.values.size(); ++i) {
        if (x.values[i] == 0) c.values[i] = in[2]->values[i];
      }
      return c;
    }
    if (type == "Gather" && x.sizes.size() == 1 && in.size() == 2) {
      Constant c{in[1]->sizes, {}, x.integer};
      for (double index : in[1]->values) {
        const auto size = static_cast<double>(x.values.size());
        const double at = index < 0 ? index + size : index;
        if (!(at >= 0 && at < size)) return std::nullopt;
        c.values.push_back(x.values[static_cast<std::size_t>(at)]);
      }
      return c;
    }
    if (type == "Concat") {
      Constant c{{0}, {}, true};
      for (const Constant* part : in) {
        if (part->sizes.size() != 1) return std::nullopt;
        c.integer = c.integer && part->integer;
        c.values.insert(c.values.end(), part->values.begin(), part->values.end());
      }
      c.sizes[0] = static_cast<std::int64_t>(c.values.size());
      return c;
    }
    if (type == "Unsqueeze" || type == "Squeeze" || type == "Reshape") {
      const Sizes* sizes = shape_of(node.output(0));
      if (sizes != nullptr && product(*sizes) == product(x.sizes))
        return Constant{*sizes, x.values, x.integer};
      if (x.scalar()) {
        return Constant{type == "Unsqueeze" ? Sizes{1} : Sizes{}, x.values, x.integer};
      }
      return std::nullopt;
    }
    if (type == "ConstantOfShape") {
      const auto* a = attribute(node, "value");
      const Constant fill = a == nullptr ? Constant{{1}, {0}} : read_tensor(a->t());
      const double count =
          std::accumulate(x.values.begin(), x.values.end(), 1.0, std::multiplies<>());
      if (!fill.scalar() || !(count >= 0 && count <= max_attribute)) return std::nullopt;
      return Constant{whole(x),
                      std::vector<double>(static_cast<std::size_t>(count), fill.values[0]),
                      fill.integer};
    }
    if (type == "Expand" && in.size() == 2) {  // only over axes of 1 that stay so
      if (product(x.sizes) != std::accumulate(in[1]->values.begin(), in[1]->values.end(), 1.0,
                                              std::multiplies<>()) &&
          std::ranges::any_of(in[1]->values, [](double v) { return v != 1; })) {
        return std::nullopt;
      }
      return x;
    }
    if (type == "Transpose" && x.sizes.size() == 2) {
      const auto rows = static_cast<std::size_t>(x.sizes[0]);
      const auto columns = static_cast<std::size_t>(x.sizes[1]);
      Constant c{{x.sizes[1], x.sizes[0]}, std::vector<double>(x.values.size()), x.integer};
      for (std::size_t i = 0; i < rows; ++i) {
        for (std::size_t j = 0; j < columns; ++j)
          c.values[j * rows + i] = x.values[i * columns + j];
      }
      return integers(node, "perm", {1, 0}) == Sizes{1, 0} ? std::optional(c) : std::nullopt;
    }
    return std::nullopt;
  }

  /// The value of a scalar constant.
  std::optional<double> scalar(const std::string& name) {
    const Constant* c = constant(name);
    return c != nullptr && c->scalar() ? std::optional(c->values[0]) : std::nullopt;
  }
  bool is_scalar(const std::string& name, double wanted) {
    const auto found = scalar(name);
    return found && std::abs(*found - wanted) <= 1e-4 * std::abs(wanted);
  }

  // Nodes.

  Value value(const std::string& name) {
    if (const auto it = values_.find(name); it != values_.end()) return it->second;
    const auto it = producers_.find(name);
    if (it == producers_.end()) {
      throw UnsupportedError("value '" + name +
                             "' of the ONNX model is a constant or comes from "
                             "nowhere where an activation is needed");
    }
    // The checker has refused cycles.
    if (++depth_ > max_depth) fail(*it->second.node, "lies behind too many others");
    const Value result = converted(*it->second.node, it->second.output);
    --depth_;
    values_[name] = result;
    return result;
  }

  /// The value of an operator that treats an image as channels-first or does not care.
  NodeId image(const Node& node, int k) {
    const Value v = value(node.input(k));
    if (v.channels_last) fail(node, "works on a channels-last image here, which is not supported");
    return v.node;
  }
  const Shape& shape(NodeId id) const { return builder_.shape(id); }
  std::int64_t channels(NodeId id) const { return builder_.channels(id).value(); }

  /// The shape of a value, from the model or from what it was converted to.
  Sizes known_shape(const std::string& name) {
    if (const Sizes* sizes = shape_of(name)) return *sizes;
    const Value x = value(name);
    Sizes sizes{1};
    for (Dim d : shape(x.node).values()) sizes.push_back(d.value());
    if (x.channels_last) std::rotate(sizes.begin() + 1, sizes.begin() + 2, sizes.end());
    return sizes;
  }

  /// A name from the weight's, "layer1.0.conv1" of "layer1.0.conv1.weight", else from the node's.
  std::string name_of(const Node& node, std::initializer_list<int> weight_inputs = {}) const {
    for (int k : weight_inputs) {
      if (node.input_size() <= k) continue;
      const std::string weight = origin(node.input(k));
      constexpr std::string_view suffix = ".weight";
      if (weight.ends_with(suffix)) return weight.substr(0, weight.size() - suffix.size());
    }
    std::string name = node.name().empty() ? node.op_type() : node.name();
    if (!name.empty() && name[0] == '/') name.erase(0, 1);
    std::ranges::replace(name, '/', '.');
    return name;
  }

  void set_weight(NodeId id, const char* suffix, const Constant& c, Sizes sizes) {
    if (product(sizes) != static_cast<std::int64_t>(c.values.size())) {
      throw ShapeError("the weight of '" + builder_.graph().name(id) + "' has " +
                       std::to_string(c.values.size()) + " values, not " +
                       std::to_string(product(sizes)));
    }
    weights_[builder_.graph().name(id) + suffix] = {std::move(sizes),
                                                    {c.values.begin(), c.values.end()}};
  }
  const Constant& weight(const Node& node, int k) {
    const Constant* c = has_input(node, k) ? constant(node.input(k)) : nullptr;
    if (c == nullptr) {
      fail(node, "needs a constant weight as input " + std::to_string(k) +
                     " (quantized models are not read)");
    }
    return *c;
  }

  Value converted(const Node& node, int output) {
    const std::string& type = node.op_type();
    if (!node.domain().empty() && node.domain() != "ai.onnx") {
      fail(node, "is of the domain " + node.domain() + ", which is not supported");
    }
    for (const auto pattern :
         {&Importer::layer_norm, &Importer::gelu, &Importer::attention, &Importer::class_token}) {
      if (const auto found = (this->*pattern)(node)) return *found;
    }
    if (type == "Identity" || type == "Dropout") return value(node.input(0));
    if (type == "Conv") return conv(node);
    if (type == "BatchNormalization") return batch_norm(node);
    if (type == "Gemm") return gemm(node);
    if (type == "MatMul") return linear(node, nullptr);
    if (type == "Relu") return activation(node, ActivationKind::relu);
    if (type == "Sigmoid") return activation(node, ActivationKind::sigmoid);
    if (type == "Tanh") return activation(node, ActivationKind::tanh);
    if (type == "HardSwish") return activation(node, ActivationKind::hard_swish);
    if (type == "HardSigmoid") {
      if (!is_hard_sigmoid(node))
        fail(node, "has another slope than 1/6, or another offset than 1/2");
      return activation(node, ActivationKind::hard_sigmoid);
    }
    if (type == "Clip") return clip(node);
    if (type == "MaxPool" || type == "AveragePool") return pool(node);
    if (type == "GlobalAveragePool")
      return {builder_.global_avg_pool(image(node, 0), name_of(node))};
    if (type == "ReduceMean") return mean(node);
    if (type == "Flatten") {
      if (integer(node, "axis", 1) != 1) fail(node, "has an axis other than 1");
      return flattened(node);
    }
    if (type == "Reshape" || type == "Squeeze") return reshape(node);
    if (type == "Transpose") return transpose(node);
    if (type == "Slice") return slice(node);
    if (type == "Split") return split(node, output);
    if (type == "Gather") return gather(node);
    if (type == "Concat") return concat(node);
    if (type == "Add" || type == "Sum") return add(node);
    if (type == "Mul") return multiply(node);
    if (type == "LayerNormalization") return layer_normalization(node);
    fail(node,
         "has no counterpart; supported are convolution, linear layers, pooling, batch and layer "
         "norm, the usual activations, addition, multiplication, concatenation, slices, channel "
         "shuffle and attention");
  }

  Value activation(const Node& node, ActivationKind kind) {
    const Value x = value(node.input(0));
    return {builder_.activation(x.node, kind, name_of(node)), x.channels_last};
  }

  Value clip(const Node& node) {
    const bool as_inputs = attribute(node, "min") == nullptr && attribute(node, "max") == nullptr;
    const auto bound = [&](const char* key, int k) -> std::optional<double> {
      if (!as_inputs) {
        return attribute(node, key) == nullptr ? std::nullopt : std::optional(number(node, key, 0));
      }
      return has_input(node, k) ? scalar(node.input(k)) : std::nullopt;
    };
    const auto low = bound("min", 1), high = bound("max", 2);
    if (low == 0.0 && !high) return activation(node, ActivationKind::relu);
    if (low == 0.0 && high == 6.0) return activation(node, ActivationKind::relu6);
    fail(node, "clips to other bounds than [0, 6]");
  }

  struct Window {
    Extent kernel, stride, dilation, padding;
    bool at_end = false;  // one more row or column of padding at the end: ceil mode
  };
  Window window(const Node& node, const Sizes& kernel) {
    const auto pair = [&](const char* key, Sizes otherwise) {
      const Sizes v = integers(node, key, std::move(otherwise));
      if (v.size() != 2) fail(node, std::string("is not two-dimensional: ") + key);
      return Extent(Dim(v[0]), Dim(v[1]));
    };
    if (kernel.size() != 2) fail(node, "is not two-dimensional");
    if (const auto* a = attribute(node, "auto_pad"); a != nullptr && a->s() != "NOTSET") {
      fail(node, "has auto_pad " + a->s() + "; write explicit pads");
    }
    const Sizes pads = integers(node, "pads", {0, 0, 0, 0});
    if (pads.size() != 4) fail(node, "is not two-dimensional: pads");
    const bool uneven = pads[0] != pads[2] || pads[1] != pads[3];
    if (pads[0] > pads[2] || pads[1] > pads[3]) {
      fail(node, "has more padding before than after the image");
    }
    return {Extent(Dim(kernel[0]), Dim(kernel[1])), pair("strides", {1, 1}),
            pair("dilations", {1, 1}), Extent(Dim(pads[0]), Dim(pads[1])), uneven};
  }

  Value conv(const Node& node) {
    const NodeId x = image(node, 0);
    const Constant& w = weight(node, 1);
    if (w.sizes.size() != 4) fail(node, "is not two-dimensional");
    const Window o = window(node, {w.sizes[2], w.sizes[3]});
    if (o.at_end) fail(node, "has unequal padding on both sides");
    const std::int64_t groups = integer(node, "group", 1), in = channels(x);
    if (groups < 1 || in != groups * w.sizes[1]) {
      fail(node, fmt::format("has weights for {} x {} channels, but its input has {}", groups,
                             w.sizes[1], in));
    }
    const bool depthwise = groups > 1 && w.sizes[1] == 1 && w.sizes[0] == in;
    const bool bias = has_input(node, 2);
    const NodeId y = builder_.conv(x, depthwise ? 0 : w.sizes[0],
                                   {.kernel = o.kernel,
                                    .stride = o.stride,
                                    .dilation = o.dilation,
                                    .padding = o.padding,
                                    .group_width = groups == 1 ? 0 : w.sizes[1],
                                    .bias = bias},
                                   name_of(node, {1}));
    set_weight(y, ".weight", w, w.sizes);
    if (bias) set_weight(y, ".bias", weight(node, 2), {w.sizes[0]});
    return {y};
  }

  Value batch_norm(const Node& node) {
    const NodeId x = image(node, 0);
    if (shape(x).rank != 3) fail(node, "does not normalize images");
    const NodeId y = builder_.batch_norm(
        x, {.eps = static_cast<float>(number(node, "epsilon", 1e-5))}, name_of(node, {1}));
    const char* suffixes[] = {".weight", ".bias", ".running_mean", ".running_var"};
    for (int k = 0; k < 4; ++k) set_weight(y, suffixes[k], weight(node, k + 1), {channels(x)});
    return {y};
  }

  Value gemm(const Node& node) {
    const NodeId x = image(node, 0);
    if (number(node, "alpha", 1) != 1 || number(node, "beta", 1) != 1 ||
        integer(node, "transA", 0) != 0) {
      fail(node, "is not a plain linear layer");
    }
    const Constant& w = weight(node, 1);
    return dense(node, x, w, integer(node, "transB", 0) != 0,
                 has_input(node, 2) ? &weight(node, 2) : nullptr, name_of(node, {1}), false);
  }

  /// A linear layer on features, tokens or channels-last pixels. `w` is {out, in} where
  /// `out_first`, else {in, out}.
  Value dense(const Node& node, NodeId x, const Constant& w, bool out_first, const Constant* bias,
              const std::string& name, bool channels_last) {
    if (w.sizes.size() != 2) fail(node, "multiplies by a weight that is not a matrix");
    const auto out = static_cast<std::size_t>(w.sizes[out_first ? 0 : 1]);
    const auto in = static_cast<std::size_t>(w.sizes[out_first ? 1 : 0]);
    Constant matrix{{static_cast<std::int64_t>(out), static_cast<std::int64_t>(in)}, w.values};
    for (std::size_t i = 0; !out_first && i < out; ++i) {
      for (std::size_t j = 0; j < in; ++j) matrix.values[i * in + j] = w.values[j * out + i];
    }
    const auto width = static_cast<std::int64_t>(out);
    NodeId y = 0;
    if (channels_last) {  // a 1x1 convolution
      y = builder_.conv(x, width, {.bias = bias != nullptr}, name);
      matrix.sizes = {width, matrix.sizes[1], 1, 1};
    } else {
      if (channels(x) != static_cast<std::int64_t>(in)) {
        fail(node, fmt::format("multiplies {} features by a weight for {}", channels(x), in));
      }
      y = builder_.linear(x, width, {.bias = bias != nullptr}, name);
    }
    set_weight(y, ".weight", matrix, matrix.sizes);
    if (bias != nullptr) set_weight(y, ".bias", *bias, {width});
    return {y, channels_last};
  }

  /// MatMul by a constant, with the Add of a constant after it or without.
  Value linear(const Node& node, const Node* with_bias) {
    const Value x = value(node.input(0));
    const Constant* bias = nullptr;
    std::string name = name_of(node, {1});
    if (with_bias != nullptr) {
      const int k = producer(origin(with_bias->input(0))) == &node ? 1 : 0;
      bias = &weight(*with_bias, k);
      name = name_of(*with_bias);
    }
    if (!x.channels_last && shape(x.node).rank == 3) {
      fail(node, "multiplies the columns of an image; only channels and features are mixed");
    }
    return dense(node, x.node, weight(node, 1), false, bias, name, x.channels_last);
  }

  bool is_hard_sigmoid(const Node& node) {
    return std::abs(number(node, "alpha", 0.2) - 1.0 / 6) < 1e-4 &&
           std::abs(number(node, "beta", 0.5) - 0.5) < 1e-4;
  }

  Value pool(const Node& node) {
    const bool average = node.op_type() == "AveragePool";
    const Sizes kernel = integers(node, "kernel_shape");
    Window o = window(node, kernel);
    if (o.dilation != Extent(1)) fail(node, "is dilated");
    const Node* pad = made_by(node.input(0), "Pad");
    bool include = average && integer(node, "count_include_pad", 0) != 0;
    if (o.at_end && include) fail(node, "counts padding on one side of the image in its means");
    NodeId x = 0;
    if (pad != nullptr) {
      // Zeros around an average: counted in the mean.
      const Sizes pads = axes_of(*pad, "pads", 1);
      const bool zeros = !has_input(*pad, 2) || is_scalar(pad->input(2), 0);
      const bool images = pads.size() == 8 && pads[0] == 0 && pads[1] == 0 && pads[4] == 0 &&
                          pads[5] == 0 && pads[2] == pads[6] && pads[3] == pads[7];
      const bool none = std::ranges::all_of(pads, [](std::int64_t p) { return p == 0; });
      if (!images || !zeros || (!none && (!average || o.padding != Extent(0)))) {
        fail(*pad, "is supported only as symmetric zeros before an average pooling");
      }
      x = image(*pad, 0);
      if (!none) o.padding = Extent(Dim(pads[2]), Dim(pads[3])), include = true;
    } else {
      x = image(node, 0);
    }
    if (o.kernel == Extent(1) && o.stride == Extent(1)) return {x};
    const bool ceil = o.at_end || integer(node, "ceil_mode", 0) != 0;
    const PoolOptions options{.kernel = o.kernel,
                              .stride = o.stride,
                              .padding = o.padding,
                              .ceil_mode = ceil,
                              .count_include_pad = include};
    const std::string name = name_of(node);
    const NodeId y =
        average ? builder_.avg_pool(x, options, name) : builder_.max_pool(x, options, name);
    const Sizes* expected = shape_of(node.output(0));
    if (expected != nullptr && expected->size() == 4 &&
        ((*expected)[2] != shape(y)[1].value() || (*expected)[3] != shape(y)[2].value())) {
      fail(node, fmt::format("gives {} x {}, but its counterpart here {}", (*expected)[2],
                             (*expected)[3], shape(y).to_string()));
    }
    return {y};
  }

  Value mean(const Node& node) {
    Sizes axes = axes_of(node, "axes", 1);
    const Value x = value(node.input(0));
    for (std::int64_t& a : axes) a = a < 0 ? a + shape(x.node).rank + 1 : a;
    std::ranges::sort(axes);
    const Sizes wanted = x.channels_last ? Sizes{1, 2} : Sizes{2, 3};
    if (shape(x.node).rank != 3 || axes != wanted) {
      fail(node, "is a mean over other axes than height and width");
    }
    const NodeId y = builder_.global_avg_pool(x.node, name_of(node));
    if (integer(node, "keepdims", 1) == 0) return {builder_.flatten(y)};
    return {y, x.channels_last};
  }

  Value flattened(const Node& node) {
    const NodeId x = image(node, 0);
    return {shape(x).rank == 1 ? x : builder_.flatten(x, name_of(node))};
  }

  Value reshape(const Node& node) {
    const Sizes* to = shape_of(node.output(0));
    if (to == nullptr) fail(node, "gives a shape that is not known before the network runs");
    if (const auto shuffled = shuffle(node)) return *shuffled;
    const Value x = value(node.input(0));
    const Shape& s = shape(x.node);
    if (s.rank == 2) {  // the batch of one sample comes and goes
      Sizes sizes;
      std::ranges::copy_if(*to, std::back_inserter(sizes), [](std::int64_t n) { return n != 1; });
      if (sizes == Sizes{s[0].value(), s[1].value()}) return x;
    }
    if (known_shape(node.input(0)) == *to) return x;
    if (to->size() == 2 && (*to)[0] == 1) return flattened(node);
    fail(node, "is no flattening and no part of a channel shuffle, of tokens or of attention");
  }

  /// Reshape {N, g, C / g, H, W}, Transpose(0, 2, 1, 3, 4), Reshape {N, C, H, W}.
  std::optional<Value> shuffle(const Node& node) {
    const Node* turned = made_by(node.input(0), "Transpose");
    if (turned == nullptr || integers(*turned, "perm") != Sizes{0, 2, 1, 3, 4}) return {};
    const Node* split = made_by(turned->input(0), "Reshape");
    if (split == nullptr) return {};
    const Sizes *groups = shape_of(split->output(0)), *to = shape_of(node.output(0));
    const Sizes from = known_shape(split->input(0));
    if (groups == nullptr || to == nullptr || from != *to || from.size() != 4 ||
        groups->size() != 5 || (*groups)[3] != from[2] || (*groups)[4] != from[3]) {
      return {};
    }
    return Value{builder_.channel_shuffle(image(*split, 0), (*groups)[1], name_of(node))};
  }

  Value transpose(const Node& node) {
    const Sizes perm = integers(node, "perm");
    if (perm == Sizes{0, 2, 1}) {
      // {N, C, H W} of an image to tokens.
      const Node* flat = made_by(node.input(0), "Reshape");
      if (flat == nullptr) flat = made_by(node.input(0), "Flatten");
      const Sizes* from = flat == nullptr ? nullptr : shape_of(flat->input(0));
      const Sizes* to = flat == nullptr ? nullptr : shape_of(flat->output(0));
      if (from != nullptr && to != nullptr && from->size() == 4 && to->size() == 3 &&
          (*to)[1] == (*from)[1]) {
        return {builder_.tokens(image(*flat, 0), name_of(node))};
      }
    }
    if (perm == Sizes{0, 2, 3, 1} || perm == Sizes{0, 3, 1, 2}) {
      const Value x = value(node.input(0));
      const bool to_last = perm[1] == 2;
      if (shape(x.node).rank == 3 && x.channels_last != to_last) return {x.node, to_last};
    }
    if (perm == Sizes{1, 0, 2}) return value(node.input(0));  // batch and tokens, of one sample
    fail(node, "moves axes in a way that has no counterpart");
  }

  /// A run [begin, end) of an axis that counts the batch.
  Value cut(const Node& node, std::int64_t axis, std::int64_t begin, std::int64_t end) {
    const Value x = value(node.input(0));
    const Shape& from = shape(x.node);
    if (axis < 0) axis += from.rank + 1;
    if (x.channels_last && axis >= 1) axis = axis == 3 ? 1 : axis + 1;
    if (axis < 1 || axis > from.rank) fail(node, "cuts the batch, or an axis that is not there");
    const std::int64_t size = from[static_cast<std::size_t>(axis - 1)].value();
    begin = std::clamp<std::int64_t>(begin < 0 ? begin + size : begin, 0, size);
    end = std::clamp<std::int64_t>(end < 0 ? end + size : end, 0, size);
    if (begin == 0 && end == size) return x;
    return {builder_.slice(x.node, {axis - 1, begin, end}, name_of(node)), x.channels_last};
  }

  Value slice(const Node& node) {
    const Sizes starts = axes_of(node, "starts", 1), ends = axes_of(node, "ends", 2);
    Sizes axes = axes_of(node, "axes", 3);
    if (axes.empty()) {
      axes.resize(starts.size());
      std::iota(axes.begin(), axes.end(), std::int64_t{0});
    }
    const Sizes steps = has_input(node, 4) ? constant_integers(node, 4) : Sizes{};
    if (axes.size() != 1 || std::ranges::any_of(steps, [](std::int64_t s) { return s != 1; })) {
      fail(node, "cuts several axes or in steps");
    }
    return cut(node, axes[0], starts[0], ends[0]);
  }

  Value split(const Node& node, int output) {
    Sizes sizes = axes_of(node, "split", 1);
    const std::int64_t axis = integer(node, "axis", 0);
    if (sizes.empty()) {
      const Sizes* from = shape_of(node.input(0));
      if (from == nullptr) fail(node, "splits a tensor of unknown shape");
      const auto rank = static_cast<std::int64_t>(from->size());
      const std::int64_t size = from->at(static_cast<std::size_t>(axis < 0 ? axis + rank : axis));
      sizes.assign(static_cast<std::size_t>(node.output_size()), size / node.output_size());
    }
    const std::int64_t begin =
        std::accumulate(sizes.begin(), sizes.begin() + output, std::int64_t{0});
    return cut(node, axis, begin, begin + sizes.at(static_cast<std::size_t>(output)));
  }

  /// x[:, i] of tokens.
  Value gather(const Node& node) {
    const auto index = scalar(node.input(1));
    const Value x = value(node.input(0));
    if (!index || integer(node, "axis", 0) != 1 || shape(x.node).rank != 2) {
      fail(node, "gathers something else than one token");
    }
    const auto tokens = static_cast<double>(shape(x.node)[0].value());
    const auto at = static_cast<std::int64_t>(*index < 0 ? *index + tokens : *index);
    return {builder_.flatten(builder_.slice(x.node, {0, at, at + 1}), name_of(node))};
  }

  Value concat(const Node& node) {
    const Value first = value(node.input(0));
    const auto rank = static_cast<std::int64_t>(shape(first.node).rank);
    std::int64_t axis = integer(node, "axis", 1);
    axis = axis < 0 ? axis + rank + 1 : axis;
    if (rank != 3 || axis != (first.channels_last ? 3 : 1)) {
      fail(node, "joins something else than the channels of images");
    }
    std::vector<NodeId> all;
    for (const std::string& input : node.input()) {
      const Value x = value(input);
      if (x.channels_last != first.channels_last) fail(node, "joins images of both axis orders");
      all.push_back(x.node);
    }
    return {builder_.concat(all, name_of(node)), first.channels_last};
  }

  Value add(const Node& node) {
    for (int k = 0; node.input_size() == 2 && k < 2; ++k) {
      const Constant* c = constant(node.input(k));
      if (c == nullptr) continue;
      const std::string& other = node.input(1 - k);
      if (const Node* product = made_by(other, "MatMul");
          product != nullptr && constant(product->input(1)) != nullptr) {
        return linear(*product, &node);
      }
      const Value x = value(other);
      const Shape& s = shape(x.node);
      if (s.rank == 2 && static_cast<std::int64_t>(c->values.size()) == s.elements()) {
        const NodeId y = builder_.position_embedding(x.node, name_of(node, {k}));
        set_weight(y, ".weight", *c, {s[0].value(), s[1].value()});
        return {y};
      }
      fail(node, "adds a constant that is neither a bias nor a position embedding");
    }
    std::vector<NodeId> all;
    bool channels_last = false;
    for (const std::string& input : node.input()) {
      const Value x = value(input);
      if (!all.empty() && x.channels_last != channels_last) {
        fail(node, "adds images of both axis orders");
      }
      channels_last = x.channels_last;
      all.push_back(x.node);
    }
    return {builder_.add(all, name_of(node)), channels_last};
  }

  Value multiply(const Node& node) {
    for (int k = 0; k < 2; ++k) {
      const std::string &gate = node.input(k), &other = node.input(1 - k);
      const auto gated = [&](const char* type) {
        const Node* made = made_by(gate, type);
        return made != nullptr && origin(made->input(0)) == origin(other) ? made : nullptr;
      };
      const auto swish = [&](ActivationKind kind) -> Value {
        const Value x = value(other);
        return {builder_.activation(x.node, kind, name_of(node)), x.channels_last};
      };
      if (gated("Sigmoid") != nullptr) return swish(ActivationKind::swish);
      if (const Node* hard = gated("HardSigmoid"); hard != nullptr && is_hard_sigmoid(*hard)) {
        return swish(ActivationKind::hard_swish);
      }
      const Constant* c = constant(gate);
      if (c == nullptr) continue;
      if (c->scalar() && c->values[0] == 0) return zero(node, other);
      const Value x = value(other);
      const Shape& s = shape(x.node);
      const std::int64_t width = channels(x.node);
      // Along the channels: {C, 1, 1} of channels-first images, {C} of the others.
      const bool last = s.rank != 3 || x.channels_last;
      const auto count = static_cast<std::int64_t>(c->values.size());
      const std::size_t axis = c->sizes.size() - (last ? 1 : 3);
      if (count == width && axis < c->sizes.size() && c->sizes[axis] == width) {
        const NodeId y = builder_.scale(x.node, 1, name_of(node, {k}));
        set_weight(y, ".weight", *c, {width});
        return {y, x.channels_last};
      }
      fail(node, "multiplies by a constant that is not one factor per channel");
    }
    const Value a = value(node.input(0)), b = value(node.input(1));
    if (a.channels_last != b.channels_last) fail(node, "multiplies images of both axis orders");
    const auto larger = [&](NodeId x, NodeId y) {
      return shape(x).elements() >= shape(y).elements();
    };
    const bool in_order = larger(a.node, b.node);
    return {
        builder_.multiply(in_order ? a.node : b.node, in_order ? b.node : a.node, name_of(node)),
        a.channels_last};
  }

  /// Zeros, perhaps of every s-th pixel.
  Value zero(const Node& node, const std::string& of) {
    std::int64_t stride = 1;
    std::string name = of;
    if (const Node* cut = made_by(of, "Slice"); cut != nullptr && has_input(*cut, 4)) {
      const Sizes steps = constant_integers(*cut, 4);
      if (steps.size() == 2 && steps[0] == steps[1] && steps[0] > 1 &&
          constant_integers(*cut, 3) == Sizes{2, 3}) {
        stride = steps[0];
        name = cut->input(0);
      }
    }
    const Value x = value(name);
    if (x.channels_last) fail(node, "gives zeros of a channels-last image");
    return {builder_.zero(x.node, stride, name_of(node))};
  }

  // Groups of operators.

  /// (x - mean) / sqrt(variance + eps), times a weight plus a bias or without.
  std::optional<Value> layer_norm(const Node& node) {
    const Node* div = node.op_type() == "Div" ? &node : nullptr;
    int weight_input = 0, bias_input = 0;
    const Node* scaled = nullptr;
    if (node.op_type() == "Add" && node.input_size() == 2) {
      for (int k = 0; k < 2 && div == nullptr; ++k) {
        scaled = made_by(node.input(k), "Mul");
        if (scaled == nullptr || constant(node.input(1 - k)) == nullptr) continue;
        for (int j = 0; j < 2 && div == nullptr; ++j) {
          if (constant(scaled->input(1 - j)) == nullptr) continue;
          div = made_by(scaled->input(j), "Div");
          weight_input = 1 - j, bias_input = 1 - k;
        }
      }
    }
    if (div == nullptr) return {};
    const Node* centred = made_by(div->input(0), "Sub");
    const Node* root = made_by(div->input(1), "Sqrt");
    if (centred == nullptr || root == nullptr) return {};
    const Node* mean = made_by(centred->input(1), "ReduceMean");
    const Node* shifted = made_by(root->input(0), "Add");
    if (mean == nullptr || shifted == nullptr ||
        origin(mean->input(0)) != origin(centred->input(0))) {
      return {};
    }
    const auto eps = scalar(shifted->input(1));
    const Node* variance = made_by(shifted->input(0), "ReduceMean");
    if (!eps || variance == nullptr) return {};
    const Node* square = producer(origin(variance->input(0)));
    const auto is_centred = [&](const std::string& name) {
      return producer(origin(name)) == centred;
    };
    const bool squared = square != nullptr && is_centred(square->input(0)) &&
                         ((square->op_type() == "Pow" && is_scalar(square->input(1), 2)) ||
                          (square->op_type() == "Mul" && is_centred(square->input(1))));
    if (!squared) return {};
    const Value x = value(centred->input(0));
    const auto axis_of = [&](const Node& n) {
      const Sizes axes = axes_of(n, "axes", 1);
      const std::int64_t axis = axes.size() == 1 ? axes[0] : 0;
      return axis < 0 ? axis + shape(x.node).rank + 1 : axis;
    };
    if (!normalizes_channels(x, axis_of(*mean)) || axis_of(*variance) != axis_of(*mean)) return {};
    const bool affine = scaled != nullptr && &node != div;
    return normalized(node, x, *eps, affine ? &weight(*scaled, weight_input) : nullptr,
                      affine ? &weight(node, bias_input) : nullptr,
                      affine ? name_of(*scaled, {weight_input}) : name_of(node));
  }
  bool normalizes_channels(const Value& x, std::int64_t axis) const {
    const auto rank = static_cast<std::int64_t>(shape(x.node).rank);
    return axis == (rank == 3 && !x.channels_last ? 1 : rank);
  }
  Value layer_normalization(const Node& node) {
    const Value x = value(node.input(0));
    std::int64_t axis = integer(node, "axis", -1);
    axis = axis < 0 ? axis + shape(x.node).rank + 1 : axis;
    if (!normalizes_channels(x, axis)) fail(node, "normalizes other axes than the channels");
    return *normalized(node, x, number(node, "epsilon", 1e-5), &weight(node, 1),
                       has_input(node, 2) ? &weight(node, 2) : nullptr, name_of(node, {1}));
  }
  std::optional<Value> normalized(const Node& node, const Value& x, double eps, const Constant* w,
                                  const Constant* b, const std::string& name) {
    const NodeId y =
        builder_.layer_norm(x.node, {.eps = static_cast<float>(eps), .affine = w != nullptr}, name);
    const std::int64_t width = channels(x.node);
    if (w != nullptr) {
      if (static_cast<std::int64_t>(w->values.size()) != width) {
        fail(node, "has a weight that is not one number per channel");
      }
      set_weight(y, ".weight", *w, {width});
      set_weight(y, ".bias",
                 b != nullptr ? *b : Constant{{width}, std::vector<double>(w->values.size(), 0)},
                 {width});
    }
    return Value{y, x.channels_last};
  }

  /// x / 2 (1 + erf(x / sqrt(2))), in any order of the factors.
  std::optional<Value> gelu(const Node& node) {
    if (node.op_type() != "Mul") return {};
    // The three factors of the product: x, a half, and 1 + erf.
    std::vector<std::string> factors;
    for (int k = 0; k < 2; ++k) {
      const Node* inner = made_by(node.input(k), "Mul");
      if (inner == nullptr) continue;
      factors = {inner->input(0), inner->input(1), node.input(1 - k)};
      const auto half = std::ranges::find_if(factors, [&](auto& f) { return is_scalar(f, 0.5); });
      if (half == factors.end()) continue;
      factors.erase(half);
      for (int j = 0; j < 2; ++j) {
        const auto jj = static_cast<std::size_t>(j);
        const Node* shifted = made_by(factors[jj], "Add");
        if (shifted == nullptr || !is_scalar(shifted->input(1), 1)) continue;
        const Node* erf = made_by(shifted->input(0), "Erf");
        if (erf == nullptr) continue;
        const Node* inside = producer(origin(erf->input(0)));
        if (inside == nullptr || origin(inside->input(0)) != origin(factors[1 - jj])) continue;
        const bool scaled =
            (inside->op_type() == "Div" && is_scalar(inside->input(1), std::numbers::sqrt2)) ||
            (inside->op_type() == "Mul" && is_scalar(inside->input(1), 1 / std::numbers::sqrt2));
        if (!scaled) continue;
        const Value x = value(factors[1 - jj]);
        return Value{builder_.activation(x.node, ActivationKind::gelu, name_of(node)),
                     x.channels_last};
      }
    }
    return {};
  }

  /// Concat of a constant token, or of zeros plus one, and tokens.
  std::optional<Value> class_token(const Node& node) {
    if (node.op_type() != "Concat" || node.input_size() != 2 || integer(node, "axis", 0) != 1) {
      return {};
    }
    const Constant* token = constant(node.input(0));
    const std::string& tokens = node.input(1);
    std::string named = origin(node.input(0));
    if (const Node* sum = made_by(node.input(0), "Add"); token == nullptr && sum != nullptr) {
      const Node* zeros = made_by(sum->input(0), "Mul");
      if (zeros == nullptr || !is_scalar(zeros->input(1), 0)) return {};
      token = constant(sum->input(1));
      named = origin(sum->input(1));
    }
    const Sizes* sizes = shape_of(tokens);
    if (token == nullptr || sizes == nullptr || sizes->size() != 3 ||
        static_cast<std::int64_t>(token->values.size()) != sizes->back()) {
      return {};
    }
    const Value x = value(tokens);
    if (named.ends_with(".weight")) named.resize(named.size() - 7);
    const NodeId y = builder_.class_token(x.node, named.empty() ? name_of(node) : named);
    set_weight(y, ".weight", *token, {sizes->back()});
    return Value{y};
  }

  /// The tensor whose channels are split into heads: behind the Reshapes, Transposes and the factor
  /// that lead to one of attention's products. `factor` collects the factors.
  std::string unsplit(std::string name, const Sizes& heads, double& factor) {
    const std::size_t last = heads.size() - 1;
    const std::int64_t tokens = heads[last - 1], width = heads[last] * heads[last - 2];
    while (true) {
      const Sizes* sizes = shape_of(name);
      if (sizes != nullptr && sizes->size() == 3 && sizes->back() == width &&
          (*sizes)[0] * (*sizes)[1] == tokens) {
        return name;
      }
      const Node* node = producer(origin(name));
      if (node == nullptr) return name;
      const std::string& type = node->op_type();
      if (type == "Reshape" || type == "Transpose" || type == "Unsqueeze" || type == "Squeeze") {
        name = node->input(0);
      } else if (type == "Mul" && scalar(node->input(1))) {
        factor *= *scalar(node->input(1));
        name = node->input(0);
      } else if (type == "Div" && scalar(node->input(1))) {
        factor /= *scalar(node->input(1));
        name = node->input(0);
      } else {
        return name;
      }
    }
  }

  /// softmax(q k^T) v with the heads joined again: found at the Reshape that joins them.
  std::optional<Value> attention(const Node& node) {
    if (node.op_type() != "Reshape") return {};
    const Node* joined = made_by(node.input(0), "Transpose");
    if (joined == nullptr) return {};
    const Node* weighted = made_by(joined->input(0), "MatMul");
    if (weighted == nullptr) return {};
    const Node* softmax = made_by(weighted->input(0), "Softmax");
    if (softmax == nullptr) return {};
    double factor = 1;
    const Node* scores = producer(origin(softmax->input(0)));
    while (scores != nullptr && (scores->op_type() == "Mul" || scores->op_type() == "Div") &&
           scalar(scores->input(1))) {
      const double by = *scalar(scores->input(1));
      factor *= scores->op_type() == "Mul" ? by : 1 / by;
      scores = producer(origin(scores->input(0)));
    }
    if (scores == nullptr || scores->op_type() != "MatMul") return {};
    const Sizes* heads =
        shape_of(weighted->output(0));  // {N, heads, T, width} or {heads, T, width}
    const Sizes *q_sizes = shape_of(scores->input(0)), *k_sizes = shape_of(scores->input(1)),
                *v_sizes = shape_of(weighted->input(1));
    if (heads == nullptr || heads->size() < 3 || q_sizes == nullptr || k_sizes == nullptr ||
        v_sizes == nullptr || *q_sizes != *heads || *v_sizes != *heads ||
        k_sizes->back() != heads->at(heads->size() - 2)) {
      fail(node, "ends an attention whose heads are split in a way that is not known");
    }
    const std::int64_t width = heads->back();
    const Value q = value(unsplit(scores->input(0), *heads, factor));
    const Value k = value(unsplit(scores->input(1), *heads, factor));
    const Value v = value(unsplit(weighted->input(1), *heads, factor));
    if (std::abs(factor * std::sqrt(static_cast<double>(width)) - 1) > 1e-3) {
      fail(node, fmt::format("ends an attention that scales its scores by {}, not by 1 / sqrt({})",
                             factor, width));
    }
    return Value{builder_.attention(q.node, k.node, v.node, width, name_of(node))};
  }

  onnx::ModelProto model_;
  GraphBuilder builder_;
  std::map<std::string, ImportedTensor> weights_;
  std::unordered_map<std::string, Sizes> shapes_;
  std::unordered_map<std::string, const onnx::TensorProto*> initializers_;
  std::unordered_map<std::string, Producer> producers_;
  std::map<std::string, std::optional<Constant>> constants_;  // stable addresses
  std::map<std::string, Value> values_;
  std::size_t depth_ = 0;
};

}  // namespace

ImportedNetwork import_onnx(const std::filesystem::path& path) {
  onnx::ModelProto model;
  if (!model.ParseFromString(read_file(path))) {
    throw IoError(path.string(), "it is not an ONNX model");
  }
  return Importer(std::move(model)).run();
}

}  // namespace espalier

#else

namespace espalier {

ImportedNetwork import_onnx(const std::filesystem::path&) {
  throw UnsupportedError(
      "this Espalier was built without ONNX; install libonnx-dev and build it again");
}

}  // namespace espalier

#endif  // ESPALIER_WITH_ONNX
