// One table per component binds the members of its options struct to JSON: it reads, checks,
// writes, describes and generates the JSON Schema.
//
//   struct EvolutionOptions {
//     int population = 50;
//     std::optional<double> temperature;
//   };
//   const auto table = OptionTable<EvolutionOptions>("regularized evolution")
//       .add("population", &EvolutionOptions::population, "living individuals", at_least(2))
//       .add("temperature", &EvolutionOptions::temperature, "of the draw", greater_than(0));
//   EvolutionOptions options = table.read(json, "/strategy");
//
// A member may be bool, int, int64_t, uint64_t, double, std::string, an enum (with `named`), a
// struct (with its own table), Json (kept as it is, or resolved by a `Component`), and std::vector,
// std::map<std::string, ...> and std::optional of these. A key that is absent leaves the member's
// default; an optional member may be absent, but not null.
#pragma once

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <limits>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "core/error.hpp"
#include "core/json.hpp"

namespace espalier {

/// The values that a number, or each number of an array, may have.
struct Range {
  double low = -std::numeric_limits<double>::infinity();
  double high = std::numeric_limits<double>::infinity();
  bool low_open = false;
  bool high_open = false;

  bool contains(double value) const;
  /// For example ">= 2", "> 0", "0 to 1", "0 to 1, 1 excluded".
  std::string to_string() const;
};
inline Range at_least(double low) { return {.low = low}; }
inline Range at_most(double high) { return {.high = high}; }
inline Range greater_than(double low) { return {.low = low, .low_open = true}; }
inline Range between(double low, double high) { return {.low = low, .high = high}; }

/// How many elements an array may have.
struct Items {
  std::size_t least = 0;
  std::size_t most = std::numeric_limits<std::size_t>::max();
};
inline Items non_empty() { return {.least = 1}; }

/// The texts that a string, or each string of an array, may be.
struct OneOf {
  std::vector<std::string> names;
};
inline OneOf one_of(std::vector<std::string> names) { return {std::move(names)}; }

/// The enumerators of E and their names.
template <class E>
struct Named {
  std::vector<std::pair<std::string, E>> names;
};
template <class E>
Named<E> named(std::vector<std::pair<std::string, E>> names) {
  return {std::move(names)};
}

/// The key must be there.
struct Required {};
inline Required required() { return {}; }

/// The unit of a number, for descriptions.
struct Unit {
  std::string name;
};
inline Unit unit(std::string name) { return {std::move(name)}; }

/// What a Json member holds when it is a component's config: `resolve(json, pointer)` checks it and
/// fills in the defaults, `schema` is its JSON Schema, usually {"$ref": "#/$defs/..."}.
struct Component {
  std::function<Json(const Json&, const std::string&)> resolve;
  Json schema;
};

namespace detail {

/// The attributes of an option that are not tied to its C++ type.
struct Attributes {
  std::optional<Range> range;
  std::optional<Items> items;
  std::vector<std::string> choices;
  std::string unit;
  bool required = false;
};
inline void apply(Attributes& a, const Range& range) { a.range = range; }
inline void apply(Attributes& a, const Items& items) { a.items = items; }
inline void apply(Attributes& a, const OneOf& one_of) { a.choices = one_of.names; }
inline void apply(Attributes& a, const Required&) { a.required = true; }
inline void apply(Attributes& a, const Unit& unit) { a.unit = unit.name; }
template <class T>
void apply(Attributes&, const T&) {}  // Named, Component, OptionTable: they make the codec.

/// How a C++ type is read from and written to JSON.
template <class T>
struct Codec {
  std::function<T(const Json&, const std::string& pointer)> read;
  std::function<Json(const T&)> write;
  Json schema;
  std::string type;                 // for descriptions: "integer", "array of string"
  std::optional<Json> fields = {};  // the options of a nested struct
};

Codec<bool> bool_codec();
Codec<std::int64_t> integer_codec(const Attributes&, std::int64_t low, std::int64_t high);
Codec<std::uint64_t> unsigned_codec(const Attributes&);
Codec<double> number_codec(const Attributes&);
Codec<std::string> string_codec(const Attributes&);
Codec<Json> json_codec();
Codec<Json> component_codec(const Component&);
void check_items(const Attributes&, std::size_t count, const std::string& pointer);
void add_items_to_schema(const Attributes&, Json& schema);
[[noreturn]] void throw_type_error(const std::string& expected, const Json&,
                                   const std::string& pointer);
/// A whole number (2.0 is one, too) of [low, high]. Throws ConfigError.
std::int64_t read_integer(const Json&, const std::string& pointer, std::int64_t low,
                          std::int64_t high);

/// ConfigError at the key, naming the nearest one.
[[noreturn]] void throw_unknown_key(const std::string& key, const std::string& pointer,
                                    std::span<const std::string> known);
/// That `json` is an object of known keys. Throws ConfigError, naming the nearest key.
void check_keys(const Json&, const std::string& pointer, std::span<const std::string> known);

/// One option of a table, with the struct's type erased.
struct Field {
  std::string name;
  std::string doc;
  std::string type;
  Attributes attributes;
  Json schema;
  std::optional<Json> fields;
  std::function<void(void* options, const Json&, const std::string& pointer)> read;
  std::function<std::optional<Json>(const void* options)> write;
};
void read_fields(const std::vector<Field>&, void* options, const Json&, const std::string& pointer);
Json write_fields(const std::vector<Field>&, const void* options);
Json describe_fields(const std::vector<Field>&, const void* defaults);
Json schema_of_fields(const std::string& doc, const std::vector<Field>&, const void* defaults);

template <class T>
struct IsVector : std::false_type {};
template <class T>
struct IsVector<std::vector<T>> : std::true_type {};
template <class T>
struct IsMap : std::false_type {};
template <class T>
struct IsMap<std::map<std::string, T>> : std::true_type {};
template <class T>
struct WithoutOptional {
  using type = T;
};
template <class T>
struct WithoutOptional<std::optional<T>> {
  using type = T;
};

/// `codec_of(attribute)` for the attributes that determine the codec of T.
template <class T, class A>
concept MakesCodec = requires(const A& attribute) {
  { attribute.codec() } -> std::same_as<Codec<T>>;
};
template <class T, class A>
concept NamesEnum = std::is_enum_v<T> && std::same_as<A, Named<T>>;

template <class E>
Codec<E> enum_codec(const Named<E>& named) {
  Attributes attributes;
  for (const auto& [name, value] : named.names) attributes.choices.push_back(name);
  Codec<std::string> text = string_codec(attributes);
  const auto names = named.names;
  return {
      .read =
          [names, text](const Json& json, const std::string& pointer) {
            const std::string chosen = text.read(json, pointer);
            for (const auto& [name, value] : names) {
              if (name == chosen) return value;
            }
            throw Error("an enumerator without a name");  // string_codec refused other names
          },
      .write =
          [names](const E& value) {
            for (const auto& [name, candidate] : names) {
              if (candidate == value) return Json(name);
            }
            throw Error("an enumerator without a name");
          },
      .schema = text.schema,
      .type = text.type,
  };
}

template <class T, class... A>
Codec<T> make_codec(const Attributes& attributes, const A&... typed);

template <class T, class... A>
Codec<T> vector_codec(const Attributes& attributes, const A&... typed) {
  using Element = typename T::value_type;
  const Codec<Element> element = make_codec<Element>(attributes, typed...);
  Json schema = {{"type", "array"}, {"items", element.schema}};
  add_items_to_schema(attributes, schema);
  return {
      .read =
          [element, attributes](const Json& json, const std::string& pointer) {
            if (!json.is_array()) throw_type_error("array", json, pointer);
            check_items(attributes, json.size(), pointer);
            T values;
            values.reserve(json.size());
            for (std::size_t i = 0; i < json.size(); ++i) {
              values.push_back(element.read(json[i], pointer_to(pointer, i)));
            }
            return values;
          },
      .write =
          [element](const T& values) {
            Json json = Json::array();
            for (const auto& value : values) json.push_back(element.write(value));
            return json;
          },
      .schema = std::move(schema),
      .type = "array of " + element.type,
      .fields = element.fields,
  };
}

template <class T, class... A>
Codec<T> map_codec(const Attributes& attributes, const A&... typed) {
  using Element = typename T::mapped_type;
  const Codec<Element> element = make_codec<Element>(attributes, typed...);
  return {
      .read =
          [element](const Json& json, const std::string& pointer) {
            if (!json.is_object()) throw_type_error("object", json, pointer);
            T values;
            for (const auto& [key, value] : json.items()) {
              values.emplace(key, element.read(value, pointer_to(pointer, key)));
            }
            return values;
          },
      .write =
          [element](const T& values) {
            Json json = Json::object();
            for (const auto& [key, value] : values) json[key] = element.write(value);
            return json;
          },
      .schema = {{"type", "object"}, {"additionalProperties", element.schema}},
      .type = "object of " + element.type,
      .fields = element.fields,
  };
}

template <class T, class First, class... Rest>
Codec<T> typed_codec(const First& first, const Rest&... rest) {
  if constexpr (MakesCodec<T, First>) {
    return first.codec();
  } else if constexpr (NamesEnum<T, First>) {
    return enum_codec(first);
  } else {
    static_assert(sizeof...(rest) > 0, "an enum needs named(...), a struct its OptionTable");
    return typed_codec<T>(rest...);
  }
}

template <class T, class... A>
Codec<T> make_codec(const Attributes& attributes, const A&... typed) {
  if constexpr (IsVector<T>::value) {
    return vector_codec<T>(attributes, typed...);
  } else if constexpr (IsMap<T>::value) {
    return map_codec<T>(attributes, typed...);
  } else if constexpr (std::is_same_v<T, bool>) {
    return bool_codec();
  } else if constexpr (std::is_same_v<T, std::int64_t>) {
    return integer_codec(attributes, std::numeric_limits<T>::min(), std::numeric_limits<T>::max());
  } else if constexpr (std::is_same_v<T, int>) {
    const Codec<std::int64_t> wide =
        integer_codec(attributes, std::numeric_limits<T>::min(), std::numeric_limits<T>::max());
    return {.read =
                [wide](const Json& json, const std::string& pointer) {
                  return static_cast<int>(wide.read(json, pointer));
                },
            .write = [](const int& value) { return Json(value); },
            .schema = wide.schema,
            .type = wide.type};
  } else if constexpr (std::is_same_v<T, std::uint64_t>) {
    return unsigned_codec(attributes);
  } else if constexpr (std::is_same_v<T, double>) {
    return number_codec(attributes);
  } else if constexpr (std::is_same_v<T, std::string>) {
    return string_codec(attributes);
  } else if constexpr (std::is_same_v<T, Json>) {
    if constexpr ((std::is_same_v<A, Component> || ...)) {
      Codec<Json> codec;
      (
          [&] {
            if constexpr (std::is_same_v<A, Component>) codec = component_codec(typed);
          }(),
          ...);
      return codec;
    } else {
      return json_codec();
    }
  } else {
    static_assert(sizeof...(typed) > 0, "an enum needs named(...), a struct its OptionTable");
    return typed_codec<T>(typed...);
  }
}

}  // namespace detail

/// The options of one component, bound to the members of T. A value; T is default-constructible and
/// its member initializers are the defaults.
template <class T>
class OptionTable {
 public:
  /// `doc` says in one sentence what the component is.
  explicit OptionTable(std::string doc) : doc_(std::move(doc)) {}

