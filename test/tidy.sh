#!/usr/bin/env bash
# clang-tidy over the library and the command: tidy.sh. Fails on any finding. A file alone takes 15 s, nearly all of it
# for the headers, so sources are checked in batches that include several of them (CMake's unity build). Tests are left
# out: googletest's macros cost a minute a file.
# Batches whose sources, headers and settings have not changed since they were last found clean are skipped.
set -euo pipefail
cd "$(dirname "$0")/.."
build=build/tidy
cmake --preset tidy >/dev/null

stamps=$build/clean
mkdir -p "$stamps"
common=$( (cat .clang-tidy "$0"; git ls-files '*.hpp' | xargs cat) | sha256sum | cut -d' ' -f1)

pending=()
while read -r batch; do
  sources=$(sed -n 's/^#include "\(.*\)"$/\1/p' "$batch")
  # shellcheck disable=SC2086
  key=$( (echo "$common"; cat $sources) | sha256sum | cut -d' ' -f1)
  [ -e "$stamps/$key" ] || pending+=("$stamps/$key $batch")
done < <(find "$build" -name 'unity_*.cxx' | sort)

echo "${#pending[@]} batches to check"
[ ${#pending[@]} -gt 0 ] || exit 0
printf '%s\n' "${pending[@]}" | GLIBC_TUNABLES=glibc.malloc.hugetlb=1 xargs -P "$(nproc)" -L 1 sh -c '
  clang-tidy-14 -p "$0" --quiet --checks=-bugprone-suspicious-include --header-filter="/(src|manifest|registry)/[^.]*\.[ch]pp$" "$2" >"$1.log" 2>&1 &&
    mv "$1.log" "$1" || { cat "$1.log"; exit 1; }' "$build"
echo "no findings"
