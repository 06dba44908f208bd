#include "exporters/torchscript.hpp"

#include <ATen/ATen.h>
#include <fmt/format.h>
#include <torch/script.h>

#include <cmath>
#include <sstream>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "core/error.hpp"
#include "core/json.hpp"
#include "exporters/inference_net.hpp"
#include "exporters/verify.hpp"

namespace espalier {

namespace {

/// A floating-point literal: never one of an integer.
std::string literal(double value) {
  const std::string text = fmt::format("{}", value);
  return text.find_first_of(".e") == std::string::npos ? text + ".0" : text;
}

std::string list(const Extent& e) { return fmt::format("[{}, {}]", e.h.value(), e.w.value()); }

/// Writes forward() line by line and gives the module its tensors.
class ScriptWriter {
 public:
  explicit ScriptWriter(const InferenceNet& net) : net_(net), root_("__torch__.EspalierNetwork") {
    add_training_flag(root_);
  }

  torch::jit::Module write() {
    const Graph& graph = net_.graph;
    value_.resize(graph.size());
    for (node_ = 0; node_ < graph.size(); ++node_) {
      in_.clear();
      for (NodeId input : graph.inputs(node_)) in_.push_back(value_[input]);
      value_[node_] = std::visit(*this, graph.node(node_).op);
    }
    root_.define("def forward(self, x: Tensor) -> Tensor:\n" + body_);
    return root_;
  }

  // One operator: the expression that stands for its value.

