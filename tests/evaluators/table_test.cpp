#include "evaluators/table.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "core/error.hpp"
#include "core/json.hpp"
#include "objectives/goals.hpp"
#include "search_spaces/nasbench201.hpp"
#include "tests/core/temporary_directory.hpp"
#include "tests/core/throws.hpp"
#include "tests/evaluators/toy_space.hpp"

namespace espalier {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;

// Two decisions of two options; the second one is active where the first one is "b".
class TwoDecisions : public SearchSpace {
 public:
  explicit TwoDecisions(std::vector<Decision> more = {}) : SearchSpace(with(std::move(more))) {}
  Graph build(const Architecture&) const override { throw UnsupportedError("not in this test"); }
  Architecture canonical(const Architecture& a) const override {
    Architecture result = a;
    if (a.choices[0] == 0) result.choices[1] = 0;
    return result;
  }

 private:
  static std::vector<Decision> with(std::vector<Decision> more) {
    more.insert(more.begin(), {{"first", {"a", "b"}}, {"second", {"x", "y"}}});
    return more;
  }
};

class Table : public testing::Test {
 protected:
  std::string write(const std::string& text) {
    const auto file = directory_.path() / "table.csv";
    write_file_atomically(file, text);
    return file.string();
  }
  TableEvaluator table(const std::string& text, TableOptions options = by_key()) {
    options.file = write(text);
    return TableEvaluator(space_, options);
  }
  static TableOptions by_key() {
    return {.file = "", .key = "arch", .metrics = {{"accuracy", "acc"}}, .report = {}};
  }
  std::string error(const std::string& text, const TableOptions& options = by_key()) {
    return throws<IoError>([&] { table(text, options); });
  }

