// Weights of a network from a file.
#pragma once

#include <filesystem>
#include <map>
#include <string>

#include "nets/weight_source.hpp"
#include "training/tensor_file.hpp"

namespace espalier {

/// The weights of a file that this program wrote: `best/weights.safetensors` of a run, or a
/// checkpoint of a training. The generator only seeds dropout.
class CheckpointWeights : public WeightSource {
 public:
  /// Reads the file. Throws IoError as read_tensors().
  explicit CheckpointWeights(std::filesystem::path file);
  /// Activation ranges that the file lacks are unknown at first. Throws IoError naming the first
  /// tensor that differs where the file is of another network, which is then unchanged.
  void fill(GraphModule& module, const Architecture&, const Rng& rng) override;

 private:
  std::filesystem::path file_;
  std::map<std::string, at::Tensor> tensors_;
};

}  // namespace espalier
