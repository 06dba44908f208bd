#include "training/checkpoint_weights.hpp"

#include <ATen/ATen.h>
#include <fmt/format.h>

#include <string>
#include <string_view>
#include <utility>

#include "core/error.hpp"

namespace espalier {

CheckpointWeights::CheckpointWeights(std::filesystem::path file) : file_(std::move(file)) {
  constexpr std::string_view prefix = "network.";  // beside the optimizer's tensors
  TensorFile read = read_tensors(file_);
  if (!read.info.is_object() || read.info.value("format", "") != "espalier checkpoint") {
    tensors_ = std::move(read.tensors);
    return;
  }
  for (auto& [name, value] : read.tensors) {
    if (name.starts_with(prefix)) tensors_.emplace(name.substr(prefix.size()), std::move(value));
  }
}

void CheckpointWeights::fill(GraphModule& module, const Architecture&, const Rng& rng) {
  const auto refuse = [this](const std::string& why) {
    throw IoError(file_.string(), "the weights of another network: " + why);
  };
  std::map<std::string, at::Tensor> state = module.state();
  for (auto& [name, value] : state) {
    const auto found = tensors_.find(name);
    if (found == tensors_.end()) {
      if (name.ends_with(".activation_min") || name.ends_with(".activation_max")) {
        value = at::zeros_like(value);
        continue;
      }
      refuse(fmt::format("no tensor \"{}\" of shape {}", name, size_text(value.sizes())));
    }
    if (found->second.sizes() != value.sizes()) {
      refuse(fmt::format("tensor \"{}\" has the shape {} in the file and {} in the network", name,
                         size_text(found->second.sizes()), size_text(value.sizes())));
    }
    value = found->second;
  }
  for (const auto& [name, value] : tensors_) {
    if (!state.contains(name)) {
      refuse(fmt::format("tensor \"{}\" of shape {} is not in the network", name,
                         size_text(value.sizes())));
    }
  }
  module.load_state(state);
  module.seed(rng);
}

}  // namespace espalier
