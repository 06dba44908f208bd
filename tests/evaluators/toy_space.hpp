// A small space and its data, for the tests of evaluators.
#pragma once

#include <memory>
#include <vector>

#include "evaluators/evaluator.hpp"
#include "evaluators/evaluator_context.hpp"
#include "search_spaces/chain.hpp"
#include "search_spaces/sampling.hpp"
#include "tests/training/images.hpp"

namespace espalier {

/// Networks of 1x8x8 images in 4 classes; depths make kernels inactive.
inline std::shared_ptr<const SearchSpace> toy_space() {
  return make_chain({.input = {1, 8, 8},
                     .classes = 4,
                     .stem_channels = 4,
                     .stages = {{.widths = {4, 8}, .depths = {1, 2}, .kernels = {3, 5}},
                                {.blocks = {"plain"}, .widths = {8}, .depths = {1}}}});
}

inline EvaluatorContext toy_context() { return {.space = toy_space(), .data = small_data()}; }

/// Evaluates one architecture with the generator of its trial.
inline std::vector<double> evaluate(Evaluator& evaluator, const SearchSpace& space,
                                    const Architecture& a, std::uint64_t trial_id = 0,
                                    double fidelity = 1) {
  const Network network(space, a);
  Rng rng = Rng(5).fork(trial_id);
  return evaluator.evaluate({.trial_id = trial_id, .architecture = a, .fidelity = fidelity},
                            network, rng);
}

}  // namespace espalier
