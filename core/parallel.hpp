// Loops over threads whose result does not depend on their number.
#pragma once

#include <cstddef>
#include <functional>

namespace espalier {

/// Calls body(i) for every i in [0, n), on up to `threads` threads (this one included), each index
/// once, in any order. Results go to places named by i, so the thread count never changes them.
/// An exception stops the loop: those of other threads finish their index, and the one of the
/// lowest index is thrown. That is the exception that one thread would throw. threads >= 1.
void parallel_for(std::size_t n, std::size_t threads, const std::function<void(std::size_t)>& body);

/// The processors that this process may use, at least 1.
std::size_t hardware_threads();

}  // namespace espalier
