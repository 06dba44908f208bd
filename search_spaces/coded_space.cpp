#include "search_spaces/coded_space.hpp"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include "core/error.hpp"

namespace espalier {

CodedSpace::CodedSpace(Supergraph supergraph, ArchitectureCode code)
    : SupergraphSpace(std::move(supergraph)), code_(std::move(code)) {
  if (code_.decisions > decisions().size()) {
    throw ConfigError("", fmt::format("the code covers {} decisions, but the space has {}",
                                      code_.decisions, decisions().size()));
  }
}

std::string CodedSpace::to_string(const Architecture& a) const {
  std::string text = code_.write(std::span(a.choices).first(code_.decisions));
  for (std::size_t d = code_.decisions; d < decisions().size(); ++d) {
    text += "," + decisions()[d].name + "=" + choice_label(decisions()[d], a.choices.at(d));
  }
  return text;
}

Architecture CodedSpace::parse(std::string_view text) const {
  const bool coded_only = code_.decisions == decisions().size();
  const std::size_t end = coded_only ? text.size() : std::min(text.find(','), text.size());
  const Architecture a{code_.read(text.substr(0, end))};
  bool known = a.choices.size() == code_.decisions;
  for (std::size_t d = 0; known && d < code_.decisions; ++d) {
    known = a.choices[d] < choice_counts()[d];
  }
  if (!known) {
    throw InvalidArchitecture(
        fmt::format("'{}' is no architecture of this space; write for "
                    "example {}",
                    text, code_.example));
  }
  if (coded_only) return a;
  // The rest is in the default form, whose parser wants every decision.
  std::string labels;
  for (std::size_t d = 0; d < code_.decisions; ++d) {
    labels +=
        (d > 0 ? "," : "") + decisions()[d].name + "=" + choice_label(decisions()[d], a.choices[d]);
  }
  return SearchSpace::parse(labels + std::string(text.substr(end)));
}

}  // namespace espalier
