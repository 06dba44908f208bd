#include "objectives/candidate.hpp"

#include "core/json.hpp"

namespace espalier {

Json to_json(const Notes& notes) {
  Json json = Json::object();
  for (const auto& [name, value] : notes.numbers) json[name] = value;
  if (!notes.warning.empty()) json["warning"] = notes.warning;
  return json;
}

Notes notes_from_json(const Json& json) {
  Notes notes;
  for (const auto& [name, value] : json.items()) {
    if (name == "warning") {
      value.get_to(notes.warning);
    } else {
      notes.numbers.emplace_back(name, value.get<double>());
    }
  }
  return notes;
}

}  // namespace espalier
