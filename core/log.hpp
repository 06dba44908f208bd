// Messages for the user, on stderr. stdout belongs to results.
#pragma once

#include <string_view>

namespace espalier {

/// What is shown: messages of this level and above. `warning` is the quiet mode: no progress
/// either.
enum class LogLevel { debug, info, warning, error };

void set_log_level(LogLevel level);
LogLevel log_level();

/// Each writes one line. Thread-safe; a line and a progress bar do not mix.
void log_debug(std::string_view text);
void log_info(std::string_view text);
void log_warning(std::string_view text);
void log_error(std::string_view text);

}  // namespace espalier
