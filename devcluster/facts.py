"""What preflight.py has to know about this machine.

Reads only; the one thing that it makes, a namespace, ends with the process that has it.
"""

from __future__ import annotations

import json
import os
import platform
import shutil
import socket
import struct
import sys
from collections.abc import Iterable
from pathlib import Path

from devcluster import addresses, binary, commands, packages, processes
from devcluster.errors import CommandFailed
from devcluster.paths import Paths
from devcluster.preflight import AddressUse, DiskNeed, Facts, Listener

CGROUPS = Path("/sys/fs/cgroup")
CGROUP_V1_CONTROLLERS = ("cpu", "cpuacct", "cpuset", "memory", "pids")
# Measured on Debian 12 with Kubernetes 1.37.2: modules 1.0 and build cache 4.1, the program 0.2.
BINARY_GB = 5.5
# etcd, logs and volumes of a long demo.
RUNNING_GB = 2.0
# The torch image: 5.9 in buildah, 11.5 in containerd (packed and unpacked), 5.7 while it is moved from one to the
# other; 1 for the others.
IMAGES_GB = 24.0
# torch as it was downloaded, in uv's cache (which links the files of a virtual environment, so that costs nothing
# more).
PACKAGES_GB = 5.8
CONFLICTING_PACKAGES = ("containerd.io", "docker-ce")


def gather(paths: Paths) -> Facts:
    ours = processes.find()
    own_pids = {process.pid for process in ours if process.state == paths.state}
    interfaces = _interfaces()
    return Facts(
        user_id=os.geteuid(),
        is_linux=sys.platform == "linux",
        architecture=platform.machine(),
        has_apt=shutil.which("apt-get") is not None,
        missing_packages=tuple(packages.missing()),
        cgroup_problems=tuple(_cgroup_problems()),
        can_make_network_namespace=commands.succeeds(["unshare", "--net", "true"]),
        can_mount=commands.succeeds(["unshare", "--mount", "true"]),
        disk_needs=tuple(_disk_needs(paths)),
        bridge_mac=interfaces.get(addresses.BRIDGE),
        addresses_in_use=tuple(_addresses_in_use(interfaces)),
        listeners=tuple(_foreign_listeners(own_pids)),
        foreign_containerd=tuple(_foreign_containerd()),
        conflicting_packages=tuple(name for name in CONFLICTING_PACKAGES if _package_installed(name)),
        other_clusters=tuple(sorted({str(process.state) for process in ours if process.state != paths.state})),
    )


def _cgroup_problems() -> list[str]:
    if not CGROUPS.is_dir():
        return [f"{CGROUPS} does not exist"]
    trees = (
        [CGROUPS] if (CGROUPS / "cgroup.controllers").exists() else [CGROUPS / name for name in CGROUP_V1_CONTROLLERS]
    )
    problems = []
    for tree in trees:
        if not tree.is_dir():
            problems.append(f"{tree} does not exist")
        elif not os.access(tree, os.W_OK):
            problems.append(f"{tree} is not writable")
    return problems


def _disk_needs(paths: Paths) -> list[DiskNeed]:
    program = 0.0 if _exists(binary.location(paths)) else BINARY_GB
    home = Path.home()
    unmade = 0.0 if images_made(paths) else 1.0
    return [
        _disk_need(home, "building Kubernetes", program),
        _disk_need(home, "Python packages", unmade * PACKAGES_GB),
        _disk_need(paths.state, "images", unmade * IMAGES_GB),
        _disk_need(paths.state, "a running cluster", RUNNING_GB),
    ]


def images_made(paths: Paths) -> bool:
    """Whether the heavy one is there, of whatever version: a layer of gigabytes in containerd."""
    blobs = paths.containerd / "io.containerd.content.v1.content" / "blobs" / "sha256"
    try:
        return any(blob.stat().st_size > 2e9 for blob in blobs.iterdir())
    except OSError:
        return False


def _disk_need(folder: Path, purpose: str, needed_gb: float) -> DiskNeed:
    existing = folder
    while not _exists(existing):
        existing = existing.parent
    free = shutil.disk_usage(existing).free / 1e9
    return DiskNeed(str(folder), _mount_point(existing), purpose, needed_gb, free)


