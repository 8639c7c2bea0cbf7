#!/usr/bin/env bash
# From a fresh clone on Debian 12 or 13 to a published two-architecture action, in one command:
#   examples/quickstart.sh
# Installs what is needed (apt), builds fnimage, starts a registry on 127.0.0.1:30501, builds examples/hello-python for
# linux/amd64 and linux/ppc64le, pushes both and their list, and shows the list. Can be run again at any time.
set -euo pipefail
cd "$(dirname "$0")/.."

registry=127.0.0.1:30501
image=$registry/hello:latest
state=build/quickstart

say() { printf '\n==> %s\n' "$*"; }

say "Installing what the build needs"
cmake/install-packages.sh build quickstart

say "Building fnimage (build/release/src/cli/fnimage)"
cmake --preset release >/dev/null
cmake --build --preset release
fnimage=$PWD/build/release/src/cli/fnimage

say "fnimage serve --store $state/registry --addr $registry"
mkdir -p "$state"
if curl --silent --fail --output /dev/null "http://$registry/v2/"; then
  echo "one is running there already"
else
  nohup "$fnimage" serve --store "$state/registry" --addr "$registry" >"$state/registry.log" 2>&1 </dev/null &
  echo $! >"$state/registry.pid"
  until curl --silent --fail --output /dev/null "http://$registry/v2/"; do
    kill -0 "$(cat "$state/registry.pid")" 2>/dev/null ||
      { echo "the registry did not start: $(cat "$state/registry.log")" >&2; exit 1; }
    sleep 0.1
  done
  echo "started, process $(cat "$state/registry.pid"), data in $state/registry"
fi

say "fnimage build --push --plain-http -t $image examples/hello-python"
"$fnimage" build --push --plain-http -t "$image" examples/hello-python

say "fnimage inspect --plain-http $image"
"$fnimage" inspect --plain-http "$image"

cat <<TEXT

Done. Try it:      podman run --rm --network host --tls-verify=false $image &
                   curl -d '{"value":{}}' -H 'Content-Type: application/json' http://127.0.0.1:8080/init
                   curl -d '{"value":{"name":"Ada"}}' -H 'Content-Type: application/json' http://127.0.0.1:8080/run
See it:            http://$registry/ in a browser
Stop the registry: kill \$(cat $state/registry.pid)
TEXT
