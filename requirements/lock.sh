#!/usr/bin/env bash
# Writes the requirement files: pinned versions with hashes and no addresses. Run by `make lock`, never by the others.
# dev.txt pins everything; each image's file is a part of it at the same versions.
set -euo pipefail
cd "$(dirname "$0")/.."
uv=${UV:-.venv/bin/uv}
members=(core operator tables predictor trainer cli)
flags=(--quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header --no-annotate)
for member in "${members[@]}"; do flags+=(--no-emit-package "bananas-$member"); done

"$uv" pip compile "${flags[@]}" "${members[@]/%//pyproject.toml}" --group pyproject.toml:dev -o requirements/dev.txt "$@"
pins=$(mktemp)
trap 'rm -f "$pins"' EXIT
grep -E '^[a-z]' requirements/dev.txt | sed 's/ *\\$//' >"$pins"
"$uv" pip compile "${flags[@]}" --constraint "$pins" requirements/torch.in -o requirements/torch.txt
for image in operator tables predictor trainer; do
  "$uv" pip compile "${flags[@]}" --constraint "$pins" "$image/pyproject.toml" -o "requirements/$image.txt"
done
