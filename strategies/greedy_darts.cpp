#include "strategies/greedy_darts.hpp"

#include <ATen/ATen.h>
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <iterator>
#include <map>
#include <numeric>
#include <string>

#include "core/error.hpp"
#include "core/json.hpp"

namespace espalier {
namespace {

/// Positions of the decisions on operators, by kind of cell.
std::map<std::string, std::vector<std::size_t>> edges_by_kind(
    std::span<const RelaxedDecision> decisions) {
  std::map<std::string, std::vector<std::size_t>> result;
  for (std::size_t d = 0; d < decisions.size(); ++d) {
    if (decisions[d].operators) result[cell_kind(decisions[d])].push_back(d);
  }
  return result;
}

/// To [0, 1]; all 1 where they are equal.
void scale(std::vector<double>& values) {
  const auto [low, high] = std::ranges::minmax(values);
  for (double& value : values) value = high > low ? (value - low) / (high - low) : 1;
}

/// Epochs between as many decisions as there are; 0 where those left are too few.
int interval_of(int left, std::size_t count) {
  return left <= 0 ? 0 : left / static_cast<int>(std::max<std::size_t>(1, count));
}

/// Throws ConfigError where decisions after the first `first` epochs would be of an architecture
/// that has not learned yet.
void require_learned(const std::string& pointer, int first, int alone) {
  if (first > alone) return;
  throw ConfigError(pointer,
                    fmt::format("after {} epochs nothing can be decided, since weights learn alone "
                                "for {}; write a larger share, or a smaller \"warmup\"",
                                first, alone));
}

UnsupportedError nothing_to_decide(const char* name) {
  return UnsupportedError(
      fmt::format("\"{}\" decides on operators one after the other, but this "
                  "space has none to choose; take \"darts\"",
                  name));
}

}  // namespace

// ---- SGAS

OptionTable<SgasOptions> sgas_option_table() {
  OptionTable<SgasOptions> table("SGAS: edges are decided for good, one by one");
  table
      .add("criterion", &SgasOptions::criterion,
           "which edge comes next: an important and certain one, or a stable one, too",
           named<SgasCriterion>(
               {{"certain", SgasCriterion::certain}, {"stable", SgasCriterion::stable}}))
      .add("first_decision", &SgasOptions::first_decision, "share of the epochs before it",
           Range{.low = 0, .high = 1, .high_open = true})
      .add("history", &SgasOptions::history, "of the criterion stable: epochs, by default 4",
           at_least(1));
  return add_darts_options(table);
}

Sgas::Sgas(const RunContext& context, const SgasOptions& options)
    : Darts(context, options, "sgas", architecture_optimizer(options)),
      criterion_(options.criterion),
      first_(1 + static_cast<int>(std::lround(options.first_decision * training().epochs()))),
      history_(static_cast<std::size_t>(options.history.value_or(4))),
      decided_(parameters().decisions().size()) {
  if (options.history && criterion_ != SgasCriterion::stable) {
    throw ConfigError(
        "/history",
        "the criterion \"certain\" looks at no past epochs; write \"stable\", or leave "
        "it out");
  }
  require_learned("/first_decision", first_, warmup_epochs(training().epochs()));
  // Of each kind of cell as many decisions as it keeps edges, and an interval after the last one.
  const std::span<const RelaxedDecision> decisions = parameters().decisions();
  std::size_t most = 0;
  for (const auto& [kind, edges] : edges_by_kind(decisions)) {
    std::size_t count = edges.size();
    for (const RelaxedDecision& d : decisions) {
      if (!d.told_apart || cell_kind(d) != kind) continue;
      const auto own = std::ranges::count_if(d.edges, [&](const auto& edge) {
        return edge && decisions[*edge].input && cell_kind(decisions[*edge]) == kind &&
               readers(*edge) == 1;
      });
      count -= static_cast<std::size_t>(std::max<std::ptrdiff_t>(0, own - d.pick));
    }
    most = std::max(most, count);
  }
  if (most == 0) throw nothing_to_decide("sgas");
  interval_ = interval_of(training().epochs() - first_, most);
  if (interval_ == 0) {
    throw ConfigError("/first_decision",
                      fmt::format("{} epochs after the first {} are too few for {} decisions one "
                                  "after the other; write more epochs, or a smaller share",
                                  std::max(0, training().epochs() - first_), first_, most));
  }
  start();
}

std::size_t Sgas::readers(std::size_t edge) const {
  const std::span<const RelaxedDecision> decisions = parameters().decisions();
  std::size_t count = 0;
  for (std::size_t node = 0; node < decisions.size(); ++node) {
    if (decisions[node].pick == 1) continue;
    for (const std::size_t s : kept(node)) {
      if (decisions[node].edges[s] == edge) ++count;
    }
  }
  return count;
}

void Sgas::end_epoch(const Rng&) {
  const std::span<const RelaxedDecision> decisions = parameters().decisions();
  Strengths now = strengths();
  for (std::size_t d = 0; d < now.size(); ++d) {
    if (!decided_[d].empty()) now[d] = decided_[d];
  }
  const bool due = epoch() >= first_ && (epoch() - first_) % interval_ == 0;
  for (const auto& [kind, edges] : edges_by_kind(decisions)) {
    if (!due) break;
    // Weights of operators given that the edge is there, and the share of that.
    std::vector<double> importance, certainty, stability;
    const auto operators = [&](const Strengths& at, std::size_t d, double& open) {
      std::vector<double> values(at[d].begin(),
                                 at[d].begin() + static_cast<std::ptrdiff_t>(decisions[d].options));
      if (decisions[d].zero) values[*decisions[d].zero] = 0;
      open = std::accumulate(values.begin(), values.end(), 0.0);
      for (double& value : values) value /= open > 0 ? open : 1;
      return values;
    };
    for (const std::size_t d : edges) {
      double open = 0;
      const std::vector<double> own = operators(now, d, open);
      double entropy = 0;
      for (const double p : own) entropy -= p > 0 ? p * std::log(p) : 0;
      const auto options = static_cast<double>(own.size() - (decisions[d].zero ? 1 : 0));
      importance.push_back(open);
      certainty.push_back(options > 1 ? 1 - entropy / std::log(options) : 1);
      double stable = 0;
      for (const Strengths& before : past_) {
        double then_open = 0;
        const std::vector<double> then = operators(before, d, then_open);
        for (std::size_t k = 0; k < own.size(); ++k) stable += std::min(own[k], then[k]);
      }
      stability.push_back(past_.empty() ? 0 : stable / static_cast<double>(past_.size()));
    }
    scale(importance);
    scale(certainty);
    scale(stability);
    std::optional<std::size_t> best;
    double highest = 0;
    for (std::size_t i = 0; i < edges.size(); ++i) {
      if (kept(edges[i]).size() <= 1) continue;
      const double value =
          importance[i] * certainty[i] * (criterion_ == SgasCriterion::stable ? stability[i] : 1);
      if (!best || value > highest) {
        best = i;
        highest = value;
      }
    }
    if (!best) continue;
    const std::size_t d = edges[*best];
    std::size_t strongest_option = decisions[d].options;
    for (std::size_t k = 0; k < decisions[d].options; ++k) {
      if (decisions[d].zero == k) continue;
      if (strongest_option == decisions[d].options || now[d][k] > now[d][strongest_option]) {
        strongest_option = k;
      }
    }
    keep(d, std::array{strongest_option});
    decided_[d] = now[d];
    // A node that has all its inputs loses the others; one whose inputs have weights of their own
    // is left to these.
    for (std::size_t node = 0; node < decisions.size(); ++node) {
      const std::vector<std::size_t> left = kept(node);
      if (!decisions[node].told_apart ||
          left.size() <= static_cast<std::size_t>(decisions[node].pick)) {
        continue;
      }
      std::vector<std::size_t> decided;
      std::ranges::copy_if(left, std::back_inserter(decided), [&](std::size_t s) {
        return kept(*decisions[node].edges[s]).size() == 1;
      });
      if (decided.size() < static_cast<std::size_t>(decisions[node].pick)) continue;
      keep(node, decided);
      for (const std::size_t s : left) {
        const std::size_t edge = *decisions[node].edges[s];
        if (!decided_[edge].empty() || !decisions[edge].input || readers(edge) > 0) continue;
        keep(edge, std::array<std::size_t, 1>{0});
        decided_[edge] = now[edge];
      }
    }
  }
  past_.push_back(now);
  if (past_.size() > history_) past_.erase(past_.begin());
}

// ---- DARTS-PT

OptionTable<DartsPtOptions> darts_pt_option_table() {
  OptionTable<DartsPtOptions> table("DARTS-PT: operators are selected by what they are worth");
  table
      .add("supernet_share", &DartsPtOptions::supernet_share,
           "of the epochs, before the first selection",
           Range{.low = 0, .high = 1, .low_open = true, .high_open = true})
      .add("batches", &DartsPtOptions::batches, "of images for each accuracy", at_least(1));
  return add_darts_options(table);
}

DartsPt::DartsPt(const RunContext& context, const DartsPtOptions& options)
    : Darts(context, options, "darts_pt", architecture_optimizer(options)),
      first_(
          std::max(1, static_cast<int>(std::lround(options.supernet_share * training().epochs())))),
      batches_(options.batches) {
  require_learned("/supernet_share", first_, warmup_epochs(training().epochs()));
  std::size_t count = 0;
  for (const auto& [kind, edges] : edges_by_kind(parameters().decisions())) {
    count = std::max(count, edges.size());
  }
  for (const RelaxedDecision& d : parameters().decisions()) count += d.pick > 1 ? 1 : 0;
  if (count == 0) throw nothing_to_decide("darts_pt");
  interval_ = interval_of(training().epochs() - first_, count - 1);
  if (interval_ == 0) {
    throw ConfigError("/supernet_share",
                      fmt::format("{} epochs after the first {} are too few for {} selections one "
                                  "after the other; write more epochs, or a smaller share",
                                  training().epochs() - first_, first_, count));
  }
  start();
}

void DartsPt::end_epoch(const Rng& rng) {
  if (epoch() < first_ || (epoch() - first_) % interval_ != 0) return;
  const std::span<const RelaxedDecision> decisions = parameters().decisions();
  bool selected = false;
  for (const auto& [kind, edges] : edges_by_kind(decisions)) {
    std::vector<std::size_t> open;
    for (const std::size_t d : edges) {
      if (kept(d).size() > 1) open.push_back(d);
    }
    if (open.empty()) continue;
    Rng draw = rng.fork(kind);
    select_operator(open[draw.below(open.size())], draw);
    selected = true;
  }
  if (selected) return;
  std::vector<std::size_t> nodes;
  for (std::size_t d = 0; d < decisions.size(); ++d) {
    const std::size_t left = kept(d).size();
    if (decisions[d].pick > 1 && left > static_cast<std::size_t>(decisions[d].pick)) {
      nodes.push_back(d);
    }
  }
  if (nodes.empty()) return;
  Rng draw = rng.fork("node");
  select_inputs(nodes[draw.below(nodes.size())], draw);
}

void DartsPt::select_operator(std::size_t d, const Rng& rng) {
  const MixedWeights weights = expected_weights();
  std::optional<std::size_t> best;
  double lowest = 0;
  for (const std::size_t k : kept(d)) {
    if (k >= parameters().decisions()[d].options) continue;  // `none`
    MixedWeights without = weights;
    without[d] = weights[d].detach().clone();
    without[d][static_cast<std::int64_t>(k)] = 0;
    const double value = accuracy(without, unlearned_images(), batches_, rng.fork("images"));
    if (!best || value < lowest) {
      best = k;
      lowest = value;
    }
  }
  keep(d, std::array{*best});
}

void DartsPt::select_inputs(std::size_t d, const Rng& rng) {
  const MixedWeights weights = expected_weights();
  std::vector<std::pair<double, std::size_t>> without_each;
  for (const std::size_t s : kept(d)) {
    MixedWeights without = weights;
    without[d] = weights[d].detach().clone();
    without[d][static_cast<std::int64_t>(s)] = 0;
    without_each.emplace_back(accuracy(without, unlearned_images(), batches_, rng.fork("images")),
                              s);
  }
  std::ranges::stable_sort(without_each, {}, &std::pair<double, std::size_t>::first);
  std::vector<std::size_t> inputs;
  for (int i = 0; i < parameters().decisions()[d].pick; ++i) {
    inputs.push_back(without_each[static_cast<std::size_t>(i)].second);
  }
  keep(d, inputs);
}

}  // namespace espalier
