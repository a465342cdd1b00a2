"""The routers as observed: how many are ready, and whether all are of the template that lives."""

from __future__ import annotations

from typing import Any, NamedTuple

from heterollm_controllers.api import names
from heterollm_controllers.reconcile.context import ReconcileContext

__all__ = ["Routers", "routers_of"]


class Routers(NamedTuple):
    """The Deployment of the routers."""

    ready: int
    """Routers that are ready (number)."""
    waits: str | None
    """What is waited for, for people; None if all are there, and no older one is."""
    volumes: tuple[dict[str, Any], ...] | None
    """Those of its template; None where there is no Deployment."""


def routers_of(context: ReconcileContext) -> Routers:
    """What lives of the routers."""
    deployment = context.live("Deployment", names.router_name(context.cluster.name))
    if deployment is None:
        return Routers(0, "the routers are being created", None)
    status = deployment.status
    ready, wanted = status.get("readyReplicas", 0), context.spec.routing.replicas
    current = status.get("observedGeneration") == deployment.generation
    done = current and ready == wanted == status.get("updatedReplicas", 0) == status.get("replicas", 0)
    template = deployment.spec.get("template") or {}  # somebody may have taken it apart
    volumes = (template.get("spec") or {}).get("volumes") or ()
    return Routers(ready, None if done else f"{ready}/{wanted} routers are ready", tuple(volumes))
