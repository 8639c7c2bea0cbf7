#!/usr/bin/env bash
# Runs the fuzz targets of a build: test/fuzz/run.sh BUILD_DIR [SECONDS]
#   BUILD_DIR  configured with clang, -DFNIMAGE_SANITIZE=address,undefined -DFNIMAGE_BUILD_FUZZERS=ON,
#              with the target `fuzzers` built
#   SECONDS    for each target (60); 0 = every file of the corpus once
# As many targets as there are processors run at once, each with bounds of its memory and of the time for one input, in
# a temporary directory on a copy of its corpus. Prints a line per target; a finding is printed with its reproducer, as
# a path and in base64, and fails the run. FUZZ_KEEP=DIR keeps the corpora that were found, for merging.
set -euo pipefail
if [ $# -lt 1 ] || [ $# -gt 2 ]; then
  sed -n '2,9s/^# \?//p' "$0" >&2
  exit 2
fi
build=$(realpath "$1")
export seconds=${2:-60}
export here
here=$(realpath "$(dirname "$0")")

mapfile -t programs < <(find "$build/test/fuzz" -maxdepth 1 -name 'fuzz_*' -type f -perm -u+x | sort)
[ ${#programs[@]} -gt 0 ] || { echo "no fuzz targets in $build/test/fuzz" >&2; exit 2; }

export work findings
work=$(mktemp -d "${TMPDIR:-/tmp}/fnimage-fuzz-run.XXXXXX")
findings=${FUZZ_FINDINGS:-$build/fuzz-findings}
trap 'chmod -R u+rwX "$work"; rm -rf "$work"' EXIT

# Texts are slow to read, and say all that they can in a few kilobytes.
largest_input() {
  case $1 in
    control | index | script | document | notebook | node | http | access) echo 8192 ;;
    *) echo 65536 ;;
  esac
}

run_one() {
  local program=$1 target directory begin runs coverage finding
  target=$(basename "$program")
  target=${target#fuzz_}
  directory=$work/$target
  mkdir -p "$directory/corpus" "$directory/findings" "$directory/tmp"
  cp "$here/corpus/$target"/* "$directory/corpus/"
  local options=(-rss_limit_mb=2048 -malloc_limit_mb=1024 -timeout=25 -print_final_stats=1
    -artifact_prefix="$directory/findings/")
  [ ! -e "$here/$target.dict" ] || options+=(-dict="$here/$target.dict")
  if [ "$seconds" -eq 0 ]; then
    options+=(-runs=0)
  else
    options+=(-max_total_time="$seconds" -max_len="$(largest_input "$target")")
  fi
  begin=$(date +%s)
  if (cd "$directory" && TMPDIR=$directory/tmp "$program" "${options[@]}" corpus >log 2>&1); then
    runs=$(sed -n 's/^stat::number_of_executed_units: *//p' "$directory/log" | tail -1)
    coverage=$(sed -n 's/^#.* cov: \([0-9]*\) .*/\1/p' "$directory/log" | tail -1)
    printf '%-12s %9s executions  coverage %6s  %4d s\n' "$target" "${runs:-?}" "${coverage:-?}" \
      $(($(date +%s) - begin))
    if [ -n "${FUZZ_KEEP:-}" ]; then
      mkdir -p "$FUZZ_KEEP/$target"
      cp -r "$directory/corpus/." "$FUZZ_KEEP/$target/"
    fi
    return 0
  fi
  printf '%-12s FAILED\n' "$target"
  grep -aE 'broken promise|ERROR: |SUMMARY: |runtime error|^ +#[0-9]+ ' "$directory/log" | head -40
  for finding in "$directory/findings"/*; do
    [ -e "$finding" ] || { tail -20 "$directory/log"; break; }
    mkdir -p "$findings/$target"
    cp "$finding" "$findings/$target/"
    echo "reproducer: $findings/$target/$(basename "$finding")"
    echo "base64: $(head -c 4096 "$finding" | base64 -w0)$([ "$(stat -c %s "$finding")" -le 4096 ] || echo ' (its first 4096 bytes)')"
  done
  return 1
}
export -f run_one largest_input

printf '%s\n' "${programs[@]}" | xargs -P "$(nproc)" -I '{}' bash -c 'run_one "{}"'