  /// Binds one member. `attributes` are any of: Range, Items, OneOf, Unit, Required, Named,
  /// Component, and the OptionTable of a nested struct.
  template <class M, class... A>
  OptionTable& add(std::string name, M T::*member, std::string doc, const A&... attributes) {
    using Value = typename detail::WithoutOptional<M>::type;
    detail::Attributes common;
    (detail::apply(common, attributes), ...);
    const detail::Codec<Value> codec = detail::make_codec<Value>(common, attributes...);
    fields_.push_back({
        .name = std::move(name),
        .doc = std::move(doc),
        .type = codec.type,
        .attributes = common,
        .schema = codec.schema,
        .fields = codec.fields,
        .read =
            [member, read = codec.read](void* options, const Json& json,
                                        const std::string& pointer) {
              static_cast<T*>(options)->*member = read(json, pointer);
            },
        .write = [member, write = codec.write](const void* options) -> std::optional<Json> {
          const M& value = static_cast<const T*>(options)->*member;
          if constexpr (std::is_same_v<M, Value>) {
            return write(value);
          } else {
            return value ? std::optional<Json>(write(*value)) : std::nullopt;
          }
        },
    });
    return *this;
  }

  /// Binds the members of a struct that is itself a member: their keys stand beside T's own.
  template <class M>
  OptionTable& beside(M T::*member, const OptionTable<M>& table) {
    for (detail::Field field : table.fields_) {
      field.read = [member, read = field.read](void* options, const Json& json,
                                               const std::string& pointer) {
        read(&(static_cast<T*>(options)->*member), json, pointer);
      };
      field.write = [member, write = field.write](const void* options) {
        return write(&(static_cast<const T*>(options)->*member));
      };
      fields_.push_back(std::move(field));
    }
    for (const auto& check : table.checks_) {
      checks_.push_back([member, check](const T& options) { check(options.*member); });
    }
    return *this;
  }

