// The exceptions of Espalier. Text is lower-case and names what was found and what was expected.
#pragma once

#include <span>
#include <stdexcept>
#include <string>
#include <string_view>

namespace espalier {

/// The base of every exception that Espalier throws on purpose. Bugs are asserts, not exceptions.
class Error : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

/// A config, an option or an argument is wrong. what() is "pointer: message".
class ConfigError : public Error {
 public:
  /// `pointer` is the JSON pointer of the wrong value, for example "/strategy/population"; it is ""
  /// for the whole document, and what() is then the message alone.
  ConfigError(std::string pointer, const std::string& message);
  /// A message that ends with " at " and a second pointer, `other`.
  ConfigError(std::string pointer, const std::string& message, std::string other);

  const std::string& pointer() const noexcept { return pointer_; }
  /// The text without the pointer.
  const std::string& message() const noexcept { return message_; }
  /// The same in a document that holds this one at `prefix`.
  ConfigError within(const std::string& prefix) const;

 private:
  std::string pointer_;
  std::string message_;
  std::string other_;
};

/// An architecture does not belong to the search space that it was used with.
class InvalidArchitecture : public Error {
 public:
  using Error::Error;
};

/// The shapes of an operator's inputs do not fit. The text names operator, node and both shapes.
class ShapeError : public Error {
 public:
  using Error::Error;
};

/// The request is well-formed, but this build or this component cannot serve it.
class UnsupportedError : public Error {
 public:
  using Error::Error;
};

/// A file or directory cannot be read or written, or does not hold what it should. what() is
/// "path: message".
class IoError : public Error {
 public:
  IoError(std::string path, const std::string& message);

  const std::string& path() const noexcept { return path_; }

 private:
  std::string path_;
};

/// A computation left the range of its numbers: NaN, infinity, a singular matrix.
class NumericalError : public Error {
 public:
  using Error::Error;
};

/// The candidate with the smallest edit distance to `name` (insertion, deletion, substitution and
/// the swap of two neighbours cost 1 each, case is ignored); the first one of several. "" when
/// there are no candidates or none is near: more than half of the longer name would have to change.
std::string nearest(std::string_view name, std::span<const std::string> candidates);

/// "; did you mean \"x\"?" for the nearest candidate, "; known: a, b, c" where none is near, and ""
/// without candidates: the end of every message about an unknown name.
std::string suggestion(std::string_view name, std::span<const std::string> candidates);

}  // namespace espalier
