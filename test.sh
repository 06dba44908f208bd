#!/usr/bin/env bash
# Installs what is missing (Debian 12), builds everything and runs all tests. A second call installs
# and builds nothing again. ctest --test-dir build/release -LE slow leaves the slowest ones out.
set -euo pipefail
cd "$(dirname "$0")"

scripts/install_dependencies.sh --tests
# ONNX Runtime, which runs the exported networks. Its own install script would fetch GPU libraries.
# Without it (no network, say) the tests that need it are skipped, and say so.
modules=tests/onnxruntime/node_modules
if [[ ! -e $modules/.package-lock.json ||
      $modules/.package-lock.json -ot tests/onnxruntime/package-lock.json ]]; then
  echo "Installing with npm: onnxruntime-node"
  npm ci --prefix tests/onnxruntime --ignore-scripts --no-audit --no-fund ||
    echo "Warning: npm failed, so no exported network will be run in ONNX Runtime." >&2
fi
scripts/build.sh all

ctest --test-dir build/release -j2 --output-on-failure
