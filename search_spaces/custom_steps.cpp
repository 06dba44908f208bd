#include "search_spaces/custom_steps.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <concepts>
#include <limits>
#include <optional>
#include <type_traits>
#include <utility>
#include <variant>

#include "core/error.hpp"
#include "core/options.hpp"
#include "graph/blocks.hpp"
#include "graph/json.hpp"

namespace espalier {

namespace {

/// Where an option stands.
struct Place {
  IntegerReader& integers;
  const Json& json;
  std::string pointer;
  std::string key;  ///< with those of the options around it: "squeeze_excitation.gate"
};

[[noreturn]] void unknown_option(const std::string& type, const std::string& key,
                                 const std::string& pointer, std::vector<std::string> known) {
  known.insert(known.end(), common_step_keys().begin(), common_step_keys().end());
  throw ConfigError(pointer_to(pointer, key),
                    fmt::format("{} has no option \"{}\"{}", type, key, suggestion(key, known)));
}

void read(const Place& at, Dim& value) { value = at.integers.integer(at.json, at.pointer, at.key); }

void read(const Place& at, Extent& value) {
  if (!at.json.is_array()) {
    value = at.integers.integer(at.json, at.pointer, at.key);
    return;
  }
  if (at.json.size() != 2) {
    throw ConfigError(at.pointer, fmt::format("expected one integer or [height, width], got {} "
                                              "values",
                                              at.json.size()));
  }
  const auto part = [&](std::size_t i, const char* side) {
    return at.integers.integer(at.json[i], pointer_to(at.pointer, i), at.key + side);
  };
  value.h = part(0, "_h");
  value.w = part(1, "_w");
}

void read(const Place& at, std::optional<Dim>& value) { read(at, value.emplace()); }

void read(const Place& at, std::optional<Extent>& value) { read(at, value.emplace()); }

template <std::signed_integral Integer>
void read(const Place& at, Integer& value) {
  const Dim number = at.integers.integer(at.json, at.pointer, at.key);
  if (!number.constant()) {
    throw ConfigError(at.pointer, "cannot be open; choose between blocks, or repeat one, instead");
  }
  if (number.value() < 1 || number.value() > 1000) {
    throw ConfigError(at.pointer, fmt::format("expected 1 to 1000, got {}", number.value()));
  }
  value = static_cast<Integer>(number.value());
}

void read(const Place& at, bool& value) {
  if (!at.json.is_boolean()) detail::throw_type_error("boolean", at.json, at.pointer);
  value = at.json.get<bool>();
}

template <std::floating_point Number>
void read(const Place& at, Number& value) {
  value = float_from_json(at.json, at.pointer);
}

void read(const Place& at, ActivationKind& value) {
  value = activation_from_json(at.json, at.pointer);
}

/// What is left out with "none".
template <class T>
void read_or_none(const Place& at, std::optional<T>& value) {
  if (at.json == "none") {
    value.reset();
  } else {
    read(at, value.emplace());
  }
}

void read(const Place& at, std::optional<ActivationKind>& value) { read_or_none(at, value); }

void read(const Place& at, std::optional<float>& value) { read_or_none(at, value); }

void read(const Place& at, PoolKind& value) { value = pool_from_json(at.json, at.pointer); }

template <class Options, class F>
void read_nested(const Place& at, Options& value, F&& for_each_option) {
  if (!at.json.is_object()) detail::throw_type_error("object", at.json, at.pointer);
  for (const auto& [key, json] : at.json.items()) {
    std::vector<std::string> known;
    bool found = false;
    for_each_option(value, [&](const std::string& name, auto& member) {
      known.push_back(name);
      if (key != name) return;
      found = true;
      read({at.integers, json, pointer_to(at.pointer, key), at.key + "." + key}, member);
    });
    if (!found) {
      throw ConfigError(
          pointer_to(at.pointer, key),
          fmt::format("{} has no option \"{}\"{}", at.key, key, suggestion(key, known)));
    }
  }
}

void read(const Place& at, op::BatchNorm2d& value) {
  read_nested(at, value, [](op::BatchNorm2d& o, auto&& option) {
    option("eps", o.eps), option("momentum", o.momentum), option("affine", o.affine);
  });
}

void read(const Place& at, SqueezeExcitationOptions& value) {
  read_nested(at, value, [](SqueezeExcitationOptions& o, auto&& option) {
    option("squeeze_channels", o.squeeze_channels), option("activation", o.activation);
    option("gate", o.gate);
  });
}

/// What is there with `true` or an object, and not with `false`.
template <class T>
void read_switch(const Place& at, std::optional<T>& value) {
  if (at.json.is_boolean()) {
    value = at.json.get<bool>() ? std::optional<T>(T{}) : std::nullopt;
  } else {
    read(at, value.emplace());
  }
}

void read(const Place& at, std::optional<op::BatchNorm2d>& value) { read_switch(at, value); }

void read(const Place& at, std::optional<SqueezeExcitationOptions>& value) {
  read_switch(at, value);
}

/// Reads the step's own keys with `option(key, place)`, which says whether it knows the key.
template <class F>
void read_options(const StepCall& call, const StepType& type, F&& option) {
  for (const auto& [key, json] : call.step.items()) {
    if (std::ranges::find(common_step_keys(), key) != common_step_keys().end()) continue;
    if (std::ranges::find(type.options, key) == type.options.end()) {
      unknown_option(type.name, key, call.pointer, type.options);
    }
    option(key, Place{call.integers, json, pointer_to(call.pointer, key), key});
  }
}

[[noreturn]] void missing_option(const StepType& type, const std::string& key,
                                 const std::string& pointer) {
  throw ConfigError(pointer, fmt::format("the option \"{}\" of {} is missing", key, type.name));
}

// Operators.

std::string operator_node_name(const Op& op) {
  static const std::vector<std::pair<std::string_view, std::string>> builder_names{
      {"conv2d", "conv"},   {"batch_norm2d", "bn"},         {"activation", "act"},
      {"pool2d", "pool"},   {"global_avg_pool", "pool"},    {"deform_conv2d", "conv"},
      {"layer_norm", "ln"}, {"channel_shuffle", "shuffle"},
  };
  for (const auto& [type, name] : builder_names) {
    if (op_name(op) == type) return name;
  }
  return std::string(op_name(op));
}

NodeId append_operator(const StepCall& call, const StepType& type, Op op) {
  bool padded = false;
  read_options(call, type, [&](const std::string& key, const Place& at) {
    for_each_attribute(op, [&](std::string_view name, auto& member) {
      if constexpr (!std::same_as<std::remove_cvref_t<decltype(member)>, std::uint32_t>) {
        if (name == key) read(at, member);
      }
    });
    padded = padded || key == "padding";
  });
  const auto conv_options = [&](const auto& o) {
    return ConvOptions{.kernel = o.kernel,
                       .stride = o.stride,
                       .dilation = o.dilation,
                       .padding = padded ? std::optional(o.padding) : std::nullopt,
                       .group_width = o.group_width,
                       .bias = o.bias};
  };
  GraphBuilder& builder = call.builder;
  if (const auto* conv = std::get_if<op::Conv2d>(&op)) {
    return builder.conv(call.inputs[0], conv->out_channels, conv_options(*conv), call.name);
  }
  if (const auto* deform = std::get_if<op::DeformConv2d>(&op)) {
    return builder.deform_conv(call.inputs, deform->out_channels, conv_options(*deform), call.name);
  }
  if (const auto* pool = std::get_if<op::Pool2d>(&op)) {
    const PoolOptions options{.kernel = pool->kernel,
                              .stride = pool->stride,
                              .padding = padded ? std::optional(pool->padding) : std::nullopt,
                              .ceil_mode = pool->ceil_mode,
                              .count_include_pad = pool->count_include_pad};
    return pool->kind == PoolKind::max ? builder.max_pool(call.inputs[0], options, call.name)
                                       : builder.avg_pool(call.inputs[0], options, call.name);
  }
  return builder.append(op, call.inputs, call.name);
}

StepType operator_type(Op op) {
  if (auto* pool = std::get_if<op::Pool2d>(&op)) {
    pool->kernel = PoolOptions{}.kernel;
    pool->stride = PoolOptions{}.stride;
  }
  StepType type{
      .name = std::string(op_name(op)), .node_name = operator_node_name(op), .options = {}};
  for_each_attribute(op, [&](std::string_view name, auto&) { type.options.emplace_back(name); });
  constexpr std::size_t any = std::numeric_limits<std::size_t>::max();
  if (std::holds_alternative<op::Add>(op) || std::holds_alternative<op::Concat>(op)) {
    type.max_inputs = any;
  } else if (std::holds_alternative<op::Multiply>(op)) {
    type.min_inputs = type.max_inputs = 2;
  } else if (std::holds_alternative<op::Attention>(op)) {
    type.min_inputs = type.max_inputs = 3;
  } else if (std::holds_alternative<op::DeformConv2d>(op)) {
    type.min_inputs = 2, type.max_inputs = 3;
  }
  type.append = [type, op](const StepCall& call) { return append_operator(call, type, op); };
  return type;
}

template <std::size_t... I>
void add_operators(std::vector<StepType>& types, std::index_sequence<I...>) {
  const auto add = [&](const Op& op) {
    if (std::holds_alternative<op::Input>(op) || std::holds_alternative<op::Choice>(op) ||
        std::holds_alternative<op::Output>(op)) {
      return;
    }
    types.push_back(operator_type(op));
  };
  (add(Op(std::in_place_index<I>)), ...);
}

// Blocks.

/// The options of a block, its width beside the struct of its header.
template <class Options>
struct BlockCall {
  Dim out_channels;
  Options options;
};
struct NoOptions {};

/// A block's type, put together option by option.
template <class Options>
class BlockType {
 public:
  using Call = BlockCall<Options>;

