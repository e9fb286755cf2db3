"""The verdict on a machine: pure, facts in, problems out."""

import dataclasses

import pytest

from devcluster.addresses import BRIDGE_MAC
from devcluster.preflight import AddressUse, DiskNeed, Facts, Listener, judge, judge_disk

GOOD = Facts(
    user_id=0,
    is_linux=True,
    architecture="x86_64",
    has_apt=True,
    missing_packages=("buildah", "containerd"),
    cgroup_problems=(),
    can_make_network_namespace=True,
    can_mount=True,
    disk_needs=(DiskNeed("/root", "/", "building Kubernetes", 5.5, 80.0),),
    bridge_mac=None,
    addresses_in_use=(AddressUse("192.0.2.7/24", "eth0"), AddressUse("10.0.1.0/255.255.255.0", "eth1")),
    listeners=(),
    foreign_containerd=(),
    conflicting_packages=(),
    other_clusters=(),
)


def machine(**facts: object) -> Facts:
    return dataclasses.replace(GOOD, **facts)  # type: ignore[arg-type]


def test_a_good_machine_has_no_problem() -> None:
    assert judge(GOOD) == []


def test_a_machine_with_remains_of_ours_has_no_problem() -> None:
    assert judge(machine(bridge_mac=BRIDGE_MAC)) == []


@pytest.mark.parametrize(
    ("facts", "want"),
    [
        ({"is_linux": False}, "Linux"),
        ({"user_id": 1000}, "sudo"),
        ({"architecture": "aarch64"}, "x86_64"),
        ({"has_apt": False}, "buildah, containerd"),
        ({"cgroup_problems": ("/sys/fs/cgroup/memory is not writable",)}, "/sys/fs/cgroup/memory is not writable"),
        ({"can_make_network_namespace": False}, "network namespace"),
        ({"can_mount": False}, "mount"),
        ({"bridge_mac": "8e:1c:c0:ff:ee:00"}, "ip link delete cni0"),
        ({"addresses_in_use": (AddressUse("10.244.0.1/24", "flannel.1"),)}, "10.244.0.1/24 on flannel.1"),
        ({"addresses_in_use": (AddressUse("10.0.0.17/32", "lo"),)}, "10.0.0.0/24"),
        ({"addresses_in_use": (AddressUse("10.0.0.0/255.0.0.0", "tun0"),)}, "tun0"),
        ({"listeners": (Listener("0.0.0.0", 10250),)}, "10250/tcp (kubelet)"),
        ({"listeners": (Listener("::", 6443),)}, "6443/tcp (kube-apiserver)"),
        ({"listeners": (Listener("127.0.0.1", 2379),)}, "2379/tcp (etcd)"),
        ({"listeners": (Listener("10.244.0.1", 53, "udp"),)}, "53/udp (CoreDNS)"),
        ({"foreign_containerd": ("dockerd, process 17",)}, "process 17"),
        ({"conflicting_packages": ("containerd.io",)}, "containerd.io"),
        ({"other_clusters": ("/srv/other",)}, "BANANAS_STATE=/srv/other make cluster-down"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_a_machine_that_lacks_something_is_told_what(facts: dict[str, object], want: str) -> None:
    problems = judge(machine(**facts))
    assert len(problems) >= 1
    assert all(want in problem or "10.244" in problem for problem in problems)
    assert any(want in problem for problem in problems)


def test_a_resolver_on_another_address_is_in_nobodys_way() -> None:
    assert judge(machine(listeners=(Listener("192.0.2.7", 53, "udp"), Listener("::ffff:192.0.2.7", 10250)))) == []


def test_too_little_disk_is_told_with_what_is_needed_and_what_is_there() -> None:
    needs = (
        DiskNeed("/root", "/", "building Kubernetes", 5.5, 20.0),
        DiskNeed("/var/lib/x", "/", "images", 24.0, 20.0),
        DiskNeed("/data/y", "/data", "a running cluster", 2.0, 20.0),
    )
    (problem,) = judge_disk(machine(disk_needs=needs))
    assert "29.5 GB are needed, 20.0 GB are free" in problem
    assert "24.0 GB under /var/lib/x for images" in problem
    assert "/data" not in problem


def test_everything_that_is_wrong_is_told_at_once() -> None:
    bad = machine(can_mount=False, bridge_mac="8e:1c:c0:ff:ee:00", foreign_containerd=("containerd, process 1",))
    assert len(judge(bad)) == 3
