// The one line at the bottom of the terminal that messages and progress share. For core only.
#pragma once

#include <string>
#include <string_view>

namespace espalier::detail {

/// Writes a whole line to stderr, above the status line where there is one.
void print_line(std::string_view line);

/// Draws the status line anew.
void set_status(std::string line);
/// Makes the status line a plain line of the screen, so that there is none any more.
void keep_status();

/// Whether stderr is a terminal, and its width in columns (80 when it is unknown).
bool stderr_is_terminal();
int stderr_width();

}  // namespace espalier::detail
