#include "core/status_line.hpp"

#include <sys/ioctl.h>
#include <unistd.h>

#include <cstdio>
#include <mutex>
#include <utility>

namespace espalier::detail {
namespace {

std::mutex mutex;
std::string status;

void write(const std::string& text) {
  std::fwrite(text.data(), 1, text.size(), stderr);
  std::fflush(stderr);
}

}  // namespace

void print_line(std::string_view line) {
  const std::lock_guard lock(mutex);
  std::string text = status.empty() ? "" : "\r\033[K";
  text.append(line).append("\n").append(status);
  write(text);
}

void set_status(std::string line) {
  const std::lock_guard lock(mutex);
  status = std::move(line);
  write("\r\033[K" + status);
}

void keep_status() {
  const std::lock_guard lock(mutex);
  if (!status.empty()) write("\n");
  status.clear();
}

bool stderr_is_terminal() { return ::isatty(STDERR_FILENO) == 1; }

int stderr_width() {
  winsize size{};
  const bool known = ::ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0;
  return known ? size.ws_col : 80;
}

}  // namespace espalier::detail
