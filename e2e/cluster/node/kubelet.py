"""The kubelet and kube-proxy of the cluster's node."""

from __future__ import annotations

import json
from pathlib import Path

from e2e.cluster.node.containerd import RUNTIME_ENDPOINT
from e2e.cluster.node.daemons import Daemons
from e2e.cluster.node.layout import CLUSTER_DOMAIN, NODE_ADDRESS, NODE_NAME, POD_NETWORK

__all__ = ["start_kube_proxy", "start_kubelet"]


def start_kubelet(daemons: Daemons, binary: Path, kubeconfig: Path) -> None:
    """Start the kubelet, which registers the node."""
    layout = daemons.layout
    resolver = layout.config / "resolv.conf"
    # Pods ask the cluster's DNS alone: there is no other.
    resolver.write_text("")
    configuration = {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "authentication": {
            "anonymous": {"enabled": False},
            "x509": {"clientCAFile": str(layout.control_plane / "pki" / "ca.crt")},
        },
        "authorization": {"mode": "Webhook"},
        "containerRuntimeEndpoint": RUNTIME_ENDPOINT,
        "clusterDNS": [NODE_ADDRESS],
        "clusterDomain": CLUSTER_DOMAIN,
        "resolvConf": str(resolver),
        "failCgroupV1": False,
        "cgroupDriver": "cgroupfs",
        "cgroupRoot": f"/{layout.cgroup}",
        "failSwapOn": False,
        "oomScoreAdj": 0,
        "registerNode": True,
        # A developer's disk may be almost full: neither evict pods for that nor remove images, which no registry
        # gives back.
        "evictionHard": {"memory.available": "100Mi", "nodefs.available": "1%", "imagefs.available": "1%"},
        "imageGCHighThresholdPercent": 100,
        "imageGCLowThresholdPercent": 99,
        # Tests start and stop many pods: be quick, and do not queue them up.
        "serializeImagePulls": False,
        "kubeAPIQPS": 100,
        "kubeAPIBurst": 200,
        "nodeStatusUpdateFrequency": "5s",
    }
    config = layout.config / "kubelet.json"
    config.write_text(json.dumps(configuration, indent=2))
    command = [str(binary), "--config", str(config), "--kubeconfig", str(kubeconfig)]
    command += ["--hostname-override", NODE_NAME, "--node-ip", NODE_ADDRESS]
    daemons.start("kubelet", command)


def start_kube_proxy(daemons: Daemons, binary: Path, kubeconfig: Path) -> None:
    """Start kube-proxy, which makes Service addresses work."""
    configuration = {
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
        "kind": "KubeProxyConfiguration",
        "mode": "iptables",
        "clusterCIDR": POD_NETWORK,
        "hostnameOverride": NODE_NAME,
        "clientConnection": {"kubeconfig": str(kubeconfig)},
        "oomScoreAdj": 0,
        # Limits of the whole machine's connection tracking are not ours to set.
        "conntrack": {"maxPerCore": 0, "min": 0, "tcpEstablishedTimeout": "0s", "tcpCloseWaitTimeout": "0s"},
        "iptables": {"minSyncPeriod": "100ms"},
    }
    config = daemons.layout.config / "kube-proxy.json"
    config.write_text(json.dumps(configuration, indent=2))
    daemons.start("kube-proxy", [str(binary), "--config", str(config)])
