#!/usr/bin/env bash
# Everything that needs no cluster, into .venv. Called by `make setup`; a second time it takes a second.
# Needs: Python 3.11 or later with venv (Debian: installed here when we are root), and a Python package index.
set -euo pipefail
cd "$(dirname "$0")"

members=(core operator tables predictor trainer cli)
want=$(cat requirements/dev.txt setup.sh "${members[@]/%//pyproject.toml}" | sha256sum)
[ "$(cat .venv/.complete 2>/dev/null)" = "$want" ] && exit 0

say() { printf '\033[1m%s\033[0m\n' "$*"; }
started=$SECONDS

python=$(command -v python3.11 || command -v python3 || true)
if [ -z "$python" ] || ! "$python" -c 'import ensurepip, sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
  if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    say "setup: installing Python with venv"
    apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-remove python3 python3-venv >/dev/null
    python=/usr/bin/python3
  else
    echo "setup: Python 3.11 or later with the venv module is needed; found: ${python:-none}. Install python3 and python3-venv." >&2
    exit 1
  fi
fi

say "setup: Python packages into .venv (a first time about 3 minutes, most of it torch)"
if ! .venv/bin/python -c '' 2>/dev/null; then rm -rf .venv && "$python" -m venv .venv; fi
[ -x .venv/bin/uv ] || .venv/bin/python -m pip install --quiet uv==0.13.9
.venv/bin/uv pip install --python .venv/bin/python --quiet --require-hashes -r requirements/dev.txt
.venv/bin/uv pip install --python .venv/bin/python --quiet --no-deps --no-build-isolation --offline "${members[@]/#/-e}"
printf '%s' "$want" >.venv/.complete
say "setup: done in $((SECONDS - started)) s"
