#include "training/shared_weights.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>

#include "core/error.hpp"
#include "core/json.hpp"
#include "core/progress.hpp"
#include "search_spaces/restriction.hpp"
#include "training/gradient_matching.hpp"
#include "training/supernet_trainer.hpp"
#include "training/train_loop.hpp"

namespace espalier {
namespace {

// How a part is split: the options of one decision in groups.
struct Cut {
  std::string decision;
  std::vector<std::vector<std::string>> groups;
};

// A part, the path of splits that led to it, such as "01", and the decisions that they used.
struct Branch {
  SpacePart part;
  std::string path = {};
  std::set<std::string> used = {};
};

std::filesystem::path beside(const std::filesystem::path& file, const std::string& suffix) {
  if (file.empty()) return {};
  std::filesystem::path result = file;
  result.replace_filename(fmt::format("{}{}", file.stem().string(), suffix));
  return result;
}

SpacePart make_part(std::shared_ptr<const SearchSpace> space, const ModuleOptions& options,
                    const WeightSharing& sharing) {
  auto supernet = std::make_unique<Supernet>(*space->supergraph(), options, sharing);
  return {.space = std::move(space), .supernet = std::move(supernet)};
}

// Copies what the two have under the same name. False where a shape differs.
bool hand_over(const Supernet& from, Supernet& to) {
  const std::map<std::string, at::Tensor> given = from.state();
  std::map<std::string, at::Tensor> taken;
  for (const auto& [name, value] : to.state()) {
    const auto found = given.find(name);
    if (found == given.end() || found->second.sizes() != value.sizes()) return false;
    taken.emplace(name, found->second);
  }
  to.load_state(taken);
  return true;
}

// The part of a space with some options of a decision.
std::shared_ptr<const SearchSpace> part_of(const std::shared_ptr<const SearchSpace>& space,
                                           const std::string& decision,
                                           const std::vector<std::string>& options) {
  return std::make_shared<const RestrictedSpace>(space, Restriction{{decision, options}});
}

// Whether a decision is one on operators, whose options share no weights among themselves.
bool can_be_cut(const Decision& decision) {
  return decision.pick == 1 && !decision.ordinal && decision.options.size() >= 2 &&
         decision.options.size() <= 20;
}

std::vector<DecisionId> left_to_cut(const Branch& branch) {
  std::vector<DecisionId> result;
  const std::vector<Decision>& decisions = branch.part.space->decisions();
  for (DecisionId d = 0; d < decisions.size(); ++d) {
    if (can_be_cut(decisions[d]) && !branch.used.contains(decisions[d].name)) result.push_back(d);
  }
  return result;
}

// How often each supernet is split.
int levels_of(const SplitOptions& split) {
  switch (split.by) {
    case SplitKind::none:
      return 0;
    case SplitKind::decision:
      return 1;
    case SplitKind::gradient_matching:
      return split.times;
  }
  return 0;
}

Cut into_options(const SearchSpace& space, const std::string& decision) {
  Cut cut{.decision = decision, .groups = {}};
  for (const Decision& d : space.decisions()) {
    if (d.name != decision) continue;
    for (const std::string& option : d.options) cut.groups.push_back({option});
  }
  return cut;
}

// Nothing when it was stopped.
std::optional<Cut> cut_by_gradients(const Branch& branch, const Dataset& data,
                                    const SupernetOptions& options, const Rng& rng,
                                    const TrainRun& run) {
  const std::vector<DecisionId> candidates = left_to_cut(branch);
  std::optional<Progress> progress;
  if (!run.progress.empty()) progress.emplace(run.progress + ", gradients", candidates.size());
  std::optional<Cut> best;
  double highest = 0;
  for (std::size_t i = 0; i < candidates.size(); ++i) {
    if (run.stop_requested && run.stop_requested()) return std::nullopt;
    const Decision& decision = branch.part.space->decisions()[candidates[i]];
    const OptionGroups groups =
        split_options(gradient_distances(*branch.part.supernet, *branch.part.space, candidates[i],
                                         data, options, rng.fork(decision.name)));
    if (progress) progress->update(i + 1, decision.name);
    if (best && groups.score <= highest) continue;
    highest = groups.score;
    best = Cut{.decision = decision.name, .groups = {{}, {}}};
    for (const std::uint32_t o : groups.first) best->groups[0].push_back(decision.options[o]);
    for (const std::uint32_t o : groups.second) best->groups[1].push_back(decision.options[o]);
  }
  return best;
}

// What was found before, so that a continued training need not look for it again.
class CutFile {
 public:
  // An empty path: nothing is kept.
  CutFile(std::filesystem::path path, Json training)
      : path_(std::move(path)), training_(std::move(training)) {
    if (path_.empty() || !std::filesystem::exists(path_)) return;
    const Json file = read_json_file(path_.string());
    try {
      require_same_training(path_, file.at("training"), training_);
      for (const auto& [branch, cut] : file.at("cuts").items()) {
        cuts_[branch] = {.decision = cut.at("decision").get<std::string>(),
                         .groups = cut.at("groups").get<std::vector<std::vector<std::string>>>()};
      }
    } catch (const Json::exception& error) {
      throw IoError(path_.string(), fmt::format("is damaged: {}", error.what()));
    }
  }
  std::optional<Cut> find(const std::string& branch) const {
    const auto found = cuts_.find(branch);
    return found == cuts_.end() ? std::nullopt : std::optional(found->second);
  }
  void add(const std::string& branch, const Cut& cut) {
    cuts_[branch] = cut;
    if (path_.empty()) return;
    Json cuts = Json::object();
    for (const auto& [name, c] : cuts_)
      cuts[name] = {{"decision", c.decision}, {"groups", c.groups}};
    write_file_atomically(path_, Json{{"training", training_}, {"cuts", cuts}}.dump(2) + "\n");
  }

