"""The engines of a cluster as observed: StatefulSets and their pods, read into what rollout and routing decide on."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from heterollm_controllers.api import names
from heterollm_controllers.api.timestamps import parse
from heterollm_controllers.observation.child import Child
from heterollm_controllers.observation.revision import Revision

__all__ = ["ObservedEngine", "ObservedPod", "engines_of"]


@dataclass(frozen=True)
class ObservedPod:
    """One node of an engine."""

    name: str
    uid: str
    rank: int
    address: str | None
    ready: bool
    leaving: bool
    restarts: int
    revision: str
    unschedulable: str | None
    failed: bool
    bound: bool
    """Whether it has a node, and so holds the GPUs there."""
    created: datetime | None
    grace: int | None
    """Seconds that it has to end, once it is leaving."""
    ready_since: datetime | None = None
    unschedulable_since: datetime | None = None


@dataclass(frozen=True)
class ObservedEngine:
    """One engine: a StatefulSet and its pods."""

    name: str
    uid: str
    tier: str
    ordinal: int
    revision: str
    nodes: int
    """Pods it needs, whatever its StatefulSet is scaled to at the moment."""
    leaving: bool
    pods: tuple[ObservedPod, ...]
    broken: bool = False
    """Its pods no longer form one engine, whatever the leader says."""
    gpus: int | None = None
    """GPUs of all its pods together; None when its revision is gone."""
    created: datetime | None = None

    @property
    def alive(self) -> tuple[ObservedPod, ...]:
        """Its pods but those on their way out."""
        return tuple(pod for pod in self.pods if not pod.leaving)

    @property
    def leader(self) -> ObservedPod | None:
        """The pod of rank 0, which alone answers requests."""
        return next((pod for pod in self.pods if pod.rank == 0 and not pod.leaving), None)

    @property
    def serving(self) -> bool:
        """Whether requests may be sent to it: the whole gang has its nodes and its leader is ready."""
        present = [pod for pod in self.alive if pod.bound and not pod.failed]
        leader = self.leader
        whole = not self.leaving and not self.broken and len(present) == self.nodes
        return whole and leader is not None and leader.ready

    @property
    def unschedulable(self) -> str | None:
        """The scheduler's reasons when a pod of the engine finds no node."""
        return next((pod.unschedulable for pod in self.pods if pod.unschedulable), None)


def engines_of(children: Iterable[Child]) -> list[ObservedEngine]:
    """All engines among the children, in order of tier and ordinal.

    What is what follows from names and owners, which nobody can edit, and not from labels.
    """
    children = list(children)
    revisions = {item.name: Revision(item.manifest) for item in children if item.kind == "ControllerRevision"}
    pods: dict[str, list[ObservedPod]] = {}
    for child in children:
        name = _POD.match(child.name) if child.kind == "Pod" else None
        if name is not None:
            pod = _pod(child, int(name["rank"]))
            for owner in child.owners:
                pods.setdefault(owner, []).append(pod)
    engines = []
    for child in children:
        name = _ENGINE.match(child.name) if child.kind == "StatefulSet" else None
        if name is not None:
            own = pods.get(child.uid, [])
            engines.append(_engine(child, name["tier"], int(name["ordinal"]), own, revisions))
    return sorted(engines, key=lambda engine: (engine.tier, engine.ordinal))


_ENGINE = re.compile(r"^.+-(?P<tier>[a-z][a-z0-9]*)-(?P<ordinal>[0-9]+)$")
_POD = re.compile(r"^.+-(?P<rank>[0-9]+)$")


def _engine(
    item: Child,
    tier: str,
    ordinal: int,
    pods: list[ObservedPod],
    revisions: Mapping[str, Revision],
) -> ObservedEngine:
    # The pods tell what runs: a StatefulSet may have been changed after it made them.
    leader = next((pod for pod in pods if pod.rank == 0 and not pod.leaving), None)
    revision = leader.revision if leader is not None else _revision(item)
    made_from = revisions.get(revision)
    return ObservedEngine(
        name=item.name,
        uid=item.uid,
        tier=tier,
        ordinal=ordinal,
        revision=revision,
        nodes=made_from.nodes if made_from is not None else item.spec.get("replicas", 1),
        leaving=item.leaving,
        pods=tuple(sorted(pods, key=lambda pod: (pod.rank, pod.uid))),
        gpus=made_from.gpus if made_from is not None else None,
        created=item.created,
    )


def _revision(item: Child) -> str:
    return str(item.annotations.get(names.REVISION, ""))


def _pod(item: Child, rank: int) -> ObservedPod:
    status = item.status
    conditions = {condition["type"]: condition for condition in status.get("conditions") or []}
    scheduled = conditions.get("PodScheduled", {})
    unschedulable = scheduled.get("status") == "False" and scheduled.get("reason") == "Unschedulable"
    containers = status.get("containerStatuses") or []
    ready = conditions.get("Ready", {}).get("status") == "True"
    return ObservedPod(
        name=item.name,
        uid=item.uid,
        rank=rank,
        address=status.get("podIP"),
        ready=ready,
        leaving=item.leaving,
        restarts=sum(container.get("restartCount", 0) for container in containers),
        revision=_revision(item),
        unschedulable=_reasons(scheduled.get("message", "no node fits")) if unschedulable else None,
        failed=status.get("phase") in ("Failed", "Succeeded"),
        bound=ready or "nodeName" in item.spec or scheduled.get("status") == "True",
        created=item.created,
        grace=item.grace,
        ready_since=_since(conditions.get("Ready", {})) if ready else None,
        unschedulable_since=_since(scheduled) if unschedulable else None,
    )


def _since(condition: Mapping[str, Any]) -> datetime | None:
    return parse(condition["lastTransitionTime"]) if condition.get("lastTransitionTime") else None


_COUNTED = re.compile(r"^0/[0-9]+ nodes are available: ")
_COUNT = re.compile(r"(?:^|, )[0-9]+ ")
_LONGEST_REASONS = 512


def _reasons(message: str) -> str:
    """Why no node fits, as the scheduler says it, without counts: those change with every other pod and node.

    Its messages read "0/3 nodes are available: 1 Insufficient cpu, 2 node(s) had untolerated taints. preemption: ...".
    """
    counted = _COUNTED.match(message)
    if counted is None:
        return message[:_LONGEST_REASONS]
    reasons = _COUNT.split(message[counted.end() :].partition(". preemption: ")[0].rstrip("."))
    return ", ".join(sorted(filter(None, {*reasons})))[:_LONGEST_REASONS]
