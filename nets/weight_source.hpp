// Where the weights of a network come from before it is trained or measured.
#pragma once

#include "core/rng.hpp"
#include "nets/graph_module.hpp"
#include "nets/hypernetwork.hpp"
#include "nets/morphism.hpp"
#include "nets/supernet.hpp"
#include "search_spaces/architecture.hpp"

namespace espalier {

/// Fills networks with weights. How long they train afterwards is not its concern: random weights
/// and a full budget are stand-alone training, a supernet's weights and no budget one-shot
/// evaluation.
class WeightSource {
 public:
  virtual ~WeightSource() = default;
  /// Sets all parameters and buffers of the module, whose graph is the space's
  /// `build(architecture)`. Deterministic in the architecture and the generator's key. Throws
  /// InvalidArchitecture where the two do not belong together.
  virtual void fill(GraphModule& module, const Architecture& architecture, const Rng& rng) = 0;
};

/// New weights: GraphModule::reset_parameters.
class RandomWeights : public WeightSource {
 public:
  void fill(GraphModule& module, const Architecture&, const Rng& rng) override {
    module.reset_parameters(rng);
  }
};

/// The shared weights of a supernet, which must outlive this; the generator only seeds dropout.
class SupernetWeights : public WeightSource {
 public:
  explicit SupernetWeights(const Supernet& supernet) : supernet_(&supernet) {}
  void fill(GraphModule& module, const Architecture& architecture, const Rng& rng) override {
    module.seed(rng);
    supernet_->fill(module, architecture);
  }

 private:
  const Supernet* supernet_;
};

/// What a hypernetwork, which must outlive this, generates for the network's graph; the generator
/// only seeds dropout.
class HyperNetworkWeights : public WeightSource {
 public:
  explicit HyperNetworkWeights(const HyperNetwork& net) : net_(&net) {}
  void fill(GraphModule& module, const Architecture&, const Rng& rng) override {
    module.seed(rng);
    net_->fill(module);
  }

 private:
  const HyperNetwork* net_;
};

/// What a network inherits from a similar one, its parent, which must outlive this: morph().
class ParentWeights : public WeightSource {
 public:
  explicit ParentWeights(const GraphModule& parent) : parent_(&parent) {}
  void fill(GraphModule& module, const Architecture&, const Rng& rng) override {
    morph(*parent_, module, rng);
  }

 private:
  const GraphModule* parent_;
};

}  // namespace espalier
