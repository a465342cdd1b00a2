"""All pods of an engine or none: an engine that holds some of its nodes and finds no place for the rest lets them go.

Kubernetes places pods one by one, so two engines can each get half of what they need and wait for each other for ever.
An engine that is partially scheduled for its time releases its GPUs: its StatefulSet is scaled to 0, and back after a
back-off. Of the engines of one cluster that want the same GPUs all but the one that waits longest yield, which then
gets its time once more. Time and back-off differ from engine to engine, so that engines of different clusters, which
know nothing of each other, do not go on yielding and coming back together.

This module is the whole of gang placement. `place_gangs` decides and remembers (in status, before any effect);
`as_placed` is all that the decision does to the StatefulSet. Whoever lets Kueue, Volcano or the scheduler's own gangs
place the engines instead replaces these two: nothing is ever released then, and `as_placed` puts the queue's labels or
the reference to the group on the pods of the one engine it is given.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from heterollm_controllers.api.objects import Manifest
from heterollm_controllers.api.timestamps import stamp, whole_second
from heterollm_controllers.api.v1alpha1.status import PlacementStatus
from heterollm_controllers.engines.gang_restart import KILL_GRACE_SECONDS
from heterollm_controllers.observation.engines import ObservedEngine, ObservedPod

__all__ = ["Candidate", "Placement", "as_placed", "place_gangs"]

JUDGED_AFTER = timedelta(seconds=30)
"""Pods this old without their companions, which may never be made (a quota, say), wait as those whose companions the
scheduler has refused."""

LONGEST_BACKOFF = timedelta(minutes=30)
SPREAD_OF_TIME = 0.25
SPREAD_OF_BACKOFF = 1.0
"""By how much of itself a time is longer for one engine than for another."""

_NOTHING = PlacementStatus()


@dataclass(frozen=True)
class Candidate:
    """A multi-node engine, what is remembered of it, and its tier's settings."""

    engine: ObservedEngine
    memory: PlacementStatus
    pool: str
    """Engines of one pool want the same GPUs."""
    time: timedelta
    """How long it may be partially scheduled."""


@dataclass(frozen=True)
class Placement:
    """What to remember of an engine, what was decided now, and when to decide again."""

    memory: PlacementStatus = _NOTHING
    released: str = ""
    """Why it releases its GPUs, decided now."""
    retried: str = ""
    """Why it gets its pods again, decided now."""
    pods_to_delete: tuple[ObservedPod, ...] = ()
    deadline: datetime | None = None

    @property
    def off(self) -> bool:
        """Whether the engine has to be without pods."""
        return self.memory.retry_at is not None

    @property
    def partially_scheduled(self) -> bool:
        """Whether the engine was seen with some of its nodes, and not yet with all or none."""
        return self.memory.half_since is not None


def as_placed(engine: Manifest, placement: Placement | None) -> Manifest:
    """The StatefulSet of an engine as its placement wants it. The template stays, and with it the revision."""
    if placement is None or not placement.off:
        return engine
    return {**engine, "spec": {**engine["spec"], "replicas": 0}}


def place_gangs(candidates: Iterable[Candidate], now: datetime) -> dict[str, Placement]:
    """What follows for each engine of a cluster, by name. Engines of one node hold all they need, or nothing.

    Of engines that wait equally long, the one that comes first goes first.
    """
    gangs = [item for item in candidates if item.engine.nodes > 1 and not item.engine.leaving]
    observed = {item.engine.name: _observed(item, now) for item in gangs}
    for pool in sorted({item.pool for item in gangs}):
        known = [replace(item, memory=observed[item.engine.name].memory) for item in gangs if item.pool == pool]
        partially_scheduled = [item for item in known if _holds(item)]
        if partially_scheduled:
            observed |= _yielding(partially_scheduled, now)
    return observed


# --- one engine ---------------------------------------------------------------------------------------------------


