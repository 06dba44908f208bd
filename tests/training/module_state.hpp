// The tensors of a module at one moment, for the tests of training.
#pragma once

#include <ATen/core/Tensor.h>

#include <algorithm>
#include <map>
#include <string>

#include "nets/module_base.hpp"

namespace espalier {

using State = std::map<std::string, at::Tensor>;

inline State copy_of(const ModuleBase& module) {
  State copy;
  for (const auto& [name, tensor] : module.state()) copy.emplace(name, tensor.clone());
  return copy;
}

inline bool equal(const State& a, const State& b) {
  return std::ranges::equal(a, b, [](const auto& x, const auto& y) {
    return x.first == y.first && x.second.equal(y.second);
  });
}

}  // namespace espalier
