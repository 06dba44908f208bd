#pragma once

#include <sstream>
#include <string>

#include "core/json.hpp"
#include "search_spaces/search_space.hpp"

namespace espalier {

/// The architecture that takes one label per decision, in order, separated by spaces. Decisions
/// behind the last label take their first option.
inline Architecture labelled(const SearchSpace& space, const std::string& labels) {
  std::istringstream words(labels);
  Json json = Json::object();
  std::string label;
  for (const Decision& d : space.decisions()) {
    if (words >> label) json[d.name] = label;
  }
  return architecture_from_json(space, json);
}

}  // namespace espalier
