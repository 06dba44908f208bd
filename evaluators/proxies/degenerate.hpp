// What networks score that a proxy cannot tell anything about. No LibTorch here.
#pragma once

namespace espalier {

/// The score of a degenerate network (one whose input does not reach its output, mostly), where the
/// source of a proxy has minus infinity or NaN: below that of every other network, and finite, so
/// that it is no failed trial.
/// Source: Krishnakumar et al., "NAS-Bench-Suite-Zero: Accelerating Research on Zero Cost Proxies",
/// NeurIPS 2022, arXiv 2210.03230, whose tables have this number for such cells.
/// Test: Degenerate.NetworksWithoutAPathScoreAsDocumented.
inline constexpr double degenerate_score = -1e8;

}  // namespace espalier
