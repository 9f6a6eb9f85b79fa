"""The configuration files of a node's programs and of the two that serve all nodes: values in, text out.

Invariant: a file is touched only when its text changes, since kube-proxy ends itself at every write to its own.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from e2e.cluster import context
from e2e.images import catalogue

if TYPE_CHECKING:
    from pathlib import Path

    from e2e.cluster.real_layout import Network, RealNode

CNI_PROGRAMS = "/usr/lib/cni"
CONTAINERD_SOCKET = "/run/containerd/containerd.sock"
# An import that replaces an image of the same name counts on the old one's layers: nothing may be collected meanwhile.
# What is left over goes with the node's folder.
KEEP_ALL = """[plugins."io.containerd.gc.v1.scheduler"]
startup_delay = "8760h"
mutation_threshold = 0
deletion_threshold = 0
"""
KUBELET_PORT = 10250
KUBELET_HEALTH_PORT = 10248
PROXY_HEALTH_PORT = 10256


def containerd(root: Path, networks: Path) -> str:
    """Containerd's configuration; its state folder is the usual one, which every node has for itself."""
    return f"""version = 2
root = "{root}"
state = "/run/containerd"
[grpc]
address = "{CONTAINERD_SOCKET}"
{KEEP_ALL}[plugins."io.containerd.grpc.v1.cri"]
sandbox_image = "{catalogue.PAUSE}"
# Without CAP_SYS_RESOURCE no score may be lowered, and every sandbox would die at its start.
restrict_oom_score_adj = true
disable_apparmor = true
netns_mounts_under_state_dir = true
[plugins."io.containerd.grpc.v1.cri".cni]
bin_dir = "{CNI_PROGRAMS}"
conf_dir = "{networks}"
[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
runtime_type = "io.containerd.runc.v2"
[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
SystemdCgroup = false
"""


def pod_network(subnet: str) -> str:
    """The node's pod network: a routed link for each pod, addresses from the node's subnet."""
    ranges = [[{"subnet": subnet}]]
    addresses = {
        "type": "host-local",
        "dataDir": "/run/containerd/addresses",
        "ranges": ranges,
        "routes": [{"dst": "0.0.0.0/0"}],
    }
    plugin = {"type": "ptp", "ipMasq": False, "ipam": addresses}
    return _json({"cniVersion": "0.4.0", "name": "pods", "plugins": [plugin]})


def kubelet(network: Network, node: RealNode, cgroup: str, authority: Path, resolver: Path) -> str:
    """Kubelet's configuration: its own cgroups, and no eviction because the developer's disk is rather full."""
    never = {"memory.available": "50Mi", "nodefs.available": "1%", "imagefs.available": "1%", "nodefs.inodesFree": "1%"}
    return _json({
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "address": network.node(node),
        "port": KUBELET_PORT,
        "healthzBindAddress": network.node(node),
        "healthzPort": KUBELET_HEALTH_PORT,
        "authentication": {
            "anonymous": {"enabled": False},
            "webhook": {"enabled": False},
            "x509": {"clientCAFile": str(authority)},
        },
        "authorization": {"mode": "AlwaysAllow"},
        "cgroupDriver": "cgroupfs",
        "cgroupRoot": f"/{cgroup}",
        "failCgroupV1": False,
        "enforceNodeAllocatable": ["none"],
        "containerRuntimeEndpoint": f"unix://{CONTAINERD_SOCKET}",
        "clusterDNS": [network.dns],
        "clusterDomain": context.CLUSTER_DOMAIN,
        "resolvConf": str(resolver),
        "evictionHard": never,
        "imageGCHighThresholdPercent": 100,
        "failSwapOn": False,
        "makeIPTablesUtilChains": False,
        "volumePluginDir": "/var/lib/kubelet/volumeplugins",
        "maxPods": 60,
    })  # fmt: skip


def proxy(network: Network, kubeconfig: Path, node: RealNode) -> str:
    """kube-proxy's configuration: nftables, and connection tracking limits left as this machine has them."""
    return _json({
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
        "kind": "KubeProxyConfiguration",
        "mode": "nftables",
        "clientConnection": {"kubeconfig": str(kubeconfig)},
        "hostnameOverride": node.name,
        "clusterCIDR": network.whole,
        "detectLocalMode": "ClusterCIDR",
        "healthzBindAddress": f"{network.node(node)}:{PROXY_HEALTH_PORT}",
        "metricsBindAddress": "127.0.0.1:10249",
        "conntrack": {"maxPerCore": 0, "min": 0, "tcpEstablishedTimeout": "0s", "tcpCloseWaitTimeout": "0s"},
        "nftables": {"syncPeriod": "30s", "minSyncPeriod": "100ms"},
    })  # fmt: skip


def coredns(network: Network, kubeconfig: Path) -> str:
    """CoreDNS's configuration: names of this cluster only, never cached, so that a new pod is found at once."""
    return f""".:53 {{
    bind {network.dns}
    errors
    kubernetes {context.CLUSTER_DOMAIN} in-addr.arpa ip6.arpa {{
        kubeconfig {kubeconfig}
        pods insecure
        ttl 1
    }}
}}
"""


def write(target: Path, text: str) -> str:
    """Let the file have that text, and return it."""
    if not target.exists() or target.read_text() != text:
        target.write_text(text)
    return text


def _json(content: dict[str, Any]) -> str:
    return json.dumps(content, indent=1) + "\n"
