#include "core/progress.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <mutex>
#include <optional>
#include <utility>

#include "core/log.hpp"
#include "core/status_line.hpp"

namespace espalier {
namespace {

// "75 s", "12 min", "3.5 h".
std::string duration(double seconds) {
  if (seconds < 100) return fmt::format("{:.0f} s", seconds);
  if (seconds < 6000) return fmt::format("{:.0f} min", seconds / 60);
  return fmt::format("{:.1f} h", seconds / 3600);
}

double monotonic_seconds() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

}  // namespace

std::string progress_line(std::string_view label, std::uint64_t done, std::uint64_t total,
                          double elapsed, std::string_view note, int width, std::uint64_t before) {
  std::string line(label);
  if (total == 0) {
    line += fmt::format(" {}", done);
  } else {
    constexpr int cells = 20;
    const double fraction = std::min(1.0, static_cast<double>(done) / static_cast<double>(total));
    const int full = static_cast<int>(fraction * cells);
    line += fmt::format(" [{:#<{}}{:.<{}}] {}/{}", "", full, "", cells - full, done, total);
    if (done >= total) {
      line += fmt::format(", {}", duration(elapsed));
    } else if (done > before) {
      const double each = elapsed / static_cast<double>(done - before);
      line += fmt::format(", {} left", duration(each * static_cast<double>(total - done)));
    }
  }
  if (!note.empty()) line += fmt::format(", {}", note);
  if (width > 0 && line.size() > static_cast<std::size_t>(width)) {
    line.resize(static_cast<std::size_t>(width));
  }
  return line;
}

struct Progress::Implementation {
  std::mutex mutex;
  std::string label;
  std::uint64_t total;
  ProgressOptions options;
  double start = 0;
  double shown_at = 0;
  std::uint64_t done = 0;
  std::string note;
  std::optional<std::pair<std::uint64_t, std::string>> shown;

  void show(double now) {
    const bool bar = options.style == ProgressOptions::Style::bar;
    shown_at = now;
    shown = {done, note};
    // The last column stays free: some terminals break the line when it is written.
    const int width = bar ? detail::stderr_width() - 1 : 0;
    const std::string line =
        progress_line(label, done, total, now - start, note, width, options.done);
    if (options.show) {
      options.show(line);
    } else if (bar) {
      detail::set_status(line);
    } else {
      detail::print_line(line);
    }
  }
};

Progress::Progress(std::string label, std::uint64_t total, ProgressOptions options)
    : implementation_(std::make_unique<Implementation>()) {
  using Style = ProgressOptions::Style;
  Implementation& state = *implementation_;
  if (options.style == Style::automatic) {
    options.style = log_level() > LogLevel::info   ? Style::none
                    : detail::stderr_is_terminal() ? Style::bar
                                                   : Style::lines;
  }
  if (!options.now) options.now = monotonic_seconds;
  state.label = std::move(label);
  state.total = total;
  state.options = std::move(options);
  state.done = state.options.done;
  state.start = state.shown_at = state.options.now();
}

Progress::~Progress() {
  Implementation& state = *implementation_;
  if (state.options.style == ProgressOptions::Style::none) return;
  if (state.shown != std::pair{state.done, state.note}) state.show(state.options.now());
  if (state.options.style == ProgressOptions::Style::bar && !state.options.show) {
    detail::keep_status();
  }
}

void Progress::update(std::uint64_t done, std::string_view note) {
  using Style = ProgressOptions::Style;
  Implementation& state = *implementation_;
  if (state.options.style == Style::none) return;
  const std::lock_guard lock(state.mutex);
  state.done = done;
  state.note = note;
  const double now = state.options.now();
  const double interval =
      state.options.style == Style::bar ? state.options.bar_interval : state.options.line_interval;
  if (now - state.shown_at >= interval) state.show(now);
}

}  // namespace espalier
