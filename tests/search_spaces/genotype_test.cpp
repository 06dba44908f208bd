#include "search_spaces/genotype.hpp"

#include <gtest/gtest.h>

#include "core/error.hpp"

namespace espalier {
namespace {

const Genotype genotype{
    .normal = {.edges = {{"sep_conv_3x3", 0}, {"skip_connect", 1}}, .concat = {2}},
    .reduce = {.edges = {{"max_pool_3x3", 1}, {"max_pool_3x3", 1}, {"sep_conv_5x5", 2}, {"x", 0}},
               .concat = {1, 3}}};

TEST(Genotype, RoundTrips) {
  const std::string text = to_string(genotype);
  EXPECT_EQ(text,
            "Genotype(normal=[('sep_conv_3x3', 0), ('skip_connect', 1)], normal_concat=[2], "
            "reduce=[('max_pool_3x3', 1), ('max_pool_3x3', 1), ('sep_conv_5x5', 2), ('x', 0)], "
            "reduce_concat=[1, 3])");
  std::string_view rest = text;
  EXPECT_EQ(parse_genotype(rest), genotype);
  EXPECT_EQ(rest, "");
  Genotype in_a_row = genotype;
  in_a_row.normal.concat = {2, 3, 4};
  const std::string range = to_string(in_a_row);
  EXPECT_NE(range.find("normal_concat=range(2, 5)"), std::string::npos);
  rest = range;
  EXPECT_EQ(parse_genotype(rest), in_a_row);
}

TEST(Genotype, ReadsOtherWaysToWriteIt) {
  std::string_view text =
      " Genotype(\n  normal = [\n    (\"sep_conv_3x3\", 0),\n    ('skip_connect',1),\n  ],\n"
      "normal_concat=[2],reduce=[('max_pool_3x3',1),('max_pool_3x3',1),('sep_conv_5x5',2),('x',0)],"
      "reduce_concat = [1, 3],\n),rest";
  EXPECT_EQ(parse_genotype(text), genotype);
  EXPECT_EQ(text, ",rest");
}

TEST(Genotype, SaysWhatIsExpectedWhere) {
  const auto error = [](std::string_view text) -> std::string {
    try {
      parse_genotype(text);
    } catch (const InvalidArchitecture& e) {
      return e.what();
    }
    return "no error";
  };
  EXPECT_NE(error("").find("expected 'Genotype' at position 0, got ''"), std::string::npos);
  EXPECT_NE(error("Genotype(norm=[])").find("expected 'normal' at position 9, got 'norm=[])'"),
            std::string::npos);
  EXPECT_NE(error("Genotype(normal=[(x, 0)]").find("expected an operator in quotes"),
            std::string::npos);
  EXPECT_NE(error("Genotype(normal=[('x").find("expected an operator in quotes"),
            std::string::npos);
  EXPECT_NE(error("Genotype(normal=[('x', y)]").find("expected the number of a state"),
            std::string::npos);
  EXPECT_NE(error("Genotype(normal=[('x', 99999999999)").find("expected ','"), std::string::npos);
}

}  // namespace
}  // namespace espalier