 private:
  std::filesystem::path path_;
  Json training_;
  std::map<std::string, Cut> cuts_;
};

std::vector<Branch> cut_branch(Branch branch, const Cut& cut, const ModuleOptions& options,
                               const WeightSharing& sharing) {
  std::vector<Branch> children;
  for (std::size_t g = 0; g < cut.groups.size(); ++g) {
    Branch child{.part = make_part(part_of(branch.part.space, cut.decision, cut.groups[g]), options,
                                   sharing),
                 .path = fmt::format("{}{}{}", branch.path, g < 10 ? "" : ".", g),
                 .used = branch.used};
    child.used.insert(cut.decision);
    if (!hand_over(*branch.part.supernet, *child.part.supernet)) {
      throw ConfigError("/split/decision",
                        fmt::format("without some options of '{}' weights have other shapes; split "
                                    "by a decision on operators",
                                    cut.decision));
    }
    children.push_back(std::move(child));
  }
  return children;
}

}  // namespace

void check_split(const SearchSpace& space, const SupernetOptions& options) {
  const SplitOptions& split = options.split;
  const int levels = levels_of(split);
  if (levels == 0) return;
  std::vector<std::string> known;
  for (const Decision& decision : space.decisions()) {
    if (can_be_cut(decision)) known.push_back(decision.name);
  }
  if (split.by == SplitKind::decision && std::ranges::find(known, split.decision) == known.end()) {
    throw ConfigError("/split/decision",
                      fmt::format("\"{}\" is no decision on operators of this space{}",
                                  split.decision, suggestion(split.decision, known)));
  }
  if (static_cast<std::size_t>(levels) > known.size()) {
    throw ConfigError("/split/times",
                      fmt::format("{} splits, but the space has {} decisions on operators", levels,
                                  known.size()));
  }
  if (split.by == SplitKind::gradient_matching && options.rule == RuleKind::fair) {
    throw ConfigError("/split/by",
                      "strict fairness needs as many options in all decisions, which gradient "
                      "matching does not leave; take the rule uniform");
  }
  if (options.train.epochs <= levels) {
    throw ConfigError("/epochs",
                      fmt::format("{} epochs cannot be shared out before and after {} splits",
                                  options.train.epochs, levels));
  }
}

SharedWeights::SharedWeights(std::shared_ptr<const SearchSpace> space, const ModuleOptions& options,
                             const WeightSharing& sharing)
    : space_(std::move(space)), options_(options), sharing_(sharing) {
  parts_.push_back(make_part(space_, options_, sharing_));
}

TrainResult SharedWeights::train(const Dataset& data, const SupernetOptions& options,
                                 const Rng& rng, const TrainRun& run) {
  check_split(*space_, options);
  std::vector<Branch> branches(1);
  branches[0].part =
      parts_.size() == 1 ? std::move(parts_[0]) : make_part(space_, options_, sharing_);
  branches[0].part.supernet->reset_parameters(rng.fork("weights"));
  parts_.clear();
  const SplitOptions& split = options.split;
  const int levels = levels_of(split), all = options.train.epochs;
  std::optional<CutFile> cuts;
  if (split.by == SplitKind::gradient_matching) {
    cuts.emplace(
        beside(run.checkpoint, "-split.json"),
        Json{{"rng", rng.to_string()}, {"options", supernet_option_table().write(options)}});
  }
  TrainResult result;
  int done = 0;  // epochs of each branch
  for (int level = 0; level <= levels; ++level) {
    // Epochs are cumulated, so that rounding leaves none out.
    const double share = levels == 0 ? 1 : split.shared_epochs * (level + 1) / levels;
    const int until = level == levels ? all
                                      : std::clamp(static_cast<int>(std::lround(share * all)),
                                                   done + 1, all - levels + level);
    SupernetOptions of_level = options;
    of_level.split = {};
    if (levels > 0) {
      of_level.train = at_fidelity(options.train, static_cast<double>(until - done) / all);
    }
    std::vector<Branch> next;
    for (Branch& branch : branches) {
      TrainRun part_run = run;
      if (levels > 0) {
        const std::string name = branch.path.empty() ? "shared" : "part" + branch.path;
        part_run.checkpoint =
            beside(run.checkpoint, fmt::format("-{}{}", name, run.checkpoint.extension().string()));
        if (!run.progress.empty() && !branch.path.empty()) {
          part_run.progress = fmt::format("{} {}", run.progress, branch.path);
        }
      }
      const Rng of_branch =
          branch.path.empty() ? rng.fork("train") : rng.fork("part").fork(branch.path);
      const TrainResult trained = train_supernet(*branch.part.supernet, branch.part.space, data,
                                                 of_level, of_branch, part_run);
      for (EpochResult epoch : trained.history) {
        epoch.epoch = static_cast<int>(result.history.size()) + 1;
        result.history.push_back(epoch);
      }
      if (trained.stopped) {
        parts_.clear();
        result.stopped = true;
        return result;
      }
      if (level == levels) {
        parts_.push_back(std::move(branch.part));
        continue;
      }
      std::optional<Cut> cut;
      if (split.by == SplitKind::decision) {
        cut = into_options(*space_, split.decision);
      } else if (cut = cuts->find(branch.path); !cut) {
        cut = cut_by_gradients(branch, data, options, rng.fork("cut").fork(branch.path), run);
        if (!cut) {
          result.stopped = true;
          return result;
        }
        cuts->add(branch.path, *cut);
      }
      for (Branch& child : cut_branch(std::move(branch), *cut, options_, sharing_)) {
        next.push_back(std::move(child));
      }
    }
    done = until;
    if (level < levels) branches = std::move(next);
  }
  return result;
}

GraphModule SharedWeights::extract(const Architecture& a) const {
  const auto* restricted = dynamic_cast<const RestrictedSpace*>(space_.get());
  for (const SpacePart& part : parts_) {
    if (part.space == space_) return part.supernet->extract(a);
    const auto* of_part = dynamic_cast<const RestrictedSpace*>(part.space.get());
    const auto own = of_part->lower(restricted == nullptr ? a : restricted->lift(a));
    if (own) return part.supernet->extract(*own);
  }
  throw InvalidArchitecture("no part of the space has the architecture " + space_->to_string(a) +
                            ", or its weights are not trained to their end");
}

}  // namespace espalier
