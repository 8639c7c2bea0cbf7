#!/usr/bin/env bash
# Installs what the tests need, builds, and runs all of them:
#   test/run.sh
# In order: formatting, clang-tidy, the unit tests under the address and undefined-behaviour sanitizers, the fuzzers, those of
# the threaded modules under the thread sanitizer (built with clang++), then an optimised build with g++ and everything, images
# that really run included. The last lines are ctest's summary.
set -euo pipefail
cd "$(dirname "$0")/.."

# Runs ctest and says what did not pass.
# Many of these tests wait for a peer most of the time, so there are more of them than processors.
check() { ctest "$@" -j "$((2 * $(nproc)))" | grep -vE '^ *(Start +[0-9]+:|[0-9]+/[0-9]+ Test .* Passed )'; }

# Huge pages make clang faster by a seventh.
compile() { GLIBC_TUNABLES=glibc.malloc.hugetlb=1 cmake --build "$@"; }

say() { printf '\n==> [%4ds] %s\n' "$SECONDS" "$*"; }

say "Installing what build and tests need"
cmake/install-packages.sh build test

# Registries that Debian 12 lacks; without the newer suite their tests are skipped.
say "Fetching other registries into build/peers (nothing is installed)"
if test/bench/peers.sh build/peers crane docker-registry; then
  export FNIMAGE_PEERS=$PWD/build/peers
else
  echo "skipped: this machine's mirror has no newer suite"
fi

say "Formatting (clang-format)"
git ls-files '*.cpp' '*.hpp' | xargs clang-format-14 --dry-run --Werror

say "Static analysis (clang-tidy)"
test/tidy.sh

say "Unit tests under address and undefined-behaviour sanitizers (clang++)"
cmake --preset asan-ubsan >/dev/null
compile --preset asan-ubsan
# Logic, which sanitizers do not change, is looked at below: what is compared with apt is the resolver's answer, publishers
# that meet are tried in thousands of orders, and placements on thousands of clusters, which took more than half of the time.
check --preset asan-ubsan -L unit -E '^(source_debian_network|list_publisher\.ListRace|place\.Exactness)\.'

say "Fuzzing every reader of what comes from outside, a minute each (clang++, libFuzzer)"
compile --preset asan-ubsan --target fuzzers
test/fuzz/run.sh build/asan-ubsan 60

say "Unit tests of the threaded modules under the thread sanitizer (clang++)"
cmake --preset tsan >/dev/null
compile --preset tsan --target base_test layer_test registry_stores_test registry_client_test resolve_test
# What hostile archives do, they do in one thread.
check --preset tsan -R '^(base|layer|registry_stores|registry_client|resolve)\.' -E 'Bomb|Hostile|TarScanner'

say "Building (g++, optimised)"
cmake --preset ci >/dev/null
compile --preset ci

say "Public headers, each on its own"
compile --preset ci --target all_verify_interface_header_sets

say "All tests"
ctest --preset ci -j "$(nproc)"
