#!/usr/bin/env bash
# From a bare Debian 12 to a network found for Fashion-MNIST: installs what is missing, builds the
# program, searches, trains the chosen network, and shows what came out. A second call builds
# nothing and continues, or shows, the same run.
set -euo pipefail
cd "$(dirname "$0")"
run=runs/quickstart
espalier=build/release/bin/espalier

scripts/install_dependencies.sh
scripts/build.sh program
"$espalier" search configs/quickstart.json --out "$run" --resume  # or start, where there is none
"$espalier" pareto "$run"

echo
echo "The run is in $run: report.html shows it, best/ holds the chosen network."
echo "The program is $espalier; try: $espalier --help"
