#include "search_spaces/custom_network.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <map>
#include <set>

#include "core/error.hpp"
#include "core/options.hpp"
#include "core/rng.hpp"
#include "graph/blocks.hpp"
#include "search_spaces/custom_steps.hpp"

namespace espalier {

namespace {

constexpr int max_nesting = 50;
constexpr int max_steps = 20'000;
constexpr std::int64_t max_depth = 1000;
constexpr double max_number = 1e12;

/// Shapes that do not fit, for all architectures or for some.
class DoesNotFit : public ConfigError {
 public:
  using ConfigError::ConfigError;
};

/// Numbers by name; inner ones hide outer ones.
struct Values {
  const Values* outer = nullptr;
  std::map<std::string, Dim> entries = {};  // as numbers of Numbers
};

/// Results of steps by name.
struct Results {
  const Results* outer = nullptr;
  std::map<std::string, NodeId> entries = {};
  std::map<std::string, std::string> later = {};  // steps that come later, and where
};

/// What surrounds a place of the document.
struct Context {
  std::string path;  ///< of the names of decisions
  const Values* values = nullptr;
  const Results* results = nullptr;
  std::optional<NodeId> input = {};  ///< what "in_channels" is about
  int nesting = 0;
};

/// A decision, and where it was opened first.
struct Opened {
  Decision decision;
  std::string pointer;
  std::optional<Dim> number;
};

/// For each decision the option to build with.
using Chosen = std::map<std::string, std::uint32_t>;

std::string join(const std::string& path, const std::string& name) {
  return path.empty() ? name : path + "." + name;
}

void check_name(const std::string& name, const std::string& pointer, std::string_view also = "") {
  const auto fits = [&](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
           c == '-' || also.find(c) != std::string_view::npos;
  };
  if (name.empty() || !std::ranges::all_of(name, fits)) {
    throw ConfigError(pointer, fmt::format("the name \"{}\" must consist of letters, digits, _ and "
                                           "-{}",
                                           name, also.empty() ? "" : ", with dots between them"));
  }
}

const std::string& text(const Json& json, const std::string& pointer) {
  if (!json.is_string()) detail::throw_type_error("string", json, pointer);
  return json.get_ref<const std::string&>();
}

void check_object(const Json& json, const std::string& pointer, const std::string& what,
                  const std::vector<std::string>& known) {
  if (!json.is_object()) detail::throw_type_error("object", json, pointer);
  for (const auto& [key, value] : json.items()) {
    if (std::ranges::find(known, key) == known.end()) {
      throw ConfigError(pointer_to(pointer, key),
                        fmt::format("{} has no key \"{}\"{}", what, key, suggestion(key, known)));
    }
  }
}

const Json& need(const Json& json, const std::string& key, const std::string& pointer,
                 const std::string& what) {
  const auto found = json.find(key);
  if (found == json.end()) {
    throw ConfigError(pointer, fmt::format("the key \"{}\" of {} is missing", key, what));
  }
  return *found;
}

/// Numbers that need not be whole, in Dims: a Dim's values are indices into a table of them.
class Numbers {
 public:
  Dim constant(double value, const std::string& pointer) {
    if (!(std::abs(value) <= max_number)) {
      throw ConfigError(pointer, fmt::format("the number {} is out of range", value));
    }
    value += 0.0;  // -0 is 0
    const auto [it, inserted] = ids_.emplace(value, static_cast<std::int64_t>(values_.size()));
    if (inserted) values_.push_back(value);
    return it->second;
  }
  double at(std::int64_t id) const { return values_[static_cast<std::size_t>(id)]; }

  Dim from_integers(Dim integers, const std::string& pointer) {
    return map([&](std::int64_t v) { return constant(static_cast<double>(v), pointer).value(); },
               integers);
  }
  Dim to_integers(Dim numbers, const std::string& pointer) const {
    return map(
        [&](std::int64_t id) {
          const double value = at(id);
          if (value != std::floor(value)) {
            throw ConfigError(pointer, fmt::format("expected an integer, got {}; round it, for "
                                                   "example with \"make_divisible\"",
                                                   value));
          }
          return static_cast<std::int64_t>(value);
        },
        numbers);
  }
  template <class F>
  Dim combine(const std::string& pointer, F f, Dim a) {
    return map([&](std::int64_t x) { return constant(f(at(x)), pointer).value(); }, a);
  }
  template <class F>
  Dim combine(const std::string& pointer, F f, Dim a, Dim b) {
    return map(
        [&](std::int64_t x, std::int64_t y) { return constant(f(at(x), at(y)), pointer).value(); },
        a, b);
  }

