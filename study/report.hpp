// The page that shows a run.
#pragma once

#include <filesystem>
#include <string>

#include "study/results.hpp"

namespace espalier {

/// One self-contained HTML page: the front, the best value so far, the chosen network with its
/// drawing (where the program `dot` of Graphviz is installed), and the front as a table.
/// `directory` is the run's; what its best/ holds is shown, too. Throws IoError.
std::string report_html(const Results& results, const std::filesystem::path& directory);

}  // namespace espalier
