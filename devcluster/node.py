"""containerd and the kubelet: the node. Flags and files only; cluster.py starts them.

All that they make lies in the state folder or carries our name (sockets, mounts, namespaces, the cgroup), so that
teardown.py can find it.
"""

from __future__ import annotations

import json
from pathlib import Path

from devcluster import addresses, credentials
from devcluster.paths import Paths
from devcluster.processes import Daemon

# Every process of every pod is in this cgroup (one of the name in each cgroup v1 controller).
CGROUP = "bananas-devcluster"
PAUSE_IMAGE = "localhost/pause:dev"


def containerd(paths: Paths) -> Daemon:
    config = paths.config / "containerd.toml"
    files = {
        config: _containerd_config(paths),
        paths.config / "cni" / "10-bridge.conflist": json.dumps(_cni_config(paths), indent=1),
    }
    return Daemon("containerd", ("/usr/bin/containerd", "--config", str(config)), files)


def _containerd_config(paths: Paths) -> str:
    return f"""\
version = 2
root = "{paths.containerd}"
state = "{paths.run}/containerd"
disabled_plugins = ["io.containerd.snapshotter.v1.aufs", "io.containerd.snapshotter.v1.btrfs",
  "io.containerd.snapshotter.v1.devmapper", "io.containerd.snapshotter.v1.zfs", "io.containerd.internal.v1.opt"]

[grpc]
address = "{paths.containerd_socket}"

[plugins."io.containerd.grpc.v1.cri"]
sandbox_image = "{PAUSE_IMAGE}"
# Without CAP_SYS_RESOURCE every sandbox fails else, with "can't get final child's PID from pipe: EOF".
restrict_oom_score_adj = true
netns_mounts_under_state_dir = true

[plugins."io.containerd.grpc.v1.cri".cni]
bin_dir = "/usr/lib/cni"
conf_dir = "{paths.config}/cni"

[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
runtime_type = "io.containerd.runc.v2"

[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
SystemdCgroup = false
Root = "{paths.run}/runc"
"""


def _cni_config(paths: Paths) -> dict[str, object]:
    bridge = {
        "type": "bridge",
        "bridge": addresses.BRIDGE,
        "isGateway": True,
        "hairpinMode": True,
        # Not ipMasq: it leaves a chain for each pod; network.py has one rule for all.
        "ipam": {
            "type": "host-local",
            "ranges": [[{"subnet": addresses.POD_RANGE}]],
            "routes": [{"dst": "0.0.0.0/0"}],
            "dataDir": str(paths.run / "ipam"),
        },
    }
    return {"cniVersion": "1.0.0", "name": addresses.NETWORK, "plugins": [bridge]}


def kubelet(paths: Paths, program: Path) -> Daemon:
    config = paths.config / "kubelet.json"
    argv = (
        str(program),
        "kubelet",
        f"--config={config}",
        f"--kubeconfig={credentials.kubeconfig(paths, 'kubelet')}",
        f"--root-dir={paths.kubelet}",
        f"--cert-dir={paths.kubelet}/pki",
        f"--hostname-override={addresses.NODE}",
        f"--node-ip={addresses.HOST}",
    )
    return Daemon("kubelet", argv, {config: json.dumps(_kubelet_config(paths), indent=1)})


def _kubelet_config(paths: Paths) -> dict[str, object]:
    return {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "address": addresses.HOST,
        "port": addresses.KUBELET_PORT,
        # The API server has no certificate for the kubelet to check. Pods are kept away from this port by network.py.
        "authentication": {"anonymous": {"enabled": True}, "webhook": {"enabled": False}},
        "authorization": {"mode": "AlwaysAllow"},
        "containerRuntimeEndpoint": f"unix://{paths.containerd_socket}",
        "cgroupDriver": "cgroupfs",
        "cgroupRoot": f"/{CGROUP}",
        "failCgroupV1": False,
        "failSwapOn": False,
        "clusterDNS": [addresses.DNS],
        "clusterDomain": addresses.DOMAIN,
        "podLogsDir": str(paths.pod_logs),
        "volumePluginDir": str(paths.kubelet / "volume-plugins"),
        # Images come from nowhere but `devcluster images`: never collect them.
        "imageGCHighThresholdPercent": 100,
        "imageGCLowThresholdPercent": 99,
        "nodeStatusMaxImages": -1,  # else the 50 largest: `kubectl nas plan` could not tell that a small one is there
        "evictionHard": {
            "memory.available": "100Mi",
            "nodefs.available": "1%",
            "imagefs.available": "1%",
            "nodefs.inodesFree": "1%",
        },
        "serializeImagePulls": False,
        "maxPods": 200,
    }
