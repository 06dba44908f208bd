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
  std::string device = "cpu";  ///< where networks run: "cpu", "cuda:0"
};

}  // namespace espalier