  TemporaryDirectory directory_;
  std::shared_ptr<const SearchSpace> space_ = std::make_shared<TwoDecisions>();
};

TEST_F(Table, ReadsArchitectureStrings) {
  TableEvaluator evaluator = table(
      "arch,acc,other\n\"first=a,second=x\",1.5,9\n\"first=b,second=x\",2.5,8\n"
      "\"first=b,second=y\",3.5,7\n");
  EXPECT_EQ(evaluator.row_count(), 3u);
  EXPECT_THAT(evaluator.metrics(), ElementsAre(MetricInfo{"accuracy", "%", Direction::maximize}));
  EXPECT_THAT(evaluate(evaluator, *space_, {{0, 0}}), ElementsAre(1.5));
  EXPECT_THAT(evaluate(evaluator, *space_, {{1, 0}}), ElementsAre(2.5));
  EXPECT_THAT(evaluate(evaluator, *space_, {{1, 1}}), ElementsAre(3.5));
}

TEST_F(Table, OfAWholeSpaceServesItsRestrictions) {
  space_ = std::make_shared<RestrictedSpace>(space_, Restriction{{"second", {"y"}}});
  TableEvaluator evaluator =
      table("arch,acc\n\"first=a,second=x\",1\n\"first=b,second=x\",2\n\"first=b,second=y\",3\n");
  EXPECT_EQ(evaluator.row_count(), 3u);
  // Where "second" has no meaning, the row with its lost option stands for the network.
  EXPECT_THAT(evaluate(evaluator, *space_, {{0, 0}}), ElementsAre(1));
  EXPECT_THAT(evaluate(evaluator, *space_, {{1, 0}}), ElementsAre(3));
  EXPECT_THAT(throws<InvalidArchitecture>([&] {
                evaluate(evaluator, *space_, {{1, 1}});
              }),
              HasSubstr("only architectures of its search space"));
}

TEST_F(Table, ReadsDecisionLabels) {
  TableOptions options = by_key();
  options.key = std::nullopt;
  TableEvaluator evaluator = table("second,acc,first\nx,1,a\ny,2,b\n", options);
  EXPECT_THAT(evaluate(evaluator, *space_, {{0, 0}}), ElementsAre(1));
  EXPECT_THAT(evaluate(evaluator, *space_, {{1, 1}}), ElementsAre(2));
  EXPECT_THAT(error("second,acc,first\nx,1,a\nz,2,b\n", options),
              AllOf(HasSubstr("line 3"), HasSubstr("'second'")));
  EXPECT_THAT(error("second,acc,first\nx,1,a\nz,2,b\nz,2,b\n", options), HasSubstr("line 3"));
  EXPECT_THAT(error("second,acc,furst\nx,1,a\n", options),
              HasSubstr("no column \"first\"; did you mean \"furst\"?"));
}

TEST_F(Table, ARowOfItsOwnComesBeforeOneOfEqualCanonicalForm) {
  // second does not matter where first is a: rows 2 and 3 are one network.
  const std::string rows = "\"first=a,second=y\",2\n\"first=a,second=x\",3\n";
  TableEvaluator both = table("arch,acc\n" + rows);
  EXPECT_THAT(evaluate(both, *space_, {{0, 0}}), ElementsAre(3));
  EXPECT_THAT(evaluate(both, *space_, {{0, 1}}), ElementsAre(2));
  TableEvaluator one = table("arch,acc\n\"first=a,second=y\",2\n");
  EXPECT_THAT(evaluate(one, *space_, {{0, 0}}), ElementsAre(2));
  TableEvaluator other = table("arch,acc\n\"first=a,second=x\",3\n");
  EXPECT_THAT(evaluate(other, *space_, {{0, 1}}), ElementsAre(3));
}

TEST_F(Table, ReportsAreApart) {
  TableOptions options = by_key();
  options.report = {{"test_accuracy", "test"}};
  TableEvaluator evaluator =
      table("arch,acc,test\n\"first=a,second=x\",1,2\n\"first=b,second=x\",3,\n", options);
  EXPECT_THAT(evaluate(evaluator, *space_, {{0, 0}}), ElementsAre(1, 2));
  EXPECT_TRUE(std::isnan(evaluate(evaluator, *space_, {{1, 0}})[1]));
  ASSERT_EQ(evaluator.metrics().size(), 2u);
  EXPECT_FALSE(evaluator.metrics()[0].report_only);
  EXPECT_TRUE(evaluator.metrics()[1].report_only);
  const MetricTable metrics(evaluator.metrics());
  EXPECT_THAT(throws<ConfigError>([&] {
                Goals(metrics, {{"test_accuracy", Direction::maximize}});
              }),
              HasSubstr("for reports only"));
}

TEST_F(Table, WhatIsMissingIsAFailedTrial) {
  TableEvaluator evaluator = table("arch,acc\n\"first=a,second=x\",\n");
  EXPECT_THAT(throws<InvalidArchitecture>([&] {
                evaluate(evaluator, *space_, {{0, 0}});
              }),
              HasSubstr("no value in the column \"acc\" for first=a,second=x"));
  EXPECT_THAT(throws<InvalidArchitecture>([&] {
                evaluate(evaluator, *space_, {{1, 0}});
              }),
              HasSubstr("no row for first=b,second=x"));
}

TEST_F(Table, KnowsNoForeignArchitecture) {
  TableEvaluator evaluator = table("arch,acc\n\"first=a,second=x\",1.5\n");
  const TwoDecisions other(std::vector<Decision>{{.name = "third", .options = {"z"}}});
  EXPECT_THAT(throws<InvalidArchitecture>([&] {
                evaluate(evaluator, other, {{0, 0, 0}});
              }),
              HasSubstr("knows only architectures of its search space"));
}

TEST_F(Table, WorksInSpacesTooLargeForAnArray) {
  std::vector<Decision> more;
  for (int i = 0; i < 24; ++i) {
    more.push_back({.name = "d" + std::to_string(i), .options = {"0", "1"}});
  }
  space_ = std::make_shared<TwoDecisions>(more);
  const auto architecture = [](std::uint32_t first, std::uint32_t second, std::uint32_t last) {
    Architecture a{std::vector<std::uint32_t>(26)};
    a.choices[0] = first;
    a.choices[1] = second;
    a.choices[25] = last;
    return a;
  };
  TableEvaluator evaluator =
      table("arch,acc\n\"" + space_->to_string(architecture(0, 1, 1)) + "\",1\n\"" +
            space_->to_string(architecture(1, 1, 0)) + "\",2\n");
  EXPECT_THAT(evaluate(evaluator, *space_, architecture(0, 0, 1)), ElementsAre(1));
  EXPECT_THAT(evaluate(evaluator, *space_, architecture(0, 1, 1)), ElementsAre(1));
  EXPECT_THAT(evaluate(evaluator, *space_, architecture(1, 1, 0)), ElementsAre(2));
  throws<InvalidArchitecture>([&] { evaluate(evaluator, *space_, architecture(1, 1, 1)); });
  EXPECT_THAT(evaluator.architectures(), ElementsAre(architecture(0, 0, 1), architecture(1, 1, 0)));
}

TEST_F(Table, ListsTheCanonicalArchitecturesThatHaveARow) {
  const std::string rows = "arch,acc\n\"first=b,second=y\",2\n\"first=a,second=y\",3\n";
  EXPECT_THAT(table(rows).architectures(), ElementsAre(Architecture{{0, 0}}, Architecture{{1, 1}}));
  space_ = std::make_shared<RestrictedSpace>(space_, Restriction{{"second", {"y"}}});
  // Both rows, as the restricted space has them.
  EXPECT_THAT(table(rows).architectures(), ElementsAre(Architecture{{0, 0}}, Architecture{{1, 0}}));
  space_ = std::make_shared<RestrictedSpace>(space_, Restriction{{"first", {"a"}}});
  EXPECT_THAT(table(rows).architectures(), ElementsAre(Architecture{{0, 0}}));
}

TEST_F(Table, RefusesBadFiles) {
  EXPECT_THAT(error("arch,acc\n\"first=a,second=x\",1\n\"first=b,second=x\",1\n"
                    "\"first=a,second=x\",2\n"),
              HasSubstr("line 4: the architecture of line 2 again: first=a,second=x"));
  EXPECT_THAT(error("arch,acc\n\"first=c,second=x\",1\n"),
              AllOf(HasSubstr("line 2: no architecture of the space: "), HasSubstr("'first'")));
  EXPECT_THAT(error("key,acc\n\"first=a,second=x\",1\n"), HasSubstr("no column \"arch\""));
  EXPECT_THAT(error("arch,accuracy\n\"first=a,second=x\",1\n"), HasSubstr("no column \"acc\""));
  EXPECT_THAT(error("arch,acc\n\"first=a,second=x\",high\n"),
              HasSubstr("line 2, column \"acc\": \"high\" is not a number"));
  EXPECT_THAT(error("arch,acc\n\"first=a,second=x\",1\n\"first=b,sec"), HasSubstr("line 3"));
  EXPECT_THAT(error("arch,acc\n"), HasSubstr("no rows"));
  TableOptions missing = by_key();
  missing.file = (directory_.path() / "none.csv").string();
  throws<IoError>([&] { TableEvaluator(space_, missing); });
}

TEST_F(Table, RefusesARowThatBreaksAConstraint) {
  class Constrained : public TwoDecisions {
   public:
    bool valid(const Architecture& a) const override {
      return SearchSpace::valid(a) && a.choices[0] != 1;
    }
  };
  space_ = std::make_shared<Constrained>();
  EXPECT_THAT(error("arch,acc\n\"first=b,second=x\",1\n"),
              HasSubstr("line 2: no architecture of the space: it breaks a constraint"));
}

TEST_F(Table, ReadsTheStringsOfNasbench201) {
  space_ = make_nasbench201({.channels = 4, .cells = 1});
  std::string text = "arch,acc\n";
  double row = 0;
  enumerate(*space_, [&](const Architecture& a) {
    text += space_->to_string(a) + "," + std::to_string(row++) + "\n";
    return true;
  });
  TableEvaluator evaluator = table(text);
  EXPECT_EQ(evaluator.row_count(), 15625u);
  row = 0;
  enumerate(*space_, [&](const Architecture& a) {
    EXPECT_THAT(evaluate(evaluator, *space_, a), ElementsAre(row++));
    return !HasFailure();
  });
}

TEST_F(Table, LowerFidelitiesHaveColumnsOfTheirOwn) {
  TableOptions options = by_key();
  options.metrics["size"] = "size";
  options.report = {{"test", "test"}};
  options.fidelities = {{.fidelity = 0.1, .metrics = {{"accuracy", "acc10"}}},
                        {.fidelity = 1.0 / 3, .metrics = {{"accuracy", "acc33"}, {"test", "t33"}}}};
  TableEvaluator evaluator =
      table("arch,acc,size,test,acc10,acc33,t33\n\"first=b,second=x\",9,5,8,1,3,2\n", options);
  const auto at = [&](double fidelity) {
    return evaluate(evaluator, *space_, {{1, 0}}, 0, fidelity);
  };
  EXPECT_THAT(at(1), ElementsAre(9, 5, 8));
  EXPECT_THAT(at(0.99), ElementsAre(3, 5, 2));
  EXPECT_THAT(at(0.3333333333), ElementsAre(3, 5, 2));
  EXPECT_THAT(at(0.33), ElementsAre(1, 5, testing::IsNan()));
  EXPECT_THAT(at(0.1), ElementsAre(1, 5, testing::IsNan()));
  EXPECT_THAT(throws<UnsupportedError>([&] { at(0.09); }),
              HasSubstr("has no fidelity of 0.09 or below; the lowest is 0.1"));
}

TEST_F(Table, WithoutLowerFidelitiesHasFullEvaluationsOnly) {
  TableEvaluator evaluator = table("arch,acc\n\"first=b,second=x\",9\n");
  EXPECT_THAT(throws<UnsupportedError>([&] {
                evaluate(evaluator, *space_, {{1, 0}}, 0, 0.5);
              }),
              HasSubstr("has full evaluations only, not fidelity 0.5"));
}

TEST_F(Table, AnEmptyFieldOfALowerFidelityIsAFailedTrial) {
  TableOptions options = by_key();
  options.fidelities = {{.fidelity = 0.5, .metrics = {{"accuracy", "half"}}}};
  TableEvaluator evaluator = table("arch,acc,half\n\"first=b,second=x\",9,\n", options);
  EXPECT_THAT(evaluate(evaluator, *space_, {{1, 0}}), ElementsAre(9));
  EXPECT_THAT(throws<InvalidArchitecture>([&] {
                evaluate(evaluator, *space_, {{1, 0}}, 0, 0.5);
              }),
              HasSubstr("has no value in the column \"half\""));
}

TEST(TableOptionTable, ChecksLowerFidelities) {
  const auto error = [](const Json& fidelities) {
    return throws<ConfigError>([&] {
      table_option_table().read(
          {{"file", "t.csv"}, {"metrics", {{"accuracy", "a"}}}, {"fidelities", fidelities}}, "");
    });
  };
  const Json half = {{"fidelity", 0.5}, {"metrics", {{"accuracy", "b"}}}};
  EXPECT_THAT(error({half, half}), HasSubstr("/fidelities/1/fidelity: the fidelities must rise"));
  EXPECT_THAT(error({{{"fidelity", 0.5}, {"metrics", {{"size", "b"}}}}}),
              HasSubstr("/fidelities/0/metrics/size: \"metrics\" and \"report\" have no metric"));
  EXPECT_THAT(error({{{"fidelity", 1}, {"metrics", {{"accuracy", "b"}}}}}),
              HasSubstr("/fidelities/0/fidelity"));
}

TEST(TableOptionTable, ReadsAndChecks) {
  const auto table = table_option_table();
  const Json json = {{"file", "t.csv"}, {"metrics", {{"accuracy", "a"}}}, {"report", {{"t", "b"}}}};
  EXPECT_EQ(table.read(json, "").report.at("t"), "b");
  EXPECT_EQ(throws<ConfigError>([&] {
              table.read({{"file", "t.csv"}, {"metrics", Json::object()}}, "/evaluator");
            }),
            "/evaluator/metrics: names no metric");
  EXPECT_THAT(throws<ConfigError>([&] {
                table.read({{"file", "t.csv"}, {"metrics", {{"a", "b"}}}, {"report", {{"a", "c"}}}},
                           "/evaluator");
              }),
              HasSubstr("/evaluator/report/a: "));
  throws<ConfigError>([&] { table.read({{"metrics", {{"a", "b"}}}}, ""); });
}

}  // namespace
}  // namespace espalier
