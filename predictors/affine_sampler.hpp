#pragma once

#include <functional>
#include <span>
#include <vector>

#include "core/rng.hpp"

namespace espalier {

/// Draws from a density by chains that move together: each in turn steps along the line through it
/// and a random one of the other half. `density` gives the logarithm of the density but for a
/// constant, minus infinity or NaN where it is 0. `walkers` are where the chains are, an even
/// number of at least 2 points, all of positive density; they are moved by one step each. `logs`
/// are the logarithms there. Source: J. Goodman, J. Weare: Ensemble samplers with affine
/// invariance, Communications in Applied Mathematics and Computational Science 2010, section 3 (the
/// stretch move, a = 2). Test: AffineSampler.DrawsFromACorrelatedNormalDistribution.
void stretch_walkers(std::vector<std::vector<double>>& walkers, std::vector<double>& logs,
                     const std::function<double(std::span<const double>)>& density, Rng& rng);

}  // namespace espalier
