"""Kueue itself, as a process beside the development cluster: its CRDs, its controller and its webhooks for Jobs.

`make kueue` builds it. Certificates lie where the program looks for them in /etc, in a mount namespace of its own.
"""

import base64
import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import yaml

from tests.support.cluster import Cluster, Object, wait_for

CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "bananas" / "kueue-v0.17.0"
PORT = 19_443
CONFIGURATION = {
    "apiVersion": "config.kueue.x-k8s.io/v1beta2",
    "kind": "Configuration",
    "health": {"healthProbeBindAddress": "127.0.0.1:18081"},
    "metrics": {"bindAddress": "127.0.0.1:18443"},
    "leaderElection": {"leaderElect": False},
    "internalCertManagement": {"enable": False},
    "integrations": {"frameworks": ["batch/job"]},
}


def built() -> bool:
    """Whether `make kueue` has been called on this machine."""
    return (CACHE / "kueue").exists()


@contextmanager
def kueue(cluster: Cluster, folder: Path) -> Iterator[Path]:
    """Kueue at work, with its log; taken away afterwards."""
    certificates = folder / "certificates"
    _certify(certificates)
    cluster.kubectl("apply", "--server-side", "-f", str(CACHE / "crds"))
    cluster.kubectl("wait", "--for=condition=Established", "--timeout=60s", "-f", str(CACHE / "crds"))
    configuration = folder / "kueue.yaml"
    webhook = {"port": PORT, "host": "127.0.0.1", "certDir": str(certificates)}
    configuration.write_text(yaml.safe_dump({**CONFIGURATION, "webhook": webhook}))
    log = folder / "kueue.log"
    with log.open("w") as out:
        process = subprocess.Popen(
            ["unshare", "--mount", "sh", "-c", _command(folder, certificates, configuration)],
            env={**os.environ, "KUBECONFIG": cluster.kubeconfig},
            stdout=out,
            stderr=subprocess.STDOUT,
        )
    try:
        wait_for("kueue works", lambda: _works(process, log), seconds=60)
        cluster.apply(*_webhooks(certificates / "tls.crt"))
        yield log
    finally:
        for kind in ("mutatingwebhookconfiguration", "validatingwebhookconfiguration"):
            cluster.delete(kind, "test-kueue")
        _without_finalizers(cluster)
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
        cluster.kubectl("delete", "--ignore-not-found", "--wait=false", "-f", str(CACHE / "crds"))


def queue(name: str, namespace: str, gpus: int) -> tuple[Object, ...]:
    """A queue of a namespace, with so many GPUs."""
    kind = "kueue.x-k8s.io/v1beta2"
    quota = [{"name": "cpu", "nominalQuota": "8"}, {"name": "nvidia.com/gpu", "nominalQuota": gpus}]
    groups = [{"coveredResources": [one["name"] for one in quota], "flavors": [{"name": name, "resources": quota}]}]
    return (
        {"apiVersion": kind, "kind": "ResourceFlavor", "metadata": {"name": name}},
        {
            "apiVersion": kind,
            "kind": "ClusterQueue",
            "metadata": {"name": name},
            "spec": {"namespaceSelector": {}, "resourceGroups": groups},
        },
        {
            "apiVersion": kind,
            "kind": "LocalQueue",
            "metadata": {"name": name, "namespace": namespace},
            "spec": {"clusterQueue": name},
        },
    )


def _certify(folder: Path) -> None:
    folder.mkdir()
    key, certificate = folder / "tls.key", folder / "tls.crt"
    subject = ["-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"]
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", *subject]
    subprocess.run([*command, "-keyout", str(key), "-out", str(certificate)], check=True, capture_output=True)


def _command(folder: Path, certificates: Path, configuration: Path) -> str:
    """Kueue reads the certificate of its metrics from /etc/kueue, and from nowhere else: it gets an /etc of its own."""
    etc = folder / "etc"
    shutil.copytree(certificates, etc / "kueue" / "metrics" / "certs")
    gates = "--feature-gates=VisibilityOnDemand=false"  # its API server wants a certificate in the root folder
    return f"mount --bind {etc} /etc && exec {CACHE / 'kueue'} --config {configuration} {gates}"


def _works(process: "subprocess.Popen[bytes]", log: Path) -> bool:
    text = log.read_text()
    assert process.poll() is None, f"kueue has ended: {text[-2000:]}"
    return "Serving webhook server" in text and "Starting workers" in text


def _webhooks(certificate: Path) -> Iterator[Object]:
    bundle = base64.b64encode(certificate.read_bytes()).decode()
    for kind, verb, operations in (
        ("MutatingWebhookConfiguration", "mutate", ["CREATE"]),
        ("ValidatingWebhookConfiguration", "validate", ["CREATE", "UPDATE"]),
    ):
        yield {
            "apiVersion": "admissionregistration.k8s.io/v1",
            "kind": kind,
            "metadata": {"name": "test-kueue"},
            "webhooks": [
                {
                    "name": f"{verb}.test-kueue.bananas.dev",
                    "admissionReviewVersions": ["v1"],
                    "sideEffects": "None",
                    "clientConfig": {"url": f"https://127.0.0.1:{PORT}/{verb}-batch-v1-job", "caBundle": bundle},
                    "rules": [
                        {"apiGroups": ["batch"], "apiVersions": ["v1"], "operations": operations, "resources": ["jobs"]}
                    ],
                }
            ],
        }


def _without_finalizers(cluster: Cluster) -> None:
    """Kueue's objects hold one another until Kueue lets them go, and it is about to end."""
    for kind in ("workloads", "localqueues", "clusterqueues", "resourceflavors"):
        for found in cluster.list(f"{kind}.kueue.x-k8s.io"):
            metadata = found["metadata"]
            where = ["-n", metadata["namespace"]] if "namespace" in metadata else []
            patch = ["--type=merge", "-p", '{"metadata":{"finalizers":null}}']
            cluster.run("delete", f"{kind}.kueue.x-k8s.io", metadata["name"], *where, "--wait=false")
            cluster.run("patch", f"{kind}.kueue.x-k8s.io", metadata["name"], *where, *patch)
