#pragma once

#include <memory>

#include "core/registry.hpp"
#include "search_spaces/search_space.hpp"

namespace espalier {

using SpaceRegistry = Registry<std::unique_ptr<SearchSpace>()>;

/// The search spaces that a config can name. A value: extend a copy with your own.
SpaceRegistry space_registry();

}  // namespace espalier
