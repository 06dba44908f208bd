// What networks with weights have in common: named tensors, modes, devices.
#pragma once

#include <ATen/core/Generator.h>
#include <ATen/core/Tensor.h>

#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/rng.hpp"
#include "graph/graph.hpp"
#include "nets/op_to_torch.hpp"

namespace espalier {

struct ModuleOptions {
  at::ScalarType dtype = at::kFloat;
  at::Device device = at::kCPU;
  /// Order of the axes in memory; channels-last is the faster one on CPUs. Results agree up to
  /// rounding.
  at::MemoryFormat memory_format = at::MemoryFormat::ChannelsLast;
};

/// Tensors with their names, in the order of the graph's nodes.
using NamedTensors = std::vector<std::pair<std::string, at::Tensor>>;

/// The first two axes of a node's weight; rows is also the size of its vectors.
struct WeightSize {
  std::int64_t rows = 0, columns = 0;
};

/// How the weights of convolutions are drawn.
enum class ConvolutionInit {
  he_normal,  ///< normal of variance 2 / fan-out, biases 0
  libtorch    ///< uniform within 1 / sqrt(fan-in), biases too
};

/// The tensors of a graph's operators: parameters "<node>.weight" and ".bias"; buffers
/// ".running_mean" and ".running_var" of batch norms, ".activation_min" and ".activation_max" of
/// operators with quantized inputs (both 0 until a range is known). GraphModule and Supernet derive
/// from it. A module starts in training mode, with weights of 0, norms of weight 1 and bias 0,
/// mean 0 and variance 1, and scales of their initial value.
///
/// Move-only, since copies of tensors share their values; clone by load_state(other.state()).
class ModuleBase {
 public:
  ModuleBase(const ModuleBase&) = delete;
  ModuleBase& operator=(const ModuleBase&) = delete;
  ModuleBase(ModuleBase&&) = default;
  ModuleBase& operator=(ModuleBase&&) = default;

  /// What an optimizer changes. The tensors stay the same objects for the life of the module, also
  /// over to() and load_state().
  const NamedTensors& parameters() const { return parameters_; }
  /// Running statistics and activation ranges.
  const NamedTensors& buffers() const { return buffers_; }
  /// A parameter or buffer. Throws InvalidArchitecture naming the nearest one.
  const at::Tensor& tensor(const std::string& name) const;
  /// The tensors of each node, by id.
  std::span<const OpTensors> node_tensors() const { return tensors_; }
  /// Number of values in all parameters.
  std::int64_t parameter_count() const;

  /// Parameters and buffers by name, without gradients; they share values with the module.
  std::map<std::string, at::Tensor> state() const;
  /// Copies values into the module. Throws ShapeError where names or shapes differ from state()'s;
  /// the module is then unchanged.
  void load_state(const std::map<std::string, at::Tensor>& state);

  /// Draws new weights, resets statistics and ranges, and seeds the generator of dropout; gradients
  /// are dropped. Convolutions: as `convolutions` says; linear layers: uniform within
  /// 1 / sqrt(inputs), biases too; norms: 1 and 0; scales: their initial value; class tokens and
  /// position embeddings: normal of deviation 0.02. A node's weights depend on the generator's key
  /// and the node's name only.
  /// Source: He et al., "Delving Deep into Rectifiers", ICCV 2015, arXiv 1502.01852, section 2.2
  /// (backward case), as torchvision's networks have it; linear layers, and convolutions where
  /// told, as LibTorch has them.
  /// Test: GraphModule.WeightsDependOnTheNameAloneAndHaveTheirVariance.
  void reset_parameters(const Rng& rng, ConvolutionInit convolutions = ConvolutionInit::he_normal);
  /// Seeds the generator of dropout alone.
  void seed(const Rng& rng);

  /// Batch statistics, dropout, and updates of buffers on; off.
  void train() { mode_.training = true; }
  void eval() { mode_.training = false; }
  bool training() const { return mode_.training; }
  /// How outputs are computed in training; float32 and kept unless set.
  void set_precision(Precision precision) { mode_.precision = precision; }
  /// What a relaxation computes is always kept.
  void set_activations(Activations activations) { mode_.activations = activations; }
  /// What training does to the ranges of quantized activations; learned unless set.
  void set_activation_ranges(ActivationRanges ranges) { mode_.ranges = ranges; }
  /// Whether values are dropped in training.
  void set_dropout(bool dropout) { mode_.dropout = dropout; }
  /// The generator of dropout, for snapshots.
  at::Generator& generator() { return mode_.generator; }

  /// Drops gradients, and moves and converts all tensors.
  void to(at::Device device, at::ScalarType dtype);
  void zero_grad();
  const ModuleOptions& options() const { return options_; }

 protected:
  /// `sizes` has one entry per node of `graph`, which may be open: kernels have their largest size.
  ModuleBase(const Graph& graph, std::span<const WeightSize> sizes, const ModuleOptions& options);
  ~ModuleBase() = default;

  const RunMode& mode() const { return mode_; }
  /// A batch in the module's memory format. Throws ShapeError for another dtype or device.
  at::Tensor prepared(const at::Tensor& x) const;
  /// Adds a tensor that is no node's own. Resetting parameters fills it with its `initial` values
  /// again.
  enum class Kind { parameter, buffer };
  at::Tensor add_extra(std::string name, const at::Tensor& initial, Kind kind);

 private:
  void add(std::string name, at::Tensor& slot, at::IntArrayRef size, bool parameter);
  /// Sets what normalizes or scales to its first values; false for other operators.
  bool reset_norm(std::size_t id);

  ModuleOptions options_;
  RunMode mode_;
  std::vector<OpTensors> tensors_;
  std::vector<std::string> node_names_;  // by node; "" for those without parameters
  std::vector<Op> ops_;                  // by node, of those with parameters
  struct Extra {
    at::Tensor tensor, initial;
  };
  std::vector<Extra> extras_;
  NamedTensors parameters_, buffers_;
};

}  // namespace espalier
