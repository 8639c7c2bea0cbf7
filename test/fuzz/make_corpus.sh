#!/usr/bin/env bash
# Makes the seeds of the fuzz targets with the tools whose output they read: make_corpus.sh [DIR]
# Files that are there already are replaced; others stay: findings are kept as crash-* and slow-* beside them.
# Needs GNU tar, bsdtar, dpkg-deb, zstd, xz, gzip, python3, clang-14 with lld, ldconfig.
set -euo pipefail
here=$(realpath "$(dirname "$0")")
out=$(realpath -m "${1:-$here/corpus}")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
for target in tar compressed deb control index elf script document notebook node http access; do
  mkdir -p "$out/$target"
done

# A tree with everything that layers hold.
mkdir -p root/usr/bin root/etc root/tmp root/usr/share/doc
printf hello >root/usr/bin/a
chmod 4755 root/usr/bin/a
ln root/usr/bin/a root/usr/bin/b
ln -s a root/usr/bin/l
ln -s usr/bin root/bin
: >root/etc/.wh.gone
: >root/etc/.wh..wh..opq
printf x >"root/dürer"
printf y >"root/$(printf 'n%.0s' $(seq 130))"
mkfifo root/tmp/fifo
common=(--sort=name --owner=0 --group=42 --mtime=@1700000000)
for format in v7 ustar gnu oldgnu pax; do
  (cd root && tar "${common[@]}" --format=$format --exclude='n*' -b 1 -cf "$out/tar/gnutar-$format" . 2>/dev/null) || true
done
(cd root && tar "${common[@]}" --format=gnu -b 1 -cf "$out/tar/gnu-longname" n* && tar "${common[@]}" --format=pax -b 1 -cf "$out/tar/pax-longname" n*)
truncate -s 100K sparse && printf x >>sparse
for version in 0.0 0.1 1.0; do tar -S --format=pax --sparse-version=$version -b 1 -cf "$out/tar/sparse-$version" sparse; done
tar -S --format=gnu -b 1 -cf "$out/tar/sparse-gnu" sparse
(cd root && bsdtar --format=pax -b 1 -cf "$out/tar/bsdtar-pax" usr && bsdtar --format=gnutar -b 1 -cf "$out/tar/bsdtar-gnu" usr etc)
python3 - "$out/tar" <<'PY'
import io, sys, tarfile
def tar(name, members, fmt=tarfile.PAX_FORMAT):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=fmt) as t:
        for info, data in members:
            info.size = len(data); t.addfile(info, io.BytesIO(data))
    open(f"{sys.argv[1]}/{name}", "wb").write(out.getvalue().rstrip(b"\0") + bytes(1024 + -len(out.getvalue().rstrip(b"\0")) % 512))
def member(name, kind=tarfile.REGTYPE, link="", pax=None, mode=0o644):
    i = tarfile.TarInfo(name); i.type = kind; i.linkname = link; i.pax_headers = pax or {}; i.mode = mode
    return i
tar("python-pax", [(member("f", pax={"SCHILY.xattr.user.a": "b", "mtime": "1.5"}), b"x"),
                   (member("null", tarfile.CHRTYPE), b"")])
tar("escape", [(member("l", tarfile.SYMTYPE, "/etc"), b""), (member("l/passwd"), b"x"),
               (member("h", tarfile.LNKTYPE, "l"), b""), (member("l/../../x"), b"y")])
image = [(member("manifest.json"), b'[{"Config":"c","Layers":["l/layer.tar"]}]'),
         (member("l", tarfile.DIRTYPE), b""), (member("l/layer.tar"), bytes(1024)),
         (member("m/layer.tar", tarfile.SYMTYPE, "../l/layer.tar"), b""), (member("c"), b"{}")]
tar("docker-archive", image, tarfile.GNU_FORMAT)
def raw(name, *parts):
    open(f"{sys.argv[1]}/{name}", "wb").write(b"".join(parts) + bytes(1024))
def header(name, kind=b"0", size=0):
    i = member(name, kind); i.size = size
    return i.tobuf(tarfile.USTAR_FORMAT)
