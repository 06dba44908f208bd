// The name of the JSON type, for headers that only pass references to it.
#pragma once

#include <nlohmann/json_fwd.hpp>

namespace espalier {

/// Keeps the order of its keys, so that what is written is read back and compared byte by byte.
using Json = nlohmann::ordered_json;

}  // namespace espalier
