#include "evaluators/evaluator_context.hpp"

#include "core/error.hpp"
#include "training/dataset.hpp"

namespace espalier {

std::shared_ptr<const Dataset> training_data(const EvaluatorContext& context) {
  if (context.data == nullptr) throw ConfigError("", "training needs images: add \"data\"");
  if (context.data->view(Split::valid).size() == 0) {
    throw ConfigError("",
                      "the data has no held-out images to measure accuracy on; give it a "
                      "\"valid_fraction\" above 0");
  }
  return context.data;
}

}  // namespace espalier