 private:
  std::vector<double> values_;
  std::map<double, std::int64_t> ids_;
};

using Fold = double (*)(double, double);
const std::vector<std::pair<std::string, Fold>>& folds() {
  static const std::vector<std::pair<std::string, Fold>> list{
      {"sum", [](double a, double b) { return a + b; }},
      {"product", [](double a, double b) { return a * b; }},
      {"difference", [](double a, double b) { return a - b; }},
      {"quotient", [](double a, double b) { return a / b; }},
      {"min", [](double a, double b) { return std::min(a, b); }},
      {"max", [](double a, double b) { return std::max(a, b); }},
  };
  return list;
}

using Rounding = double (*)(double);
const std::vector<std::pair<std::string, Rounding>>& roundings() {
  static const std::vector<std::pair<std::string, Rounding>> list{
      {"round", [](double a) { return std::round(a); }},
      {"floor", [](double a) { return std::floor(a); }},
      {"ceil", [](double a) { return std::ceil(a); }},
  };
  return list;
}

const std::vector<std::string>& structures() {
  static const std::vector<std::string> list{"identity", "sequence", "choice",
                                             "optional", "repeat",   "stage"};
  return list;
}

/// Runs `f`; what does not fit is an error at the pointer.
template <class F>
auto located(const std::string& pointer, F&& f) {
  try {
    return f();
  } catch (const ConfigError& error) {
    if (!error.pointer().empty()) throw;
    throw ConfigError(pointer, error.message());
  } catch (const UnsupportedError& error) {
    throw ConfigError(pointer, error.what());
  } catch (const Error& error) {
    throw DoesNotFit(pointer, error.what());
  }
}

/// Reads a document once. With `chosen`, it builds that architecture: no decision stays open.
class Reader {
 public:
  explicit Reader(const CustomNetwork& document, const Chosen* chosen = nullptr)
      : document_(document), chosen_(chosen) {}

  const std::vector<Opened>& opened() const { return opened_; }
  int steps() const { return steps_; }

  void read() {
    read_cell_names();
    root_.entries["classes"] = numbers_.constant(document_.classes, "/classes");
    Context context{.path = "", .values = &root_};
    read_values(document_.values, "/values", context, root_);
    const NodeId input = read_input(context);
    context.input = input;
    NodeId x = sequence(document_.network, "/network", context, {{"input", input}}, input);
    const Shape& shape = builder_.shape(x);
    if (shape != Shape{document_.classes}) {
      throw DoesNotFit("/network",
                       fmt::format("the last step gives {}, but the network needs one value per "
                                   "class, {}; end it with global_avg_pool, flatten and linear",
                                   shape.to_string(builder_.graph().decision_names()),
                                   Shape{document_.classes}.to_string()));
    }
    builder_.output(x);
  }

  Supergraph finish() {
    const Graph graph = builder_.graph();
    try {
      return builder_.finish();
    } catch (const ConfigError&) {
      throw;
    } catch (const Error& error) {  // of channel layouts: it names the node and an architecture
      throw ConfigError(place_of(graph, error.what()), error.what());
    }
  }

 private:
  class StepIntegers : public IntegerReader {
   public:
    StepIntegers(Reader& reader, const Context& context) : reader_(reader), context_(context) {}
    Dim integer(const Json& json, const std::string& pointer, const std::string& key) override {
      return reader_.integer(json, pointer, context_, join(context_.path, key));
    }

   private:
    Reader& reader_;
    const Context& context_;
  };

  // Decisions and numbers.

  /// The decision, tied to the one of the same name; the option to build with where there is one.
  struct Choosing {
    DecisionId id = 0;
    std::optional<std::uint32_t> closed = {};
  };
  Opened& open(Decision decision, const std::string& pointer) {
    const auto known = std::ranges::find_if(
        opened_, [&](const Opened& o) { return o.decision.name == decision.name; });
    if (known != opened_.end()) {
      if (known->decision == decision) return *known;
      const auto options = [](const Decision& d) {
        return fmt::format("{{{}}}{}", fmt::join(d.options, ", "),
                           d.pick == 1 ? "" : fmt::format(", of which it picks {}", d.pick));
      };
      throw ConfigError(
          pointer,
          fmt::format(
              "the decision \"{}\" has the options {} here; give it another name, or tie it "
              "with the same options as before, {}",
              decision.name, options(decision), options(known->decision)),
          known->pointer);
    }
    std::set<std::string> labels;
    for (const std::string& label : decision.options) {
      if (!labels.insert(label).second) {
        throw ConfigError(pointer, fmt::format("the option {} is there twice", label));
      }
    }
    return opened_.emplace_back(Opened{std::move(decision), pointer, std::nullopt});
  }
  Choosing choosing(const Decision& decision) {
    if (chosen_ == nullptr) return {.id = builder_.decide(decision)};
    const auto found = chosen_->find(decision.name);
    return {.closed = found == chosen_->end() ? 0 : found->second};
  }