  explicit BlockType(std::string name) { type_.name = type_.node_name = std::move(name); }

  BlockType& node_name(std::string name) {
    type_.node_name = std::move(name);
    return *this;
  }
  BlockType& required() {  // the option added last
    required_.push_back(type_.options.back());
    return *this;
  }
  template <class Access>
  requires std::invocable<Access, Call&> BlockType& add(std::string name, Access access) {
    type_.options.push_back(std::move(name));
    readers_.push_back([access](Call& call, const Place& at) { read(at, access(call)); });
    return *this;
  }
  template <class M>
  BlockType& add(std::string name, M Options::*member) {
    return add(std::move(name), [member](Call& call) -> M& { return call.options.*member; });
  }
  BlockType& reads(std::string name, std::function<void(Call&, const Place&)> reader) {
    type_.options.push_back(std::move(name));
    readers_.push_back(std::move(reader));
    return *this;
  }
  BlockType& width() {
    add("out_channels", [](Call& call) -> Dim& { return call.out_channels; });
    return required();
  }

  /// `append(builder, x, out_channels, options, name)`.
  template <class F>
  StepType calls(F append) const {
    StepType type = type_;
    type.append = [type = type_, readers = readers_, required = required_,
                   append](const StepCall& call) {
      Call block{};
      read_options(call, type, [&](const std::string& key, const Place& at) {
        const auto index = std::ranges::find(type.options, key) - type.options.begin();
        readers[static_cast<std::size_t>(index)](block, at);
      });
      for (const std::string& key : required) {
        if (!call.step.contains(key)) missing_option(type, key, call.pointer);
      }
      return append(call.builder, call.inputs[0], block.out_channels, block.options, call.name);
    };
    return type;
  }