def pax(*records):
    text = b"".join(records)
    return header("pax", b"x", len(text)) + text + bytes(-len(text) % 512)
# Published attacks: a size that only one of two readers sees (CVE-2025-62518), and others of that kind.
inner = header("hidden", size=1) + b"x".ljust(512, b"\0")
raw("known-two-sizes", pax(b"13 size=1024\n"), header("f"), inner)
raw("known-two-names", pax(b"9 path=a\n9 path=b\n"), header("f"))
raw("known-link-with-content", header("f"), header("l", b"1", 1024), inner)
raw("known-volume", header("v", b"V"), inner)
raw("known-second-archive", header("f"), bytes(1024), inner)
PY
gzip -9nc "$out/tar/gnutar-ustar" >"$out/tar/gzip"
zstd -q19c "$out/tar/gnutar-ustar" >"$out/tar/zstd"
xz -9c "$out/tar/gnutar-ustar" >"$out/tar/xz"

# Compressed streams.
seq 400 >text
gzip -9nc text >"$out/compressed/gzip"
gzip -1c text >"$out/compressed/gzip-name"
cat "$out/compressed/gzip" "$out/compressed/gzip" >"$out/compressed/gzip-members"
gzip -nc </dev/null >"$out/compressed/gzip-empty"
zstd -qc text >"$out/compressed/zstd"
zstd -qc --no-check --ultra -22 text >"$out/compressed/zstd-22"
cat "$out/compressed/zstd" "$out/compressed/zstd-22" >"$out/compressed/zstd-frames"
printf 'P*M\x18\x04\0\0\0skip' | cat "$out/compressed/zstd" - >"$out/compressed/zstd-skippable"
zstd -qc --long=31 --ultra <text >"$out/compressed/zstd-long"
zstd -qc </dev/null >"$out/compressed/zstd-empty"
for check in none crc32 crc64 sha256; do xz -C $check -c text >"$out/compressed/xz-$check"; done
xz --x86 --lzma2=dict=4096 -c text >"$out/compressed/xz-x86"
cat "$out/compressed/xz-crc32" "$out/compressed/xz-crc64" >"$out/compressed/xz-streams"
head -c 200000 /dev/zero | gzip -9nc >"$out/compressed/gzip-zeros"
head -c 200000 /dev/zero | zstd -qc >"$out/compressed/zstd-zeros"
printf trailing | cat "$out/compressed/gzip" - >"$out/compressed/gzip-trailing"
head -c 60 text >"$out/compressed/plain"
printf '\x28\xb5\x2f\xfd\x00\xa8\x01\x00\x00' >"$out/compressed/known-window-31"
printf '\x28\xb5\x2f\xfd\x00\x88\x03\x00\x10\x00' >"$out/compressed/known-run"
xz --lzma2=preset=0,dict=256MiB -c text >"$out/compressed/known-dictionary"

# Packages.
mkdir -p package/DEBIAN package/usr/share/doc/seed package/usr/bin
cat >package/DEBIAN/control <<'C'
Package: seed
Version: 1:2.0-1
Architecture: all
Maintainer: Nobody <nobody@example.org>
Depends: libc6 (>= 2.36), python3:any | python
Description: seed
 for fuzzing
C
printf '#!/bin/sh\nset -e\nldconfig\n' >package/DEBIAN/postinst
chmod 755 package/DEBIAN/postinst
printf x >package/usr/bin/seed
ln -s seed package/usr/bin/link
for kind in gzip xz zstd none; do
  SOURCE_DATE_EPOCH=1700000000 dpkg-deb --root-owner-group -Z$kind -b package "$out/deb/$kind" >/dev/null
done

# Control files.
cat >"$out/control/status" <<'C'
Package: libc6
Status: install ok installed
Architecture: ppc64el
Multi-Arch: same
Source: glibc (2.36-9)
Version: 2.36-9+deb12u10
Replaces: libc6-amd64
Provides: libcrypt1 (= 1:4.4), libc6-virtual
Depends: libgcc-s1, libcrypt1 (>= 1:4.4.10-10~)
Conffiles:
 /etc/ld.so.conf.d/x.conf d4e7a7b88a71b5ffd9e2644e71a0cfab
