"""Fixtures of the tests on the real cluster: the cluster, the deployed operator, and a fresh namespace a test."""

import subprocess
import sys
from collections.abc import Callable, Generator, Iterator
from itertools import count
from pathlib import Path

import pytest

from tests.support.cluster import ROOT, Cluster, wait_for

NAMESPACES = count()
FAILED = pytest.StashKey[bool]()


@pytest.fixture(scope="session")
def bare_cluster() -> Cluster:
    """The cluster, perhaps without our programs."""
    try:
        return Cluster.of_this_machine()
    except LookupError as error:
        pytest.skip(f"{error}; run 'make cluster-up'")


@pytest.fixture(scope="session")
def cluster(bare_cluster: Cluster) -> Cluster:
    """The cluster with CRDs, operator and images of this checkout, as `make deploy` installs them."""
    done = subprocess.run(
        [sys.executable, "-m", "devcluster.deploy"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return bare_cluster


@pytest.fixture
def new_namespace(cluster: Cluster, request: pytest.FixtureRequest) -> Iterator[Callable[..., str]]:
    """Makes namespaces that enforce the restricted Pod Security level, and deletes them after the test."""
    made: list[str] = []

    def make(level: str = "restricted") -> str:
        name = f"test-{next(NAMESPACES)}-{len(made)}"
        wait_for(
            f"namespace {name} of an earlier run is gone", lambda: cluster.get("namespace", name) is None, seconds=90
        )
        cluster.apply(
            {
                "apiVersion": "v1",
                "kind": "Namespace",
                "metadata": {"name": name, "labels": {"pod-security.kubernetes.io/enforce": level}},
            }
        )
        made.append(name)
        return name

    yield make
    if request.node.stash.get(FAILED, False):
        for name in made:
            print(cluster.picture(name))  # captured: the report of a failed test shows it
    for name in made:
        cluster.delete("namespace", name, wait=False)


@pytest.fixture
def namespace(new_namespace: Callable[..., str]) -> str:
    """A fresh namespace."""
    return new_namespace()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Lets the namespace's fixture know that its test failed, so that it shows what was there."""
    report = yield
    if report.failed:
        item.stash[FAILED] = True
    return report


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Everything in this folder needs the cluster, and more time than a unit test."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.cluster)
            item.add_marker(pytest.mark.timeout(420))
