#include "strategies/asked_architectures.hpp"

#include <cstdint>
#include <utility>

#include "search_spaces/sampling.hpp"

namespace espalier {
namespace {

constexpr std::uint64_t flat_limit = std::uint64_t{1} << 26;         // 8 MB of bits
constexpr std::uint64_t enumeration_limit = std::uint64_t{1} << 20;  // well under a second
constexpr int max_rejections = 10'000;

}  // namespace

AskedArchitectures::AskedArchitectures(std::shared_ptr<const SearchSpace> space)
    : space_(std::move(space)), radix_(MixedRadix::of(*space_, flat_limit)) {
  if (radix_) bits_.resize(radix_->size());
}

bool AskedArchitectures::insert(const Architecture& a) {
  if (contains(a)) return false;
  if (radix_) {
    bits_[radix_->index(a)] = true;
  } else {
    set_.insert(a);
  }
  return true;
}

std::optional<Architecture> AskedArchitectures::draw_other(Rng& rng) {
  if (!others_) {
    for (int i = 0; i < max_rejections; ++i) {
      Architecture a = sample_uniform(*space_, rng);
      if (!contains(a)) return a;
    }
    list_others();
  }
  while (!others_->empty()) {
    Architecture& a = (*others_)[rng.below(others_->size())];
    if (!contains(a)) return a;
    a = std::move(others_->back());
    others_->pop_back();
  }
  return std::nullopt;
}

void AskedArchitectures::list_others() {
  others_.emplace();
  if (!radix_ || radix_->size() > enumeration_limit) return;
  enumerate(*space_, [this](const Architecture& a) {
    if (!contains(a)) others_->push_back(a);
    return true;
  });
}

}  // namespace espalier
