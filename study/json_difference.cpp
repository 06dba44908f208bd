#include "study/json_difference.hpp"

#include <algorithm>

namespace espalier {
namespace {

const Json& missing() {
  static const Json value(Json::value_t::discarded);
  return value;
}

const Json& member(const Json& object, const std::string& key) {
  const auto found = object.find(key);
  return found == object.end() ? missing() : *found;
}

const Json& element(const Json& array, std::size_t index) {
  return index < array.size() ? array[index] : missing();
}

}  // namespace

std::optional<JsonDifference> first_difference(const Json& before, const Json& after,
                                               const std::string& pointer) {
  if (before.is_object() && after.is_object()) {
    for (const auto& [key, value] : before.items()) {
      if (auto found = first_difference(value, member(after, key), pointer_to(pointer, key))) {
        return found;
      }
    }
    for (const auto& [key, value] : after.items()) {
      if (!before.contains(key)) {
        return JsonDifference{pointer_to(pointer, key), missing(), value};
      }
    }
    return std::nullopt;
  }
  if (before.is_array() && after.is_array()) {
    for (std::size_t i = 0; i < std::max(before.size(), after.size()); ++i) {
      if (auto found =
              first_difference(element(before, i), element(after, i), pointer_to(pointer, i))) {
        return found;
      }
    }
    return std::nullopt;
  }
  const bool both_missing = before.is_discarded() && after.is_discarded();
  if (both_missing || before == after) return std::nullopt;
  return JsonDifference{pointer, before, after};
}

std::string brief(const Json& json) {
  if (json.is_discarded()) return "nothing";
  const std::string text = json.dump(-1, ' ', false, Json::error_handler_t::replace);
  return text.size() <= 100 ? text : text.substr(0, 97) + "...";
}

}  // namespace espalier
