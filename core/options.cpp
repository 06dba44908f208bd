#include "core/options.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cassert>
#include <cmath>

namespace espalier {

bool Range::contains(double value) const {
  return (low_open ? value > low : value >= low) && (high_open ? value < high : value <= high);
}

std::string Range::to_string() const {
  if (std::isinf(high)) return fmt::format("{} {}", low_open ? ">" : ">=", low);
  if (std::isinf(low)) return fmt::format("{} {}", high_open ? "<" : "<=", high);
  std::string text = fmt::format("{} to {}", low, high);
  if (low_open) text += fmt::format(", {} excluded", low);
  if (high_open) text += fmt::format(", {} excluded", high);
  return text;
}

namespace detail {
namespace {

void check_range(const Attributes& attributes, double value, const Json& json,
                 const std::string& pointer) {
  if (attributes.range && !attributes.range->contains(value)) {
    throw ConfigError(pointer, fmt::format("expected a value {}, got {}",
                                           attributes.range->to_string(), json.dump()));
  }
}

void add_range_to_schema(const Attributes& attributes, Json& schema, bool integer) {
  if (!attributes.range) return;
  const Range& range = *attributes.range;
  const auto number = [integer](double value) {
    return integer ? Json(static_cast<std::int64_t>(value)) : Json(value);
  };
  if (std::isfinite(range.low)) {
    schema[range.low_open ? "exclusiveMinimum" : "minimum"] = number(range.low);
  }
  if (std::isfinite(range.high)) {
    schema[range.high_open ? "exclusiveMaximum" : "maximum"] = number(range.high);
  }
}

// JSON Schema calls 2.0 an integer, and so does this.
bool is_whole(const Json& json) {
  return json.is_number_integer() ||
         (json.is_number_float() && std::trunc(json.get<double>()) == json.get<double>() &&
          std::abs(json.get<double>()) < 0x1.0p63);
}

}  // namespace

void throw_type_error(const std::string& expected, const Json& json, const std::string& pointer) {
  std::string found = type_name(json);
  if (json.is_primitive() && !json.is_null()) found += " " + json.dump();
  throw ConfigError(pointer,
                    fmt::format("expected {} {}, got {}",
                                expected.find_first_of("aeio") == 0 ? "an" : "a", expected, found));
}

std::int64_t read_integer(const Json& json, const std::string& pointer, std::int64_t low,
                          std::int64_t high) {
  if (!is_whole(json)) throw_type_error("integer", json, pointer);
  const bool fits =
      !json.is_number_unsigned() || json.get<std::uint64_t>() <= static_cast<std::uint64_t>(high);
  const std::int64_t value = fits ? json.get<std::int64_t>() : 0;
  if (!fits || value < low || value > high) {
    throw ConfigError(pointer,
                      fmt::format("expected a value {} to {}, got {}", low, high, json.dump()));
  }
  return value;
}

Codec<bool> bool_codec() {
  return {
      .read =
          [](const Json& json, const std::string& pointer) {
            if (!json.is_boolean()) throw_type_error("boolean", json, pointer);
            return json.get<bool>();
          },
      .write = [](const bool& value) { return Json(value); },
      .schema = {{"type", "boolean"}},
      .type = "boolean",
  };
}

Codec<std::int64_t> integer_codec(const Attributes& attributes, std::int64_t low,
                                  std::int64_t high) {
  Json schema = {{"type", "integer"}};
  add_range_to_schema(attributes, schema, true);
  return {
      .read =
          [attributes, low, high](const Json& json, const std::string& pointer) {
            const std::int64_t value = read_integer(json, pointer, low, high);
            check_range(attributes, static_cast<double>(value), json, pointer);
            return value;
          },
      .write = [](const std::int64_t& value) { return Json(value); },
      .schema = std::move(schema),
      .type = "integer",
  };
}

Codec<std::uint64_t> unsigned_codec(const Attributes& attributes) {
  Json schema = {{"type", "integer"}};
  add_range_to_schema(attributes, schema, true);
  if (!schema.contains("minimum") && !schema.contains("exclusiveMinimum")) schema["minimum"] = 0;
  return {
      .read =
          [attributes](const Json& json, const std::string& pointer) {
            if (!is_whole(json)) throw_type_error("integer", json, pointer);
            if (json.get<double>() < 0) {
              throw ConfigError(pointer, "expected a value >= 0, got " + json.dump());
            }
            const auto value = json.get<std::uint64_t>();
            check_range(attributes, static_cast<double>(value), json, pointer);
            return value;
          },
      .write = [](const std::uint64_t& value) { return Json(value); },
      .schema = std::move(schema),
      .type = "integer",
  };
}

Codec<double> number_codec(const Attributes& attributes) {
  Json schema = {{"type", "number"}};
  add_range_to_schema(attributes, schema, false);
  return {
      .read =
          [attributes](const Json& json, const std::string& pointer) {
            if (!json.is_number()) throw_type_error("number", json, pointer);
            const auto value = json.get<double>();
            check_range(attributes, value, json, pointer);
            return value;
          },
      .write = [](const double& value) { return Json(value); },
      .schema = std::move(schema),
      .type = "number",
  };
}

Codec<std::string> string_codec(const Attributes& attributes) {
  Json schema = {{"type", "string"}};
  if (!attributes.choices.empty()) schema["enum"] = attributes.choices;
  return {
      .read =
          [choices = attributes.choices](const Json& json, const std::string& pointer) {
            if (!json.is_string()) throw_type_error("string", json, pointer);
            auto value = json.get<std::string>();
            if (!choices.empty() && std::ranges::find(choices, value) == choices.end()) {
              throw ConfigError(pointer, fmt::format("unknown value \"{}\"{}", value,
                                                     suggestion(value, choices)));
            }
            return value;
          },
      .write = [](const std::string& value) { return Json(value); },
      .schema = std::move(schema),
      .type = "string",
  };
}

Codec<Json> json_codec() {
  return {
      .read = [](const Json& json, const std::string&) { return json; },
      .write = [](const Json& json) { return json; },
      .schema = Json::object(),
      .type = "any",
  };
}

Codec<Json> component_codec(const Component& component) {
  return {
      .read = component.resolve,
      .write = [](const Json& json) { return json; },
      .schema = component.schema,
      .type = "component",
  };
}

void check_items(const Attributes& attributes, std::size_t count, const std::string& pointer) {
  if (!attributes.items) return;
  const auto& [least, most] = *attributes.items;
  if (count >= least && count <= most) return;
  std::string expected = fmt::format("{} or more", least);
  if (most != Items{}.most) {
    expected = least == most ? fmt::format("{}", least) : fmt::format("{} to {}", least, most);
  }
  throw ConfigError(pointer,
                    fmt::format("expected an array of {} elements, got {}", expected, count));
}

void add_items_to_schema(const Attributes& attributes, Json& schema) {
  if (!attributes.items) return;
  if (attributes.items->least > 0) schema["minItems"] = attributes.items->least;
  if (attributes.items->most != Items{}.most) schema["maxItems"] = attributes.items->most;
}

void throw_unknown_key(const std::string& key, const std::string& pointer,
                       std::span<const std::string> known) {
  throw ConfigError(pointer_to(pointer, key),
                    fmt::format("unknown key \"{}\"{}", key, suggestion(key, known)));
}

void check_keys(const Json& json, const std::string& pointer, std::span<const std::string> known) {
  if (!json.is_object()) throw_type_error("object", json, pointer);
  for (const auto& [key, value] : json.items()) {
    if (std::ranges::find(known, key) == known.end()) throw_unknown_key(key, pointer, known);
  }
}

void read_fields(const std::vector<Field>& fields, void* options, const Json& json,
                 const std::string& pointer) {
  if (!json.is_object()) throw_type_error("object", json, pointer);
  for (const auto& [key, value] : json.items()) {
    if (std::ranges::find(fields, key, &Field::name) != fields.end()) continue;
    std::vector<std::string> known;
    for (const Field& field : fields) known.push_back(field.name);
    throw_unknown_key(key, pointer, known);
  }
  for (const Field& field : fields) {
    const auto found = json.find(field.name);
    if (found != json.end()) {
      field.read(options, *found, pointer_to(pointer, field.name));
    } else if (field.attributes.required) {
      throw ConfigError(pointer,
                        fmt::format("the key \"{}\" ({}) is missing", field.name, field.doc));
    }
  }
}

Json write_fields(const std::vector<Field>& fields, const void* options) {
  Json json = Json::object();
  for (const Field& field : fields) {
    if (std::optional<Json> value = field.write(options)) json[field.name] = std::move(*value);
  }
  return json;
}

Json describe_fields(const std::vector<Field>& fields, const void* defaults) {
  Json list = Json::array();
  for (const Field& field : fields) {
    Json entry = {{"name", field.name}, {"type", field.type}, {"doc", field.doc}};
    if (field.attributes.required) {
      entry["required"] = true;
    } else if (const std::optional<Json> value = field.write(defaults)) {
      entry["default"] = *value;
    }
    if (field.attributes.range) entry["range"] = field.attributes.range->to_string();
    if (!field.attributes.unit.empty()) entry["unit"] = field.attributes.unit;
    const Json& value = field.schema.contains("items") ? field.schema["items"] : field.schema;
    if (value.contains("enum")) entry["choices"] = value["enum"];
    if (field.fields) entry["options"] = *field.fields;
    list.push_back(std::move(entry));
  }
  return list;
}

Json schema_of_fields(const std::string& doc, const std::vector<Field>& fields,
                      const void* defaults) {
  Json properties = Json::object();
  Json required = Json::array();
  for (const Field& field : fields) {
    Json property = field.schema;
    property["description"] = field.attributes.unit.empty()
                                  ? field.doc
                                  : fmt::format("{} ({})", field.doc, field.attributes.unit);
    if (field.attributes.required) {
      required.push_back(field.name);
    } else if (const std::optional<Json> value = field.write(defaults)) {
      property["default"] = *value;
    }
    properties[field.name] = std::move(property);
  }
  Json schema = {{"type", "object"}, {"description", doc}, {"properties", std::move(properties)}};
  if (!required.empty()) schema["required"] = std::move(required);
  schema["additionalProperties"] = false;
  return schema;
}

}  // namespace detail
}  // namespace espalier