  Dim choose(const Json& json, const std::string& pointer, const std::string& position) {
    check_object(json, pointer, "a decision", {"choose", "name"});
    std::string name = position;
    if (const auto given = json.find("name"); given != json.end()) {
      name = text(*given, pointer_to(pointer, "name"));
      check_name(name, pointer_to(pointer, "name"), ".");
    }
    const std::string at = pointer_to(pointer, "choose");
    const Json& options = json["choose"];
    if (!options.is_array()) detail::throw_type_error("array", options, at);
    if (options.empty()) throw ConfigError(at, "expected at least one option");
    Decision decision{.name = name, .options = {}, .ordinal = !options[0].is_boolean()};
    std::vector<Dim> numbers;
    for (std::size_t i = 0; i < options.size(); ++i) {
      const Json& option = options[i];
      if (option.is_boolean() == decision.ordinal || !(option.is_boolean() || option.is_number())) {
        detail::throw_type_error(decision.ordinal ? "number" : "boolean", option,
                                 pointer_to(at, i));
      }
      const double number = option.is_boolean() ? option.get<bool>() : option.get<double>();
      numbers.push_back(numbers_.constant(number, pointer_to(at, i)));
      decision.options.push_back(option_label(option));
    }
    Opened& opened = open(std::move(decision), pointer);
    if (!opened.number) {
      if (numbers.size() == 1) {
        opened.number = numbers[0];
      } else {
        const Choosing chosen = choosing(opened.decision);
        opened.number = chosen.closed ? numbers[*chosen.closed] : Dim::select(chosen.id, numbers);
      }
    }
    return *opened.number;
  }

  Dim refer(const std::string& name, const std::string& pointer, const Context& context) {
    std::vector<std::string> known{"in_channels", "in_height", "in_width"};
    for (const Values* values = context.values; values != nullptr; values = values->outer) {
      if (const auto it = values->entries.find(name); it != values->entries.end()) {
        return it->second;
      }
      for (const auto& [key, value] : values->entries) known.push_back(key);
    }
    const auto axis = std::find(known.begin(), known.begin() + 3, name) - known.begin();
    if (axis < 3) {
      if (!context.input) throw ConfigError(pointer, "there is no input here");
      const Shape& shape = builder_.shape(*context.input);
      if (axis > 0 && shape.rank != 3) {
        throw ConfigError(pointer, fmt::format("the input has the shape {}, without {}",
                                               shape.to_string(), name.substr(3)));
      }
      const Dim size =
          axis == 0 ? builder_.channels(*context.input) : shape[static_cast<std::size_t>(axis)];
      return numbers_.from_integers(size, pointer);
    }
    for (const Opened& opened : opened_) {
      if (!opened.number) continue;
      if (opened.decision.name == name) return *opened.number;
      known.push_back(opened.decision.name);
    }
    throw ConfigError(pointer, fmt::format("there is no value or decision \"{}\" before this "
                                           "place{}",
                                           name, suggestion(name, known)));
  }

  Dim arithmetic(const Json& json, const std::string& pointer, const Context& context,
                 const std::string& name) {
    for (const auto& [key, fold] : folds()) {
      if (!json.contains(key)) continue;
      check_object(json, pointer, key, {key});
      const std::string at = pointer_to(pointer, key);
      const Json& terms = json[key];
      if (!terms.is_array()) detail::throw_type_error("array", terms, at);
      if (terms.size() < 2) {
        throw ConfigError(at, fmt::format("expected two or more numbers, got {}", terms.size()));
      }
      Dim result = number(terms[0], pointer_to(at, std::size_t{0}), context, name);
      for (std::size_t i = 1; i < terms.size(); ++i) {
        const Dim term = number(terms[i], pointer_to(at, i), context, name);
        result = numbers_.combine(pointer, fold, result, term);
      }
      return result;
    }
    for (const auto& [key, rounding] : roundings()) {
      if (!json.contains(key)) continue;
      check_object(json, pointer, key, {key});
      return numbers_.combine(pointer, rounding,
                              number(json[key], pointer_to(pointer, key), context, name));
    }
    if (json.contains("make_divisible")) {
      check_object(json, pointer, "make_divisible", {"make_divisible", "divisor"});
      std::int64_t divisor = 8;
      if (const auto given = json.find("divisor"); given != json.end()) {
        divisor = detail::read_integer(*given, pointer_to(pointer, "divisor"), 1, 1 << 20);
      }
      const Dim value =
          number(json["make_divisible"], pointer_to(pointer, "make_divisible"), context, name);
      const auto rounded = [divisor](double v) {
        return static_cast<double>(make_divisible(v, static_cast<int>(divisor)));
      };
      return numbers_.combine(pointer, rounded, value);
    }
    std::vector<std::string> known{"choose", "make_divisible"};
    for (const auto& entry : folds()) known.push_back(entry.first);
    for (const auto& entry : roundings()) known.push_back(entry.first);
    if (json.empty()) throw ConfigError(pointer, "expected a number" + suggestion("", known));
    const std::string& key = json.begin().key();
    throw ConfigError(pointer_to(pointer, key),
                      fmt::format("there is no arithmetic \"{}\"{}", key, suggestion(key, known)));
  }