 private:
  StepType type_;
  std::vector<std::string> required_;
  std::vector<std::function<void(Call&, const Place&)>> readers_;
};

/// mbconv's SE, which alone may be a decision itself: false, true, an object, or an integer that is
/// 0 or 1.
void read_searched_gate(BlockCall<MbconvOptions>& call, const Place& at) {
  if (at.json.is_boolean() || (at.json.is_object() && !at.json.contains("choose"))) {
    read(at, call.options.squeeze_excitation);
    return;
  }
  const Dim given = at.integers.integer(at.json, at.pointer, at.key);
  if (given.constant() && (given == Dim(0) || given == Dim(1))) {
    if (given == Dim(1)) call.options.squeeze_excitation.emplace();
    return;
  }
  const std::array<Dim, 2> off_on{0, 1};
  if (given.constant() || given != Dim::select(given.decision(), off_on)) {
    throw ConfigError(
        at.pointer,
        "expected a boolean, an object, or {\"choose\": [false, true]}, got " + at.json.dump());
  }
  call.options.squeeze_excitation_choice = given.decision();
}

/// Those of the block's convolution, `Options::conv`.
template <class Options>
BlockType<Options>& add_conv_options(BlockType<Options>& type) {
  const auto add = [&](std::string name, auto member) {
    type.add(
        std::move(name), [member](BlockCall<Options> & call) -> auto& {
          return call.options.conv.*member;
        });
  };
  add("kernel", &ConvOptions::kernel);
  add("stride", &ConvOptions::stride);
  add("dilation", &ConvOptions::dilation);
  add("padding", &ConvOptions::padding);
  add("group_width", &ConvOptions::group_width);
  add("bias", &ConvOptions::bias);
  return type;
}

StepType conv_bn_act_type() {
  using Options = ConvBnActOptions;
  BlockType<Options> type("conv_bn_act");
  type.add("out_channels", [](BlockCall<Options>& call) -> Dim& { return call.out_channels; });
  add_conv_options(type)
      .add("activation", &Options::activation)
      .add("batch_norm", &Options::batch_norm);
  return type.calls(
      [](GraphBuilder& builder, NodeId x, Dim out, const Options& options,
         const std::string& name) { return conv_bn_act(builder, x, out, options, name); });
}

/// A block of the form f(builder, x, out_channels, options, name).
template <class Options>
using WideBlock = NodeId (*)(GraphBuilder&, NodeId, Dim, const Options&, std::string_view);
/// A block whose width its options say: f(builder, x, options, name).
template <class Options>
using OwnBlock = NodeId (*)(GraphBuilder&, NodeId, const Options&, std::string_view);

template <class Options>
StepType wide(const BlockType<Options>& type, WideBlock<Options> block) {
  return type.calls(block);
}
template <class Options>
StepType own(const BlockType<Options>& type, OwnBlock<Options> block) {
  return type.calls([block](GraphBuilder& builder, NodeId x, Dim, const Options& options,
                            const std::string& name) { return block(builder, x, options, name); });
}

void add_conv_blocks(std::vector<StepType>& types) {
  types.push_back(conv_bn_act_type());
  types.push_back(
      BlockType<SqueezeExcitationOptions>("squeeze_excitation")
          .node_name("se")
          .add("squeeze_channels", &SqueezeExcitationOptions::squeeze_channels)
          .add("activation", &SqueezeExcitationOptions::activation)
          .add("gate", &SqueezeExcitationOptions::gate)
          .calls([](GraphBuilder& builder, NodeId x, Dim, const SqueezeExcitationOptions& options,
                    const std::string&) { return squeeze_excitation(builder, x, options); }));
  types.push_back(
      BlockType<NoOptions>("effective_squeeze_excitation")
          .node_name("ese")
          .calls([](GraphBuilder& builder, NodeId x, Dim, NoOptions, const std::string&) {
            return effective_squeeze_excitation(builder, x);
          }));
  types.push_back(wide(BlockType<VggBlockOptions>("vgg_block")
                           .width()
                           .add("convs", &VggBlockOptions::convs)
                           .add("kernel", &VggBlockOptions::kernel)
                           .add("batch_norm", &VggBlockOptions::batch_norm),
                       vgg_block));
  BlockType<DeformConvOptions> deform("deform_conv");
  types.push_back(wide(add_conv_options(deform.width())
                           .add("offset_groups", &DeformConvOptions::offset_groups)
                           .add("modulated", &DeformConvOptions::modulated),
                       deform_conv));
}

void add_residual_blocks(std::vector<StepType>& types) {
  types.push_back(wide(BlockType<BasicBlockOptions>("basic_block")
                           .width()
                           .add("kernel", &BasicBlockOptions::kernel)
                           .add("stride", &BasicBlockOptions::stride)
                           .add("mid_channels", &BasicBlockOptions::mid_channels),
                       basic_block));
  types.push_back(wide(BlockType<BottleneckOptions>("bottleneck")
                           .width()
                           .add("mid_channels", &BottleneckOptions::mid_channels)
                           .add("kernel", &BottleneckOptions::kernel)
                           .add("stride", &BottleneckOptions::stride)
                           .add("group_width", &BottleneckOptions::group_width)
                           .add("squeeze_excitation", &BottleneckOptions::squeeze_excitation),
                       bottleneck));
  types.push_back(wide(
      BlockType<RepvggOptions>("repvgg").width().add("stride", &RepvggOptions::stride), repvgg));
}

void add_mobile_blocks(std::vector<StepType>& types) {
  types.push_back(wide(BlockType<SeparableConvOptions>("separable_conv")
                           .width()
                           .add("kernel", &SeparableConvOptions::kernel)
                           .add("stride", &SeparableConvOptions::stride)
                           .add("activation", &SeparableConvOptions::activation)
                           .add("batch_norm", &SeparableConvOptions::batch_norm),
                       separable_conv));
  types.push_back(wide(BlockType<MbconvOptions>("mbconv")
                           .width()
                           .add("expanded_channels", &MbconvOptions::expanded_channels)
                           .required()
                           .add("kernel", &MbconvOptions::kernel)
                           .add("stride", &MbconvOptions::stride)
                           .add("activation", &MbconvOptions::activation)
                           .reads("squeeze_excitation", read_searched_gate)
                           .add("residual", &MbconvOptions::residual)
                           .add("batch_norm", &MbconvOptions::batch_norm),
                       mbconv));
  types.push_back(wide(BlockType<GhostModuleOptions>("ghost_module")
                           .width()
                           .add("cheap_kernel", &GhostModuleOptions::cheap_kernel)
                           .add("activation", &GhostModuleOptions::activation),
                       ghost_module));
  types.push_back(wide(BlockType<GhostBottleneckOptions>("ghost_bottleneck")
                           .width()
                           .add("expanded_channels", &GhostBottleneckOptions::expanded_channels)
                           .required()
                           .add("kernel", &GhostBottleneckOptions::kernel)
                           .add("stride", &GhostBottleneckOptions::stride)
                           .add("squeeze_excitation", &GhostBottleneckOptions::squeeze_excitation),
                       ghost_bottleneck));
  types.push_back(wide(BlockType<FbnetBlockOptions>("fbnet_block")
                           .width()
                           .add("expansion", &FbnetBlockOptions::expansion)
                           .add("kernel", &FbnetBlockOptions::kernel)
                           .add("stride", &FbnetBlockOptions::stride)
                           .add("groups", &FbnetBlockOptions::groups),
                       fbnet_block));
  using Head = BlockCall<ClassifierHeadOptions>;
  types.push_back(BlockType<ClassifierHeadOptions>("classifier_head")
                      .node_name("head")
                      .add("classes", [](Head& call) -> Dim& { return call.out_channels; })
                      .required()
                      .add("channels", &ClassifierHeadOptions::channels)
                      .add("activation", &ClassifierHeadOptions::activation)
                      .add("dropout", &ClassifierHeadOptions::dropout)
                      .add("batch_norm", &ClassifierHeadOptions::batch_norm)
                      .add("bias", &ClassifierHeadOptions::bias)
                      .calls([](GraphBuilder& builder, NodeId x, Dim classes,
                                const ClassifierHeadOptions& options, const std::string&) {
                        return classifier_head(builder, x, classes, options);
                      }));
}

void add_shuffle_units(std::vector<StepType>& types) {
  types.push_back(wide(BlockType<ShuffleV1UnitOptions>("shuffle_v1_unit")
                           .width()
                           .add("kernel", &ShuffleV1UnitOptions::kernel)
                           .add("stride", &ShuffleV1UnitOptions::stride)
                           .add("groups", &ShuffleV1UnitOptions::groups)
                           .add("first_grouped", &ShuffleV1UnitOptions::first_grouped)
                           .add("mid_channels", &ShuffleV1UnitOptions::mid_channels),
                       shuffle_v1_unit));
  types.push_back(wide(BlockType<ShuffleV2UnitOptions>("shuffle_v2_unit")
                           .width()
                           .add("kernel", &ShuffleV2UnitOptions::kernel)
                           .add("stride", &ShuffleV2UnitOptions::stride),
                       shuffle_v2_unit));
  types.push_back(wide(BlockType<SposUnitOptions>("spos_unit")
                           .width()
                           .add("kernel", &SposUnitOptions::kernel)
                           .add("xception", &SposUnitOptions::xception)
                           .add("stride", &SposUnitOptions::stride)
                           .add("mid_channels", &SposUnitOptions::mid_channels),
                       spos_unit));
}

/// patch_embedding's arguments, which have no struct.
struct PatchEmbeddingOptions {
  Dim width;
  std::int64_t patch = 0;
};

void add_transformer_blocks(std::vector<StepType>& types) {
  types.push_back(own(BlockType<ConvnextBlockOptions>("convnext_block")
                          .add("kernel", &ConvnextBlockOptions::kernel)
                          .add("expanded_channels", &ConvnextBlockOptions::expanded_channels)
                          .add("layer_scale", &ConvnextBlockOptions::layer_scale),
                      convnext_block));
  types.push_back(BlockType<PatchEmbeddingOptions>("patch_embedding")
                      .add("width", &PatchEmbeddingOptions::width)
                      .required()
                      .add("patch", &PatchEmbeddingOptions::patch)
                      .required()
                      .calls([](GraphBuilder& builder, NodeId x, Dim,
                                const PatchEmbeddingOptions& options, const std::string&) {
                        return patch_embedding(builder, x, options.width, options.patch);
                      }));
  types.push_back(own(BlockType<SelfAttentionOptions>("self_attention")
                          .add("heads", &SelfAttentionOptions::heads)
                          .add("head_width", &SelfAttentionOptions::head_width),
                      self_attention));
  using Vit = BlockCall<VitBlockOptions>;
  types.push_back(
      own(BlockType<VitBlockOptions>("vit_block")
              .add("heads", [](Vit& call) -> Dim& { return call.options.attention.heads; })
              .add("head_width",
                   [](Vit& call) -> std::int64_t& { return call.options.attention.head_width; })
              .add("mlp_width", &VitBlockOptions::mlp_width)
              .add("eps", &VitBlockOptions::eps)
              .add("dropout", &VitBlockOptions::dropout),
          vit_block));
}

/// dense_block's number of layers, which its struct of options does not have.
struct DenseBlockOptions {
  DenseLayerOptions layer;
  int layers = 1;
};

void add_joining_blocks(std::vector<StepType>& types) {
  types.push_back(own(BlockType<DenseLayerOptions>("dense_layer")
                          .add("growth", &DenseLayerOptions::growth)
                          .add("bottleneck", &DenseLayerOptions::bottleneck)
                          .add("kernel", &DenseLayerOptions::kernel),
                      dense_layer));
  using Dense = BlockCall<DenseBlockOptions>;
  types.push_back(
      BlockType<DenseBlockOptions>("dense_block")
          .add("layers", &DenseBlockOptions::layers)
          .required()
          .add("growth", [](Dense& call) -> Dim& { return call.options.layer.growth; })
          .add("bottleneck", [](Dense& call) -> Dim& { return call.options.layer.bottleneck; })
          .add("kernel", [](Dense& call) -> Dim& { return call.options.layer.kernel; })
          .calls([](GraphBuilder& builder, NodeId x, Dim, const DenseBlockOptions& options,
                    const std::string& name) {
            return dense_block(builder, x, options.layers, options.layer, name);
          }));
  types.push_back(
      BlockType<NoOptions>("transition")
          .width()
          .calls([](GraphBuilder& builder, NodeId x, Dim out, NoOptions, const std::string& name) {
            return transition(builder, x, out, name);
          }));
  types.push_back(own(BlockType<FireOptions>("fire")
                          .add("squeeze", &FireOptions::squeeze)
                          .add("expand1", &FireOptions::expand1)
                          .add("expand3", &FireOptions::expand3),
                      fire));
  types.push_back(
      wide(BlockType<OsaOptions>("osa")
               .width()
               .add("layer_channels", &OsaOptions::layer_channels)
               .add("layers", &OsaOptions::layers)
               .add("kernel", &OsaOptions::kernel)
               .add("effective_squeeze_excitation", &OsaOptions::effective_squeeze_excitation)
               .add("residual", &OsaOptions::residual),
           osa));
}

void add_inception_blocks(std::vector<StepType>& types) {
  types.push_back(own(BlockType<InceptionOptions>("inception")
                          .add("conv1", &InceptionOptions::conv1)
                          .add("conv3_reduce", &InceptionOptions::conv3_reduce)
                          .add("conv3", &InceptionOptions::conv3)
                          .add("conv5_reduce", &InceptionOptions::conv5_reduce)
                          .add("conv5", &InceptionOptions::conv5)
                          .add("pool", &InceptionOptions::pool)
                          .add("conv5_kernel", &InceptionOptions::conv5_kernel),
                      inception));
  types.push_back(own(BlockType<InceptionAOptions>("inception_a")
                          .add("conv1", &InceptionAOptions::conv1)
                          .add("conv5_reduce", &InceptionAOptions::conv5_reduce)
                          .add("conv5", &InceptionAOptions::conv5)
                          .add("double3_reduce", &InceptionAOptions::double3_reduce)
                          .add("double3", &InceptionAOptions::double3)
                          .add("pool", &InceptionAOptions::pool),
                      inception_a));
  types.push_back(own(BlockType<InceptionBOptions>("inception_b")
                          .add("conv3", &InceptionBOptions::conv3)
                          .add("double3_reduce", &InceptionBOptions::double3_reduce)
                          .add("double3", &InceptionBOptions::double3),
                      inception_b));
  types.push_back(own(BlockType<InceptionCOptions>("inception_c")
                          .add("mid_channels", &InceptionCOptions::mid_channels)
                          .add("branch_channels", &InceptionCOptions::branch_channels)
                          .add("kernel", &InceptionCOptions::kernel),
                      inception_c));
  types.push_back(own(BlockType<InceptionDOptions>("inception_d")
                          .add("mid_channels", &InceptionDOptions::mid_channels)
                          .add("conv3", &InceptionDOptions::conv3)
                          .add("kernel", &InceptionDOptions::kernel),
                      inception_d));
  types.push_back(own(BlockType<InceptionEOptions>("inception_e")
                          .add("conv1", &InceptionEOptions::conv1)
                          .add("conv3", &InceptionEOptions::conv3)
                          .add("double3_reduce", &InceptionEOptions::double3_reduce)
                          .add("pool", &InceptionEOptions::pool),
                      inception_e));
}

}  // namespace

std::span<const std::string> common_step_keys() {
  static const std::array<std::string, 4> keys{"type", "name", "from", "values"};
  return keys;
}

const std::vector<StepType>& step_types() {
  static const std::vector<StepType> types = [] {
    std::vector<StepType> list;
    add_operators(list, std::make_index_sequence<std::variant_size_v<Op>>{});
    add_conv_blocks(list);
    add_residual_blocks(list);
    add_mobile_blocks(list);
    add_shuffle_units(list);
    add_transformer_blocks(list);
    add_joining_blocks(list);
    add_inception_blocks(list);
    return list;
  }();
  return types;
}

}  // namespace espalier
