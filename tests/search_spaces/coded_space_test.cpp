#include "search_spaces/coded_space.hpp"

#include <gtest/gtest.h>

#include <array>

#include "core/error.hpp"
#include "search_spaces/nas_bench_macro.hpp"
#include "search_spaces/sampling.hpp"
#include "tests/core/throws.hpp"

namespace espalier {
namespace {

Supergraph one_decision() {
  SupergraphBuilder b;
  const NodeId x = b.input(3, 4, 4);
  const DecisionId d = b.decide({.name = "op", .options = {"none", "skip"}});
  b.output(b.choice(d, std::array{b.zero(x), x}));
  return b.finish();
}

TEST(CodedSpace, StringsCarryCompressionDecisions) {
  const auto space = make_nas_bench_macro(
      {.channels = 8,
       .compression = CompressionOptions{.channels = {0.5, 1.0}, .weight_bits = {4, 8}}});
  Rng rng(3);
  for (int i = 0; i < 50; ++i) {
    const Architecture a = sample_uniform(*space, rng);
    EXPECT_EQ(space->to_string(a).find(','), 8u);
    EXPECT_EQ(space->parse(space->to_string(a)), a);
  }
  EXPECT_THROW(space->parse("00000000"), InvalidArchitecture);
  EXPECT_THROW(space->parse("0000000"), InvalidArchitecture);
}

TEST(CodedSpace, ACodeThatIsOutOfRangeIsRefusedWithAnExample) {
  const auto write = [](std::span<const std::uint32_t> c) { return std::to_string(c[0]); };
  const auto read = [](std::string_view text) {
    std::vector<std::uint32_t> choices;
    for (char c : text) choices.push_back(static_cast<std::uint32_t>(c - '0'));
    return choices;
  };
  const CodedSpace space(one_decision(), {1, "1", write, read});
  EXPECT_EQ(space.to_string({{1}}), "1");
  EXPECT_EQ(space.parse("1"), (Architecture{{1}}));
  EXPECT_EQ(throws<InvalidArchitecture>([&] { space.parse("2"); }),
            "'2' is no architecture of this space; write for example 1");
  EXPECT_THROW(space.parse("11"), InvalidArchitecture);
  EXPECT_EQ(throws<ConfigError>([&] {
              CodedSpace(one_decision(), {2, "1", write, read});
            }),
            "the code covers 2 decisions, but the space has 1");
}

TEST(CodedSpace, IndexOfGivesTheSizeForWhatIsMissing) {
  const std::array values{8, 16, 24};
  EXPECT_EQ(index_of(values, 16), 1u);
  EXPECT_EQ(index_of(values, 17), 3u);
}

}  // namespace
}  // namespace espalier