  /// A number of Numbers. `name`: of a decision that is opened here without one.
  Dim number(const Json& json, const std::string& pointer, Context context,
             const std::string& name) {
    nest(context, pointer);
    if (json.is_string()) return refer(json.get_ref<const std::string&>(), pointer, context);
    if (json.is_number()) return numbers_.constant(json.get<double>(), pointer);
    if (!json.is_object()) {
      detail::throw_type_error("number, name of a value, or {\"choose\": [...]}", json, pointer);
    }
    if (json.contains("choose")) return choose(json, pointer, name);
    return arithmetic(json, pointer, context, name);
  }

  Dim integer(const Json& json, const std::string& pointer, const Context& context,
              const std::string& name) {
    return located(pointer, [&] {
      return numbers_.to_integers(number(json, pointer, context, name), pointer);
    });
  }

  void read_values(const Json& json, const std::string& pointer, Context context, Values& values) {
    if (!json.is_object()) detail::throw_type_error("object", json, pointer);
    context.values = &values;
    for (const auto& [key, value] : json.items()) {
      const std::string at = pointer_to(pointer, key);
      check_name(key, at);
      if (values.entries.contains(key) || key == "in_channels" || key == "in_height" ||
          key == "in_width") {
        throw ConfigError(at, fmt::format("\"{}\" is there already; take another name", key));
      }
      const Dim read_value = located(
          at, [&, &k = key, &v = value] { return number(v, at, context, join(context.path, k)); });
      values.entries[key] = read_value;
    }
  }

  NodeId read_input(const Context& context) {
    const Json& json = document_.input;
    if (!json.is_array()) detail::throw_type_error("array", json, "/input");
    if (json.size() != 3) {
      throw ConfigError(
          "/input", fmt::format("expected [channels, height, width], got {} values", json.size()));
    }
    constexpr std::array<const char*, 3> names{"channels", "height", "width"};
    std::array<Dim, 3> size;
    for (std::size_t i = 0; i < 3; ++i) {
      size[i] =
          integer(json[i], pointer_to("/input", i), context, std::string("input.") + names[i]);
    }
    return located("/input", [&] { return builder_.input(size[0], size[1], size[2]); });
  }

  // Steps.

  void nest(Context& context, const std::string& pointer) const {
    if (++context.nesting > max_nesting) {
      throw ConfigError(pointer, fmt::format("is nested more than {} deep", max_nesting));
    }
  }

  std::string type_of(const Json& step, const std::string& pointer) const {
    std::string type;
    std::string at = pointer;
    if (step.is_string()) {
      type = step.get<std::string>();
    } else if (step.is_object()) {
      at = pointer_to(pointer, "type");
      type = text(need(step, "type", pointer, "a step"), at);
    } else {
      detail::throw_type_error("name of a step, or object", step, pointer);
    }
    if (find_type(type) != nullptr || cells_.contains(type) ||
        std::ranges::find(structures(), type) != structures().end()) {
      return type;
    }
    throw ConfigError(at,
                      fmt::format("unknown step \"{}\"{}", type, suggestion(type, all_types())));
  }

  static const StepType* find_type(const std::string& name) {
    const auto found = std::ranges::find(step_types(), name, &StepType::name);
    return found == step_types().end() ? nullptr : &*found;
  }

  std::vector<std::string> all_types() const {
    std::vector<std::string> names = structures();
    for (const StepType& type : step_types()) names.push_back(type.name);
    for (const auto& [name, cell] : cells_) names.push_back(name);
    return names;
  }

  /// "" where the step has none.
  static std::string given_name(const Json& step, const std::string& pointer) {
    if (!step.is_object() || !step.contains("name")) return "";
    const std::string at = pointer_to(pointer, "name");
    const std::string& name = text(step["name"], at);
    check_name(name, at);
    if (name == "input") throw ConfigError(at, "\"input\" is what a sequence reads; take another");
    return name;
  }

