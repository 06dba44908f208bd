#include "tests/evaluators/contract.hpp"

#include <fstream>

#include "core/json.hpp"
#include "evaluators/catalogue.hpp"
#include "hw_models/roofline.hpp"
#include "tests/core/temporary_directory.hpp"

namespace espalier {
namespace {

std::function<std::unique_ptr<Evaluator>(const EvaluatorContext&)> maker(Json config) {
  return [config](const EvaluatorContext& context) {
    EvaluatorContext with_hardware = context;
    with_hardware.hardware = {std::make_shared<Roofline>(example_devices()[0])};
    return evaluator_registry().create(config, "/evaluator", with_hardware);
  };
}

// A table of the whole toy space.
std::unique_ptr<Evaluator> make_table(const EvaluatorContext& context) {
  const TemporaryDirectory directory;
  const std::filesystem::path file = directory.path() / "table.csv";
  std::string text = "arch,accuracy,test\n";
  int row = 0;
  enumerate(*context.space, [&](const Architecture& a) {
    text += '"' + context.space->to_string(a) + "\"," + std::to_string(row) + "," +
            std::to_string(row + 0.5) + "\n";
    ++row;
    return true;
  });
  write_file_atomically(file, text);
  return maker({{"type", "table"},
                {"file", file.string()},
                {"key", "arch"},
                {"metrics", {{"accuracy", "accuracy"}}},
                {"report", {{"test_accuracy", "test"}}}})(context);
}

// With shared weights that are trained already.
std::unique_ptr<Evaluator> make_one_shot(const EvaluatorContext& context) {
  auto evaluator = maker({{"type", "one_shot"},
                          {"train", {{"epochs", 1}, {"batch_size", 32}}},
                          {"recalibration", {{"batches", 2}, {"batch_size", 32}}}})(context);
  evaluator->prepare({.directory = {}, .rng = Rng(2), .stop_requested = {}});
  return evaluator;
}

// With generated weights, by a network that is trained already.
std::unique_ptr<Evaluator> make_hypernetwork(const EvaluatorContext& context) {
  auto evaluator = maker({{"type", "hypernetwork"},
                          {"hypernetwork", {{"channels", 16}}},
                          {"train", {{"epochs", 1}, {"batch_size", 32}}},
                          {"recalibration", {{"batches", 2}, {"batch_size", 32}}}})(context);
  evaluator->prepare({.directory = {}, .rng = Rng(2), .stop_requested = {}});
  return evaluator;
}

const Json train = {{"type", "train"}, {"train", {{"epochs", 2}, {"batch_size", 32}}}};
const Json proxies = {
    {"type", "zero_cost"},
    {"proxies", {"params", "macs", "snip", "grasp", "jacob_cov", "synflow", "naswot"}},
    {"batch_size", 16}};
const Json command = {
    {"type", "command"},
    {"argv", {"sh", "-c", "read input; set -- $(echo $input | cksum); echo '{\"loss\": '$1'}'"}},
    {"metrics", {"loss"}}};
const Json hardware = {{"type", "hardware"}};
const Json composite = {{"type", "composite"}, {"members", {proxies, hardware, command}}};

INSTANTIATE_TEST_SUITE_P(All, EvaluatorContract,
                         testing::Values(EvaluatorCase{"table", make_table},
                                         EvaluatorCase{"zero_cost", maker(proxies)},
                                         EvaluatorCase{"train", maker(train)},
                                         EvaluatorCase{"one_shot", make_one_shot},
                                         EvaluatorCase{"hypernetwork", make_hypernetwork},
                                         EvaluatorCase{"hardware", maker(hardware)},
                                         EvaluatorCase{"command", maker(command)},
                                         EvaluatorCase{"composite", maker(composite)}),
                         [](const auto& test) { return test.param.name; });

}  // namespace
}  // namespace espalier