  std::string operator()(const op::Input&) { return "x"; }
  std::string operator()(const op::Conv2d& o) {
    const std::int64_t groups = input_shape()[0].value() / tensors().weight.size(1);
    return assign(fmt::format("torch.conv2d({}, {}, {}, {}, {}, {}, {})", quantized_input(),
                              weight(), bias(), list(o.stride), list(o.padding), list(o.dilation),
                              groups));
  }
  std::string operator()(const op::BatchNorm2d& o) {
    return assign(fmt::format(
        "torch.batch_norm({}, {}, {}, {}, {}, False, 0.0, {}, True)", in_[0],
        o.affine ? weight() : "None", bias(), tensor("running_mean", tensors().running_mean, false),
        tensor("running_var", tensors().running_var, false), literal(static_cast<double>(o.eps))));
  }
  std::string operator()(const op::Linear&) {
    return assign(fmt::format("torch.linear({}, {}, {})", quantized_input(), weight(), bias()));
  }
  std::string operator()(const op::Activation& o) {
    const auto call = [&](std::string_view function, std::string_view arguments = "") {
      return assign(fmt::format("torch.{}({}{})", function, in_[0], arguments));
    };
    switch (o.kind) {
      case ActivationKind::relu:
        return call("relu");
      case ActivationKind::relu6:
        return call("hardtanh", ", 0.0, 6.0");
      case ActivationKind::hard_swish:
        return call("hardswish");
      case ActivationKind::hard_sigmoid:
        return call("hardsigmoid");
      case ActivationKind::sigmoid:
        return call("sigmoid");
      case ActivationKind::swish:
        return call("silu");
      case ActivationKind::gelu:
        return call("gelu");
      case ActivationKind::tanh:
        return call("tanh");
    }
    throw UnsupportedError("unknown activation");
  }
  std::string operator()(const op::Pool2d& o) {
    const std::string window = list(o.kernel) + ", " + list(o.stride) + ", " + list(o.padding);
    const std::string_view ceil_mode = o.ceil_mode ? "True" : "False";
    if (o.kind == PoolKind::max) {
      return assign(fmt::format("torch.max_pool2d({}, {}, [1, 1], {})", in_[0], window, ceil_mode));
    }
    return assign(fmt::format("torch.avg_pool2d({}, {}, {}, {})", in_[0], window, ceil_mode,
                              o.count_include_pad ? "True" : "False"));
  }
  std::string operator()(const op::GlobalAvgPool&) {
    return assign(fmt::format("torch.mean({}, [2, 3], True)", in_[0]));
  }
  std::string operator()(const op::Flatten&) {
    return assign(fmt::format("torch.flatten({}, 1)", in_[0]));
  }
  std::string operator()(const op::Add&) {
    return in_.size() == 1 ? in_[0] : assign(fmt::format("{}", fmt::join(in_, " + ")));
  }
  std::string operator()(const op::Multiply&) { return assign(in_[0] + " * " + in_[1]); }
  std::string operator()(const op::Concat&) {
    return assign(fmt::format("torch.cat([{}], 1)", fmt::join(in_, ", ")));
  }
  std::string operator()(const op::Dropout&) { return in_[0]; }
  std::string operator()(const op::Zero& o) {
    const std::int64_t stride = o.stride.value();
    return assign(stride == 1
                      ? fmt::format("torch.zeros_like({})", in_[0])
                      : fmt::format("torch.zeros_like({0}[:, :, ::{1}, ::{1}])", in_[0], stride));
  }
  std::string operator()(const op::Slice& o) {
    const auto axis = static_cast<std::size_t>(o.axis.value());
    return assign(fmt::format("torch.narrow({}, {}, {}, {})", in_[0], axis + 1, o.begin.value(),
                              shape()[axis].value()));
  }
  std::string operator()(const op::ChannelShuffle& o) {
    const std::int64_t c = shape()[0].value(), h = shape()[1].value(), w = shape()[2].value();
    return assign(fmt::format(
        "torch.reshape(torch.transpose(torch.reshape({}, [-1, {}, {}, {}, {}]), 1, 2), [-1, {}, "
        "{}, {}])",
        in_[0], o.groups.value(), c / o.groups.value(), h, w, c, h, w));
  }
  std::string operator()(const op::LayerNorm& o) {
    const bool image = shape().rank == 3;
    const std::int64_t channels = shape()[image ? 0 : shape().rank - 1].value();
    const std::string x = image ? fmt::format("torch.permute({}, [0, 2, 3, 1])", in_[0]) : in_[0];
    const std::string y =
        fmt::format("torch.layer_norm({}, [{}], {}, {}, {}, True)", x, channels,
                    o.affine ? weight() : "None", bias(), literal(static_cast<double>(o.eps)));
    return assign(image ? fmt::format("torch.permute({}, [0, 3, 1, 2])", y) : y);
  }
  std::string operator()(const op::Scale&) {
    return assign(fmt::format("{} * {}{}", in_[0], weight(),
                              shape().rank == 3 ? ".view([1, -1, 1, 1])" : ""));
  }
  std::string operator()(const op::Tokens&) {
    return assign(fmt::format("torch.transpose(torch.flatten({}, 2), 1, 2)", in_[0]));
  }
  std::string operator()(const op::ClassToken&) {
    return assign(fmt::format("torch.cat([{1}.expand([{0}.size(0), 1, {2}]), {0}], 1)", in_[0],
                              weight(), shape()[1].value()));
  }
  std::string operator()(const op::PositionEmbedding&) {
    return assign(fmt::format("{} + {}", in_[0], weight()));
  }
  std::string operator()(const op::Attention& o) {
    const std::int64_t tokens = shape()[0].value(), width = o.head_width.value();
    const auto heads = [&](std::size_t k) {
      return fmt::format("torch.transpose(torch.reshape({}, [-1, {}, {}, {}]), 1, 2)", in_[k],
                         tokens, shape()[1].value() / width, width);
    };
    const std::string scores =
        fmt::format("torch.softmax(torch.matmul({} * {}, torch.transpose({}, 2, 3)), -1)", heads(0),
                    literal(1.0 / std::sqrt(static_cast<double>(width))), heads(1));
    return assign(fmt::format("torch.flatten(torch.transpose(torch.matmul({}, {}), 1, 2), 2)",
                              scores, heads(2)));
  }
  std::string operator()(const op::DeformConv2d&) {
    throw UnsupportedError("deform_conv2d '" + net_.graph.name(node_) +
                           "': TorchScript has no such operator without another library; export "
                           "the network to json, or choose another convolution");
  }
  std::string operator()(const op::Choice&) {
    throw InvalidArchitecture("a choice cannot be exported; build a network from an architecture");
  }
  std::string operator()(const op::Output&) {
    body_ += "  return " + in_[0] + "\n";
    return in_[0];
  }

