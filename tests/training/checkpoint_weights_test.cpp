#include "training/checkpoint_weights.hpp"

#include <ATen/ATen.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/error.hpp"
#include "tests/core/temporary_directory.hpp"
#include "tests/core/throws.hpp"
#include "tests/training/images.hpp"
#include "tests/training/module_state.hpp"
#include "training/trainer.hpp"

namespace espalier {
namespace {

using testing::HasSubstr;

class CheckpointWeightsTest : public testing::Test {
 protected:
  CheckpointWeightsTest() : net_(small_net()) { net_.reset_parameters(Rng(1)); }

  /// Writes tensors as the final training does.
  void write(const State& tensors) {
    write_tensors(file_, {.tensors = tensors, .info = {{"format", "espalier weights"}}});
  }
  /// A network with what the file has.
  GraphModule filled(const Graph& graph) const {
    GraphModule module(graph);
    module.reset_parameters(Rng(2));
    CheckpointWeights(file_).fill(module, {}, Rng(3));
    return module;
  }
  std::string error(const Graph& graph) const {
    return throws<IoError>([&] { filled(graph); });
  }

  TemporaryDirectory directory_;
  std::filesystem::path file_ = directory_.path() / "weights.safetensors";
  GraphModule net_;
};

TEST_F(CheckpointWeightsTest, FillsWithTheWeightsOfAFile) {
  write(copy_of(net_));
  EXPECT_TRUE(equal(copy_of(filled(small_net())), copy_of(net_)));
}

TEST_F(CheckpointWeightsTest, FillsWithTheNetworkOfATraining) {
  const auto data = small_data();
  train(net_, *data, {.epochs = 1, .batch_size = 32}, Rng(1), {.checkpoint = file_});
  EXPECT_TRUE(equal(copy_of(filled(small_net())), copy_of(net_)));
}

TEST_F(CheckpointWeightsTest, TheGeneratorSeedsDropout) {
  const Graph graph = small_net({.dropout = 0.5f});
  write(copy_of(net_));
  const auto output = [&](std::uint64_t seed) {
    GraphModule module(graph);
    CheckpointWeights(file_).fill(module, {}, Rng(seed));
    return module.forward(at::ones({4, 1, 8, 8}));
  };
  EXPECT_TRUE(output(1).equal(output(1)));
  EXPECT_FALSE(output(1).equal(output(2)));
}

TEST_F(CheckpointWeightsTest, ActivationRangesMayBeUnknown) {
  write(copy_of(net_));
  const GraphModule quantized = filled(small_net({.bits = 8}));
  EXPECT_TRUE(quantized.tensor("conv_2.weight").equal(net_.tensor("conv_2.weight")));
  EXPECT_EQ(quantized.tensor("conv_2.activation_max").item<float>(), 0);
}

TEST_F(CheckpointWeightsTest, AFileOfAnotherNetworkNamesTheFirstTensorThatDiffers) {
  write(copy_of(net_));
  EXPECT_THAT(error(small_net({.classes = 5})),
              HasSubstr("weights.safetensors: the weights of another network: tensor "
                        "\"linear.bias\" has the shape {4} in the file and {5} in the network"));
  State state = copy_of(net_);
  state.erase("conv_2.weight");
  write(state);
  EXPECT_THAT(error(small_net()), HasSubstr("no tensor \"conv_2.weight\" of shape {16, 8, 3, 3}"));
  state = copy_of(net_);
  state["extra"] = at::zeros({2, 3});
  write(state);
  EXPECT_THAT(error(small_net()),
              HasSubstr("tensor \"extra\" of shape {2, 3} is not in the network"));
}

TEST_F(CheckpointWeightsTest, ARefusedNetworkIsUnchanged) {
  State state = copy_of(net_);
  state["extra"] = at::zeros({2, 3});
  write(state);
  GraphModule module(small_net());
  module.reset_parameters(Rng(2));
  const State before = copy_of(module);
  throws<IoError>([&] { CheckpointWeights(file_).fill(module, {}, Rng(3)); });
  EXPECT_TRUE(equal(copy_of(module), before));
}

TEST_F(CheckpointWeightsTest, AFileThatCannotBeReadIsAnError) {
  EXPECT_THAT(throws<IoError>([&] { CheckpointWeights weights(file_); }),
              HasSubstr("weights.safetensors"));
}

}  // namespace
}  // namespace espalier
