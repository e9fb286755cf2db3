"""Debian packages: only the missing ones, never at the cost of an installed one, never starting a service."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Collection, Iterator
from pathlib import Path

from devcluster import commands
from devcluster.steps import step

# The program that shows that a package is there, and the package.
NEEDED = {
    "containerd": "containerd",
    "runc": "runc",
    "/usr/lib/cni/bridge": "containernetworking-plugins",
    "buildah": "buildah",
    "debootstrap": "debootstrap",
    "iptables": "iptables",
    "conntrack": "conntrack",  # kube-proxy calls it
    "openssl": "openssl",  # makes the service account key
    "ip": "iproute2",
    "mount": "mount",
    "tar": "tar",
}
# The part of it that makes images, which is all that is needed for a cluster that exists.
FOR_IMAGES = ("buildah", "debootstrap", "mount", "tar")
POLICY = Path("/usr/sbin/policy-rc.d")
START_NOTHING = "#!/bin/sh\n# bananas devcluster, during an installation: start nothing\nexit 101\n"


def missing(programs: Collection[str] = NEEDED) -> list[str]:
    return sorted(NEEDED[program] for program in programs if not _installed(program))


def _installed(program: str) -> bool:
    return shutil.which(program, path=commands.environment()["PATH"]) is not None


def ensure(programs: Collection[str] = NEEDED) -> None:
    with step("Debian packages") as current:
        wanted = missing(programs)
        if POLICY.exists() and POLICY.read_text() == START_NOTHING:
            POLICY.unlink()  # left by an installation of ours that was killed
        if not wanted:
            current.skip("already installed")
            return
        apt = ["apt-get", "--quiet", "--yes", "-o", "DPkg::Lock::Timeout=120"]
        quiet = {"DEBIAN_FRONTEND": "noninteractive"}
        commands.run(["dpkg", "--configure", "--pending"], env=quiet)  # what a killed installation left half done
        commands.run([*apt, "update"], env=quiet)
        with _no_services_started():
            # --no-remove: Debian's containerd conflicts with Docker's; theirs stays and we say so.
            hint = (
                "Nothing was replaced. Install these packages by hand, or use a cluster that exists: "
                "`make demo CONTEXT=name IMAGE_PREFIX=registry/path`."
            )
            commands.run([*apt, "install", "--no-remove", "--no-install-recommends", *wanted], env=quiet, hint=hint)
        current.note(f"installed {', '.join(wanted)}")


@contextlib.contextmanager
def _no_services_started() -> Iterator[None]:
    """Debian starts the daemons that it installs unless this file says no. Where somebody has one, it decides."""
    if POLICY.exists() and POLICY.read_text() != START_NOTHING:
        yield
        return
    POLICY.write_text(START_NOTHING)
    POLICY.chmod(0o755)
    try:
        yield
    finally:
        POLICY.unlink(missing_ok=True)