  /// Steps one after the other; `inputs` are the names of what they can read from outside.
  NodeId sequence(const Json& steps, const std::string& pointer, Context context,
                  std::map<std::string, NodeId> inputs, NodeId x) {
    if (!steps.is_array()) detail::throw_type_error("array", steps, pointer);
    if (steps.empty()) throw ConfigError(pointer, "expected at least one step");
    Results results{.outer = context.results, .entries = std::move(inputs)};
    context.results = &results;
    std::vector<std::string> names(steps.size());
    std::set<std::string> taken;
    for (std::size_t i = 0; i < steps.size(); ++i) {
      const std::string at = pointer_to(pointer, i);
      names[i] = given_name(steps[i], at);
      if (names[i].empty()) continue;
      if (!taken.insert(names[i]).second || results.entries.contains(names[i])) {
        throw ConfigError(
            pointer_to(at, "name"),
            fmt::format("the name \"{}\" is there already in this sequence", names[i]));
      }
      results.later[names[i]] = at;
    }
    for (std::size_t i = 0; i < steps.size(); ++i) {
      const std::string at = pointer_to(pointer, i);
      std::string name = names[i];
      if (name.empty()) {
        const std::string type = type_of(steps[i], at);
        const StepType* known = find_type(type);
        const std::string base = known != nullptr ? known->node_name : type;
        const bool numbered = type == "stage";
        name = numbered ? base + "1" : base;
        for (int n = 2; !taken.insert(name).second; ++n) {
          name = fmt::format("{}{}{}", base, numbered ? "" : "_", n);
        }
      }
      x = step(steps[i], at, context, name, x);
      if (names[i].empty()) continue;
      results.entries[name] = x;
      results.later.erase(name);
    }
    return x;
  }

  /// A step, or an array of steps in a scope of that name. `index`: appended to a step's own name.
  NodeId body(const Json& json, const std::string& pointer, Context context,
              const std::string& name, NodeId x, const std::string& index = "") {
    if (!json.is_array()) {
      const std::string given = given_name(json, pointer);
      return step(json, pointer, context, given.empty() ? name : given + index, x);
    }
    nest(context, pointer);
    context.path = join(context.path, name);
    context.input = x;
    const auto scope = builder_.scope(name);
    return sequence(json, pointer, context, {{"input", x}}, x);
  }

  NodeId find_result(const std::string& name, const std::string& pointer,
                     const Context& context) const {
    std::vector<std::string> known;
    for (const Results* results = context.results; results != nullptr; results = results->outer) {
      if (const auto it = results->entries.find(name); it != results->entries.end()) {
        return it->second;
      }
      if (const auto it = results->later.find(name); it != results->later.end()) {
        throw ConfigError(pointer,
                          fmt::format("without cycles, a step reads earlier ones, and \"{}\" comes "
                                      "later,",
                                      name),
                          it->second);
      }
      for (const auto& [key, node] : results->entries) known.push_back(key);
    }
    throw ConfigError(
        pointer, fmt::format("there is no step named \"{}\"{}", name, suggestion(name, known)));
  }

  std::vector<NodeId> inputs_of(const Json& step, const std::string& pointer,
                                const Context& context, NodeId previous) const {
    const auto from = step.find("from");
    if (from == step.end()) return {previous};
    const std::string at = pointer_to(pointer, "from");
    if (from->is_string()) return {find_result(from->get<std::string>(), at, context)};
    if (!from->is_array()) detail::throw_type_error("string or array", *from, at);
    std::vector<NodeId> inputs;
    for (std::size_t i = 0; i < from->size(); ++i) {
      inputs.push_back(
          find_result(text((*from)[i], pointer_to(at, i)), pointer_to(at, i), context));
    }
    return inputs;
  }

  static void check_count(const std::vector<NodeId>& inputs, std::size_t least, std::size_t most,
                          const std::string& type, const std::string& pointer) {
    if (inputs.size() >= least && inputs.size() <= most) return;
    const std::string wanted = least == most ? std::to_string(least)
                               : most > 1000 ? fmt::format("{} or more", least)
                                             : fmt::format("{} to {}", least, most);
    throw ConfigError(pointer, fmt::format("{} reads {} result{}, got {}; name them in \"from\"",
                                           type, wanted, wanted == "1" ? "" : "s", inputs.size()));
  }

  NodeId step(const Json& json, const std::string& pointer, Context context,
              const std::string& name, NodeId previous) {
    nest(context, pointer);
    if (++steps_ > max_steps) {
      throw ConfigError(pointer, fmt::format("the network has more than {} steps", max_steps));
    }
    const std::string type = type_of(json, pointer);
    Json short_form = Json::object();
    short_form["type"] = type;
    const Json& object = json.is_string() ? short_form : json;
    return located(pointer, [&] {
      const std::vector<NodeId> inputs = inputs_of(object, pointer, context, previous);
      if (!inputs.empty()) context.input = inputs[0];
      Values values{.outer = context.values};
      context.path = join(context.path, name);
      if (const auto given = object.find("values"); given != object.end()) {
        read_values(*given, pointer_to(pointer, "values"), context, values);
      }
      context.values = &values;
      const NodeId result = dispatch(type, object, pointer, context, name, inputs);
      places_.resize(builder_.graph().size(), pointer);
      return result;
    });
  }

