"""`kubectl nas` on a real search, called as the README says: by kubectl, which finds the plugin on PATH."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from bananas_core.spaces import parse_architecture
from tests.support.cluster import Cluster
from tests.support.searches import table_search

SEARCH = "shown"


def plugin(cluster: Cluster, namespace: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {
        **os.environ,
        "KUBECONFIG": cluster.kubeconfig,
        "PATH": f"{Path(sys.prefix) / 'bin'}:{os.environ['PATH']}",
    }
    return subprocess.run(
        [cluster.kubectl_path, "nas", *arguments, "--namespace", namespace],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=200,
    )


def test_the_plugin_watches_a_search_to_its_end_and_shows_what_came_of_it(
    cluster: Cluster, namespace: str, tmp_path: Path
) -> None:
    cluster.apply(table_search(SEARCH, namespace, trials=6, seconds=1))
    watched = plugin(cluster, namespace, "status", SEARCH, "--watch", "--timeout", "120")
    assert watched.returncode == 0, watched.stdout + watched.stderr
    assert "Complete" in watched.stdout

    best = cluster.get("nassearch", SEARCH, namespace)["status"]["best"]
    rows = [line.split() for line in plugin(cluster, namespace, "trials", SEARCH).stdout.splitlines() if "%" in line]
    assert len(rows) == 6
    assert rows[0][0] == best["trial"].removeprefix(f"{SEARCH}-"), "the best comes first"
    genotype = plugin(cluster, namespace, "best", SEARCH, "--format", "genotype").stdout.strip()
    assert parse_architecture("nasbench201", genotype) == parse_architecture("nasbench201", best["architecture"])
    assert json.loads(plugin(cluster, namespace, "best", SEARCH, "--format", "json").stdout)["trial"] == best["trial"]

    report = tmp_path / "report.html"
    assert plugin(cluster, namespace, "report", SEARCH, "-o", str(report)).returncode == 0
    assert best["trial"] in report.read_text()
    everything = json.loads(plugin(cluster, namespace, "export", SEARCH).stdout)
    assert sum(trial["status"]["phase"] == "Succeeded" for trial in everything["trials"]) == 6


@pytest.mark.parametrize("command", ["status", "trials", "best", "report", "export"])
def test_a_search_that_is_not_there_is_named_with_where_to_look(cluster: Cluster, namespace: str, command: str) -> None:
    answer = plugin(cluster, namespace, command, "absent")
    assert answer.returncode == 1
    assert f"no NASSearch absent in namespace {namespace}" in answer.stderr
