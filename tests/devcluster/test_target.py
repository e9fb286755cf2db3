"""Which cluster the demo and the installation talk to: only the development cluster, or one that was named."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from devcluster.demo import check_data
from devcluster.deploy import VARIABLES, overlay
from devcluster.errors import DevclusterError
from devcluster.paths import Paths
from devcluster.target import Target

PATHS = Paths(state=Path("/state"), cache=Path("/cache"))


def test_an_exported_kubeconfig_alone_chooses_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KUBECONFIG", "/home/me/production")
    target = Target.choose(PATHS, context=None, image_prefix=None)
    assert target.is_development_cluster
    assert target.kubectl == ("/cache/bin/kubectl", "--kubeconfig", "/state/kubeconfig")


@pytest.mark.parametrize(
    ("context", "prefix", "want"),
    [
        ("mine", None, "CONTEXT is set and IMAGE_PREFIX is not"),
        (None, "reg/x", "IMAGE_PREFIX is set and CONTEXT is not"),
    ],
)
def test_half_a_choice_is_refused_with_what_is_missing(context: str | None, prefix: str | None, want: str) -> None:
    with pytest.raises(DevclusterError, match=want):
        Target.choose(PATHS, context=context, image_prefix=prefix)


def test_a_named_cluster_is_reached_by_its_context_only(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    kubectl = tmp_path / "kubectl"
    kubectl.touch(mode=0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    target = Target.choose(PATHS, context="mine", image_prefix="registry/path")
    assert not target.is_development_cluster
    assert target.kubectl == (str(kubectl), "--context", "mine")


def test_a_data_file_that_is_not_there_is_named_before_anything_is_changed() -> None:
    target = Target.choose(PATHS, context=None, image_prefix=None)
    with pytest.raises(DevclusterError, match=r"DATA: /no/such/file.npz is no file; want an npz file with x_train"):
        check_data(Path("/no/such/file.npz"), target)


def test_the_overlay_names_every_image_that_the_operator_hands_out(tmp_path: Path) -> None:
    references = {name: f"registry/{name}:1" for name in ("operator", *VARIABLES)}
    container = json.loads((overlay(references, tmp_path) / "images.json").read_text())["spec"]["template"]["spec"][
        "containers"
    ][0]
    assert container["image"] == "registry/operator:1"
    assert {v["name"]: v["value"] for v in container["env"]} == {
        variable: f"registry/{name}:1" for name, variable in VARIABLES.items()
    }
