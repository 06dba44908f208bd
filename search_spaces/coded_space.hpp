#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "search_spaces/supergraph.hpp"

namespace espalier {

/// How a benchmark writes an architecture: a text without commas for the first decisions.
struct ArchitectureCode {
  std::size_t decisions;  ///< that the text covers
  std::string example;    ///< a text, for errors
  /// The text for `decisions` choices.
  std::function<std::string(std::span<const std::uint32_t>)> write;
  /// Inverse; nothing, or the wrong number of choices, for a text that is no code.
  std::function<std::vector<std::uint32_t>(std::string_view)> read;
};

/// A supergraph whose architectures have a benchmark's strings: the code, followed by
/// ",decision=label" for each decision that the code leaves out (those on compression).
class CodedSpace : public SupergraphSpace {
 public:
  /// Throws ConfigError where the code covers more decisions than there are.
  CodedSpace(Supergraph supergraph, ArchitectureCode code);

  std::string to_string(const Architecture& a) const override;
  Architecture parse(std::string_view text) const override;

 private:
  ArchitectureCode code_;
};

/// The index of `value` in `values`, or values.size().
template <class Values, class Value>
std::uint32_t index_of(const Values& values, const Value& value) {
  std::uint32_t i = 0;
  for (const auto& candidate : values) {
    if (candidate == value) return i;
    ++i;
  }
  return i;
}

}  // namespace espalier
