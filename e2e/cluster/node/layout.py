"""Where a cluster's files are and which addresses it uses inside its network namespace."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from e2e.cluster.cache import cache_dir

__all__ = [
    "API_PORT",
    "CLUSTER_DOMAIN",
    "DEFAULT_NAME",
    "NODE_ADDRESS",
    "NODE_NAME",
    "NODE_NETWORK",
    "POD_NETWORK",
    "SERVICE_NETWORK",
    "Layout",
]

DEFAULT_NAME = "dev"
NODE_NAME = "node-0"
# Seen by nobody outside the cluster's own network namespace, so two clusters may use the same.
NODE_ADDRESS = "10.250.0.1"
NODE_NETWORK = "10.250.0.0/24"
POD_NETWORK = "10.244.0.0/16"
SERVICE_NETWORK = "10.96.0.0/16"
CLUSTER_DOMAIN = "cluster.local"
API_PORT = 6443


@dataclass(frozen=True)
class Layout:
    """The folders of the cluster `name`; all it writes but images is below `state`, which `down` removes."""

    name: str = DEFAULT_NAME

    @property
    def state(self) -> Path:
        """The folder of the cluster's state."""
        return cache_dir() / "clusters" / self.name

    @property
    def lock(self) -> Path:
        """The file locked by `up` and `down`, beside the state because it outlives it."""
        return cache_dir() / "clusters" / f"{self.name}.lock"

    @property
    def images(self) -> Path:
        """containerd's own folder, a cache: a cluster of this name finds its images loaded when it starts again."""
        return cache_dir() / "clusters" / f"{self.name}.images"

    @property
    def cgroup(self) -> str:
        """The name of the cluster's cgroup in every hierarchy."""
        return f"heterollm-{self.name}"

    @property
    def control_plane(self) -> Path:
        """The control plane's folder: keys, certificates, etcd's data."""
        return self.state / "controlplane"

    @property
    def config(self) -> Path:
        """The configuration files of the node's programs."""
        return self.state / "config"

    @property
    def logs(self) -> Path:
        """A log file for each program."""
        return self.state / "logs"

    @property
    def kubeconfig(self) -> Path:
        """The administrator's kubeconfig for programs of the host."""
        return self.state / "kubeconfig"
