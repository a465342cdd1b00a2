"""Small builders of the objects that the tests of the shell need."""

from __future__ import annotations

from typing import Any

from heterollm_controllers.api import names
from heterollm_controllers.api.v1alpha1.cluster import HeteroLLMClusterSpec

UID = "uid-of-c"


def cluster(version: int = 1, **more: Any) -> dict[str, Any]:
    """The HeteroLLMCluster ns/c."""
    metadata = {"name": "c", "namespace": "ns", "uid": UID, "resourceVersion": str(version), "generation": 1}
    return {
        "apiVersion": names.API_VERSION,
        "kind": names.KIND,
        "metadata": {**metadata, **more.pop("metadata", {})},
        "spec": {},
        **more,
    }


def spec(*tiers: str, **more: Any) -> HeteroLLMClusterSpec:
    """A spec with tiers of these names."""
    model, accelerator = {"id": "Qwen/Qwen3-4B"}, {"type": "L40S"}
    rows = [{"name": name, "model": model, "accelerator": accelerator} for name in tiers]
    return HeteroLLMClusterSpec.model_validate({"tiers": rows, **more})


def child(name: str, version: int = 1, *, kind: str = "ConfigMap", owner: str | None = UID, **more: Any) -> Any:
    """A live child of ns/c; `owner` is the uid in its ownerReferences."""
    metadata: dict[str, Any] = {
        "name": name,
        "namespace": "ns",
        "uid": f"uid-of-{name}",
        "resourceVersion": str(version),
        "labels": names.labels("c", "test"),
        **more.pop("metadata", {}),
    }
    if owner is not None:
        metadata["ownerReferences"] = [{"kind": names.KIND, "name": "c", "uid": owner, "controller": True}]
    return {"apiVersion": _API_VERSIONS[kind], "kind": kind, "metadata": metadata, **more}


def manifest(name: str, kind: str = "ConfigMap", **more: Any) -> Any:
    """A child as the core wants it."""
    wanted = child(name, kind=kind, **more)
    del wanted["metadata"]["resourceVersion"], wanted["metadata"]["uid"]
    return wanted


_API_VERSIONS = {
    "ConfigMap": "v1",
    "ControllerRevision": "apps/v1",
    "Pod": "v1",
    "Service": "v1",
    "StatefulSet": "apps/v1",
}
