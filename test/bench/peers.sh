#!/bin/sh
# peers.sh DIR [PACKAGE…]: puts the programs of packages that Debian 12 lacks or has older (default: crane and oras) into
# DIR, from a newer Debian suite (SUITE, default sid) of the mirror that this machine's apt uses. Nothing is installed; the
# packages are verified as apt verifies them.
set -eu
target=$1
shift
[ $# -gt 0 ] || set -- crane oras
mkdir -p "$target"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT INT TERM
mkdir -p "$work/lists/partial" "$work/cache/archives/partial"
mirror=$(apt-get indextargets --format '$(SITE) $(RELEASE)' 'Identifier: Packages' | awk '/ bookworm$/ { print $1; exit }')
echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $mirror ${SUITE:-sid} main" > "$work/sources.list"
options="-q -o Dir::Etc::SourceList=$work/sources.list -o Dir::Etc::SourceParts=/dev/null -o Dir::State::Lists=$work/lists
  -o Dir::Cache=$work/cache -o APT::Sandbox::User=root"
# shellcheck disable=SC2086 # the options are words
apt-get $options update > "$work/log" 2>&1 || { cat "$work/log" >&2; exit 1; }
for package in "$@"; do
  # shellcheck disable=SC2086
  (cd "$work" && apt-get $options download "$package" > "$work/log" 2>&1) || { echo "no $package in this suite" >&2; continue; }
  dpkg-deb --fsys-tarfile "$work/$package"_*.deb | tar -xOf - "./usr/bin/$package" > "$target/$package"
  chmod 755 "$target/$package"
done
ls "$target"
