"""RDMA between the nodes of one engine: the devices, rights and environment that a kind of network asks for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from heterollm_controllers.api.v1alpha1.accelerator import Network

__all__ = ["Fabric", "fabric_of"]

_DEVICE = {"infiniband": "rdma/ib", "roce": "rdma/roce"}
"""What device plugins commonly call an RDMA device; there is no standard name."""

_ENVIRONMENT = {
    # NCCL falls back to TCP in silence where it cannot use RDMA, and the engine is then slower by an order of
    # magnitude. Its built-in RDMA transport, which serves InfiniBand and RoCE, fails in clear words instead.
    "NCCL_NET": "IB",
    # Ranks meet over TCP before they use RDMA. NCCL takes an interface called ib* for that before any other, and may
    # take net* (what Multus adds): the other pods are not known by the addresses of those, only by the pod network's.
    "NCCL_SOCKET_IFNAME": "^ib,net,docker,lo",
}
"""Not here, because NCCL finds them by itself: NCCL_IB_HCA (it uses the devices nearest to each GPU) and, since 2.21,
NCCL_IB_GID_INDEX (it looks for RoCE v2 over IPv4). Nor GLOO_SOCKET_IFNAME: Gloo asks for the address of the pod's
host name, which is that of the pod network."""


@dataclass(frozen=True)
class Fabric:
    """What the pods of an engine need beside their GPUs to talk to each other."""

    devices: Mapping[str, int] = field(default_factory=dict)
    """Extended resources of one pod."""
    environment: Mapping[str, str] = field(default_factory=dict)
    locks_memory: bool = False
    """Whether RDMA registers its buffers, which must stay in memory."""


def fabric_of(network: Network, nodes: int) -> Fabric:
    """The fabric of an engine over so many nodes. Inside one node GPUs talk over NVLink or PCIe."""
    if nodes == 1 or network.type == "tcp":
        return Fabric()
    count = 1 if network.resource_count is None else network.resource_count
    name = network.resource_name or _DEVICE[network.type]
    return Fabric({name: count} if count else {}, _ENVIRONMENT, locks_memory=True)