Description: GNU C Library
 Contains the standard libraries
 .
 and more

Package: libgcc-s1
Status: deinstall ok config-files
Architecture: ppc64el
Version: 12.2.0-14

# a comment
Package: gone
Status: install ok unpacked
Architecture: all
Version: 0~a1
Pre-Depends: a [amd64 !i386] | b (<< 1.0~rc1), c:any (= 2) <!nocheck>
C
printf 'Depends: a (>> 1), b (<= 2~) | c (= 3:1-2) [linux-any], d (< 1), e (> 1)\n' >"$out/control/relations"
printf 'V: 1.0 1.0-1 1.0~ 1.0~~a 0:1.0 1:0 1.0+b1 1.00 09 9 a A z1-~ 1-1-1 2.36-9+deb12u10\n' >"$out/control/versions"
cp package/DEBIAN/control "$out/control/control"

# What a mirror and apt say.
hash=$(sha256sum </dev/null | cut -d' ' -f1)
cat >"$out/index/release" <<C
Origin: Debian
Suite: stable
Codename: bookworm
Date: Sat, 09 Nov 2024 10:00:00 UTC
Valid-Until: Sat, 16 Nov 2124 10:00:00 UTC
Acquire-By-Hash: yes
No-Support-for-Architecture-all: Packages
Architectures: all amd64 ppc64el
Components: main contrib
SHA256:
 $hash  1484 main/binary-ppc64el/Packages.xz
 $hash 12345 main/binary-ppc64el/Packages
C
{ printf -- '-----BEGIN PGP SIGNED MESSAGE-----\nHash: SHA256\n\n'; sed 's/^-/- -/' "$out/index/release"
  printf -- '-----BEGIN PGP SIGNATURE-----\n\niQIz\n=abcd\n-----END PGP SIGNATURE-----\n'; } >"$out/index/inrelease"
cat >"$out/index/packages" <<C
Package: a
Version: 1.0-1
Architecture: ppc64el
Essential: yes
Provides: v (= 2), w
Depends: b (>= 1)
Filename: pool/a_1.0-1_ppc64el.deb
Size: 100
SHA256: $hash

Package: a
Version: 1.1-1
Architecture: all
Provides: v
Filename: pool/a_1.1-1_all.deb

Package: b
Version: 2
Architecture: ppc64el
C
printf 'deb [arch=amd64,ppc64el signed-by=/k.gpg trusted=yes] http://mirror.example/debian bookworm main contrib # c\ndeb-src http://mirror.example/debian bookworm main\ndeb [check-valid-until=no] cdrom:[x] / \n' >"$out/index/one-line"
cat >"$out/index/deb822" <<'C'
Types: deb deb-src
URIs: http://mirror.example/debian/ https://other.example/
Suites: bookworm bookworm-updates
Components: main
Architectures: amd64
Signed-By:
 -----BEGIN PGP PUBLIC KEY BLOCK-----
 .
 mQINBF
 =abcd
 -----END PGP PUBLIC KEY BLOCK-----
Trusted: yes
Check-Valid-Until: no

Enabled: no
Types: deb
C
printf 'Acquire::http::Proxy "http://p.example:3142";\nAcquire::Check-Valid-Until "false";\nAPT::x { "a"; };\n' >"$out/index/apt-config"
printf '[GNUPG:] GOODSIG 0123456789ABCDEF x\n[GNUPG:] VALIDSIG 0123456789ABCDEF0123456789ABCDEF01234567 2024-11-09 1 0 4 0 1 8 01 0123456789ABCDEF0123456789ABCDEF01234567\n[GNUPG:] KEYEXPIRED 1\n' >"$out/index/gpgv-status"

