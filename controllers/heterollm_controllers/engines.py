"""The engines of a cluster as observed: StatefulSets and their pods, read into what rollout and routing decide on."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from heterollm_controllers import names

__all__ = ["Engine", "Pod", "engines_of"]


@dataclass(frozen=True)
class Pod:
    """One node of an engine."""

    name: str
    uid: str
    rank: int
    address: str | None
    ready: bool
    leaving: bool
    restarts: int
    unschedulable: str | None
    failed: bool


@dataclass(frozen=True)
class Engine:
    """One engine: a StatefulSet and its pods."""

    name: str
    uid: str
    tier: str
    ordinal: int
    revision: str
    nodes: int
    leaving: bool
    pods: tuple[Pod, ...]

    @property
    def leader(self) -> Pod | None:
        """The pod of rank 0, which alone answers requests."""
        return next((pod for pod in self.pods if pod.rank == 0 and not pod.leaving), None)

    @property
    def serving(self) -> bool:
        """Whether requests may be sent to it: the whole gang is there and its leader is ready."""
        present = [pod for pod in self.pods if not pod.leaving and not pod.failed]
        leader = self.leader
        return not self.leaving and len(present) == self.nodes and leader is not None and leader.ready

    @property
    def unschedulable(self) -> str | None:
        """The scheduler's message when a pod of the engine finds no node."""
        return next((pod.unschedulable for pod in self.pods if pod.unschedulable), None)


def engines_of(children: Iterable[Mapping[str, Any]]) -> list[Engine]:
    """All engines among the children, in order of tier and ordinal."""
    children = list(children)
    pods: dict[str, list[Pod]] = {}
    for child in children:
        if child["kind"] == "Pod" and names.ENGINE in _labels(child):
            pods.setdefault(_labels(child)[names.ENGINE], []).append(_pod(child))
    sets = [child for child in children if child["kind"] == "StatefulSet" and names.ENGINE in _labels(child)]
    engines = [_engine(item, pods.get(item["metadata"]["name"], [])) for item in sets]
    return sorted(engines, key=lambda engine: (engine.tier, engine.ordinal))


def _labels(manifest: Mapping[str, Any]) -> Mapping[str, str]:
    return manifest["metadata"].get("labels") or {}


def _engine(item: Mapping[str, Any], pods: list[Pod]) -> Engine:
    metadata = item["metadata"]
    return Engine(
        name=metadata["name"],
        uid=metadata["uid"],
        tier=_labels(item)[names.TIER],
        ordinal=int(metadata["name"].rpartition("-")[2]),
        revision=(metadata.get("annotations") or {}).get(names.REVISION, ""),
        nodes=item["spec"].get("replicas", 1),
        leaving="deletionTimestamp" in metadata,
        pods=tuple(sorted(pods, key=lambda pod: (pod.rank, pod.uid))),
    )


def _pod(item: Mapping[str, Any]) -> Pod:
    metadata, status = item["metadata"], item.get("status") or {}
    conditions = {condition["type"]: condition for condition in status.get("conditions") or []}
    scheduled = conditions.get("PodScheduled", {})
    unschedulable = scheduled.get("status") == "False" and scheduled.get("reason") == "Unschedulable"
    containers = status.get("containerStatuses") or []
    return Pod(
        name=metadata["name"],
        uid=metadata["uid"],
        rank=int(metadata["name"].rpartition("-")[2]),
        address=status.get("podIP"),
        ready=conditions.get("Ready", {}).get("status") == "True",
        leaving="deletionTimestamp" in metadata,
        restarts=sum(container.get("restartCount", 0) for container in containers),
        unschedulable=scheduled.get("message", "no node fits") if unschedulable else None,
        failed=status.get("phase") in ("Failed", "Succeeded"),
    )
