// Everything that a config can name.
#pragma once

#include <vector>

#include "evaluators/catalogue.hpp"
#include "evaluators/proxies/proxy.hpp"
#include "hw_models/catalogue.hpp"
#include "predictors/catalogue.hpp"
#include "search_spaces/catalogue.hpp"
#include "strategies/catalogue.hpp"
#include "training/catalogue.hpp"

namespace espalier {

/// The components that configs and the command line can name. A value: a program of your own takes
/// the standard one, adds to it, and hands it to run_program.
struct Catalogue {
  SpaceRegistry spaces = space_registry();
  StrategyRegistry strategies = strategy_registry();
  PredictorRegistry predictors = predictor_registry();
  EvaluatorRegistry evaluators = evaluator_registry();
  DatasetRegistry datasets = dataset_registry();
  HardwareRegistry hardware = hardware_registry();
  ProxyCatalogue proxies = proxy_catalogue();
  std::vector<Device> devices = example_devices();

  static Catalogue standard() { return {}; }

  /// Adds a device that hardware models can name, or replaces the one of its name. It makes
  /// `hardware` anew: add types of your own afterwards.
  void add_device(Device device);
};

}  // namespace espalier
