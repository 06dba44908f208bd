#include "search_spaces/shrink.hpp"

#include <fmt/format.h>

#include <memory>
#include <string>

#include "apps/space_score.hpp"
#include "apps/verbs.hpp"
#include "core/error.hpp"
#include "core/log.hpp"
#include "core/progress.hpp"
#include "study/chart.hpp"

namespace espalier {
namespace {

struct Arguments {
  SpaceArguments space;
  SpaceScoreArguments score;
  ShrinkOptions options;
  bool json = false;
};

std::string label(const SearchSpace& space, const OptionScore& option) {
  const Decision& decision = space.decisions()[option.decision];
  return decision.name + "=" + decision.options[option.option];
}

std::string round_text(const SearchSpace& space, const ShrinkRound& round, std::size_t number) {
  std::string text = fmt::format("round {}: {} choices, mean {}\n", number,
                                 short_number(round.size), short_number(round.mean));
  for (const OptionScore& option : round.options) {
    if (!option.dropped) continue;
    text += fmt::format("  drops {:<32} {} of {} networks\n", label(space, option),
                        estimate_text(option.mean), option.networks);
  }
  return text;
}

Json round_json(const SearchSpace& space, const ShrinkRound& round) {
  Json options = Json::array();
  for (const OptionScore& option : round.options) {
    Json entry = {{"decision", space.decisions()[option.decision].name},
                  {"option", space.decisions()[option.decision].options[option.option]},
                  {"networks", option.networks},
                  {"dropped", option.dropped}};
    if (option.networks > 0) entry["mean"] = estimate_json(option.mean);
    options.push_back(std::move(entry));
  }
  return {{"choices", round.size}, {"mean", round.mean}, {"options", std::move(options)}};
}

int run_shrink(const Arguments& arguments, const Catalogue& catalogue) {
  const Json config = arguments.space.config(catalogue);
  const std::shared_ptr<const SearchSpace> space = catalogue.spaces.create(config, "");
  if (!arguments.options.drop && !arguments.options.target_size) {
    throw ConfigError("", "say when to end: --drop or --target-size");
  }
  const SpaceScore score = make_space_score(arguments.score, space, catalogue);
  ShrinkOptions options = arguments.options;
  options.samples = arguments.score.samples;
  options.ranges = arguments.score.ranges;
  options.better = score.better;
  std::size_t rounds = 0;
  Progress progress("networks", 0);
  std::uint64_t scored = 0;
  const auto counted = [&](const Architecture& a) {
    const double value = score.score(a);
    progress.update(++scored);
    return value;
  };
  const Shrinking shrinking =
      shrink(space, counted, options, Rng(arguments.score.seed), [&](const ShrinkRound& round) {
        log_info(fmt::format("round {}: mean {}", ++rounds, short_number(round.mean)));
      });
  if (!shrinking.complete) {
    log_warning("ended early: no scored network has an option that could still be dropped");
  }
  const Json shrunk = restricted_config(config, *shrinking.space);
  if (arguments.json) {
    Json json = {{"space", shrunk},
                 {"score", score.name},
                 {"better", better_name(score.better)},
                 {"rounds", Json::array()}};
    for (const ShrinkRound& round : shrinking.rounds) {
      json["rounds"].push_back(round_json(*space, round));
    }
    print_json(json);
    return exit_ok;
  }
  std::string text;
  for (std::size_t i = 0; i < shrinking.rounds.size(); ++i) {
    text += round_text(*space, shrinking.rounds[i], i + 1);
  }
  print(text);
  print_json(shrunk);
  return exit_ok;
}

}  // namespace

Verb add_shrink(CLI::App& app, const Catalogue& catalogue) {
  CLI::App& verb =
      *app.add_subcommand("shrink", "drops the options of a space that a score says are worst");
  const auto arguments = std::make_shared<Arguments>();
  arguments->space.add_to(verb);
  arguments->score.add_to(verb);
  verb.add_option("--drop", arguments->options.drop, "options dropped in all")
      ->check(CLI::Range(1, 1 << 20));
  verb.add_option("--target-size", arguments->options.target_size,
                  "ends when no more choices are left (the product of the decisions')")
      ->check(CLI::Range(1.0, 1e300));
  verb.add_option("--per-round", arguments->options.per_round,
                  "options dropped before networks are scored anew")
      ->check(CLI::Range(1, 1 << 20));
  verb.add_flag("--json", arguments->json, "prints JSON: the space, and every option's score");
  return [arguments, &catalogue] { return run_shrink(*arguments, catalogue); };
}

}  // namespace espalier
