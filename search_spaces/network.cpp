#include "search_spaces/network.hpp"

#include <algorithm>
#include <map>
#include <set>
#include <utility>

#include <fmt/format.h>

#include "core/error.hpp"
#include "core/json.hpp"
#include "graph/json.hpp"
#include "graph/nets.hpp"
#include "graph/onnx_import.hpp"
#include "graph/passes.hpp"
#include "search_spaces/stages.hpp"

namespace espalier {

const OptionTable<NetworkSpaceOptions>& network_space_options() {
  static const auto table =
      OptionTable<NetworkSpaceOptions>(
          "the space around a network of your own: elastic depth, kernels, channels and bits")
          .add("network", &NetworkSpaceOptions::network,
               "an ONNX model (.onnx), a network's .json file, or a reference network's name")
          .add("kernels", &NetworkSpaceOptions::kernels,
               "kernel sizes to choose from besides each convolution's own, odd; none: they stay",
               between(1, 63))
          .add("depth", &NetworkSpaceOptions::depth,
               "whether rows of equal blocks may be cut short")
          .add("compression", &NetworkSpaceOptions::compression, "what else is searched",
               compression_options())
          .check([](const NetworkSpaceOptions& o) { check_odd_distinct("/kernels", o.kernels); });
  return table;
}

namespace {

/// Equal blocks, one after the other.
struct Row {
  std::vector<NodeId> ends;  ///< the node before the first block, then each block's last node
  bool residual = false;     ///< the row may run no block at all
};

/// The nodes that every path from the input to the output runs through, ascending.
std::vector<NodeId> bottlenecks(const Graph& graph) {
  std::vector<NodeId> last_reader(graph.size());
  for (NodeId i = 0; i < graph.size(); ++i) {
    last_reader[i] = i;
    for (NodeId input : graph.inputs(i)) last_reader[input] = i;
  }
  std::vector<NodeId> result;
  NodeId reached = 0;  // the furthest reader of the nodes before
  for (NodeId i = 0; i < graph.size(); ++i) {
    if (reached <= i) result.push_back(i);
    reached = std::max(reached, last_reader[i]);
  }
  return result;
}

class RowFinder {
 public:
  explicit RowFinder(const Graph& graph) : graph_(graph), cuts_(bottlenecks(graph)) {
    for (std::size_t s = 0; s + 1 < cuts_.size(); ++s) segments_.push_back(segment(s));
  }

  std::vector<Row> find() const {
    std::vector<Row> rows;
    for (std::size_t at = 0; at < segments_.size();) {
      // The repetition that covers most; else the shortest single block that can be skipped.
      std::size_t period = 0, count = 0;
      for (std::size_t p = 1; p <= longest && at + p <= segments_.size(); ++p) {
        if (!is_block(at, p)) continue;
        std::size_t n = 1;
        while (at + (n + 1) * p <= segments_.size() && equal(at, at + n * p, p)) ++n;
        const bool better = n > 1 && (count < 2 || n * p > count * period);
        if (better || (period == 0 && residual(at, p))) period = p, count = n;
      }
      if (period == 0) {
        ++at;
        continue;
      }
      Row row{.ends = {}, .residual = residual(at, period)};
      for (std::size_t k = 0; k <= count; ++k) row.ends.push_back(cuts_[at + k * period]);
      rows.push_back(std::move(row));
      at += count * period;
    }
    return rows;
  }

 private:
  static constexpr std::size_t longest = 24;  // segments of a block
  struct Segment {
    std::string text;       // operators, bits and wiring
    bool weighted = false;  // has a convolution or linear layer
    bool skips = false;     // its end is the sum of its start and something else
  };

  Segment segment(std::size_t s) const {
    const NodeId begin = cuts_[s], end = cuts_[s + 1];
    Segment result;
    for (NodeId i = begin + 1; i <= end; ++i) {
      const Node& node = graph_.node(i);
      result.text += op_name(node.op);
      for_each_attribute(node.op, [&](std::string_view, const auto& member) {
        using T = std::remove_cvref_t<decltype(member)>;
        if constexpr (std::is_same_v<T, Dim>) {
          result.text += fmt::format(" {}", member.value());
        } else if constexpr (std::is_same_v<T, Extent>) {
          result.text += fmt::format(" {}x{}", member.h.value(), member.w.value());
        } else if constexpr (std::is_same_v<T, float>) {
          result.text += fmt::format(" {}", member);
        } else {
          result.text += fmt::format(" {}", static_cast<int>(member));
        }
      });
      if (const auto& q = node.compression.quantization) {
        result.text += fmt::format(" w{}a{}", q->weight_bits.value(), q->activation_bits.value());
      }
      for (NodeId input : graph_.inputs(i)) result.text += fmt::format(" <{}", input - begin);
      result.text += ';';
      result.weighted = result.weighted || std::holds_alternative<op::Conv2d>(node.op) ||
                        std::holds_alternative<op::Linear>(node.op) ||
                        std::holds_alternative<op::DeformConv2d>(node.op);
    }
    const auto inputs = graph_.inputs(end);
    result.skips = std::holds_alternative<op::Add>(graph_.node(end).op) &&
                   std::ranges::find(inputs, begin) != inputs.end();
    return result;
  }

  bool is_block(std::size_t at, std::size_t period) const {
    return segments_[at].weighted &&
           graph_.node(cuts_[at]).shape == graph_.node(cuts_[at + period]).shape &&
           !std::holds_alternative<op::Output>(graph_.node(cuts_[at + period]).op);
  }
  bool equal(std::size_t a, std::size_t b, std::size_t period) const {
    for (std::size_t k = 0; k < period; ++k) {
      if (segments_[a + k].text != segments_[b + k].text) return false;
    }
    return true;
  }
  /// Every weighted part of the block can be skipped.
  bool residual(std::size_t at, std::size_t period) const {
    for (std::size_t s = at; s < at + period; ++s) {
      if (segments_[s].weighted && !segments_[s].skips) return false;
    }
    return true;
  }

