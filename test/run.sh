#!/usr/bin/env bash
# Installs what the tests need, builds, and runs all of them:
#   test/run.sh
# In order: formatting, an optimised build with g++, the unit tests under the address and undefined-behaviour sanitizers (built with
# clang++), then everything, images that really run included. clang-tidy is a command of its own: test/tidy.sh build/ci.
# The last lines are ctest's summary.
set -euo pipefail
cd "$(dirname "$0")/.."

say() { printf '\n==> [%4ds] %s\n' "$SECONDS" "$*"; }

say "Installing what build and tests need"
cmake/install-packages.sh build test

say "Formatting (clang-format)"
git ls-files '*.cpp' '*.hpp' | xargs clang-format-14 --dry-run --Werror

say "Building (g++, optimised)"
cmake --preset ci >/dev/null
cmake --build --preset ci

say "Unit tests under address and undefined-behaviour sanitizers (clang++)"
CXX=clang++-14 cmake --preset asan-ubsan >/dev/null
cmake --build --preset asan-ubsan
ctest --preset asan-ubsan -L unit -j "$(nproc)" --output-on-failure --quiet

say "All tests"
ctest --preset ci -j "$(nproc)"
