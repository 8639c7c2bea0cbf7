#!/usr/bin/env bash
# Installs Debian packages by group, only those that are missing: install-packages.sh GROUP…
#   build       what compiling fnimage needs
#   quickstart  what examples/quickstart.sh asks the registry with
#   test        what the tests need besides: independent clients, emulator, sanitizer runtime
set -euo pipefail

declare -A group=(
  [build]="g++ cmake ninja-build pkg-config ccache git ca-certificates gpgv debian-archive-keyring
    libcurl4-openssl-dev libssl-dev nlohmann-json3-dev libarchive-dev libzstd-dev liblzma-dev libfmt-dev
    libexpected-dev libyaml-cpp-dev libdeflate-dev libcli11-dev libboost-dev"
  [quickstart]="curl"
  [test]="libgtest-dev libgmock-dev python3 clang-14 clang-format-14 clang-tidy-14
    libclang-rt-14-dev curl openssl docker-registry skopeo umoci podman buildah docker.io runc fuse-overlayfs
    qemu-user-static binutils strace doxygen gnupg apache2-utils pigz xz-utils zstd libarchive-tools time nodejs
    python3-nbclient python3-ipykernel libboost-dev python3-yaml chromium chromium-driver"
)

wanted=()
for name in "$@"; do
  [ -n "${group[$name]:-}" ] || { echo "no such group: $name (${!group[*]})" >&2; exit 2; }
  read -r -d '' -a words <<<"${group[$name]}" || true
  wanted+=("${words[@]}")
done

missing=()
for package in "${wanted[@]}"; do
  [ "$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null)" = installed ] || missing+=("$package")
done
if [ ${#missing[@]} -eq 0 ]; then
  echo "everything is installed"
  exit 0
fi

as_root=()
if [ "$(id -u)" -ne 0 ]; then
  command -v sudo >/dev/null || { echo "run as root, or install sudo: apt-get install ${missing[*]}" >&2; exit 1; }
  as_root=(sudo)
fi
echo "installing: ${missing[*]}"
"${as_root[@]}" apt-get update -q
# Runlevel 1 keeps Debian's service helper from starting a server that is installed here.
"${as_root[@]}" env DEBIAN_FRONTEND=noninteractive RUNLEVEL=1 \
  apt-get install -y -q --no-install-recommends "${missing[@]}" >/dev/null