  const Graph& graph_;
  std::vector<NodeId> cuts_;
  std::vector<Segment> segments_;
};

bool opens_kernel(const op::Conv2d& conv) {
  const auto size = [](Dim d) { return d.value(); };
  const std::int64_t k = size(conv.kernel.h);
  return k == size(conv.kernel.w) && k > 1 && k % 2 == 1 &&
         conv.padding.h == conv.dilation.h * Dim((k - 1) / 2) &&
         conv.padding.w == conv.dilation.w * Dim((k - 1) / 2);
}

/// Copies nodes with the names and scopes that they have, so that weights of the network fit.
class NetworkBuilder : public SupergraphBuilder {
 public:
  /// Opens the numbers of `kernels` for convolutions that keep the size, and copies the scopes: one
  /// whose kernel is that of a single convolution has that of it, and one whose convolutions choose
  /// each for itself has none.
  NetworkBuilder(const Graph& network, const std::vector<std::int64_t>& kernels) {
    std::map<ScopeId, std::vector<Dim>> of_scope;
    for (NodeId i = 0; i < network.size(); ++i) {
      const auto* conv = std::get_if<op::Conv2d>(&network.node(i).op);
      if (conv == nullptr || kernels.empty() || !opens_kernel(*conv)) continue;
      std::set<std::int64_t> sizes(kernels.begin(), kernels.end());
      sizes.insert(conv->kernel.h.value());
      const std::vector<std::int64_t> all(sizes.begin(), sizes.end());
      if (all.size() < 2) continue;
      const Dim kernel = kernels_[i] = number("kernel." + network.name(i), all);
      for (ScopeId s = network.node(i).scope; s != no_scope; s = network.scope(s).parent) {
        if (network.scope_attribute(s, "kernel") != conv->kernel.h.value()) continue;
        of_scope[s].push_back(kernel);
        break;
      }
    }
    for (ScopeId s = 1; s < network.scopes().size(); ++s) {
      const Scope& scope = network.scope(s);
      const std::string& above = network.scope(scope.parent).name;
      std::vector<std::pair<std::string, Dim>> attributes;
      for (const auto& [name, number] : network.scope_attributes(s)) {
        const auto opened = of_scope.find(s);
        if (name != "kernel" || opened == of_scope.end()) {
          attributes.emplace_back(name, number);
        } else if (opened->second.size() == 1) {
          attributes.emplace_back(name, opened->second[0]);
        }
      }
      graph_.add_scope(above.empty() ? scope.name : scope.name.substr(above.size() + 1), scope.kind,
                       scope.parent, std::move(attributes));
    }
  }
  NodeId copy(const Graph& network, NodeId id, std::span<const NodeId> inputs) {
    const Node& node = network.node(id);
    Op op = node.op;
    if (const auto opened = kernels_.find(id); opened != kernels_.end()) {
      auto& conv = std::get<op::Conv2d>(op);
      const auto same = [](std::int64_t k, std::int64_t d) { return d * (k - 1) / 2; };
      const Dim kernel = opened->second;
      conv.padding = Extent(map(same, kernel, conv.dilation.h), map(same, kernel, conv.dilation.w));
      conv.kernel = Extent(kernel);
    }
    return graph_.add(op, inputs, network.name(id), node.scope, node.compression);
  }

 private:
  std::map<NodeId, Dim> kernels_;  // of convolutions that have several
};

Graph read_network(const std::string& network) {
  if (network.ends_with(".onnx")) return import_onnx(network).graph;
  if (network.ends_with(".json")) {
    const Json json = read_json_file(network);
    const bool wrapped = json.is_object() && json.contains("graph");
    return graph_from_json(wrapped ? json["graph"] : json, wrapped ? "/graph" : "");
  }
  try {
    return build_net(network);
  } catch (const ConfigError& error) {
    throw ConfigError("/network", error.message() + "; files end in .onnx or .json");
  }
}

}  // namespace

Supergraph open_network(const Graph& network, const std::vector<std::int64_t>& kernels,
                        bool depth) {
  if (!network.concrete()) {
    throw InvalidArchitecture("the network has open decisions already; give a concrete one");
  }
  const Graph old = dead_code_elimination(network);
  const std::vector<Row> rows = depth ? RowFinder(old).find() : std::vector<Row>();
  NetworkBuilder builder(old, kernels);
  std::vector<NodeId> id_of(old.size());
  std::size_t row = 0;
  for (NodeId i = 0; i < old.size(); ++i) {
    std::vector<NodeId> inputs;
    for (NodeId input : old.inputs(i)) inputs.push_back(id_of[input]);
    id_of[i] = builder.copy(old, i, inputs);
    if (row < rows.size() && rows[row].ends.back() == i) {
      const Row& r = rows[row++];
      Decision decision{.name = "depth." + old.name(r.ends[0] + 1), .options = {}, .ordinal = true};
      std::vector<NodeId> taps;
      for (std::size_t k = r.residual ? 0 : 1; k < r.ends.size(); ++k) {
        decision.options.push_back(std::to_string(k));
        taps.push_back(id_of[r.ends[k]]);
      }
      id_of[i] = builder.choice(builder.decide(decision), taps, decision.name);
    }
  }
  return builder.finish();
}

std::unique_ptr<SupergraphSpace> make_network_space(const NetworkSpaceOptions& options) {
  network_space_options().validate(options);
  return std::make_unique<SupergraphSpace>(
      open_compression(open_network(read_network(options.network), options.kernels, options.depth),
                       options.compression));
}

}  // namespace espalier
