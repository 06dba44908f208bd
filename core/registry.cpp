#include "core/registry.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cassert>

namespace espalier::detail {

std::vector<std::string> RegistryBase::names() const {
  std::vector<std::string> names;
  for (const Entry& entry : entries_) names.push_back(entry.name);
  return names;
}

bool RegistryBase::contains(const std::string& name) const {
  return std::ranges::find(entries_, name, &Entry::name) != entries_.end();
}

Json RegistryBase::resolve(const Json& json, const std::string& pointer) const {
  const Entry& entry = find(json, pointer);
  Json resolved = {{"type", entry.name}};
  const Parts parts = split(entry, json, pointer);
  resolved.update(entry.resolve(parts.own, pointer));
  if (shared_.resolve) resolved.update(shared_.resolve(parts.shared, pointer));
  return resolved;
}

Json RegistryBase::sample(const std::string& name) const {
  Json sample = {{"type", name}};
  sample.update(find_name(name, "").sample);
  sample.update(shared_.sample);
  return sample;
}

Json RegistryBase::describe(const std::string& name) const {
  const Entry& entry = find_name(name, "");
  Json options = entry.options;
  for (const Json& option : shared_.options) options.push_back(option);
  return {{"name", entry.name}, {"doc", entry.doc}, {"options", std::move(options)}};
}

Json RegistryBase::describe() const {
  Json list = Json::array();
  for (const Entry& entry : entries_) list.push_back(describe(entry.name));
  return list;
}

Json RegistryBase::schema() const {
  Json alternatives = Json::array();
  for (const Entry& entry : entries_) {
    Json schema = entry.schema;
    Json properties = {{"type", {{"const", entry.name}}}};
    properties.update(schema["properties"]);
    properties.update(shared_.schema["properties"]);
    schema["properties"] = std::move(properties);
    Json required = {"type"};
    if (schema.contains("required")) {
      for (const Json& key : schema["required"]) required.push_back(key);
    }
    schema["required"] = std::move(required);
    alternatives.push_back(std::move(schema));
  }
  return {{"oneOf", std::move(alternatives)}};
}

Component RegistryBase::as_option(Json schema) const {
  return {
      .resolve = [registry = *this](
                     const Json& json,
                     const std::string& pointer) { return registry.resolve(json, pointer); },
      .schema = std::move(schema),
  };
}

void RegistryBase::add_entry(Entry entry) {
  const auto found = std::ranges::find(entries_, entry.name, &Entry::name);
  if (found == entries_.end()) {
    entries_.push_back(std::move(entry));
  } else {
    *found = std::move(entry);
  }
}

const RegistryBase::Entry& RegistryBase::find(const Json& json, const std::string& pointer) const {
  if (!json.is_object()) throw_type_error("object", json, pointer);
  const auto type = json.find("type");
  if (type == json.end()) {
    throw ConfigError(pointer, fmt::format("the key \"type\" (which {}) is missing{}", kind_,
                                           suggestion("", names())));
  }
  const std::string type_pointer = pointer_to(pointer, "type");
  if (!type->is_string()) throw_type_error("string", *type, type_pointer);
  return find_name(type->get<std::string>(), type_pointer);
}

const RegistryBase::Entry& RegistryBase::find_name(const std::string& name,
                                                   const std::string& pointer) const {
  const auto found = std::ranges::find(entries_, name, &Entry::name);
  if (found == entries_.end()) {
    throw ConfigError(pointer,
                      fmt::format("unknown {} \"{}\"{}", kind_, name, suggestion(name, names())));
  }
  return *found;
}

RegistryBase::Parts RegistryBase::split(const Entry& entry, const Json& json,
                                        const std::string& pointer) const {
  const Json& own = entry.schema["properties"];
  const Json& shared = shared_.schema["properties"];
  Parts parts;
  for (const auto& [key, value] : json.items()) {
    if (key == "type") continue;
    if (own.contains(key)) {
      parts.own[key] = value;
    } else if (shared.contains(key)) {
      parts.shared[key] = value;
    } else {
      std::vector<std::string> known;
      for (const Json* properties : {&own, &shared}) {
        for (const auto& [name, schema] : properties->items()) known.push_back(name);
      }
      throw_unknown_key(key, pointer, known);
    }
  }
  return parts;
}

}  // namespace espalier::detail
