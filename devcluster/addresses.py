"""The cluster's addresses, ports and the marks by which its network is known as ours.

They belong to the machine: it can hold one such cluster.
"""

from __future__ import annotations

NODE = "node1"
BRIDGE = "cni0"
# The bridge is known by its hardware address (locally administered, "banas" in ASCII): it is set in the same call
# that makes the bridge.
BRIDGE_MAC = "02:62:61:6e:61:73"
NETWORK = "bananas-devcluster"  # the CNI network's name, and the comment of our iptables rules

POD_RANGE = "10.244.0.0/24"
HOST = "10.244.0.1"  # the bridge's address: the API server, the kubelet and CoreDNS listen here
SERVICE_RANGE = "10.0.0.0/24"
DNS = "10.0.0.10"
DOMAIN = "cluster.local"

API_SERVER_PORT = 6443
ETCD_PORT = 2379
ETCD_PEER_PORT = 2380
KUBELET_PORT = 10250
# port -> who listens there; all are refused when somebody else has them
PORTS = {
    53: "CoreDNS",
    ETCD_PORT: "etcd",
    ETCD_PEER_PORT: "etcd",
    API_SERVER_PORT: "kube-apiserver",
    10248: "kubelet (health)",
    10249: "kube-proxy (metrics)",
    KUBELET_PORT: "kubelet",
    10256: "kube-proxy (health)",
    10257: "kube-controller-manager",
    10259: "kube-scheduler",
}
