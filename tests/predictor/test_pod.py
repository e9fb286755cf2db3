"""The pod's program around the loop: settings, health, metrics, and how it ends."""

import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request

import pytest
from prometheus_client import CollectorRegistry, Gauge

from bananas_predictor.errors import InputError
from bananas_predictor.serving import serve
from bananas_predictor.settings import PodSettings

ENVIRONMENT = {"BANANAS_NAMESPACE": "team", "BANANAS_SEARCH": "lemon", "BANANAS_SEARCH_UID": "0a1b"}


def test_settings_come_from_the_environment_and_the_rest_has_defaults() -> None:
    assert PodSettings.from_environment(ENVIRONMENT) == PodSettings(
        namespace="team",
        search="lemon",
        search_uid="0a1b",
        metrics_port=8080,
        page_size=500,
        watch_seconds=45,
        relist_seconds=300,
        retry_seconds=1,
        longest_retry_seconds=30,
        conflict_seconds=5,
        dead_seconds=120,
        stuck_seconds=1800,
    )


@pytest.mark.parametrize("missing", ENVIRONMENT)
def test_a_variable_that_is_missing_is_named(missing: str) -> None:
    with pytest.raises(InputError, match=f"{missing} is not set"):
        PodSettings.from_environment({**ENVIRONMENT, missing: ""})


@pytest.mark.parametrize("port", ["http", "65536", "-1"])
def test_a_port_that_is_none_is_refused(port: str) -> None:
    with pytest.raises(InputError, match=f"BANANAS_METRICS_PORT is '{port}'"):
        PodSettings.from_environment({**ENVIRONMENT, "BANANAS_METRICS_PORT": port})


def _get(port: int, path: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=5) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def test_health_and_metrics_are_served() -> None:
    registry, ailments = CollectorRegistry(), [""]
    Gauge("lemons", "Number of lemons.", registry=registry).set(3)
    server = serve(0, registry, lambda: ailments[0] or None)
    try:
        port = server.server_address[1]
        assert isinstance(port, int)
        assert _get(port, "/healthz") == (200, "ok\n")
        assert "lemons 3.0" in _get(port, "/metrics")[1]
        assert _get(port, "/else")[0] == 404
        ailments[0] = "lists and watches have been dead for 130 s"
        assert _get(port, "/healthz") == (503, "lists and watches have been dead for 130 s\n")
    finally:
        server.shutdown()
        server.server_close()


def test_the_pod_without_its_environment_ends_with_a_message() -> None:
    environment = {key: value for key, value in os.environ.items() if not key.startswith("BANANAS_")}
    ended = subprocess.run(
        [sys.executable, "-m", "bananas_predictor.pod"], env=environment, capture_output=True, text=True, check=False
    )
    assert ended.returncode == os.EX_CONFIG
    assert "BANANAS_NAMESPACE is not set" in ended.stdout


def test_the_pod_without_a_cluster_ends_with_a_message() -> None:
    ended = subprocess.run(
        [sys.executable, "-m", "bananas_predictor.pod"],
        env={**os.environ, **ENVIRONMENT, "KUBECONFIG": "/absent/config"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == os.EX_CONFIG
    assert "no cluster: neither a pod's service account" in ended.stdout


def test_sigterm_ends_the_pod_within_a_second_though_no_api_server_answers(tmp_path: os.PathLike[str]) -> None:
    config = f"{tmp_path}/config"
    with open(config, "w") as file:  # noqa: PTH123 - one line
        file.write(
            "apiVersion: v1\nkind: Config\ncurrent-context: c\n"
            "clusters: [{name: c, cluster: {server: 'http://127.0.0.1:9'}}]\n"
            "users: [{name: u, user: {}}]\ncontexts: [{name: c, context: {cluster: c, user: u}}]\n"
        )
    pod = subprocess.Popen(
        [sys.executable, "-m", "bananas_predictor.pod"],
        env={**os.environ, **ENVIRONMENT, "KUBECONFIG": config, "BANANAS_METRICS_PORT": "0"},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert pod.stdout is not None
    assert '"event": "view"' in pod.stdout.readline()  # it has tried to list, so it is up
    start = time.monotonic()
    pod.send_signal(signal.SIGTERM)
    assert pod.wait(10) == 0
    assert time.monotonic() - start < 1
    pod.stdout.close()
