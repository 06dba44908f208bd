#pragma once

#include "core/options.hpp"
#include "core/rng.hpp"
#include "predictors/neural.hpp"

namespace espalier {

struct GatesOptions {
  int width = 64;  ///< of the information, >= 1
  FitOptions fit = {};
};
OptionTable<GatesOptions> gates_option_table();

/// GATES: scores a network by the information that flows through the graphs of its operators
/// (Features::graphs). Entrances hold learned information. Layer by layer, each operator gathers
/// what the vertices before it hold, times a matrix, and lets through a share of each number: a
/// sigmoid of the operator's embedding. What reaches the exits of the graphs is summed and scored
/// by linear layers. An operator's embedding is that of its kind, plus a matrix times its
/// attributes.
///
/// Operators are on the vertices: encode networks with {"graphs": true}; a cell with operators on
/// its edges keeps its paths (operator_graphs()). There are as many layers as operators on the
/// longest way of those known: all information arrives.
///
/// Source: X. Ning, Y. Zheng, T. Zhao, Y. Wang, H. Yang: A generic graph-based neural architecture
/// encoding scheme for predictor-based NAS, ECCV 2020, arXiv 2004.01899, section 3.2 (operators on
/// nodes), and its published code. Differs from the source: 64 numbers flow, not 128; graphs are
/// those of operator_graphs(), whose exit sums without a gate; several graphs of one network are
/// summed, each log2(1 + how often it occurs) times (of the known, 1 on average), not joined; an
/// operator has attributes beside its kind; all pairs of a batch are compared.
/// Test: Gates.IsTheFlowOfInformation.
class GatesPredictor : public NeuralPredictor {
 public:
  GatesPredictor(const GatesOptions& options, Rng rng);

 private:
  std::unique_ptr<ScoreNetwork> network(std::span<const Features> networks, Rng rng) const override;
  GatesOptions options_;
};

struct TaGatesOptions {
  int width = 64;      ///< of the information, >= 1
  int steps = 4;       ///< flows to the exit
  double noise = 0.1;  ///< on embeddings, which tells equal operators of a graph apart
  FitOptions fit = {};
};
OptionTable<TaGatesOptions> ta_gates_option_table();

/// TA-GATES: as GATES, but the flow to the exit alternates with one back to the entrances, as in
/// training, and after each the embeddings of operators with weights change by what they see of
/// both. The information that goes back is made, by two linear layers, of what arrived. The last
/// flow is scored.
///
/// Source: X. Ning et al.: TA-GATES: an encoding scheme for neural network architectures, NeurIPS
/// 2022, sections 3.1 and 3.2, and its published code: updates of a tenth, whose input is cut from
/// the gradient but for the information that came back. Differs from the source: as GatesPredictor
/// does; what goes back into a graph is made of what arrived at its own exit; equal operators of a
/// graph are told apart by noise on their embeddings, normal and of their place in the graph, equal
/// in training and after, where the source prefers zero-cost scores of each operator.
/// Test: TaGates.UpdatesEmbeddingsByBothFlows,
/// TaGates.GradientsAreThoseOfTheFlowsWithTheInputOfUpdatesCut.
class TaGatesPredictor : public NeuralPredictor {
 public:
  TaGatesPredictor(const TaGatesOptions& options, Rng rng);

 private:
  std::unique_ptr<ScoreNetwork> network(std::span<const Features> networks, Rng rng) const override;
  TaGatesOptions options_;
};

}  // namespace espalier