def _observed(item: Candidate, now: datetime) -> Placement:
    """The engine by itself, as if it could keep what it holds."""
    engine, memory = item.engine, item.memory
    if memory.retry_at is not None:
        if now < memory.retry_at:
            return Placement(memory, pods_to_delete=_lingering(engine), deadline=memory.retry_at)
        tried = memory.model_copy(update={"retry_at": None})
        return Placement(tried, retried=f"looks for {engine.nodes} nodes again after release {memory.releases}")
    bound = _bound(engine)
    if bound >= engine.nodes:
        return Placement()
    if bound == 0:
        # It holds nothing. While its pods are still being made nobody can tell, and the clock must not start anew.
        refused = len(engine.alive) == engine.nodes and all(pod.unschedulable for pod in engine.alive)
        return Placement(memory.model_copy(update={"half_since": None, "room_since": None}) if refused else memory)
    if memory.half_since is None and not _judged(engine, now):
        return Placement(memory, deadline=_youngest(engine, now) + JUDGED_AFTER)
    memory = memory.model_copy(update={"half_since": memory.half_since or whole_second(now)})
    return Placement(memory, deadline=_due(replace(item, memory=memory)))


def _holds(item: Candidate) -> bool:
    """Whether the engine holds GPUs that are of no use to it."""
    return item.memory.half_since is not None and _bound(item.engine) > 0


def _bound(engine: ObservedEngine) -> int:
    return sum(pod.bound for pod in engine.alive)


def _judged(engine: ObservedEngine, now: datetime) -> bool:
    """Whether the missing pods are known to wait, and are not just on their way."""
    refused = any(pod.unschedulable for pod in engine.alive)
    return refused or now >= _youngest(engine, now) + JUDGED_AFTER


def _youngest(engine: ObservedEngine, now: datetime) -> datetime:
    return max((pod.created or now) for pod in engine.alive)


def _lingering(engine: ObservedEngine) -> tuple[ObservedPod, ...]:
    """Pods that would hold their GPUs for longer than it takes: they serve nobody, and alone ignore SIGTERM."""
    return tuple(pod for pod in engine.pods if not pod.leaving or (pod.bound and (pod.grace or 0) > KILL_GRACE_SECONDS))


# --- engines that wait for each other -----------------------------------------------------------------------------


def _yielding(partially_scheduled: Sequence[Candidate], now: datetime) -> dict[str, Placement]:
    """Which of the partially scheduled engines of one pool release their GPUs now."""
    due = [item for item in partially_scheduled if now >= _due(item)]
    senior, *juniors = sorted(partially_scheduled, key=lambda item: item.memory.half_since or now)
    if not due:
        return {}
    if not juniors or senior.memory.room_since is not None:
        return {item.engine.name: _released(item, now) for item in due}
    memory = senior.memory.model_copy(update={"room_since": whole_second(now)})
    given = Placement(memory, deadline=_due(replace(senior, memory=memory)))
    return {senior.engine.name: given, **{item.engine.name: _released(item, now, senior) for item in juniors}}


def _due(item: Candidate) -> datetime:
    """When a partially scheduled engine has waited for its time."""
    since = item.memory.room_since or item.memory.half_since
    assert since is not None, "the engine is not half placed"
    spread = SPREAD_OF_TIME * _share(item, "time")
    return since + item.time * (1 + spread)


def _released(item: Candidate, now: datetime, senior: Candidate | None = None) -> Placement:
    releases, placed = item.memory.releases + 1, _bound(item.engine)
    # Limited last: a back-off never gets shorter.
    spread = SPREAD_OF_BACKOFF * _share(item, "backoff")
    backoff = min(item.time * 2 ** min(releases - 1, 16) * (1 + spread), max(item.time, LONGEST_BACKOFF))
    retry_at = whole_second(now + backoff)
    why = f"{placed} of {item.engine.nodes} pods found a node in {_seconds(item, now)} s"
    if senior is not None:
        why += f"; makes room for {senior.engine.name}, which has waited longer"
    memory = PlacementStatus(releases=releases, placed=placed, retry_at=retry_at)
    why = f"release {releases}: {why}; next try at {stamp(retry_at)}"
    return Placement(memory, released=why, pods_to_delete=_lingering(item.engine), deadline=retry_at)


def _seconds(item: Candidate, now: datetime) -> int:
    return round((now - (item.memory.half_since or now)).total_seconds())


def _share(item: Candidate, of: str) -> float:
    """Between 0 and 1: different for every engine and try, and always the same for the same."""
    text = f"{item.engine.uid}/{item.memory.releases}/{of}"
    return int(hashlib.sha256(text.encode()).hexdigest()[:8], 16) / 2**32
