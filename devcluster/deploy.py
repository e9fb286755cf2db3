"""`make deploy`: CRDs, operator and its rights, as shipped in manifests/, with the images of this checkout.

An overlay with the image names is written to out/overlay, so that what was applied can be looked at afterwards.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from devcluster import images
from devcluster.commands import run
from devcluster.errors import CommandFailed, DevclusterError, Refused
from devcluster.paths import Paths
from devcluster.steps import say, step
from devcluster.target import Target, root

NAMESPACE = "bananas-system"
LEADER_SECONDS = 40
"""A leader that was killed keeps the Lease for 15 s."""
VARIABLES = {
    "trainer": "BANANAS_TRAINER_IMAGE",
    "tables": "BANANAS_TABLES_IMAGE",
    "predictor": "BANANAS_PREDICTOR_IMAGE",
}


def deploy(paths: Paths, target: Target) -> None:
    """Builds what changed and installs it, or updates what is installed; returns once the operator is available."""
    kubectl = target.kubectl
    references = (
        images.load(paths, images.NAMES)
        if target.image_prefix is None
        else images.push(paths, images.NAMES, target.image_prefix, upload=True)
    )
    with step("CRDs"):
        run([*kubectl, "apply", "--server-side", "--force-conflicts", "-f", str(root() / "manifests" / "crds")])
        run(
            [
                *kubectl,
                "wait",
                "--for=condition=Established",
                "crd",
                "-l",
                "app.kubernetes.io/name=bananas",
                "--timeout=60s",
            ]
        )
    with step("operator"):
        run([*kubectl, "apply", "-k", str(overlay(references, root() / "out" / "overlay"))])
        run(
            [*kubectl, "rollout", "status", "deployment/bananas-operator", "-n", NAMESPACE, "--timeout=180s"],
            hint=f"Look: {' '.join(kubectl)} get pods,events -n {NAMESPACE}",
        )
        wait_for_leader(kubectl)


def wait_for_leader(kubectl: Sequence[str]) -> None:
    """Until the Lease is held by a replica that runs; the last leader may just be ending."""
    deadline = time.monotonic() + LEADER_SECONDS
    query = [*kubectl, "-n", NAMESPACE, "get", "--ignore-not-found", "-o"]
    living = "go-template={{range .items}}{{if not .metadata.deletionTimestamp}}{{.metadata.name}} {{end}}{{end}}"
    while True:
        pods = run([*query, living, "pods", "-l", "app.kubernetes.io/component=operator"]).split()
        holder = run([*query, "jsonpath={.spec.holderIdentity}", "lease", "bananas-operator"]).strip()
        if holder in pods:
            return
        if time.monotonic() > deadline:
            raise CommandFailed(
                f"no replica of the operator leads after {LEADER_SECONDS} s: the Lease is held by {holder or 'nobody'}, "
                f"pods are {', '.join(pods)}. Look: {' '.join(kubectl)} logs -n {NAMESPACE} deployment/bananas-operator"
            )
        time.sleep(0.5)


def overlay(references: Mapping[str, str], folder: Path) -> Path:
    """Writes a kustomization over manifests/base that names these images into the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    container = {
        "name": "operator",
        "image": references["operator"],
        "env": [{"name": variable, "value": references[name]} for name, variable in VARIABLES.items()],
    }
    patch = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "bananas-operator", "namespace": NAMESPACE},
        "spec": {"template": {"spec": {"containers": [container]}}},
    }
    kustomization = {
        "resources": [os.path.relpath(root() / "manifests" / "base", folder)],
        "patches": [{"path": "images.json"}],
    }
    (folder / "images.json").write_text(json.dumps(patch, indent=2))
    (folder / "kustomization.yaml").write_text(json.dumps(kustomization, indent=2))  # JSON is YAML
    return folder


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--context")
    parser.add_argument("--image-prefix")
    options = parser.parse_args()
    paths = Paths.from_environment()
    try:
        deploy(paths, Target.choose(paths, context=options.context, image_prefix=options.image_prefix))
    except Refused as refusal:
        say(f"cannot deploy from here. Nothing was changed.\n{refusal}")
        return 2
    except DevclusterError as error:
        say(f"error: {error}")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
