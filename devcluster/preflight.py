"""Whether a cluster can run on this machine: facts in, problems out. Pure; facts.py gathers, cli.py prints.

It runs before anything is changed, so that a machine that cannot run a kubelet is left as it was found.
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass

from devcluster import addresses

# Said after the problems, whatever they are.
WAY_OUT = "Or use a cluster that exists: `make demo CONTEXT=name IMAGE_PREFIX=registry/path`."


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
        return ["Linux is needed: a kubelet runs nowhere else."]
    if facts.user_id != 0:
        # Without root most other facts cannot be seen either.
        why = "a kubelet makes cgroups, mounts and network namespaces"
        return [f"root is needed, and this is user {facts.user_id}: {why}. Run it with sudo."]
    return [*_machine(facts), *judge_disk(facts), *_network(facts), *_foreign_runtimes(facts)]


def judge_disk(facts: Facts) -> list[str]:
    """What is needed on each filesystem, added up."""
    problems = []
    for filesystem in sorted({need.filesystem for need in facts.disk_needs}):
        here = [need for need in facts.disk_needs if need.filesystem == filesystem]
        needed, free = sum(need.needed_gb for need in here), min(need.free_gb for need in here)
        if needed > free:
            wanted = [
                f"{need.needed_gb:.1f} GB under {need.folder} for {need.purpose}" for need in here if need.needed_gb
            ]
            problems.append(
                f"too little disk on {filesystem}: {needed:.1f} GB are needed, {free:.1f} GB are free ({'; '.join(wanted)}). "
                "Free some space, or name other folders with BANANAS_STATE and XDG_CACHE_HOME."
            )
    return problems


def _machine(facts: Facts) -> list[str]:
    privileged = "In a container, start it privileged"
    problems = []
    if facts.architecture != "x86_64":
        problems.append(f"an x86_64 machine is needed, and this is {facts.architecture}: the images are made for it.")
    if facts.missing_packages and not facts.has_apt:
        packages = ", ".join(facts.missing_packages)
        problems.append(
            f"there is no apt-get to install these Debian packages: {packages}. Install their like by hand."
        )
    problems += [
        f"the cgroup tree cannot be used: {problem}. {privileged}, with a writable /sys/fs/cgroup."
        for problem in facts.cgroup_problems
    ]
    if not facts.can_make_network_namespace:
        problems.append(
            f"no network namespace can be made (`unshare --net` fails), so no pod could start. {privileged}."
        )
    if not facts.can_mount:
        problems.append(f"nothing can be mounted (`unshare --mount` fails), so no container could start. {privileged}.")
    return problems


def _network(facts: Facts) -> list[str]:
    problems = []
    if facts.bridge_mac not in (None, addresses.BRIDGE_MAC):
        problems.append(
            f"there is a network interface {addresses.BRIDGE} that somebody else made (another Kubernetes or CNI?). "
            f"Stop that, then `ip link delete {addresses.BRIDGE}`."
        )
    for use in facts.addresses_in_use:
        problems += [
            f"the address range {ours} is in use: {use.network} on {use.interface}. Take that address or route away."
            for ours in (addresses.POD_RANGE, addresses.SERVICE_RANGE)
            if ipaddress.ip_interface(use.network).network.overlaps(ipaddress.ip_network(ours))
        ]
    problems += [
        f"port {listener.port}/{listener.protocol} ({addresses.PORTS[listener.port]}) is taken on {listener.address} "
        "by another program. Stop it; `ss -lnp` names it."
        for listener in facts.listeners
        if _collides(listener) and not facts.other_clusters  # whose ports these are, which is told already
    ]
    return problems


def _collides(listener: Listener) -> bool:
    """A listener on a particular address of another interface is in nobody's way."""
    where = ipaddress.ip_address(listener.address)
    mapped = where.ipv4_mapped if isinstance(where, ipaddress.IPv6Address) else None
    where = mapped or where
    return where.is_unspecified or where.is_loopback or where == ipaddress.ip_address(addresses.HOST)


def _foreign_runtimes(facts: Facts) -> list[str]:
    problems = [
        f"another cluster of this program runs, with its state in {state}. "
        f"Take it down first: `BANANAS_STATE={state} make cluster-down`."
        for state in facts.other_clusters
    ]
    if facts.conflicting_packages:
        names = ", ".join(facts.conflicting_packages)
        problems.append(
            f"a containerd that somebody else made is installed ({names}) and cannot stand beside Debian's. "
            "It is left alone; use another machine, or remove it yourself."
        )
    if facts.foreign_containerd:
        running = ", ".join(facts.foreign_containerd)
        problems.append(
            f"a containerd that somebody else made is running ({running}). Stop it while this cluster is up."
        )
    return problems