# ELF objects of several machines, and loader caches.
cat >library.c <<'C'
extern int needed(void); __attribute__((visibility("default"))) int f(void) { return needed(); }
C
printf 'FN_1.0 { global: f; local: *; };\nFN_2.0 { } FN_1.0;\n' >versions
printf 'LIB_1 { global: needed; };\n' >needed-versions
printf 'int needed(void) { return 1; }\n' >needed.c
for machine in x86_64 i386 powerpc64le powerpc64 aarch64 arm riscv64 mips64el; do
  build=(clang-14 --target=$machine-linux-gnu -Os -fPIC -nostdlib -fno-asynchronous-unwind-tables -ffreestanding)
  link=(-fuse-ld=lld -Wl,-s,-z,max-page-size=4096,-z,separate-code -Wl,-z,noseparate-code -shared)
  rm -f libneeded.so
  "${build[@]}" "${link[@]}" -Wl,-soname,libneeded.so.1,--version-script=needed-versions needed.c -o libneeded.so 2>/dev/null &&
    "${build[@]}" "${link[@]}" -Wl,-soname,libf.so.1,--version-script=versions,-rpath,/opt/lib library.c libneeded.so -o "$out/elf/$machine" 2>/dev/null ||
    echo "no seed for $machine" >&2
done
clang-14 --target=s390x-linux-gnu -Os -c library.c -o "$out/elf/s390x-object"
clang-14 --target=x86_64-linux-gnu -Os -ffreestanding -nostdlib -fuse-ld=lld -Wl,-s,-z,noseparate-code,--dynamic-linker=/lib64/ld-linux-x86-64.so.2 -pie needed.c -Wl,-e,needed -o "$out/elf/program" 2>/dev/null
mkdir -p loader/etc loader/lib/glibc-hwcaps/x86-64-v3
cp "$out/elf/x86_64" loader/lib/libf.so.1
cp "$out/elf/x86_64" loader/lib/glibc-hwcaps/x86-64-v3/libf.so.1
echo /lib >loader/etc/ld.so.conf
for format in new compat; do
  ldconfig -r loader -c $format -C /etc/cache && cp loader/etc/cache "$out/elf/cache-$format"
done

# Programs' texts.
cat >"$out/script/postinst" <<'C'
#!/bin/sh
set -e
case "$1" in
  configure|reconfigure)
    for name in python3 "python"; do
      update-alternatives --install /usr/bin/$name $name /usr/bin/python3.11 10 \
        --slave /usr/share/man/man1/$name.1 $name.1 "/usr/share/man/$(dpkg --print-multiarch)"
    done
    if ! getent passwd seed >/dev/null 2>&1; then
      adduser --system --group --home /var/lib/seed --no-create-home --gecos "A seed" seed || true
      addgroup --system --gid 77 seeds
      useradd -r -u 99 -g seeds -d /x -s /bin/sh other; usermod -aG seeds seed
    fi
    arch=`dpkg --print-architecture`; dir="${DPKG_ROOT:-}/usr/lib/$arch"
    cat <<-'END' >/etc/x
	text $(not run)
	END
    deb-systemd-helper enable x.service >/dev/null
  ;;
esac
C
printf 'u seed 99 "A seed" /var/lib/seed /bin/sh\ng seeds 77 -\nm seed seeds\nu! x -\n# c\nr - 500-900\n' >"$out/script/sysusers"
cat >"$out/script/module.py" <<'C'
"""doc"""
from __future__ import annotations
import os, sys as s, a.b.c
from . import (x, y as z,
               w)
from ..p.q import *
if True: import cond; from t import u
try:
    import maybe
except ImportError:
    maybe = None
def f():
    import late; r'''text
import no'''
C

{ echo a=xxxxxxxxxxxxxxxx; for _ in $(seq 40); do echo 'a=$a$a'; done; echo 'echo $a'; } >"$out/script/known-doubling"