 private:
  const InferenceTensors& tensors() const { return net_.tensors[node_]; }
  const Shape& input_shape() const { return net_.graph.node(net_.graph.inputs(node_)[0]).shape; }

  const Shape& shape() const { return net_.graph.node(node_).shape; }

  std::string assign(const std::string& expression) {
    const std::string variable = fmt::format("v{}", node_);
    body_ += "  " + variable + " = " + expression + "\n";
    return variable;
  }

  /// What train() and eval() set; Python's modules have it.
  static void add_training_flag(torch::jit::Module& module) {
    module.register_attribute("training", c10::BoolType::get(), false);
  }

  /// Registers a tensor of this node as "<node>.<member>", with a module for each step of the
  /// node's name, and returns the expression that reads it.
  std::string tensor(const std::string& member, const at::Tensor& value, bool parameter = true) {
    torch::jit::Module module = root_;
    std::string expression = "self";
    const std::string& path = net_.graph.name(node_);
    for (std::size_t begin = 0; begin <= path.size();) {
      const std::size_t end = std::min(path.find('.', begin), path.size());
      const std::string step = path.substr(begin, end - begin);
      if (!module.hasattr(step)) {
        torch::jit::Module child(fmt::format("__torch__.EspalierPart{}", parts_++));
        add_training_flag(child);
        module.register_module(step, child);
      }
      module = module.attr(step).toModule();
      expression = fmt::format("getattr({}, \"{}\")", expression, step);
      begin = end + 1;
    }
    if (parameter) {
      module.register_parameter(member, value, false);
    } else {
      module.register_buffer(member, value);
    }
    return expression + "." + member;
  }
  std::string weight() { return tensor("weight", tensors().weight); }
  std::string bias() { return tensors().bias.defined() ? tensor("bias", tensors().bias) : "None"; }

  std::string quantized_input() {
    const auto& grid = tensors().input_grid;
    if (!grid) return in_[0];
    const std::string scale = tensor("input_scale", at::scalar_tensor(grid->scale), false);
    const std::string zero_point =
        tensor("input_zero_point",
               at::scalar_tensor(static_cast<float>(grid->zero_point), at::kFloat), false);
    return fmt::format("(torch.clamp(torch.round({0} / {1}) + {2}, 0, {3}) - {2}) * {1}", in_[0],
                       scale, zero_point, (1 << grid->bits) - 1);
  }

  const InferenceNet& net_;
  torch::jit::Module root_;
  int parts_ = 0;
  std::string body_;
  NodeId node_ = 0;
  std::vector<std::string> in_;     // the expressions of the values that node_ reads
  std::vector<std::string> value_;  // by node
};

bool quantizes_activations(const Graph& graph) {
  for (const Node& node : graph.nodes()) {
    const auto& quantization = node.compression.quantization;
    if (quantization && quantization->activation_bits != Dim(32)) return true;
  }
  return false;
}

}  // namespace

void export_torchscript(const GraphModule& module, const std::filesystem::path& path) {
  const at::NoGradGuard no_grad;
  const InferenceNet net =
      inference_net(module, quantizes_activations(module.graph()) ? BatchNormFolding::none
                                                                  : BatchNormFolding::all);
  write_verified(
      path,
      [&](const std::filesystem::path& file) {
        // Into memory first: LibTorch's writer ends the process when a disk is full.
        std::ostringstream bytes;
        ScriptWriter(net).write().save(bytes);
        write_file_atomically(file, bytes.view());
      },
      [&](const std::filesystem::path& file) {
        torch::jit::Module script = torch::jit::load(file.string());
        GraphModule reference = verification_copy(module);
        for (std::int64_t count : {2, 1}) {
          const at::Tensor batch = verification_batch(net.graph, count);
          require_agreement("the output", reference.forward(batch),
                            script.forward({batch}).toTensor());
        }
      });
}

}  // namespace espalier
