#!/usr/bin/env bash
# Installs the Debian 12 packages that Espalier needs and that are missing.
#   scripts/install_dependencies.sh           what the program is built from and runs with
#   scripts/install_dependencies.sh --tests   also what the tests and benchmarks need
# Does nothing, and needs neither network nor root, when nothing is missing.
set -euo pipefail

packages=(
  g++ cmake ninja-build ccache pkg-config
  libtorch-dev libopenblas0-openmp
  libboost-graph-dev nlohmann-json3-dev libsqlite3-dev libcli11-dev libspdlog-dev libfmt-dev
  zlib1g-dev
  libonnx-dev libprotobuf-dev protobuf-compiler
  libxgboost-dev
  dataset-fashion-mnist graphviz
)
commands=()  # wanted as commands: they may come from elsewhere than Debian
case ${1:-} in
  '') ;;
  --tests)
    packages+=(
      libgtest-dev libgmock-dev libbenchmark-dev libpagmo-dev python3-jsonschema sqlite3 ca-certificates
    )
    commands+=(python3 nodejs:node npm)
    ;;
  *)
    sed -n '2,5s/^# \{0,1\}//p' "$0" >&2
    exit 2
    ;;
esac

missing=()
for package in "${packages[@]}"; do
  status=$(dpkg-query --show --showformat='${db:Status-Status}' "$package" 2>/dev/null || true)
  [[ $status == installed* ]] || missing+=("$package")
done
for entry in ${commands[@]+"${commands[@]}"}; do
  command -v "${entry#*:}" >/dev/null || missing+=("${entry%%:*}")
done

as_root=()
if [[ $(id -u) != 0 ]]; then
  as_root=(sudo)
fi
if [[ ${#missing[@]} -gt 0 ]]; then
  if [[ ${#as_root[@]} -gt 0 ]] && ! command -v sudo >/dev/null; then
    echo "These packages are missing, and there is no sudo to install them with. As root, run:" >&2
    echo "  apt-get install --no-install-recommends ${missing[*]}" >&2
    exit 1
  fi
  echo "Installing with apt-get: ${missing[*]}"
  ${as_root[@]+"${as_root[@]}"} env DEBIAN_FRONTEND=noninteractive sh -euc '
    apt-get update --quiet --quiet
    apt-get install --quiet --quiet --yes --no-install-recommends "$@" >/dev/null
  ' sh "${missing[@]}"
fi

# With the reference BLAS a matrix product takes thirty times as long. Debian prefers OpenBLAS by
# itself, so this speaks only where somebody has chosen otherwise.
blas=$(readlink -f /etc/alternatives/libblas.so.3-*-linux-gnu 2>/dev/null || true)
if [[ $blas != *openblas-openmp* ]]; then
  echo "Warning: the BLAS in use is ${blas:-unknown}, not openblas-openmp: training is slow." >&2
  echo "To choose: update-alternatives --config libblas.so.3-$(uname -m)-linux-gnu" >&2
fi