  NodeId dispatch(const std::string& type, const Json& json, const std::string& pointer,
                  const Context& context, const std::string& name,
                  const std::vector<NodeId>& inputs) {
    if (const StepType* known = find_type(type)) {
      check_count(inputs, known->min_inputs, known->max_inputs, type, pointer);
      StepIntegers integers(*this, context);
      return known->append({builder_, integers, inputs, name, json, pointer});
    }
    if (cells_.contains(type)) return cell(type, json, pointer, context, name, inputs);
    check_count(inputs, 1, 1, type, pointer);
    std::vector<std::string> keys(common_step_keys().begin(), common_step_keys().end());
    const auto allow = [&](std::initializer_list<const char*> own) {
      keys.insert(keys.end(), own.begin(), own.end());
      check_object(json, pointer, type, keys);
    };
    if (type == "identity") {
      allow({});
      return inputs[0];
    }
    if (type == "sequence") {
      allow({"steps"});
      const auto scope = builder_.scope(name);
      return sequence(need(json, "steps", pointer, type), pointer_to(pointer, "steps"), context,
                      {{"input", inputs[0]}}, inputs[0]);
    }
    if (type == "choice") {
      allow({"of", "pick", "decision"});
      return choice(json, pointer, context, name, inputs[0]);
    }
    if (type == "optional") {
      allow({"block", "decision"});
      return optional(json, pointer, context, name, inputs[0]);
    }
    if (type == "repeat") {
      allow({"block", "depth"});
    } else {
      allow({"block", "depth", "stride"});
    }
    return repeat(type, json, pointer, context, name, inputs[0]);
  }

  // Choices.

  struct Alternative {
    std::string label;
    std::function<NodeId()> build;
  };

  /// The sum of the picked alternatives.
  NodeId choose_among(const std::vector<Alternative>& alternatives, int pick, const Json& json,
                      const std::string& pointer, const Context& context) {
    Decision decision{.name = context.path, .options = {}, .pick = pick};
    if (const auto given = json.find("decision"); given != json.end()) {
      decision.name = text(*given, pointer_to(pointer, "decision"));
      check_name(decision.name, pointer_to(pointer, "decision"), ".");
    }
    for (const Alternative& alternative : alternatives) {
      decision.options.push_back(alternative.label);
    }
    const std::uint32_t count = choice_count(decision);
    open(decision, pointer);
    const Choosing chosen = count > 1 ? choosing(decision) : Choosing{.closed = 0};
    std::vector<NodeId> results;
    if (!chosen.closed) {
      for (const Alternative& alternative : alternatives) results.push_back(alternative.build());
      return builder_.choice(chosen.id, results);
    }
    for (std::uint32_t i : picked_options(decision, *chosen.closed)) {
      results.push_back(alternatives[i].build());
    }
    return results.size() == 1 ? results[0] : builder_.add(results, "choice");
  }

  NodeId choice(const Json& json, const std::string& pointer, const Context& context,
                const std::string& name, NodeId x) {
    const std::string at = pointer_to(pointer, "of");
    const Json& of = need(json, "of", pointer, "a choice");
    if (!of.is_object() && !of.is_array()) detail::throw_type_error("object or array", of, at);
    if (of.empty()) throw ConfigError(at, "expected at least one alternative");
    int pick = 1;
    if (const auto given = json.find("pick"); given != json.end()) {
      pick = static_cast<int>(detail::read_integer(*given, pointer_to(pointer, "pick"), 1,
                                                   static_cast<std::int64_t>(of.size())));
    }
    std::vector<Alternative> alternatives;
    std::set<std::string> labels;
    std::size_t index = 0;
    for (const auto& [key, value] : of.items()) {
      const std::string here = of.is_array() ? pointer_to(at, index) : pointer_to(at, key);
      ++index;
      std::string label = key;
      if (of.is_array()) {
        const std::string given = given_name(value, here);
        const std::string base = !given.empty()     ? given
                                 : value.is_array() ? "alternative" + std::to_string(index)
                                                    : type_of(value, here);
        label = base;
        for (int n = 2; labels.contains(label); ++n) label = fmt::format("{}_{}", base, n);
      }
      check_name(label, here);
      labels.insert(label);
      alternatives.push_back({label, [this, &value = value, here, &context, label, x] {
                                return body(value, here, context, label, x);
                              }});
    }
    const auto scope = builder_.scope(name);
    return choose_among(alternatives, pick, json, pointer, context);
  }

  NodeId optional(const Json& json, const std::string& pointer, const Context& context,
                  const std::string& name, NodeId x) {
    const Json& block = need(json, "block", pointer, "an optional step");
    const std::vector<Alternative> alternatives{
        {"no", [x] { return x; }},
        {"yes", [&] { return body(block, pointer_to(pointer, "block"), context, "block", x); }}};
    const auto scope = builder_.scope(name);
    return choose_among(alternatives, 1, json, pointer, context);
  }

  // Repeats.

