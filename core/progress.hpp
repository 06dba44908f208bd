// How far a long computation is, on stderr.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

namespace espalier {

/// One line of progress: label, bar, count, time left and `note`, cut to `width` columns. `elapsed`
/// is in seconds; of the steps that are done, `before` took none of it. A total of 0 is unknown: no
/// bar and no time.
std::string progress_line(std::string_view label, std::uint64_t done, std::uint64_t total,
                          double elapsed, std::string_view note, int width,
                          std::uint64_t before = 0);

/// How progress is shown.
struct ProgressOptions {
  /// `bar` redraws one line, `lines` prints a new one now and then, `none` prints nothing;
  /// `automatic` is a bar on a terminal, else lines, and none where the log level hides
  /// information.
  enum class Style { automatic, bar, lines, none };
  Style style = Style::automatic;
  std::uint64_t done = 0;  ///< steps that were done before it began
  /// Seconds between two redraws of a bar, and between two lines.
  double bar_interval = 0.1;
  double line_interval = 10;
  /// The present, in seconds; by default a monotonic clock.
  std::function<double()> now = {};
  /// Takes each line that is shown; by default it goes to stderr.
  std::function<void(const std::string& line)> show = {};
};

/// Shows the progress of one computation from its construction to its destruction. Thread-safe.
class Progress {
 public:
  /// `total` counts steps of any kind; 0 when it is unknown.
  Progress(std::string label, std::uint64_t total, ProgressOptions options = {});
  /// Shows the last state; of a bar, the line stays on the screen.
  ~Progress();
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  /// Reports that `done` steps are done; `note` is a short text, such as the best value so far.
  /// Takes well under a microsecond when it is too early to show anything.
  void update(std::uint64_t done, std::string_view note = "");

 private:
  struct Implementation;
  std::unique_ptr<Implementation> implementation_;
};

}  // namespace espalier
