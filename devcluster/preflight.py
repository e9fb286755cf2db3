"""Whether a cluster can run on this machine: facts in, problems out. Pure; facts.py gathers, cli.py prints.

It runs before anything is changed, so that a machine that cannot run a kubelet is left as it was found.
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass

from devcluster import addresses

ELSEWHERE = "Or use a cluster that exists: `make demo CONTEXT=name IMAGE_PREFIX=registry/path`."


@dataclass(frozen=True)
class DiskNeed:
    """What still has to be written below `folder`, and what is free there. Folders of one filesystem share `filesystem`."""

    folder: str
    filesystem: str
    purpose: str
    needed_gb: float
    free_gb: float


@dataclass(frozen=True)
class Listener:
    address: str
    port: int
    protocol: str = "tcp"


@dataclass(frozen=True)
class AddressUse:
    """An address or a route of an interface that is not ours."""

    network: str  # as the kernel writes it: 10.0.0.5/24
    interface: str


@dataclass(frozen=True)
class Facts:
    user_id: int
    is_linux: bool
    architecture: str
    has_apt: bool
    missing_packages: tuple[str, ...]
    cgroup_problems: tuple[str, ...]  # each names the folder and what is wrong with it
    can_make_network_namespace: bool
    can_mount: bool
    disk_needs: tuple[DiskNeed, ...]
    bridge_mac: str | None  # None: there is no cni0
    addresses_in_use: tuple[AddressUse, ...]
    listeners: tuple[Listener, ...]  # on our ports, by processes that are not ours
    foreign_containerd: tuple[str, ...]  # running ones, as "process 123"
    conflicting_packages: tuple[str, ...]
    other_clusters: tuple[str, ...]  # state folders of other running clusters of this program


def judge(facts: Facts) -> list[str]:
    """Every problem, each with its remedy; empty when `up` may go on."""
    if not facts.is_linux:
        return [f"Linux is needed: a kubelet runs nowhere else. {ELSEWHERE}"]
    if facts.user_id != 0:
        # Without root most other facts cannot be seen either.
        return [
            f"root is needed (this is user {facts.user_id}): a kubelet makes cgroups, mounts and network namespaces. Run it with sudo. {ELSEWHERE}"
        ]
    return [
        *_machine(facts),
        *judge_disk(facts),
        *_network(facts),
        *_foreign_runtimes(facts),
    ]


def _machine(facts: Facts) -> list[str]:
    problems = []
    if facts.architecture != "x86_64":
        problems.append(
            f"an x86_64 machine is needed (this is {facts.architecture}): the locked Python packages are for it. {ELSEWHERE}"
        )
    if facts.missing_packages and not facts.has_apt:
        problems.append(
            f"these Debian packages are missing and there is no apt-get: {', '.join(facts.missing_packages)}. Install their like by hand. {ELSEWHERE}"
        )
    for problem in facts.cgroup_problems:
        problems.append(
            f"the cgroup tree cannot be used: {problem}. In a container, start it privileged with a writable /sys/fs/cgroup. {ELSEWHERE}"
        )
    if not facts.can_make_network_namespace:
        problems.append(
            f"network namespaces cannot be made (`unshare --net` fails), so no pod can start. In a container, start it privileged. {ELSEWHERE}"
        )
    if not facts.can_mount:
        problems.append(
            f"filesystems cannot be mounted (`unshare --mount` fails), so no container can start. In a container, start it privileged. {ELSEWHERE}"
        )
    return problems


def judge_disk(facts: Facts) -> list[str]:
    """What is needed on each filesystem, added up."""
    needs, problems = facts.disk_needs, []
    for filesystem in sorted({need.filesystem for need in needs}):
        here = [need for need in needs if need.filesystem == filesystem]
        needed, free = sum(need.needed_gb for need in here), min(need.free_gb for need in here)
        if needed > free:
            parts = "; ".join(
                f"{need.needed_gb:.1f} GB under {need.folder} for {need.purpose}" for need in here if need.needed_gb
            )
            remedy = "Free some space, or name other folders with BANANAS_STATE and XDG_CACHE_HOME."
            problems.append(
                f"too little disk on {filesystem}: {needed:.1f} GB are needed, {free:.1f} GB are free ({parts}). {remedy} {ELSEWHERE}"
            )
    return problems


def _network(facts: Facts) -> list[str]:
    problems = []
    if facts.bridge_mac not in (None, addresses.BRIDGE_MAC):
        problems.append(
            f"a network interface {addresses.BRIDGE} exists that somebody else made (another Kubernetes or CNI?). Stop that, then `ip link delete {addresses.BRIDGE}`. {ELSEWHERE}"
        )
    for use in facts.addresses_in_use:
        for ours in (addresses.POD_RANGE, addresses.SERVICE_RANGE):
            if ipaddress.ip_interface(use.network).network.overlaps(ipaddress.ip_network(ours)):
                problems.append(
                    f"the address range {ours} is in use: {use.network} on {use.interface}. Take that address or route away. {ELSEWHERE}"
                )
    for listener in facts.listeners:
        if _collides(listener):
            who = addresses.PORTS[listener.port]
            problems.append(
                f"port {listener.port}/{listener.protocol} ({who}) is in use on {listener.address} by another program. Stop it (`ss -lnp` names it). {ELSEWHERE}"
            )
    return problems


def _collides(listener: Listener) -> bool:
    """A listener on a particular address of another interface is in nobody's way."""
    where = ipaddress.ip_address(listener.address)
    mapped = where.ipv4_mapped if isinstance(where, ipaddress.IPv6Address) else None
    where = mapped or where
    return where.is_unspecified or where.is_loopback or where == ipaddress.ip_address(addresses.HOST)


def _foreign_runtimes(facts: Facts) -> list[str]:
    problems = [
        f"another cluster of this program runs, with its state in {state}. Take it down first: `BANANAS_STATE={state} make cluster-down`."
        for state in facts.other_clusters
    ]
    if facts.conflicting_packages:
        problems.append(
            f"a containerd that somebody else made is installed ({', '.join(facts.conflicting_packages)}) and cannot stand beside Debian's. It is left alone. {ELSEWHERE}"
        )
    if facts.foreign_containerd:
        problems.append(
            f"a containerd that somebody else made is running ({', '.join(facts.foreign_containerd)}). Stop it (and Docker) while this cluster is up. {ELSEWHERE}"
        )
    return problems