  NodeId repeat(const std::string& type, const Json& json, const std::string& pointer,
                const Context& context, const std::string& name, NodeId x) {
    const Json& block = need(json, "block", pointer, "a " + type);
    const std::string at = pointer_to(pointer, "depth");
    need(json, "depth", pointer, "a " + type);
    Dim depth, stride = numbers_.constant(1, pointer);
    for (const auto& [key, value] : json.items()) {  // decisions in the order of the document
      if (key == "depth") depth = integer(value, at, context, join(context.path, key));
      if (key == "stride") {
        stride = number(value, pointer_to(pointer, key), context, join(context.path, key));
      }
    }
    if (depth.min() < 0 || depth.max() > max_depth) {
      throw ConfigError(at, fmt::format("expected 0 to {}, got {}", max_depth, depth.to_string()));
    }
    const auto closed = [](Dim d) { return d.constant(); };
    if (!depth.constant() && !std::ranges::all_of(depth.branches(), closed)) {
      throw ConfigError(at, "expected a number, or a function of one decision");
    }
    const auto scope = builder_.scope(name, type == "stage" ? "stage" : "");
    std::vector<NodeId> taps{x};
    for (std::int64_t i = 1; i <= depth.max(); ++i) {
      Values values{.outer = context.values};
      values.entries["index"] = numbers_.constant(static_cast<double>(i), pointer);
      Context inner = context;
      inner.values = &values;
      if (type == "stage") {
        values.entries["stride"] = i == 1 ? stride : numbers_.constant(1, pointer);
      }
      const std::string index = std::to_string(i);
      x = body(block, pointer_to(pointer, "block"), inner, "block" + index, x, index);
      taps.push_back(x);
    }
    if (depth.constant()) return x;
    std::vector<NodeId> results;
    for (Dim d : depth.branches()) results.push_back(taps[static_cast<std::size_t>(d.value())]);
    return builder_.choice(depth.decision(), results, "depth");
  }

  // Cells.

  struct Cell {
    std::vector<std::string> inputs{"input"};
    std::vector<std::pair<std::string, Json>> parameters;  // null: without a default
    const Json* steps = nullptr;
    std::string pointer;
    bool tied = true;
  };

  void read_cell_names() {
    const Json& json = document_.cells;
    if (!json.is_object()) detail::throw_type_error("object", json, "/cells");
    const std::vector<std::string> taken = all_types();
    for (const auto& [name, definition] : json.items()) {
      const std::string at = pointer_to("/cells", name);
      check_name(name, at);
      if (std::ranges::find(taken, name) != taken.end()) {
        throw ConfigError(at, fmt::format("\"{}\" is a step already; take another name", name));
      }
      check_object(definition, at, "a cell", {"inputs", "parameters", "steps", "tied"});
      Cell cell{.parameters = {}, .steps = &need(definition, "steps", at, "a cell"), .pointer = at};
      if (const auto inputs = definition.find("inputs"); inputs != definition.end()) {
        cell.inputs = read_input_names(*inputs, pointer_to(at, "inputs"));
      }
      if (const auto parameters = definition.find("parameters"); parameters != definition.end()) {
        const std::string here = pointer_to(at, "parameters");
        if (!parameters->is_object()) detail::throw_type_error("object", *parameters, here);
        for (const auto& [key, value] : parameters->items()) {
          check_name(key, pointer_to(here, key));
          if (std::ranges::find(common_step_keys(), key) != common_step_keys().end()) {
            throw ConfigError(pointer_to(here, key),
                              fmt::format("every step has a key \"{}\"; take another name", key));
          }
          cell.parameters.emplace_back(key, value);
        }
      }
      if (const auto tied = definition.find("tied"); tied != definition.end()) {
        if (!tied->is_boolean()) detail::throw_type_error("boolean", *tied, pointer_to(at, "tied"));
        cell.tied = tied->get<bool>();
      }
      cells_.emplace(name, std::move(cell));
    }
  }

  static std::vector<std::string> read_input_names(const Json& json, const std::string& pointer) {
    if (!json.is_array()) detail::throw_type_error("array", json, pointer);
    std::vector<std::string> names;
    for (std::size_t i = 0; i < json.size(); ++i) {
      const std::string at = pointer_to(pointer, i);
      const std::string& name = text(json[i], at);
      check_name(name, at);
      if (std::ranges::find(names, name) != names.end()) {
        throw ConfigError(at, fmt::format("the input \"{}\" is there twice", name));
      }
      names.push_back(name);
    }
    if (names.empty()) throw ConfigError(pointer, "expected at least one input");
    return names;
  }

