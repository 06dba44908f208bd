#pragma once

#include <memory>
#include <string>
#include <vector>

#include "evaluators/proxies/proxy.hpp"
#include "search_spaces/search_space.hpp"

namespace espalier {

class Dataset;
class HardwareModel;

/// What an evaluator is made from. Empty members are what the run does not have.
struct EvaluatorContext {
  std::shared_ptr<const SearchSpace> space;
  std::shared_ptr<const Dataset> data = {};
  std::vector<std::shared_ptr<const HardwareModel>> hardware = {};
  ProxyCatalogue proxies = proxy_catalogue();
  int threads_per_trial = 1;   ///< of LibTorch, within one evaluate(), >= 1
  int prepare_threads = 1;     ///< of LibTorch, in what is trained for many trials, >= 1
  std::string device = "cpu";  ///< where networks run: "cpu", "cuda:0"
};

/// The run's images, for an evaluator that trains and measures accuracy on held-out ones. Throws
/// ConfigError where there are none of either.
std::shared_ptr<const Dataset> training_data(const EvaluatorContext& context);

}  // namespace espalier
