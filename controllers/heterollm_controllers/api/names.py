"""Names and labels of everything the operator makes for a cluster."""

from __future__ import annotations

__all__ = [
    "API_VERSION",
    "CLUSTER",
    "COMPONENT",
    "ENGINE",
    "GROUP",
    "KIND",
    "MANAGED_BY",
    "MANAGER",
    "PLURAL",
    "POD_INDEX",
    "REVISION",
    "TIER",
    "UPDATE",
    "VERSION",
    "engine_name",
    "engines_name",
    "labels",
    "policy_name",
    "router_name",
]

GROUP = "serving.heterollm.io"
VERSION = "v1alpha1"
API_VERSION = f"{GROUP}/{VERSION}"
KIND = "HeteroLLMCluster"
PLURAL = "heterollmclusters"

MANAGER = "heterollm"
"""Field manager of server-side apply, and the value of the managed-by label."""

MANAGED_BY = "app.kubernetes.io/managed-by"
CLUSTER = f"{GROUP}/cluster"
TIER = f"{GROUP}/tier"
ENGINE = f"{GROUP}/engine"
COMPONENT = f"{GROUP}/component"
REVISION = f"{GROUP}/revision"
"""Annotation of an engine and its pods: the ControllerRevision they were made from."""
UPDATE = f"{GROUP}/update"
"""Annotation a user changes on the cluster to opt in to the operator's newest engine template. A revision keeps the
value it was made for; engines restart only if the template differs."""
POD_INDEX = "apps.kubernetes.io/pod-index"


def labels(cluster: str, component: str, **more: str) -> dict[str, str]:
    """Labels of a child; `more` adds tier and engine by their short names."""
    return {
        MANAGED_BY: MANAGER,
        "app.kubernetes.io/name": "heterollm",
        "app.kubernetes.io/instance": cluster,
        CLUSTER: cluster,
        COMPONENT: component,
        **{f"{GROUP}/{key}": value for key, value in more.items()},
    }


def engine_name(cluster: str, tier: str, ordinal: int) -> str:
    """StatefulSet of one engine; its pods add "-<rank>"."""
    return f"{cluster}-{tier}-{ordinal}"


def engines_name(cluster: str, tier: str) -> str:
    """Headless Service and PodDisruptionBudget of a tier's engines."""
    return f"{cluster}-{tier}-engines"


def router_name(cluster: str) -> str:
    """Deployment, ServiceAccount, Role, RoleBinding and PodDisruptionBudget of the routers."""
    return f"{cluster}-router"


def policy_name(cluster: str) -> str:
    """ConfigMap that carries the routing policy to the routers."""
    return f"{cluster}-policy"
