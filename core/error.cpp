#include "core/error.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cctype>
#include <vector>

namespace espalier {
namespace {

// The optimal string alignment distance, ignoring case.
std::size_t edit_distance(std::string_view a, std::string_view b) {
  const auto lower = [](char c) { return std::tolower(static_cast<unsigned char>(c)); };
  std::vector<std::size_t> before(b.size() + 1), above(b.size() + 1), row(b.size() + 1);
  for (std::size_t j = 0; j <= b.size(); ++j) row[j] = j;
  for (std::size_t i = 1; i <= a.size(); ++i) {
    before.swap(above);
    above.swap(row);
    row[0] = i;
    for (std::size_t j = 1; j <= b.size(); ++j) {
      const bool equal = lower(a[i - 1]) == lower(b[j - 1]);
      row[j] = std::min({above[j] + 1, row[j - 1] + 1, above[j - 1] + (equal ? 0 : 1)});
      if (i > 1 && j > 1 && lower(a[i - 1]) == lower(b[j - 2]) &&
          lower(a[i - 2]) == lower(b[j - 1])) {
        row[j] = std::min(row[j], before[j - 2] + 1);
      }
    }
  }
  return row[b.size()];
}

}  // namespace

ConfigError::ConfigError(std::string pointer, const std::string& message)
    : Error(pointer.empty() ? message : pointer + ": " + message),
      pointer_(std::move(pointer)),
      message_(message) {}

ConfigError::ConfigError(std::string pointer, const std::string& message, std::string other)
    : ConfigError(std::move(pointer), message + " at " + other) {
  other_ = std::move(other);
}

ConfigError ConfigError::within(const std::string& prefix) const {
  if (other_.empty()) return {prefix + pointer_, message_};
  const std::size_t end = message_.size() - other_.size() - std::string_view(" at ").size();
  return {prefix + pointer_, message_.substr(0, end), prefix + other_};
}

IoError::IoError(std::string path, const std::string& message)
    : Error(path + ": " + message), path_(std::move(path)) {}

std::string nearest(std::string_view name, std::span<const std::string> candidates) {
  std::string best;
  std::size_t best_distance = 0;
  for (const std::string& candidate : candidates) {
    const std::size_t distance = edit_distance(name, candidate);
    if (distance * 2 > std::max(name.size(), candidate.size())) continue;
    if (best.empty() || distance < best_distance) {
      best = candidate;
      best_distance = distance;
    }
  }
  return best;
}

std::string suggestion(std::string_view name, std::span<const std::string> candidates) {
  if (candidates.empty()) return "";
  const std::string best = nearest(name, candidates);
  if (!best.empty()) return fmt::format("; did you mean \"{}\"?", best);
  return fmt::format("; known: {}", fmt::join(candidates, ", "));
}

}  // namespace espalier
