#!/bin/sh
# layer.sh BENCH_LAYER [TAR]: packing a root file system (budget B5), against pigz -6 with sha256sum of both sides.
# Without TAR, one is made of programs and libraries of this machine, at most 150 MiB. Runs alternate; the best of ROUNDS (3) counts.
set -eu
bench=$1
rounds=${ROUNDS:-3}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT INT TERM
tar=${2:-}
if [ -z "$tar" ]; then
  tar=$work/rootfs.tar
  (cd / && find usr/bin usr/lib/python3 usr/share/perl usr/lib/x86_64-linux-gnu -type f -size -4096k -printf '%s %p\n' |
    LC_ALL=C sort -k 2 | awk '{ total += $1; if (total < 150 * 1048576) print substr($0, index($0, " ") + 1) }' |
    tar -cf "$tar" -T -)
fi
now() { date +%s.%N; }
seconds() { awk "BEGIN { printf \"%.3f\", $2 - $1 }"; }
best() { sort -n "$1" | head -n 1; }
round=0
while [ "$round" -lt "$rounds" ]; do
  round=$((round + 1))
  "$bench" "$tar" gzip >> "$work/gzip"
  "$bench" "$tar" zstd >> "$work/zstd"
  begin=$(now)
  mkfifo "$work/diff"
  sha256sum < "$work/diff" > /dev/null &
  tee "$work/diff" < "$tar" | pigz -n -6 | tee "$work/out.gz" | sha256sum > /dev/null
  wait
  rm "$work/diff"
  echo "$(seconds "$begin" "$(now)") $(stat -c %s "$work/out.gz")" >> "$work/pigz"
done
echo "tar: $(stat -c %s "$tar") bytes; seconds, blob bytes, (tar bytes, peak KiB):"
for name in pigz gzip zstd; do
  echo "$name: $(best "$work/$name")"
done
for name in gzip zstd; do
  { best "$work/pigz"; best "$work/$name"; } | awk -v name="$name" '
    NR == 1 { seconds = $1; bytes = $2 }
    NR == 2 { printf "%s: %.2f times as fast as pigz -6, %.3f of its size\n", name, seconds / $1, $2 / bytes }'
done
