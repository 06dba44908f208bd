#include "training/progressive_shrinking.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <set>

#include "core/error.hpp"
#include "search_spaces/catalogue.hpp"
#include "search_spaces/sampling.hpp"
#include "tests/core/throws.hpp"

namespace espalier {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

// Once-for-All's space: kernels 3, 5, 7, depths 2 to 4, expansions 3, 4, 6, resolutions.
std::shared_ptr<const SearchSpace> ofa_space() {
  return space_registry().create({{"type", "mobilenet_v3"}, {"resolutions", {128, 160, 192, 224}}},
                                 "");
}

// The labels that are open in a phase, of decisions whose name ends like this.
std::set<std::vector<std::string>> open_labels(const SearchSpace& space,
                                               const ShrinkingPhase& phase,
                                               const std::string& ending) {
  std::set<std::vector<std::string>> result;
  for (std::size_t d = 0; d < phase.choices.size(); ++d) {
    const Decision& decision = space.decisions()[d];
    if (!decision.name.ends_with(ending)) continue;
    std::vector<std::string> labels;
    for (const std::uint32_t c : phase.choices[d]) labels.push_back(choice_label(decision, c));
    result.insert(labels);
  }
  return result;
}

using Labels = std::vector<std::string>;

TEST(ShrinkingPhases, OpenKernelsThenDepthsThenWidths) {
  const auto space = ofa_space();
  const std::vector<ShrinkingPhase> phases = shrinking_phases(*space, 590);
  ASSERT_EQ(phases.size(), 6u);
  const std::vector<std::string> names{"largest",      "kernel",       "depth 1 of 2",
                                       "depth 2 of 2", "width 1 of 2", "width 2 of 2"};
  const std::vector<Labels> kernels{{"7"},           {"3", "5", "7"}, {"3", "5", "7"},
                                    {"3", "5", "7"}, {"3", "5", "7"}, {"3", "5", "7"}};
  const std::vector<Labels> depths{{"4"},           {"4"},           {"3", "4"},
                                   {"2", "3", "4"}, {"2", "3", "4"}, {"2", "3", "4"}};
  const std::vector<Labels> expansions{{"6"}, {"6"}, {"6"}, {"6"}, {"4", "6"}, {"3", "4", "6"}};
  const std::vector<int> epochs{180, 120, 25, 120, 25, 120}, architectures{1, 1, 2, 2, 4, 4};
  for (std::size_t p = 0; p < phases.size(); ++p) {
    SCOPED_TRACE(names[p]);
    EXPECT_EQ(phases[p].name, names[p]);
    EXPECT_THAT(open_labels(*space, phases[p], ".kernel"), ElementsAre(kernels[p]));
    EXPECT_THAT(open_labels(*space, phases[p], ".depth"), ElementsAre(depths[p]));
    EXPECT_THAT(open_labels(*space, phases[p], ".expansion"), ElementsAre(expansions[p]));
    EXPECT_THAT(open_labels(*space, phases[p], "resolution"),
                ElementsAre(Labels{"128", "160", "192", "224"}));
    EXPECT_NEAR(phases[p].epochs, epochs[p], 1);
    EXPECT_EQ(phases[p].architectures, architectures[p]);
    EXPECT_EQ(phases[p].distilled, p > 0);
    EXPECT_EQ(phases[p].sorted, p > 3);
  }
  EXPECT_EQ(phases[0].rate_factor, 1);
  EXPECT_NEAR(phases[1].rate_factor, 0.37, 0.005);
  EXPECT_NEAR(phases[3].rate_factor, 3 * phases[2].rate_factor, 1e-9);
}

TEST(ShrinkingPhases, EpochsAddUpAndEachPhaseHasOne) {
  const auto space = ofa_space();
  for (const int epochs : {6, 7, 11, 100, 1001}) {
    int sum = 0;
    for (const ShrinkingPhase& phase : shrinking_phases(*space, epochs)) {
      EXPECT_GE(phase.epochs, 1);
      sum += phase.epochs;
    }
    EXPECT_EQ(sum, epochs);
  }
  EXPECT_THAT(throws<ConfigError>([&] { shrinking_phases(*space, 5); }),
              HasSubstr("/epochs: progressive shrinking has 6 phases in this space, but "
                        "there are 5 epochs"));
}

TEST(ShrinkingPhases, WhatIsNotOrderedOpensAfterTheFirstPhase) {
  const auto space = space_registry().create(
      {{"type", "mobilenet_v3"},
       {"input", {1, 28, 28}},
       {"kernels", {3}},
       {"expansions", {3, 6}},
       {"stages", {{{"channels", 16}, {"stride", 2}, {"depths", {1}}, {"se", "search"}}}}},
      "");
  const std::vector<ShrinkingPhase> phases = shrinking_phases(*space, 10);
  ASSERT_EQ(phases.size(), 2u);
  EXPECT_EQ(phases[1].name, "width");
  bool some = false;
  for (std::size_t d = 0; d < space->decisions().size(); ++d) {
    if (space->decisions()[d].ordinal) continue;
    some = true;
    EXPECT_EQ(phases[0].choices[d].size(), 1u);
    EXPECT_EQ(phases[1].choices[d].size(), 2u);
  }
  EXPECT_TRUE(some);
  const auto cells = space_registry().create({{"type", "nasbench201"}}, "");
  EXPECT_THAT(throws<UnsupportedError>([&] { shrinking_phases(*cells, 10); }),
              HasSubstr("needs decisions on kernels, depths or widths"));
}

TEST(ShrinkingPhases, ArchitecturesAreDrawnFromWhatIsOpen) {
  const auto space = ofa_space();
  const std::vector<ShrinkingPhase> phases = shrinking_phases(*space, 60);
  Rng rng(1);
  std::set<Architecture> seen;
  for (int i = 0; i < 200; ++i) {
    const Architecture a = sample_open(*space, phases[2], rng);
    EXPECT_EQ(a, space->canonical(a));
    seen.insert(a);
    for (std::size_t d = 0; d < a.choices.size(); ++d) {
      if (!space->active(a, d)) continue;
      EXPECT_TRUE(std::ranges::binary_search(phases[2].choices[d], a.choices[d]));
    }
  }
  EXPECT_GT(seen.size(), 190u);
}

TEST(ShrinkingPhases, ConstraintsThatLeaveNothingAreAnError) {
  const auto space = space_registry().create(
      {{"type", "custom"}, {"constraints", {{{"metric", "macs"}, {"max", 1e9}}}}}, "");
  ShrinkingPhase phase{.name = "all", .choices = {}};
  for (const std::uint32_t count : space->choice_counts()) {
    phase.choices.push_back({});
    for (std::uint32_t c = 0; c < count; ++c) phase.choices.back().push_back(c);
  }
  Rng rng(1);
  EXPECT_TRUE(space->valid(sample_open(*space, phase, rng)));
  const auto narrow = space_registry().create(
      {{"type", "custom"}, {"constraints", {{{"metric", "macs"}, {"max", 2e6}}}}}, "");
  for (auto& choices : phase.choices) choices = {choices.back()};
  EXPECT_THAT(throws<UnsupportedError>([&] { sample_open(*narrow, phase, rng); }),
              HasSubstr("no valid architecture among 100000 draws of the phase \"all\""));
}

}  // namespace
}  // namespace espalier