# JSON documents.
digest=sha256:$hash
printf '{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[{"mediaType":"application/vnd.oci.image.manifest.v1+json","digest":"%s","size":7,"platform":{"architecture":"ppc64le","os":"linux"},"annotations":{"a":"b"}},{"mediaType":"application/vnd.oci.image.manifest.v1+json","digest":"%s","size":7,"platform":{"architecture":"arm","os":"linux","variant":"v7","os.features":["x"]}}],"annotations":{},"subject":{"mediaType":"x/y","digest":"%s","size":0}}' $digest $digest $digest >"$out/document/index"
printf '{"schemaVersion":2,"mediaType":"application/vnd.docker.distribution.manifest.v2+json","config":{"mediaType":"application/vnd.docker.container.image.v1+json","size":2,"digest":"%s"},"layers":[{"mediaType":"application/vnd.docker.image.rootfs.diff.tar.gzip","size":3,"digest":"%s","urls":["https://x.example/"]}]}' $digest $digest >"$out/document/docker-manifest"
printf '{"schemaVersion":2,"config":{"mediaType":"application/vnd.oci.empty.v1+json","digest":"sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a","size":2,"data":"e30="},"layers":[],"artifactType":"x/y","annotations":{"é":"\\u0001"}}' >"$out/document/artifact"
printf '{"architecture":"amd64","os":"linux","created":"2024-01-01T00:00:00Z","config":{"Env":["A=b"],"Entrypoint":["/x"],"Cmd":null,"ExposedPorts":{"8080/tcp":{}},"Labels":{"l":"m"},"User":"1:1","WorkingDir":"/","Volumes":{"/v":{}},"StopSignal":"SIGTERM"},"rootfs":{"type":"layers","diff_ids":["%s"]},"history":[{"created_by":"x"},{"empty_layer":true}]}' $digest >"$out/document/config"
printf 'serverless:30501/team/action:latest@%s' $digest >"$out/document/reference"
printf 'linux/arm/v7' >"$out/document/platform"
printf '%s' $digest >"$out/document/digest"

# Notebooks of both versions, and cells of parameters.
python3 - "$out/notebook" <<'PY'
import json, sys
def write(name, text):
    open(f"{sys.argv[1]}/{name}", "w").write(text)
cell = """import a
x = 1  # note
y: int = -0x1f; z = {'a': [1.5, None, "\\u2603\\n", r'\\d'], 2: (True,)}
t = 1, 'b' "c"
u = v = lambda w=1: f'{w}'
%time x
!ls "it's
"""
write("parameters.py", cell)
write("version4.ipynb", json.dumps({"nbformat": 4, "nbformat_minor": 5, "metadata": {
    "kernelspec": {"name": "python3", "language": "python"}}, "cells": [
        {"cell_type": "code", "id": "a", "metadata": {"tags": ["parameters"]}, "source": cell.splitlines(True), "outputs": []},
        {"cell_type": "markdown", "source": "# Text", "attachments": {"p": {"image/png": "AA=="}}},
        {"cell_type": "code", "source": "%%bash\nls"}, {"cell_type": "code", "source": "%%time\nf()"}]}))
write("version3.ipynb", json.dumps({"nbformat": 3, "metadata": {"name": "n"}, "worksheets": [{"cells": [
    {"cell_type": "heading", "level": 2, "source": "Title"}, {"cell_type": "code", "input": ["x = 2"], "outputs": []}]}]}))
PY

# Nodes of a cluster, and what functions require of them.
cat >"$out/node/list.json" <<'C'
{"apiVersion":"v1","kind":"List","items":[{"apiVersion":"v1","kind":"Node","metadata":{"name":"worker-1","labels":{
"kubernetes.io/arch":"amd64","kubernetes.io/os":"linux","feature.node.kubernetes.io/cpu-cpuid.X86_64_V3":"true",
"nvidia.com/gpu.memory":"15360","nvidia.com/gpu.compute.major":"7","nvidia.com/gpu.compute.minor":"5"}},
"spec":{"unschedulable":true,"taints":[{"key":"nvidia.com/gpu","value":"present","effect":"NoSchedule"}]},
"status":{"capacity":{"cpu":"8","memory":"65586508Ki","nvidia.com/gpu":"2"},"allocatable":{"cpu":"7910m","memory":64e9},
"conditions":[{"type":"Ready","status":"True"}],"nodeInfo":{"architecture":"amd64","operatingSystem":"linux",
"containerRuntimeVersion":"containerd://2.1.4"}}}]}
C
cat >"$out/node/nodes.yaml" <<'C'
---
kind: Node
metadata:
  name: power-1
  labels: {kubernetes.io/arch: ppc64le, kubernetes.io/os: linux, warehouse: dwh-1}
