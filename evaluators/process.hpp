// Running a program of the user's: input, output, time limit.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace espalier::detail {

/// What a finished program left.
struct ProcessResult {
  std::string output;            ///< its stdout
  std::string error_tail;        ///< at most the last 2,000 bytes of its stderr, whole characters
  int exit_code = 0;             ///< 128 + the signal's number when a signal ended it
  bool timed_out = false;        ///< it was killed at the time limit
  bool too_much_output = false;  ///< it was killed after max_output bytes on stdout
};

inline constexpr std::size_t max_output = std::size_t{1} << 20;

/// Runs argv[0] (looked up in PATH) with `input` on its stdin, in a process group of its own, and
/// waits. When it ends, at the time limit, when it writes too much, or when this process ends,
/// however that happens, what is left of the group is killed; no zombie stays. Throws IoError when
/// it cannot be started. Thread-safe.
ProcessResult run_process(const std::vector<std::string>& argv, std::string_view input,
                          double timeout_seconds);

}  // namespace espalier::detail
