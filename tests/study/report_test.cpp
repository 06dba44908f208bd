#include "study/report.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/error.hpp"
#include "study/search.hpp"
#include "tests/core/temporary_directory.hpp"
#include "tests/study/small_run.hpp"

namespace espalier {
namespace {

using testing::HasSubstr;
using testing::Not;

TEST(Report, ShowsARun) {
  TemporaryDirectory directory;
  const std::filesystem::path out = directory.path() / "run";
  const Catalogue catalogue = Catalogue::standard();
  Json config = small_run();
  config["baseline"] = {{"net", "mobilenet_v3_small"}};
  EXPECT_EQ(run_search(read_config(config, catalogue), catalogue, {.directory = out}),
            SearchEnd::finished);
  const std::string html = read_file(out / "report.html");
  EXPECT_THAT(html, HasSubstr("4 trials (0 failed)"));
  EXPECT_THAT(html, HasSubstr("<h2>Front</h2>"));
  EXPECT_THAT(html, HasSubstr("latency_ms@cortex_m7"));
  EXPECT_THAT(html, HasSubstr("accuracy (%)"));
  EXPECT_THAT(html, HasSubstr("test accuracy after the final training"));
  EXPECT_THAT(html, HasSubstr("mobilenet_v3_small"));
  EXPECT_THAT(html, HasSubstr("<h2>Chosen: trial "));
  EXPECT_THAT(html, HasSubstr("class=\"drawing\""));
  // Nothing is loaded from elsewhere.
  EXPECT_THAT(html, Not(HasSubstr("src=")));
  EXPECT_THAT(html, Not(HasSubstr("href=\"http")));
  EXPECT_THAT(html, Not(HasSubstr("<h2>What the strategy noted")));
}

TEST(Report, ShowsWhatTheStrategyNoted) {
  TemporaryDirectory directory;
  const std::filesystem::path out = directory.path() / "run";
  const Catalogue catalogue = Catalogue::standard();
  run_search(read_config(small_run(), catalogue), catalogue, {.directory = out});
  Results results = read_results(out, catalogue);
  for (Trial& trial : results.trials) {
    trial.candidate.notes = {.numbers = {{"eigenvalue", 0.5}}, .warning = "too sharp & flat"};
  }
  results.trials[0].candidate.notes.numbers.emplace_back("once", 1);
  const std::string html = report_html(results, out);
  EXPECT_THAT(html, HasSubstr("<h2>What the strategy noted"));
  EXPECT_THAT(html, HasSubstr(">eigenvalue<"));
  EXPECT_THAT(html, Not(HasSubstr(">once<")));
  EXPECT_THAT(html, HasSubstr("<strong>Warning:</strong> too sharp &amp; flat"));
}

TEST(Report, ARunWithoutAFeasibleTrialHasAPage) {
  TemporaryDirectory directory;
  const std::filesystem::path out = directory.path() / "run";
  const Catalogue catalogue = Catalogue::standard();
  Json config = small_run();
  config["constraints"] = {{{"metric", "params"}, {"max", 1}}};
  EXPECT_EQ(run_search(read_config(config, catalogue), catalogue, {.directory = out}),
            SearchEnd::nothing_feasible);
  EXPECT_THAT(read_file(out / "report.html"),
              HasSubstr("No trial keeps the constraints yet; the nearest, trial "));
  EXPECT_FALSE(std::filesystem::exists(out / "best"));
}

}  // namespace
}  // namespace espalier