spec:
  taints:
  - {key: dedicated, value: science, effect: NoExecute}
status:
  allocatable: {cpu: 159500m, memory: 2.5Gi, pods: "250"}
  conditions:
  - status: "False"
    type: Ready
  nodeInfo:
    architecture: ppc64le
    operatingSystem: linux
    containerRuntimeVersion: cri-o://1.30.2
--- # the next one
kind: NodeList
items: []
C
printf '{"cpu":"4","cpu-features":["AVX2"],"cpu-level":"v3","gpu":{"compute":"7.5","count":2,"memory":"16Gi","vendor":"nvidia"},"memory":"8Gi","near":{"example.com/warehouse":"dwh-1"},"tolerations":[{"effect":"NoSchedule","key":"dedicated","value":"science"}],"tpu":{"accelerator":"tpu-v6e-slice","count":4,"topology":"2x4"}}' >"$out/node/requires"
printf 'gpu,avx512' >"$out/node/variants"
printf '12.5e3' >"$out/node/quantity"

# Requests to the embedded registry.
printf 'GET /v2/ HTTP/1.1\r\nHost: x\r\n\r\n' >"$out/http/get"
printf 'GET http://x:1/v2/a/tags/list?n=1&last=b HTTP/1.0\r\nConnection: keep-alive\r\nAccept: a, b\r\n\r\nGET / HTTP/1.1\r\n' >"$out/http/absolute"
printf 'PUT /v2/a/blobs/uploads/1?digest=sha256:a HTTP/1.1\r\nHost: [::1]:5000\r\nContent-Length: 3\r\nExpect: 100-continue\r\nContent-Range: 0-2\r\n\r\nabcGET /' >"$out/http/fixed"
printf 'PATCH /v2/a/blobs/uploads/1 HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n1;a=b;c="d"\r\na\r\nA\r\n0123456789\r\n0\r\nX-Trailer: y\r\n\r\nGET /' >"$out/http/chunked"
printf 'POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip, chunked\r\nContent-Length: 1, 1\r\n X: folded\r\n\r\n' >"$out/http/refused"
printf 'PATCH / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n/' >"$out/http/chunked-end-in-pieces"

# What decides who may do what with the embedded registry.
printf '# users\n\nann:$2y$05$abcdefghijklmnopqrstuuJ5B8kQx0a7n1yY0bC8q4bH1D6mJf0Ge\n bob:$2b$10$abcdefghijklmnopqrstuuJ5B8kQx0a7n1yY0bC8q4bH1D6mJf0Ge \n' >"$out/access/htpasswd"
printf 'ann team/* pull,push\n* lib/*-x delete\nanonymous * pull\n' >"$out/access/rules"
printf 'ci %064d pull,push team/* 2030-01-31T12:00:00Z\nci %064d delete *\n' 7 7 >"$out/access/tokens"
printf 'repository:team/a:pull,push,delete registry:catalog:* repository:b:*' >"$out/access/scopes"
printf 'Basic YW5uOnNlY3JldA==' >"$out/access/basic"
printf 'Bearer eyJzdWIiOiJ1c2VyOmFubiIsImV4cCI6MX0.AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA' >"$out/access/bearer"
printf 'user:ann' >"$out/access/subject"
printf '/v2/team/a/manifests/sha256:%064d' 7 >"$out/access/manifest"
printf '/v2/team%%2fa/blobs/uploads/1' >"$out/access/escaped"
printf 'n=10&last=v1.0%%2B&n=11' >"$out/access/query"
printf '2030-01-31' >"$out/access/time"
