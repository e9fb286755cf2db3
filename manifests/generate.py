"""Writes the generated manifests: `python manifests/generate.py`, or with `--check` compares them (`make verify`)."""

import json
import sys
from pathlib import Path

import yaml
from dashboard import dashboard

from bananas_core.crd import search_crd, trial_crd

HERE = Path(__file__).parent


class _Plain(yaml.SafeDumper):
    """No anchors: shared defaults are written out."""

    def ignore_aliases(self, data: object) -> bool:  # noqa: ARG002 - the name is the base class's
        return True


def generated() -> dict[Path, str]:
    """Path and text of every generated file."""
    head = "# Generated from bananas_core.api by manifests/generate.py; do not edit.\n"
    crds = {
        HERE / "crds" / f"{crd['metadata']['name']}.yaml": head
        + yaml.dump(crd, Dumper=_Plain, sort_keys=False, width=120, allow_unicode=True)
        for crd in (search_crd(), trial_crd())
    }
    return {**crds, HERE / "monitoring" / "grafana-dashboard.json": json.dumps(dashboard(), indent=2) + "\n"}


def main() -> int:
    """0 if all is written, or, with --check, if all is as generated."""
    stale = [path for path, text in generated().items() if not path.exists() or path.read_text() != text]
    if "--check" in sys.argv[1:]:
        for path in stale:
            print(f"{path}: differs from the models; run 'make generate'", file=sys.stderr)
        return 1 if stale else 0
    for path, text in generated().items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
