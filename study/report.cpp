#include "study/report.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <set>
#include <utility>

#include "core/error.hpp"
#include "core/log.hpp"
#include "evaluators/process.hpp"
#include "graph/dot.hpp"
#include "study/chart.hpp"

namespace espalier {
namespace {

constexpr std::size_t max_points = 3000;  // of a chart: more only make the page slow

std::string label_of(const Results& results, const std::string& metric) {
  for (const MetricInfo& info : results.metrics->metrics()) {
    // Units that the name ends in are not repeated.
    if (info.name == metric && info.unit == "%") return metric + " (%)";
  }
  return metric;
}

ChartPoint point_of(const Trial& trial, double x, double y) {
  return {.x = x,
          .y = y,
          .title = fmt::format("trial {}: {}, {}", trial.candidate.trial_id, short_number(y),
                               short_number(x))};
}

// Every trial and the front, one objective against another.
std::string front_chart(const Results& results, const std::string& x_metric,
                        const std::string& y_metric) {
  const std::vector<std::size_t> front = results.front();
  const std::set<std::size_t> on_front(front.begin(), front.end());
  const auto chosen = results.chosen();
  ChartSeries feasible{.name = "trials", .color = 0, .points = {}};
  ChartSeries partial{.name = "lower fidelity", .color = 4, .points = {}};
  ChartSeries breaking{.name = "break a constraint", .color = 2, .points = {}};
  ChartSeries best{.name = "front", .color = 1, .points = {}};
  ChartSeries star{.name = "chosen", .mark = ChartMark::star, .color = 1, .points = {}};
  const std::size_t step = results.trials.size() / max_points + 1;
  const double highest = highest_fidelity(results.trials);
  for (std::size_t i = 0; i < results.trials.size(); ++i) {
    const Trial& trial = results.trials[i];
    if (trial.state == TrialState::failed) continue;
    const ChartPoint point =
        point_of(trial, trial.metrics.at(x_metric), trial.metrics.at(y_metric));
    if (chosen == i) {
      star.points.push_back(point);
    } else if (on_front.contains(i)) {
      best.points.push_back(point);
    } else if (i % step == 0) {
      (trial.candidate.fidelity < highest ? partial
       : results.goals.feasible(trial)    ? feasible
                                          : breaking)
          .points.push_back(point);
    }
  }
  Chart chart{.x_label = label_of(results, x_metric),
              .y_label = label_of(results, y_metric),
              .series = {partial, breaking, feasible, best, star}};
  if (results.baseline) {
    ChartSeries baseline{
        .name = results.baseline->name, .mark = ChartMark::ring, .color = 3, .points = {}};
    std::optional<double> x, y;
    for (const auto& [name, value] : results.baseline->metrics) {
      if (name == x_metric) x = value;
      if (name == y_metric) y = value;
    }
    if (x && y) baseline.points.push_back({.x = *x, .y = *y, .title = results.baseline->name});
    chart.series.push_back(std::move(baseline));
  }
  return to_svg(chart);
}

// The best feasible value of the first objective after each trial, of those of the highest
// fidelity.
std::string best_so_far_chart(const Results& results) {
  const std::string& metric = results.goals.objectives()[0].metric;
  ChartSeries series{.name = "best so far", .mark = ChartMark::steps, .color = 1, .points = {}};
  double best = std::numeric_limits<double>::infinity();
  const double highest = highest_fidelity(results.trials);
  for (const Trial& trial : results.trials) {
    if (!results.goals.feasible(trial) || trial.candidate.fidelity < highest) continue;
    const double cost = results.goals.first_cost(trial.metrics);
    if (cost >= best) continue;
    best = cost;
    series.points.push_back({.x = static_cast<double>(trial.candidate.trial_id),
                             .y = trial.metrics.at(metric),
                             .title = {}});
  }
  if (!series.points.empty()) {
    const Trial& last = results.trials.back();
    series.points.push_back({.x = static_cast<double>(last.candidate.trial_id),
                             .y = series.points.back().y,
                             .title = {}});
  }
  return to_svg({.x_label = "trial", .y_label = label_of(results, metric), .series = {series}});
}

// What the strategy noted of its trials: a chart for each number that more than one has.
std::string notes_section(const Results& results) {
  std::vector<std::string> names;
  for (const Trial& trial : results.trials) {
    for (const auto& [name, value] : trial.candidate.notes.numbers) {
      if (std::ranges::find(names, name) == names.end()) names.push_back(name);
    }
  }
  std::string charts;
  const std::size_t step = results.trials.size() / max_points + 1;
  for (const std::string& name : names) {
    ChartSeries series{.name = "", .mark = ChartMark::line, .color = 1, .points = {}};
    for (std::size_t i = 0; i < results.trials.size(); i += step) {
      for (const auto& [noted, value] : results.trials[i].candidate.notes.numbers) {
        if (noted != name || !std::isfinite(value)) continue;
        series.points.push_back(
            {.x = static_cast<double>(results.trials[i].candidate.trial_id), .y = value});
      }
    }
    if (series.points.size() < 2) continue;
    charts += to_svg({.x_label = "trial", .y_label = name, .series = {std::move(series)}});
  }
  return charts.empty() ? "" : "<h2>What the strategy noted</h2>\n" + charts;
}

std::string row(std::initializer_list<std::string> cells, std::string_view kind = "td") {
  std::string text = "<tr>";
  for (const std::string& cell : cells) {
    text += fmt::format("<{0}>{1}</{0}>", kind, escape_html(cell));
  }
  return text + "</tr>\n";
}

// The network as SVG, or nothing where it cannot be drawn.
std::string drawing(const Graph& graph) {
  const char* why = "It is drawn here when Graphviz (the program <code>dot</code>) is installed.";
  try {
    const auto result = detail::run_process({"dot", "-Tsvg"}, to_dot(graph), 60);
    const std::size_t begin = result.output.find("<svg");
    if (result.exit_code == 0 && !result.timed_out && !result.too_much_output &&
        begin != std::string::npos) {
      return "<div class=\"drawing\">" + result.output.substr(begin) + "</div>\n";
    }
    why = result.timed_out || result.too_much_output
              ? "It is too large for Graphviz (the program <code>dot</code>) to draw it here."
              : "Graphviz (the program <code>dot</code>) could not draw it.";
    log_debug("dot drew nothing: " + result.error_tail);
  } catch (const IoError& error) {
    log_debug(std::string("no drawing: ") + error.what());
  }
  return fmt::format("<p>{}</p>\n", why);
}

std::string chosen_section(const Results& results, std::size_t chosen,
                           const std::filesystem::path& directory) {
  const Trial& trial = results.trials[chosen];
  const Architecture& a = trial.candidate.architecture;
  std::string html =
      fmt::format("<h2>Chosen: trial {}</h2>\n<table class=\"text\">\n", trial.candidate.trial_id);
  if (const auto final = final_summary(results, directory)) {
    if (final->contains("test_accuracy") && (*final)["test_accuracy"].is_number()) {
      html += row({"test accuracy after the final training (%)",
                   short_number((*final)["test_accuracy"].get<double>())});
    }
    std::string files;
    for (const Json& file : final->value("files", Json::array())) {
      if (file.is_string()) files += (files.empty() ? "" : ", ") + file.get<std::string>();
    }
    html += row({"files in best/", files});
  }
  for (const auto& [name, value] : all_metrics(results, trial)) {
    html += row({name, short_number(value)});
  }
  html += row({"architecture", results.space->to_string(a)}) + "</table>\n";
  return html + drawing(results.space->build(a));
}

std::string front_table(const Results& results) {
  const std::vector<std::size_t> front = results.front();
  const auto chosen = results.chosen();
  const std::vector<NamedValues> rows = metrics_of(results, front);
  const std::vector<std::string> names = column_names(results, rows);
  std::string html = "<div class=\"wide\"><table>\n<tr><th>trial</th>";
  for (const std::string& name : names) html += "<th>" + escape_html(name) + "</th>";
  html += "</tr>\n";
  const auto add = [&](const std::string& head, const NamedValues& values, bool bold) {
    html += fmt::format("<tr{}><td>{}</td>", bold ? " class=\"chosen\"" : "", escape_html(head));
    for (const std::string& name : names) {
      const auto found = std::ranges::find(values, name, &std::pair<std::string, double>::first);
      html += "<td>" + (found == values.end() ? "" : short_number(found->second)) + "</td>";
    }
    html += "</tr>\n";
  };
  for (std::size_t j = 0; j < front.size(); ++j) {
    add(fmt::format("{}", results.trials[front[j]].candidate.trial_id), rows[j],
        chosen == front[j]);
  }
  if (results.baseline) add(results.baseline->name, results.baseline->metrics, false);
  return html + "</table></div>\n";
}

std::string type_of(const Json& config, const char* part) {
  return config.contains(part) && config[part].contains("type")
             ? config[part]["type"].get<std::string>()
             : "";
}

}  // namespace

std::string report_html(const Results& results, const std::filesystem::path& directory) {
  const auto failed = std::ranges::count_if(
      results.trials, [](const Trial& t) { return t.state == TrialState::failed; });
  const double seconds = results.timings.empty() ? 0 : results.timings.back().elapsed;
  std::string html = "<h1>Espalier run</h1>\n";
  html += fmt::format(
      "<p>Space {}, strategy {}, evaluator {}: {} trials ({} failed) in {:.1f} minutes.</p>\n",
      escape_html(type_of(results.config, "space")),
      escape_html(type_of(results.config, "strategy")),
      escape_html(type_of(results.config, "evaluator")), results.trials.size(), failed,
      seconds / 60);
  if (const std::string warning = results.warning(); !warning.empty()) {
    html += "<p><strong>Warning:</strong> " + escape_html(warning) + "</p>\n";
  }
  const auto& objectives = results.goals.objectives();
  if (objectives.size() > 1) html += "<h2>Front</h2>\n";
  for (std::size_t k = 1; k < objectives.size(); ++k) {
    html += front_chart(results, objectives[k].metric, objectives[0].metric);
  }
  html += "<h2>Best so far</h2>\n" + best_so_far_chart(results);
  if (const auto chosen = results.chosen()) {
    html += chosen_section(results, *chosen, directory);
    html += "<h2>Networks on the front</h2>\n" + front_table(results);
  } else {
    const std::string nearest = nearest_text(results);
    html += "<p>No trial keeps the constraints yet" + (nearest.empty() ? "" : "; " + nearest) +
            ".</p>\n";
  }
  html += notes_section(results);
  return html_page("Espalier run", html);
}

}  // namespace espalier
