"""The kinds the operator watches and writes, and where the API server serves them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from heterollm_controllers.api import names

__all__ = ["CHILDREN", "CLUSTER", "EVENT", "LEASE", "WATCHED", "Kind", "Scope", "find", "scopes", "version_path"]


@dataclass(frozen=True, order=True)
class Kind:
    """One namespaced kind. The table is fixed: no discovery, hence neither its cost nor its permissions."""

    api_version: str
    kind: str
    plural: str

    def path(self, namespace: str | None, name: str | None = None, subresource: str | None = None) -> str:
        """URL path of the collection (of all namespaces for None), of one object, or of its subresource."""
        scope = ("namespaces", namespace) if namespace is not None else ()
        parts = (version_path(self.api_version), *scope, self.plural, name, subresource)
        return "/".join(part for part in parts if part is not None)


def version_path(api_version: str) -> str:
    """URL path of the list of kinds that an API version serves."""
    return f"/{'apis' if '/' in api_version else 'api'}/{api_version}"


class Scope(NamedTuple):
    """What one watch covers: a kind, in one namespace or (None) in all of them."""

    kind: Kind
    namespace: str | None

    @property
    def path(self) -> str:
        """URL path that is listed and watched."""
        return self.kind.path(self.namespace)


CLUSTER = Kind(names.API_VERSION, names.KIND, names.PLURAL)

CHILDREN = (
    Kind("apps/v1", "StatefulSet", "statefulsets"),
    Kind("apps/v1", "Deployment", "deployments"),
    Kind("apps/v1", "ControllerRevision", "controllerrevisions"),
    Kind("v1", "Pod", "pods"),
    Kind("v1", "Service", "services"),
    Kind("v1", "ConfigMap", "configmaps"),
    Kind("v1", "ServiceAccount", "serviceaccounts"),
    Kind("policy/v1", "PodDisruptionBudget", "poddisruptionbudgets"),
    Kind("networking.k8s.io/v1", "NetworkPolicy", "networkpolicies"),
    Kind("rbac.authorization.k8s.io/v1", "Role", "roles"),
    Kind("rbac.authorization.k8s.io/v1", "RoleBinding", "rolebindings"),
)

WATCHED = (CLUSTER, *CHILDREN)

EVENT = Kind("events.k8s.io/v1", "Event", "events")
LEASE = Kind("coordination.k8s.io/v1", "Lease", "leases")

_BY_NAME = {(kind.api_version, kind.kind): kind for kind in WATCHED}


def find(api_version: str, kind: str) -> Kind:
    """The watched kind of that name; KeyError for one that is not in the table."""
    return _BY_NAME[api_version, kind]


def scopes(namespaces: tuple[str, ...]) -> tuple[Scope, ...]:
    """Every watch there must be to serve the namespaces; none means all."""
    return tuple(Scope(kind, namespace) for kind in WATCHED for namespace in namespaces or (None,))
