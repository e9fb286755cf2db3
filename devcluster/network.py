"""Bridge, packet filter, kube-proxy and CoreDNS.

What is made here is known by its hardware address or its comment, and goes by them.
"""

from __future__ import annotations

import re
import shlex
from pathlib import Path

from devcluster import addresses, commands, credentials
from devcluster.addresses import BRIDGE, BRIDGE_MAC, HOST, NETWORK, POD_RANGE
from devcluster.paths import Paths
from devcluster.processes import Daemon

# table, chain, rule; each is put in front of its chain
RULES = (
    ("nat", "POSTROUTING", f"-s {POD_RANGE} ! -d {POD_RANGE} -j MASQUERADE"),
    # Docker's policy for forwarded packets is to drop them.
    ("filter", "FORWARD", f"-i {BRIDGE} -j ACCEPT"),
    ("filter", "FORWARD", f"-o {BRIDGE} -j ACCEPT"),
    # The kubelet asks nobody's name (node.py): it is for the API server, which comes over the loopback interface.
    ("filter", "INPUT", f"-i {BRIDGE} -p tcp --dport {addresses.KUBELET_PORT} -j DROP"),
)
# kube-proxy and the kubelet name every chain of theirs so; rules of theirs in the kernel's chains jump to one.
KUBERNETES_CHAIN = re.compile(r"^KUBE-[A-Z0-9-]+$")
TABLES = ("nat", "filter", "mangle")


def bridge_is_ours() -> bool:
    try:
        return Path(f"/sys/class/net/{BRIDGE}/address").read_text().strip() == BRIDGE_MAC
    except OSError:
        return False


def bridge_is_up() -> bool:
    return bridge_is_ours() and f"inet {HOST}/" in commands.run(["ip", "-4", "address", "show", "dev", BRIDGE, "up"])


def make_bridge() -> None:
    if not bridge_is_ours():
        commands.run(["ip", "link", "add", BRIDGE, "address", BRIDGE_MAC, "type", "bridge"])
    if not bridge_is_up():
        commands.run(["ip", "address", "replace", f"{HOST}/24", "dev", BRIDGE])
        commands.run(["ip", "link", "set", BRIDGE, "up"])


def remove_bridge() -> bool:
    """With it the pods' ends of their links and the routes. False when there was none of ours."""
    if not bridge_is_ours():
        return False
    commands.run(["ip", "link", "delete", BRIDGE])
    return True


def make_rules() -> None:
    for table, chain, rule in RULES:
        command = ["-t", table, "{}", chain, *shlex.split(rule), "-m", "comment", "--comment", NETWORK]
        if not commands.succeeds(["iptables", "--wait", *(word.format("--check") for word in command)]):
            commands.run(["iptables", "--wait", *(word.format("--insert") for word in command)])


def remove_rules() -> int:
    """Our own rules and Kubernetes' chains, in IPv4 and IPv6; how many rules and chains these were."""
    removed = 0
    for family in ("iptables", "ip6tables"):
        for table in TABLES:
            # A table that nobody used yet is not there, and asking for it would make it.
            if commands.succeeds(["grep", "-qx", table, f"/proc/net/{family[:-1]}_names"]) or _is_nft(family):
                orders = removal(commands.run([f"{family}-save", "-t", table]))
                if orders:
                    commands.run(
                        [f"{family}-restore", "--noflush", "--wait", "5"],
                        stdin="\n".join([f"*{table}", *orders, "COMMIT", ""]),
                    )
                removed += len(orders)
    return removed


def _is_nft(family: str) -> bool:
    return "nf_tables" in commands.run([family, "--version"])


def removal(saved: str) -> list[str]:
    """The orders for iptables-restore that take our part out of what iptables-save printed."""
    chains, rules = [], []
    for line in saved.splitlines():
        words = shlex.split(line) if line.startswith((":", "-A")) else []
        if words and words[0].startswith(":") and KUBERNETES_CHAIN.match(words[0][1:]):
            chains.append(words[0][1:])
        elif words and words[0] == "-A" and not KUBERNETES_CHAIN.match(words[1]):
            target = words[words.index("-j") + 1] if "-j" in words else ""
            ours = "--comment" in words and words[words.index("--comment") + 1] == NETWORK
            if ours or KUBERNETES_CHAIN.match(target):
                rules.append("-D" + line.removeprefix("-A"))
    return [*rules, *(f"-F {chain}" for chain in chains), *(f"-X {chain}" for chain in chains)]


def proxy(paths: Paths, program: Path) -> Daemon:
    argv = (
        str(program),
        "kube-proxy",
        f"--kubeconfig={credentials.kubeconfig(paths, 'kube-proxy')}",
        f"--hostname-override={addresses.NODE}",
        "--proxy-mode=iptables",
        f"--cluster-cidr={POD_RANGE}",
        # A pod's answer to another pod of the bridge would go there directly, past the translation that the
        # other expects.
        "--masquerade-all=true",
        "--conntrack-max-per-core=0",  # leave the machine's own limit alone
        "--conntrack-tcp-timeout-established=0s",
        "--conntrack-tcp-timeout-close-wait=0s",
        "--bind-address=127.0.0.1",
        "--metrics-bind-address=127.0.0.1:10249",
        "--healthz-bind-address=127.0.0.1:10256",
    )
    return Daemon("kube-proxy", argv)


def coredns(paths: Paths, program: Path) -> Daemon:
    corefile = paths.config / "Corefile"
    content = f"""\
.:53 {{
    bind {HOST}
    errors
    kubernetes {addresses.DOMAIN} {{
        kubeconfig {credentials.kubeconfig(paths, "coredns")}
    }}
}}
"""
    return Daemon("coredns", (str(program), "coredns", "-conf", str(corefile)), {corefile: content})