  /// Adds a check of the whole struct, run after all options are read. It throws ConfigError with a
  /// pointer relative to the struct, for example {"/sample", "is larger than the population (10)"}.
  OptionTable& check(std::function<void(const T&)> check) {
    checks_.push_back(std::move(check));
    return *this;
  }

  /// Reads and checks the options. `pointer` is where `json` stands in its document. Throws
  /// ConfigError for an unknown key (naming the nearest), a wrong type (naming both), a value out
  /// of its range, a missing key that is required, and what the checks throw.
  T read(const Json& json, const std::string& pointer) const {
    T options{};
    detail::read_fields(fields_, &options, json, pointer);
    try {
      for (const auto& check : checks_) check(options);
    } catch (const ConfigError& error) {
      throw error.within(pointer);
    }
    return options;
  }

  /// Checks options that were made in C++ as read() checks those from JSON. Throws ConfigError with
  /// a pointer relative to the struct.
  void validate(const T& options) const { read(write(options), ""); }

  /// The options as JSON, with every default; optional members without a value are left out.
  /// read(write(x)) == x.
  Json write(const T& options) const { return detail::write_fields(fields_, &options); }

  /// [{"name", "type", "doc", "default"?, "required"?, "range"?, "unit"?, "choices"?, "options"?}].
  Json describe() const {
    const T defaults{};
    return detail::describe_fields(fields_, &defaults);
  }

  /// A JSON Schema object (draft 7 and later) that accepts what `read` accepts, checks apart.
  Json schema() const {
    const T defaults{};
    return detail::schema_of_fields(doc_, fields_, &defaults);
  }

  const std::string& doc() const { return doc_; }

  /// How tables nest; not for users.
  detail::Codec<T> codec() const {
    const OptionTable table = *this;
    return {
        .read = [table](const Json& json,
                        const std::string& pointer) { return table.read(json, pointer); },
        .write = [table](const T& options) { return table.write(options); },
        .schema = schema(),
        .type = "object",
        .fields = describe(),
    };
  }

 private:
  template <class>
  friend class OptionTable;

  std::string doc_;
  std::vector<detail::Field> fields_;
  std::vector<std::function<void(const T&)>> checks_;
};

}  // namespace espalier
