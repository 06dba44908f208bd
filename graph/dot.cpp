#include "graph/dot.hpp"

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <type_traits>
#include <vector>

#include <fmt/format.h>

namespace espalier {

namespace {

/// The text inside a quoted DOT string. Control characters would break the file or the drawing.
std::string quoted(std::string_view text) {
  std::string result;
  for (char c : text) {
    if (c == '"' || c == '\\') result += '\\';
    result += static_cast<unsigned char>(c) < 0x20 ? ' ' : c;
  }
  return result;
}

class DotWriter {
 public:
  explicit DotWriter(const Graph& graph)
      : graph_(graph), nodes_(graph.scopes().size()), children_(graph.scopes().size()) {
    std::vector<bool> used(graph.scopes().size());
    for (NodeId i = 0; i < graph.size(); ++i) {
      nodes_[graph.node(i).scope].push_back(i);
      for (ScopeId s = graph.node(i).scope; s != no_scope && !used[s]; s = graph.scope(s).parent) {
        used[s] = true;
      }
    }
    for (ScopeId s = 1; s < graph.scopes().size(); ++s) {
      if (used[s]) children_[graph.scope(s).parent].push_back(s);
    }
  }

  std::string write() {
    text_ = "digraph network {\n  node [shape=box, fontname=\"Helvetica\"];\n";
    write_scope(no_scope, 1);
    for (NodeId i = 0; i < graph_.size(); ++i) {
      const auto inputs = graph_.inputs(i);
      const bool numbered = inputs.size() > 1 && !is_commutative(graph_.node(i).op);
      for (std::size_t slot = 0; slot < inputs.size(); ++slot) {
        text_ += fmt::format("  n{} -> n{}{};\n", inputs[slot], i,
                             numbered ? fmt::format(" [headlabel=\"{}\"]", slot) : "");
      }
    }
    return text_ + "}\n";
  }

 private:
  void write_scope(ScopeId scope, int depth) {
    const std::string indent(static_cast<std::size_t>(2 * depth), ' ');
    for (NodeId i : nodes_[scope]) {
      text_ += fmt::format("{}n{} [label=\"{}\"];\n", indent, i, label(i));
    }
    for (ScopeId child : children_[scope]) {
      const Scope& s = graph_.scope(child);
      text_ += fmt::format("{}subgraph cluster_{} {{\n{}  label=\"{}{}\";\n", indent, child, indent,
                           quoted(s.name), s.kind.empty() ? "" : " (" + quoted(s.kind) + ")");
      write_scope(child, depth + 1);
      text_ += indent + "}\n";
    }
  }

  std::string label(NodeId id) const {
    const Node& node = graph_.node(id);
    std::string label = quoted(graph_.name(id)) + "\\n" + std::string(op_name(node.op));
    for (const std::string& attribute : attributes(node.op)) label += " " + quoted(attribute);
    if (const auto& q = node.compression.quantization) {
      label +=
          "\\n" + quoted(fmt::format("w{} a{}", text(q->weight_bits), text(q->activation_bits)));
    }
    return label + "\\n" + quoted(node.shape.to_string(graph_.decision_names()));
  }

  /// The attributes that differ from the operator's default.
  std::vector<std::string> attributes(const Op& op) const {
    const auto all = [&](const Op& o) {
      std::vector<std::string> list;
      for_each_attribute(o, [&](std::string_view name, const auto& member) {
        list.push_back(attribute(name, member));
      });
      return list;
    };
    const std::vector<std::string> usual =
        all(std::visit([](const auto& o) -> Op { return std::remove_cvref_t<decltype(o)>{}; }, op));
    std::vector<std::string> result = all(op);
    for (std::size_t i = result.size(); i-- > 0;) {
      const bool kind = std::holds_alternative<op::Activation>(op) ||
                        std::holds_alternative<op::Pool2d>(op) ||
                        std::holds_alternative<op::Choice>(op);
      if (result[i] == usual[i] && !(kind && i == 0)) {  // those three say what they are by it
        result.erase(result.begin() + static_cast<std::ptrdiff_t>(i));
      }
    }
    return result;
  }

  std::string text(Dim d) const { return d.to_string(graph_.decision_names()); }
  std::string attribute(std::string_view name, Dim d) const {
    return fmt::format("{} {}", name, text(d));
  }
  std::string attribute(std::string_view name, Extent e) const {
    return fmt::format("{} {}x{}", name, text(e.h), text(e.w));
  }
  std::string attribute(std::string_view name, float value) const {
    return fmt::format("{} {}", name, value);
  }
  std::string attribute(std::string_view name, bool value) const {
    return fmt::format("{}{}", value ? "" : "no ", name);
  }
  std::string attribute(std::string_view, ActivationKind kind) const {
    return std::string(activation_name(kind));
  }
  std::string attribute(std::string_view, PoolKind kind) const {
    return std::string(pool_name(kind));
  }
  std::string attribute(std::string_view name, std::uint32_t value) const {  // of a Choice
    const auto names = graph_.decision_names();
    return name == "decision" && value < names.size() ? names[value]
                                                      : fmt::format("{} {}", name, value);
  }

  const Graph& graph_;
  std::vector<std::vector<NodeId>> nodes_;      // of each scope itself
  std::vector<std::vector<ScopeId>> children_;  // that hold nodes
  std::string text_;
};

}  // namespace

std::string to_dot(const Graph& graph) { return DotWriter(graph).write(); }

}  // namespace espalier
