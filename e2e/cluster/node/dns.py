"""The cluster's DNS: CoreDNS on the node's address."""

from __future__ import annotations

from pathlib import Path

from e2e.cluster.node.daemons import Daemons
from e2e.cluster.node.layout import CLUSTER_DOMAIN, NODE_ADDRESS

__all__ = ["start_coredns"]

# TTL 0: a client in a test must see a change at once.
_COREFILE = """\
.:53 {{
    bind {address}
    errors
    kubernetes {domain} in-addr.arpa {{
        kubeconfig {kubeconfig}
        ttl 0
    }}
}}
"""


def start_coredns(daemons: Daemons, binary: Path, kubeconfig: Path) -> None:
    """Start CoreDNS; it answers for the cluster's names and refuses others, as there is no network outside."""
    corefile = daemons.layout.config / "Corefile"
    corefile.write_text(_COREFILE.format(address=NODE_ADDRESS, domain=CLUSTER_DOMAIN, kubeconfig=kubeconfig))
    daemons.start("coredns", [str(binary), "-conf", str(corefile)])
