"""Settings of the kernel that Kubernetes' programs change for the whole machine: remembered before, put back afterwards.

A kubelet makes the machine restart ten seconds after a panic and the memory overcommit; nobody wants that to stay on a
laptop. The file is written before the first program starts and removed after the settings are put back, so a killed
`up` or `down` loses nothing.
"""

from __future__ import annotations

import contextlib
import json
from pathlib import Path

from devcluster.paths import Paths

PROC = Path("/proc/sys")
CHANGED = (
    "net/ipv4/ip_forward",  # by us
    "net/ipv4/conf/all/route_localnet",  # by kube-proxy; the others by the kubelet
    "vm/overcommit_memory",
    "vm/panic_on_oom",
    "kernel/panic",
    "kernel/panic_on_oops",
    "kernel/keys/root_maxkeys",
    "kernel/keys/root_maxbytes",
)


def remember(paths: Paths) -> None:
    """Once for each cluster: the second time they are changed already."""
    if paths.kernel_settings.exists():
        return
    found = {}
    for name in CHANGED:
        with contextlib.suppress(OSError):  # this kernel has no such setting
            found[name] = (PROC / name).read_text().strip()
    unfinished = paths.kernel_settings.with_suffix(".unfinished")
    unfinished.write_text(json.dumps(found, indent=1))
    unfinished.rename(paths.kernel_settings)


def allow_forwarding() -> None:
    (PROC / "net/ipv4/ip_forward").write_text("1\n")


def restore(paths: Paths) -> None:
    if not paths.kernel_settings.exists():
        return
    for name, value in json.loads(paths.kernel_settings.read_text()).items():
        with contextlib.suppress(OSError):  # in a container some may be read and not written
            (PROC / name).write_text(value)
    paths.kernel_settings.unlink()
