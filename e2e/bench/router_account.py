"""What a router's agent needs to know and to have, to watch its policy at an API server of a bench."""

from __future__ import annotations

import base64

import yaml

from e2e.bench.clusters import BenchApi
from e2e.cluster.controlplane import ControlPlane
from heterollm_controllers.api import names
from heterollm_operator.kube.kinds import find

__all__ = ["agent_environment"]

_ACCOUNTS = find("v1", "ServiceAccount")


async def agent_environment(api: BenchApi, control_plane: ControlPlane, namespace: str, cluster: str) -> dict[str, str]:
    """The agent's environment, with a token of the account that the operator made for the cluster's routers."""
    server = yaml.safe_load(control_plane.kubeconfig.read_text())["clusters"][0]["cluster"]
    path = _ACCOUNTS.path(namespace, names.router_name(cluster), "token")
    answer = await api.request("POST", path, body={"spec": {"expirationSeconds": 7200}}, limit=30)
    trust, token = control_plane.state_dir / "routers.crt", control_plane.state_dir / "routers.token"
    trust.write_bytes(base64.b64decode(server["certificate-authority-data"]))
    token.write_text(answer["status"]["token"])
    return {
        "KUBE_API_URL": server["server"],
        "KUBE_CA_FILE": str(trust),
        "KUBE_TOKEN_FILE": str(token),
        "CLUSTER": cluster,
        "POLICY_CONFIGMAP": names.policy_name(cluster),
        "POLICY_NAMESPACE": namespace,
    }
