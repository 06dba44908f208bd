#!/usr/bin/env bash
# Configures (once) and builds into build/release.
#   scripts/build.sh program   only the program, without what only tests need
#   scripts/build.sh all       everything, with tests, examples and benchmarks
set -euo pipefail
cd "$(dirname "$0")/.."

case ${1:-} in
  program) tests=OFF targets=(--target espalier) ;;
  all) tests=ON targets=() ;;
  *)
    sed -n '2,4s/^# \{0,1\}//p' "$0" >&2
    exit 2
    ;;
esac

cache=build/release/CMakeCache.txt
if [[ ! -e build/release/build.ninja ]] ||
  { [[ $tests == ON ]] && ! grep -q '^ESPALIER_BUILD_BENCHMARKS:BOOL=ON$' "$cache"; }; then
  cmake --preset release -DESPALIER_BUILD_TESTS=$tests -DESPALIER_BUILD_BENCHMARKS=$tests
fi

# A file that includes LibTorch takes up to 1.5 GB to compile.
jobs=$(nproc)
fit=$(awk '/^MemAvailable:/ {print int($2 / 1500000)}' /proc/meminfo)
if ((fit < jobs)); then
  jobs=$((fit > 1 ? fit : 1))
fi
cmake --build build/release --parallel "$jobs" ${targets[@]+"${targets[@]}"}
