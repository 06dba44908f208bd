// A catalogue of components: the options of each, and what makes it from them.
#pragma once

#include <functional>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "core/json.hpp"
#include "core/options.hpp"

namespace espalier {

namespace detail {

/// What a Registry knows of its entries whatever they make.
class RegistryBase {
 public:
  /// `kind` names the family in messages: "strategy".
  explicit RegistryBase(std::string kind) : kind_(std::move(kind)) {}

  /// The names, in the order of their addition.
  std::vector<std::string> names() const;
  bool contains(const std::string& name) const;

  /// A config {"type": NAME, option: value, ...} with all defaults filled in. Throws ConfigError.
  Json resolve(const Json& json, const std::string& pointer) const;

  /// A whole config of one entry, with every default. Throws ConfigError for an unknown name.
  Json sample(const std::string& name) const;

  /// {"name", "doc", "options": [...]}. Throws ConfigError for an unknown name.
  Json describe(const std::string& name) const;
  /// The array of all of them.
  Json describe() const;

  /// A JSON Schema that accepts what `resolve` accepts.
  Json schema() const;

  /// For an option that holds such a config. `schema` refers to where the document's schema keeps
  /// this registry's, for example {"$ref": "#/$defs/strategy"}. The registry is copied.
  Component as_option(Json schema) const;

  const std::string& kind() const { return kind_; }

 protected:
  struct Entry {
    std::string name;
    std::string doc;
    std::function<Json(const Json&, const std::string& pointer)> resolve;
    Json sample;
    Json options;
    Json schema;
  };

  /// Options that every entry takes besides its own.
  struct Shared {
    std::function<Json(const Json&, const std::string& pointer)> resolve;
    Json sample = Json::object();
    Json options = Json::array();
    Json schema = {{"properties", Json::object()}};
  };

  void add_entry(Entry entry);
  void share(Shared shared) { shared_ = std::move(shared); }
  /// The entry that "type" names.
  const Entry& find(const Json& json, const std::string& pointer) const;
  const Entry& find_name(const std::string& name, const std::string& pointer) const;
  /// The options of a config without "type": the entry's own, and those that all share.
  struct Parts {
    Json own = Json::object();
    Json shared = Json::object();
  };
  /// Throws ConfigError for a key that is neither's.
  Parts split(const Entry& entry, const Json& json, const std::string& pointer) const;

 private:
  std::string kind_;
  std::vector<Entry> entries_;
  Shared shared_;
};

}  // namespace detail

template <class Signature>
class Registry;

/// Makes a Product from a config {"type": NAME, option: value, ...} and further arguments. A value:
/// copy it and add to it; adding a name again replaces its entry.
//
///   Registry<std::unique_ptr<Strategy>(const RunContext&)> strategies("strategy");
///   strategies.add("random", OptionTable<RandomOptions>("...").add(...),
///                  [](const RandomOptions& options, const RunContext& context) { ... });
template <class Product, class... Args>
class Registry<Product(Args...)> : public detail::RegistryBase {
 public:
  using RegistryBase::RegistryBase;

  /// The table's doc is the entry's. `factory(const Options&, Args...)` makes the product; a
  /// ConfigError that it throws has a pointer relative to its own config, as in OptionTable::check.
  template <class Options, class Factory>
  Registry& add(const std::string& name, const OptionTable<Options>& table, Factory factory) {
    add_entry({
        .name = name,
        .doc = table.doc(),
        .resolve =
            [table](const Json& json, const std::string& pointer) {
              return table.write(table.read(json, pointer));
            },
        .sample = table.write(Options{}),
        .options = table.describe(),
        .schema = table.schema(),
    });
    factories_[name] = [table, factory](const Json& json, Args... args) -> Product {
      return factory(table.read(json, ""), std::forward<Args>(args)...);
    };
    return *this;
  }

  /// Gives all entries, those added later too, the options of `table` besides their own, which
  /// must have other names. `finish(Product, const Options&)` makes the product from what the
  /// entry's factory made; its ConfigErrors are as a factory's.
  template <class Options, class Finish>
  Registry& add_to_all(const OptionTable<Options>& table, Finish finish) {
    share({
        .resolve =
            [table](const Json& json, const std::string& pointer) {
              return table.write(table.read(json, pointer));
            },
        .sample = table.write(Options{}),
        .options = table.describe(),
        .schema = table.schema(),
    });
    finish_ = [table, finish](Product product, const Json& json) -> Product {
      return finish(std::move(product), table.read(json, ""));
    };
    return *this;
  }

  /// Reads the config and makes the product. `pointer` is where `json` stands in its document.
  /// Throws ConfigError, and what the factory throws.
  Product create(const Json& json, const std::string& pointer, Args... args) const {
    const Entry& entry = find(json, pointer);
    const auto& factory = factories_.at(entry.name);
    const Parts parts = split(entry, json, pointer);
    try {
      Product product = factory(parts.own, std::forward<Args>(args)...);
      if (finish_) product = finish_(std::move(product), parts.shared);
      return product;
    } catch (const ConfigError& error) {
      throw error.within(pointer);
    }
  }

 private:
  std::map<std::string, std::function<Product(const Json&, Args...)>> factories_;
  std::function<Product(Product, const Json&)> finish_;  // with the options that all share
};

}  // namespace espalier
