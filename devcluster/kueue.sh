#!/bin/bash
# Builds Kueue from its Go module into the cache, for tests/cluster/test_kueue.py. `make kueue` calls it; about five minutes of CPU.
set -euo pipefail
version=v0.17.0
target="${XDG_CACHE_HOME:-$HOME/.cache}/bananas/kueue-$version"
if [ -x "$target/kueue" ]; then
  echo "kueue $version: already built"
  exit 0
fi
export PATH="$PATH:/usr/local/go/bin:${XDG_CACHE_HOME:-$HOME/.cache}/bananas/go/bin"
module=$(cd / && go mod download -json "sigs.k8s.io/kueue@$version" | sed -n 's/^\t"Dir": "\(.*\)",$/\1/p')
mkdir -p "$target"
cp -rT --no-preserve=mode "$module/config/components/crd/bases" "$target/crds"
CGO_ENABLED=0 go build -C "$module" -mod=readonly -trimpath -o "$target/kueue.unfinished" ./cmd/kueue
mv "$target/kueue.unfinished" "$target/kueue"
echo "kueue $version: $target"
