// The program `espalier`.
#pragma once

#include "study/catalogue.hpp"

namespace espalier {

/// Runs the program with the components of a catalogue: your own main() extends the standard one
/// and returns what this returns. Exit codes: 0 ok, 2 a config or an argument that
/// cannot be used, 3 a file, 4 the run failed, 130 after Ctrl-C. Throws nothing.
int run_program(int argc, char** argv, const Catalogue& catalogue);

}  // namespace espalier
