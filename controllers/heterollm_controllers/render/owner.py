"""The cluster that children belong to."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from heterollm_controllers.api import names
from heterollm_controllers.api.objects import Manifest

__all__ = ["Cluster"]


class Cluster:
    """Who the children belong to: name, namespace and owner reference of one HeteroLLMCluster."""

    def __init__(self, manifest: Mapping[str, Any]) -> None:
        metadata = manifest["metadata"]
        self.name: str = metadata["name"]
        self.namespace: str = metadata["namespace"]
        self.uid: str = metadata["uid"]
        self.generation: int = metadata["generation"]
        self.annotations: Mapping[str, str] = metadata.get("annotations") or {}

    def owned(self, manifest: Manifest) -> Manifest:
        """The manifest with this cluster as its controlling owner, so that deletion is the garbage collector's work."""
        owner = {
            "apiVersion": names.API_VERSION,
            "kind": names.KIND,
            "name": self.name,
            "uid": self.uid,
            "controller": True,
            "blockOwnerDeletion": True,
        }
        return {**manifest, "metadata": {**manifest["metadata"], "ownerReferences": [owner]}}

    def selector(self, component: str, **more: str) -> dict[str, str]:
        """Labels that select pods of one component."""
        chosen = {names.CLUSTER: self.name, names.COMPONENT: component}
        return chosen | {f"{names.GROUP}/{key}": value for key, value in more.items()}
