#include "core/log.hpp"

#include <spdlog/logger.h>
#include <spdlog/sinks/base_sink.h>

#include <memory>
#include <mutex>
#include <string>

#include "core/status_line.hpp"

namespace espalier {
namespace {

// Sends each message to stderr, above the progress bar.
class StatusLineSink : public spdlog::sinks::base_sink<std::mutex> {
 protected:
  void sink_it_(const spdlog::details::log_msg& message) override {
    spdlog::memory_buf_t text;
    formatter_->format(message, text);
    detail::print_line({text.data(), text.size()});
  }
  void flush_() override {}
};

spdlog::level::level_enum to_spdlog(LogLevel level) {
  switch (level) {
    case LogLevel::debug:
      return spdlog::level::debug;
    case LogLevel::info:
      return spdlog::level::info;
    case LogLevel::warning:
      return spdlog::level::warn;
    case LogLevel::error:
      break;
  }
  return spdlog::level::err;
}

// Plain text for information, as a program's messages are; the level's name before the rest.
class Formatter : public spdlog::formatter {
 public:
  void format(const spdlog::details::log_msg& message, spdlog::memory_buf_t& out) override {
    if (message.level != spdlog::level::info) {
      const auto name = spdlog::level::to_string_view(message.level);
      out.append(name.data(), name.data() + name.size());
      constexpr std::string_view separator = ": ";
      out.append(separator.begin(), separator.end());
    }
    out.append(message.payload.data(), message.payload.data() + message.payload.size());
  }
  std::unique_ptr<spdlog::formatter> clone() const override {
    return std::make_unique<Formatter>();
  }
};

spdlog::logger& logger() {
  static spdlog::logger logger = [] {
    spdlog::logger made("espalier", std::make_shared<StatusLineSink>());
    made.set_formatter(std::make_unique<Formatter>());
    return made;
  }();
  return logger;
}

}  // namespace

void set_log_level(LogLevel level) { logger().set_level(to_spdlog(level)); }

LogLevel log_level() {
  for (const LogLevel level : {LogLevel::debug, LogLevel::info, LogLevel::warning}) {
    if (logger().should_log(to_spdlog(level))) return level;
  }
  return LogLevel::error;
}

void log_debug(std::string_view text) { logger().debug("{}", text); }
void log_info(std::string_view text) { logger().info("{}", text); }
void log_warning(std::string_view text) { logger().warn("{}", text); }
void log_error(std::string_view text) { logger().error("{}", text); }

}  // namespace espalier
