// The shared weights of a supergraph.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <unordered_map>
#include <vector>

#include "nets/graph_module.hpp"
#include "nets/module_base.hpp"
#include "nets/weight_sharing.hpp"
#include "search_spaces/architecture.hpp"
#include "search_spaces/supergraph.hpp"

namespace espalier {

/// One tensor per decision, with one number per option (also where several options are picked).
using MixedWeights = std::vector<at::Tensor>;

/// How a relaxation is computed, beside its weights.
struct MixedOptions {
  /// Pools among the options of a choice are normalized by the batch, without weights.
  bool normalize_pools = false;
  /// K >= 1: choices between operators of one node that keep its channels run them on the first
  /// 1/K of these, with the first part of their weights; the other channels pass by, through 2x2
  /// max pooling where the operators halve the size, and all are shuffled, in K groups.
  /// Source: Xu et al., "PC-DARTS", ICLR 2020, arXiv 1907.05737, section 3.2; as in the authors'
  /// code, not a random part. Test: SupernetMixed.AShareOfTheChannelsGoesThroughTheOperators.
  int channel_share = 1;
  /// [0, 1): in training, the share of values that is dropped of what a choice between operators
  /// of one node passes on unchanged; the others grow by what is missing. In choices of two or more
  /// options of one width.
  /// Source: Chen et al., "Progressive Differentiable Architecture Search", ICCV 2019, arXiv
  /// 1904.12760, section 3.3. Test: SupernetMixed.SkipsDropOut.
  double skip_dropout = 0;
  /// By decision and option: what is computed although its weight is 0, so that the weight gets a
  /// gradient. Empty: nothing.
  std::vector<std::vector<bool>> also_computed = {};
};

/// The tensors that WeightSharing adds.
struct SharedParts {
  /// By convolution and kernel size k, but for the largest: {k * k, k * k}.
  std::map<NodeId, std::map<std::int64_t, at::Tensor, std::greater<>>> transforms = {};
  /// By batch norm and width, but for the widest.
  std::map<NodeId, std::map<std::int64_t, OpTensors>> norms = {};
};

/// One set of weights for all architectures of a supergraph: each operator at its largest width and
/// kernel. An architecture uses a part of them: the channels that lie in use according to the
/// layouts, and the centre of each kernel, unless `sharing` says otherwise; of narrower groups of a
/// convolution each takes the inputs that are its own. For every architecture
/// `a`, in eval mode,
///   extract(a).forward(x) == forward(x, a) == forward_mixed(x, one_hot(a))
/// up to the order of floating-point sums. Not thread-safe.
class Supernet : public ModuleBase {
 public:
  /// The supergraph must outlive the supernet. Throws UnsupportedError for a grouped (not
  /// depthwise) convolution whose input or output width is open, for open group widths that do not
  /// divide the largest, and for open kernels of which some are odd and some even; with
  /// kernel_transform for open kernels that are not square; with batch_norm_per_width for a batch
  /// norm over a concat of open widths.
  explicit Supernet(const Supergraph& supergraph, const ModuleOptions& options = {},
                    const WeightSharing& sharing = {});

  const Supergraph& supergraph() const { return *supergraph_; }
  const WeightSharing& sharing() const { return sharing_; }
  const SharedParts& shared_parts() const { return shared_parts_; }

  /// Runs one architecture: only its operators, each at its actual size. `x` is {N, C, H, W} of the
  /// architecture's resolution. Differentiable in the weights; what the architecture does not use
  /// gets no gradient. In training the batch norms' statistics and activation ranges in use are
  /// updated. Throws InvalidArchitecture, ShapeError.
  at::Tensor forward(const at::Tensor& x, const Architecture& a);

  /// Runs the relaxation: a choice is the weighted sum of its inputs, and an open dimension the
  /// expectation over its diagram: of prefix masks on the channels that are read, of kernels,
  /// pooled tensors and quantized tensors. Options of weight exactly 0 are not computed; a choice
  /// of which none is left gives zeros. The size of `x` decides the resolution. Differentiable in
  /// the weights of both kinds.
  ///
  /// Throws InvalidArchitecture where `weights` do not fit the decisions or are all 0 for one on a
  /// number; UnsupportedError for an open stride, dilation or number of input channels, open
  /// kernels without same padding, a choice between different heights or widths, a share of
  /// channels that the space cannot have, and a choice of nothing at another size of images.
  ///
  /// Source: Liu et al., "DARTS", ICLR 2019, arXiv 1806.09055, equation 2 (operators); Wan et al.,
  /// "FBNetV2", CVPR 2020, arXiv 2004.05565 (masks for channels); Cai, Vasconcelos, "Rethinking
  /// Differentiable Search for Mixed-Precision Neural Networks", CVPR 2020, arXiv 2004.05795 (bits:
  /// one tensor of weights, quantized to each).
  /// Test: SupernetMixed.IsTheExpectationWhereTheNetworkIsLinearInTheHole.
  at::Tensor forward_mixed(const at::Tensor& x, const MixedWeights& weights,
                           const MixedOptions& options = {});

  /// 1 for the options that an architecture picks, 0 for the others.
  MixedWeights one_hot(const Architecture& a) const;

  /// The architecture's network with copies of its part of the weights, statistics and ranges; in
  /// the mode of the supernet.
  GraphModule extract(const Architecture& a) const;
  /// Copies the same into a network of this architecture. Throws InvalidArchitecture where the
  /// network's nodes (names, operators, inputs) are not those of the architecture.
  void fill(GraphModule& module, const Architecture& a) const;

  /// Permutes channels of open width, the most important ones first, so that narrower networks use
  /// these. The importance of a channel is the sum of the absolute weights that read it, in
  /// operators that architectures of the open choices have; equal ones keep their order. `open` has
  /// the choices of each decision, one or more. Architectures of these keep their channels, since
  /// what lies between two open widths is sorted apart, and their outputs, up to the order of sums.
  ///
  /// Tied channels (sums, residual stages, depthwise convolutions, gates) are permuted alike. Those
  /// of attention, of an open output, and of choices between tensors of different widths stay as
  /// they are, and so do batch norms of a width of its own that is not open: they have learned
  /// nothing. Throws InvalidArchitecture where `open` does not fit the decisions.
  ///
  /// Source: Cai et al., "Once-for-All", ICLR 2020, arXiv 1908.09791, section 3.3 (elastic width);
  /// the order between open widths as in the authors' code. Differs from the source: all open
  /// widths are sorted, not those within blocks alone, and all weights that read a channel count,
  /// those of a gate too.
  /// Test: SupernetSorting.NarrowNetworksUseTheMostImportantChannels.
  void sort_channels(const std::vector<std::vector<std::uint32_t>>& open);

 private:
  void require_valid(const Architecture& a) const;
  NodeId node_named(const std::string& name) const;
  /// The part of a node's tensors that an architecture uses: views where they lie together, else
  /// copies.
  OpTensors part(NodeId id, const Architecture& a) const;
  /// Copies parts into a network that is the architecture's.
  void copy_parts(GraphModule& module, const Architecture& a) const;

  void add_transforms(NodeId id);
  void add_norms(NodeId id);

  const Supergraph* supergraph_;
  WeightSharing sharing_;
  std::unordered_map<std::string, NodeId> node_ids_;
  SharedParts shared_parts_;
};

}  // namespace espalier