def _exists(path: Path) -> bool:
    """Path.exists raises where a parent may not be read."""
    return os.access(path, os.F_OK)


def _mount_point(folder: Path) -> str:
    while not folder.is_mount() and folder != folder.parent:
        folder = folder.parent
    return str(folder)


def _interfaces() -> dict[str, str]:
    """Name -> hardware address."""
    found = {}
    for entry in Path("/sys/class/net").iterdir():
        try:
            found[entry.name] = (entry / "address").read_text().strip()
        except OSError:  # gone meanwhile, or not an interface (bonding_masters)
            continue
    return found


def _addresses_in_use(interfaces: dict[str, str]) -> Iterable[AddressUse]:
    ours = {addresses.BRIDGE} if interfaces.get(addresses.BRIDGE) == addresses.BRIDGE_MAC else set()
    for network, interface in [*_interface_addresses(), *_routes()]:
        if interface not in ours:
            yield AddressUse(network, interface)


def _interface_addresses() -> Iterable[tuple[str, str]]:
    if shutil.which("ip", path=commands.environment()["PATH"]) is None:
        return  # then only the routes are known, which hold every address's network
    for interface in json.loads(commands.run(["ip", "-json", "-4", "address"]) or "[]"):
        for address in interface.get("addr_info", ()):
            yield f"{address['local']}/{address['prefixlen']}", interface["ifname"]


def _routes() -> Iterable[tuple[str, str]]:
    for line in Path("/proc/net/route").read_text().splitlines()[1:]:
        name, destination, _, _, _, _, _, mask = line.split()[:8]
        address, bits = (socket.inet_ntoa(struct.pack("<L", int(number, 16))) for number in (destination, mask))
        if bits != "0.0.0.0":  # the default route overlaps everything and is in nobody's way
            yield f"{address}/{bits}", name


def _foreign_listeners(own_pids: set[int]) -> Iterable[Listener]:
    own = _socket_inodes(own_pids)
    for name in ("tcp", "tcp6", "udp", "udp6"):
        table = Path("/proc/net") / name
        if not table.exists():  # no IPv6
            continue
        for line in table.read_text().splitlines()[1:]:
            fields = line.split()
            address, port = fields[1].rsplit(":", 1)
            listening = fields[3] == ("0A" if name.startswith("tcp") else "07")
            udp_matters = name.startswith("tcp") or int(port, 16) == 53
            if listening and udp_matters and int(port, 16) in addresses.PORTS and fields[9] not in own:
                yield Listener(_address(address), int(port, 16), name[:3])


def _address(hexadecimal: str) -> str:
    """The kernel prints each 32 bits in the machine's own byte order."""
    words = [hexadecimal[start : start + 8] for start in range(0, len(hexadecimal), 8)]
    packed = b"".join(struct.pack("<L", int(word, 16)) for word in words)
    return socket.inet_ntop(socket.AF_INET if len(packed) == 4 else socket.AF_INET6, packed)


def _socket_inodes(pids: set[int]) -> set[str]:
    inodes = set()
    for pid in pids:
        try:
            for descriptor in Path(f"/proc/{pid}/fd").iterdir():
                target = str(descriptor.readlink())
                if target.startswith("socket:["):
                    inodes.add(target[8:-1])
        except OSError:
            continue
    return inodes


def _foreign_containerd() -> Iterable[str]:
    for entry in Path("/proc").iterdir():
        try:
            name = (entry / "comm").read_text().strip() if entry.name.isdigit() else ""
            # One that has ended, or just begins, has no environment yet: it is not running.
            foreign = name in ("containerd", "dockerd") and (entry / "environ").read_bytes() != b""
        except OSError:
            continue
        # Asked now: ours makes children all the time.
        if foreign and processes.read(int(entry.name)) is None:
            yield f"{name}, process {entry.name}"


def _package_installed(name: str) -> bool:
    try:
        return commands.run(["dpkg-query", "--show", "--showformat=${db:Status-Status}", name]) == "installed"
    except CommandFailed:  # unknown to dpkg, or no dpkg at all
        return False
