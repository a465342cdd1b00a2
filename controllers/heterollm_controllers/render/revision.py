"""ControllerRevisions: an engine as rendered for one spec."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from heterollm_controllers.api import names
from heterollm_controllers.api.objects import Manifest
from heterollm_controllers.api.v1alpha1.sizing import Sizing
from heterollm_controllers.api.v1alpha1.tier import Tier
from heterollm_controllers.observation.revision import Revision
from heterollm_controllers.render.diff import digest
from heterollm_controllers.render.owner import Cluster

__all__ = ["revision_again", "revision_object"]


def revision_object(
    cluster: Cluster, tier: Tier, sizing: Sizing, body: Manifest, asked: Mapping[str, Any], number: int
) -> Revision:
    """A ControllerRevision: the engine as rendered for one spec. It outlives operator upgrades, so engines do too.

    `asked` is what of the spec an engine may depend on, without defaults.
    """
    spec_hash = digest(asked)
    data = {
        "specHash": spec_hash,
        "asked": asked,
        "tier": tier.model_dump(mode="json", by_alias=True, exclude_none=True),
        "sizing": sizing.model_dump(mode="json", by_alias=True, exclude_none=True),
        "engine": body,
    }
    name = f"{cluster.name}-{tier.name}-{digest({'spec': spec_hash, 'body': body})[:8]}"
    return _revision(cluster, name, number, data, cluster.annotations.get(names.UPDATE, ""))


def revision_again(cluster: Cluster, live: Revision, update: str | None = None) -> Revision:
    """A ControllerRevision as we applied it, from the live one: its data cannot have been changed.

    `update` is another value of the opt-in annotation; None keeps it.
    """
    data = live.manifest["data"]
    return _revision(cluster, live.name, live.number, data, live.update if update is None else update)


def _revision(cluster: Cluster, name: str, number: int, data: Mapping[str, Any], update: str) -> Revision:
    manifest = {
        "apiVersion": "apps/v1",
        "kind": "ControllerRevision",
        "metadata": {
            "name": name,
            "namespace": cluster.namespace,
            "labels": names.labels(cluster.name, "engine", tier=data["tier"]["name"]),
            "annotations": {names.UPDATE: update},
        },
        "revision": number,
        "data": data,
    }
    return Revision(cluster.owned(manifest))