  NodeId cell(const std::string& type, const Json& json, const std::string& pointer,
              const Context& context, const std::string& name, const std::vector<NodeId>& inputs) {
    const Cell& cell = cells_.at(type);
    check_count(inputs, cell.inputs.size(), cell.inputs.size(), type, pointer);
    if (std::ranges::find(within_, type) != within_.end()) {
      throw ConfigError(pointer, fmt::format("the cell \"{}\" contains itself: {} -> {}", type,
                                             fmt::join(within_, " -> "), type));
    }
    std::vector<std::string> keys(common_step_keys().begin(), common_step_keys().end());
    for (const auto& [key, value] : cell.parameters) keys.push_back(key);
    check_object(json, pointer, "the cell " + type, keys);
    Values values{.outer = &root_};
    for (const auto& [key, fallback] : cell.parameters) {
      const bool given = json.contains(key);
      const Json& value = given ? json[key] : fallback;
      if (value.is_null()) {
        throw ConfigError(pointer,
                          fmt::format("the parameter \"{}\" of the cell {} is missing", key, type));
      }
      const std::string at = given ? pointer_to(pointer, key)
                                   : pointer_to(pointer_to(cell.pointer, "parameters"), key);
      values.entries[key] = number(value, at, context, join(context.path, key));
    }
    Context inner{.path = cell.tied ? type : context.path,
                  .values = &values,
                  .results = nullptr,
                  .input = inputs[0],
                  .nesting = context.nesting};
    std::map<std::string, NodeId> named;
    for (std::size_t i = 0; i < inputs.size(); ++i) named[cell.inputs[i]] = inputs[i];
    const auto scope = builder_.scope(name, "cell");
    within_.push_back(type);
    const NodeId result =
        sequence(*cell.steps, pointer_to(cell.pointer, "steps"), inner, named, inputs[0]);
    within_.pop_back();
    return result;
  }

  /// Where the node stands that a message names.
  std::string place_of(const Graph& graph, std::string_view message) const {
    for (NodeId id = 0; id < places_.size(); ++id) {
      if (!places_[id].empty() && message.find("'" + graph.name(id) + "'") != std::string::npos) {
        return places_[id];
      }
    }
    return "/network";
  }

  const CustomNetwork& document_;
  const Chosen* chosen_;
  SupergraphBuilder builder_;
  Numbers numbers_;
  Values root_;
  std::map<std::string, Cell> cells_;
  std::vector<std::string> within_;  // the cells around the current step
  std::vector<Opened> opened_;
  std::vector<std::string> places_;  // the pointer of each node
  int steps_ = 0;
};

/// An architecture that does not fit, as the end of a message: "; for example with a=1". Of its
/// decisions those are named that could be changed to make it fit.
std::string offending(const CustomNetwork& document, const std::vector<Opened>& opened,
                      const std::string& pointer) {
  std::int64_t budget = 1'000'000;  // steps; about as many operators
  const auto fails = [&](const Chosen& chosen) {
    Reader reader(document, &chosen);
    bool failed = false;
    try {
      reader.read();
    } catch (const DoesNotFit& error) {
      failed = error.pointer() == pointer;
    } catch (const Error&) {  // something else is wrong with it first
    }
    budget -= reader.steps();
    return failed;
  };
  std::vector<Decision> decisions;
  for (const Opened& o : opened) {
    if (choice_count(o.decision) > 1) decisions.push_back(o.decision);
  }
  if (decisions.empty()) return "";
  Chosen drawn, bad, good;
  for (const Decision& d : decisions) drawn[d.name] = 0;
  Rng rng(1);
  for (int draw = 0; draw < 500 && budget > 0 && (bad.empty() || good.empty()); ++draw) {
    (fails(drawn) ? bad : good) = drawn;
    for (const Decision& d : decisions) {
      drawn[d.name] = static_cast<std::uint32_t>(rng.below(choice_count(d)));
    }
  }
  if (bad.empty()) return "";
  if (good.empty()) return "; it fits with no architecture that was tried";
  for (const Decision& d : decisions) {  // as little as possible is wrong with the example
    Chosen better = bad;
    better[d.name] = good[d.name];
    if (budget > 0 && better != bad && fails(better)) bad = better;
  }
  std::vector<std::string> labels;
  for (const Decision& d : decisions) {
    bool matters = false;
    for (std::uint32_t c = 0; c < std::min(choice_count(d), 16u) && !matters && budget > 0; ++c) {
      Chosen other = bad;
      other[d.name] = c;
      matters = !fails(other);
    }
    if (matters) labels.push_back(fmt::format("{}={}", d.name, choice_label(d, bad[d.name])));
  }
  return labels.empty() ? "" : fmt::format("; for example with {}", fmt::join(labels, ", "));
}

}  // namespace

std::string option_label(const Json& option) {
  if (option.is_boolean()) return option.get<bool>() ? "yes" : "no";
  return option.is_number_integer() ? option.dump() : fmt::format("{}", option.get<double>());
}

Supergraph read_custom_network(const CustomNetwork& document) {
  Reader reader(document);
  try {
    reader.read();
    return reader.finish();
  } catch (const DoesNotFit& error) {
    throw ConfigError(error.pointer(),
                      error.message() + offending(document, reader.opened(), error.pointer()));
  }
}

}  // namespace espalier
