"""containerd with the cluster's own configuration, and its network plugins."""

from __future__ import annotations

import json

from e2e.cluster.node.daemons import Daemons
from e2e.cluster.node.host import CNI_PLUGINS
from e2e.cluster.node.layout import POD_NETWORK, Layout

__all__ = ["RUNTIME_ENDPOINT", "SANDBOX_IMAGE", "start_containerd"]

SANDBOX_IMAGE = "localhost/heterollm/pause:1"
RUNTIME_ENDPOINT = "unix:///run/containerd/containerd.sock"

_START_TIMEOUT_S = 30.0

# restrict_oom_score_adj: without CAP_SYS_RESOURCE runc could not lower the score, and containers would not start.
_CONFIG = """\
version = 2
disabled_plugins = ["io.containerd.snapshotter.v1.btrfs", "io.containerd.snapshotter.v1.zfs",
  "io.containerd.snapshotter.v1.aufs", "io.containerd.snapshotter.v1.devmapper", "io.containerd.internal.v1.opt"]

[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{sandbox_image}"
  restrict_oom_score_adj = true
  disable_apparmor = true
  [plugins."io.containerd.grpc.v1.cri".containerd]
    snapshotter = "overlayfs"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
      runtime_type = "io.containerd.runc.v2"
      [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
        SystemdCgroup = false
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "{plugins}"
    conf_dir = "{networks}"
"""


def start_containerd(daemons: Daemons) -> None:
    """Start containerd and return when it serves."""
    layout = daemons.layout
    networks = layout.config / "cni"
    networks.mkdir()
    (networks / "10-pods.conflist").write_text(json.dumps(_pod_network(), indent=2))
    config = layout.config / "containerd.toml"
    config.write_text(_CONFIG.format(sandbox_image=SANDBOX_IMAGE, plugins=CNI_PLUGINS, networks=networks))
    daemons.start("containerd", ["containerd", "--config", str(config)])
    daemons.wait("containerd", "containerd serves", lambda: _serves(layout), _START_TIMEOUT_S)


def _serves(layout: Layout) -> bool:
    """Tell whether containerd has said that it takes calls."""
    return "containerd successfully booted" in (layout.logs / "containerd.log").read_text()


def _pod_network() -> object:
    """Return the configuration of the pods' network: one bridge, as one node needs no routes to others."""
    bridge = {
        "type": "bridge",
        "bridge": "pods0",
        "isGateway": True,
        "ipMasq": True,
        "hairpinMode": True,
        "ipam": {
            "type": "host-local",
            "ranges": [[{"subnet": POD_NETWORK}]],
            "routes": [{"dst": "0.0.0.0/0"}],
        },
    }
    portmap = {"type": "portmap", "capabilities": {"portMappings": True}}
    return {"cniVersion": "1.0.0", "name": "pods", "plugins": [bridge, portmap]}
