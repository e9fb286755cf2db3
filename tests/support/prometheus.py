"""A real Prometheus (Debian's package) as a process of the test, which scrapes the pods that ask for it by annotation.

Debian builds it without the discovery of Kubernetes pods, so a thread of ours writes the same list into a file.
"""

import json
import os
import shutil
import subprocess
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Event, Thread
from typing import Any

from tests.support.cluster import Cluster, wait_for

PORT = 19090
CONFIG = """
global: {{scrape_interval: 1s}}
scrape_configs:
- job_name: pods
  honor_labels: true
  file_sd_configs: [{{files: [{targets}], refresh_interval: 1s}}]
"""


@dataclass(frozen=True)
class Prometheus:
    """Where it answers."""

    address: str

    def query(self, expression: str) -> list[dict[str, Any]]:
        """The result vector of an instant query."""
        url = f"{self.address}/api/v1/query?{urllib.parse.urlencode({'query': expression})}"
        with urllib.request.urlopen(url, timeout=10) as answer:
            body = json.load(answer)
        assert body["status"] == "success", body
        result: list[dict[str, Any]] = body["data"]["result"]
        return result

    def ready(self) -> bool:
        """Whether it serves queries."""
        try:
            with urllib.request.urlopen(f"{self.address}/-/ready", timeout=2) as answer:
                return bool(answer.status == 200)
        except (urllib.error.URLError, OSError):
            return False


def binary(name: str) -> str:
    """Path of `prometheus` or `promtool`, installed if we may."""
    if not shutil.which(name) and os.geteuid() == 0 and shutil.which("apt-get"):
        environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
        for command in (
            ["update", "-qq"],
            ["install", "-y", "-qq", "--no-remove", "--no-install-recommends", "prometheus"],
        ):
            subprocess.run(["apt-get", *command], check=True, capture_output=True, env=environment)
    found = shutil.which(name)
    assert found, f"{name} is not installed: apt-get install prometheus"
    return found


def annotated_pods(cluster: Cluster) -> list[str]:
    """Address and port of each running pod with prometheus.io/scrape."""
    asks = [
        p for p in cluster.list("pods") if p["metadata"].get("annotations", {}).get("prometheus.io/scrape") == "true"
    ]
    return [
        f"{pod['status']['podIP']}:{pod['metadata']['annotations']['prometheus.io/port']}"
        for pod in asks
        if pod["status"].get("phase") == "Running" and pod["status"].get("podIP")
    ]


def _follow(cluster: Cluster, targets: Path, stop: Event) -> None:
    while not stop.wait(timeout=1):
        unfinished = targets.with_suffix(".unfinished")
        unfinished.write_text(json.dumps([{"targets": annotated_pods(cluster)}]))
        unfinished.rename(targets)


@contextmanager
def running(folder: Path, cluster: Cluster) -> Iterator[Prometheus]:
    """A Prometheus that scrapes the cluster's annotated pods every second."""
    config, targets = folder / "prometheus.yml", folder / "targets.json"
    config.write_text(CONFIG.format(targets=targets))
    targets.write_text("[]")
    checked = subprocess.run(
        [binary("promtool"), "check", "config", str(config)], capture_output=True, text=True, check=False
    )
    assert checked.returncode == 0, checked.stdout + checked.stderr
    with (folder / "prometheus.log").open("w") as log:
        process = subprocess.Popen(
            [
                binary("prometheus"),
                f"--config.file={config}",
                f"--storage.tsdb.path={folder / 'data'}",
                f"--web.listen-address=127.0.0.1:{PORT}",
            ],
            stdout=log,
            stderr=log,
        )
    stop = Event()
    follower = Thread(target=_follow, args=(cluster, targets, stop))
    follower.start()
    try:
        prometheus = Prometheus(f"http://127.0.0.1:{PORT}")
        wait_for("Prometheus is ready", prometheus.ready, seconds=30)
        yield prometheus
    finally:
        stop.set()
        follower.join()
        process.terminate()
        process.wait(timeout=20)
