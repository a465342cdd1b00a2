"""A multi-node engine lives and dies as a whole: when one of its pods restarts or is replaced, all are made anew.

SGLang's ranks cannot rejoin a running engine. The pods that formed the engine are remembered in status (`members`);
a restart is recorded there, with its back-off, before any pod is deleted.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from heterollm_controllers.api.timestamps import whole_second
from heterollm_controllers.api.v1alpha1.status import EngineStatus
from heterollm_controllers.observation.engines import ObservedEngine, ObservedPod

__all__ = ["Gang", "check_gang", "remembered"]

FIRST_BACKOFF = timedelta(seconds=10)
LONGEST_BACKOFF = timedelta(minutes=5)
FORGIVEN_AFTER = timedelta(minutes=10)
"""An engine that ran this long since its last back-off starts counting from one again."""

KILL_GRACE_SECONDS = 1
"""A broken engine has no answer to finish, and its other ranks ignore SIGTERM while rank 0 lives. Short, because the
new pods come at once and must not find the old leader."""


@dataclass(frozen=True)
class Gang:
    """What to remember of an engine, why it is broken (empty when it is not), and which pods to delete now."""

    members: tuple[str, ...] = ()
    restarts: int = 0
    not_before: datetime | None = None
    why: str = ""
    pods_to_delete: tuple[ObservedPod, ...] = ()


def check_gang(engine: ObservedEngine, known: EngineStatus | None, now: datetime, off: bool = False) -> Gang:
    """Whether a multi-node engine is broken, and what follows. Single-node engines restart in place by themselves.

    One that has to be without pods (`off`) is not broken by losing them.
    """
    memory = remembered(known)
    if engine.nodes == 1 or engine.leaving or off:
        return memory
    alive = engine.alive
    why = _breakage(memory.members, alive)
    if why and alive and not _in_backoff(memory, now):
        return _restart(memory, alive, why, now)
    if not why and len(alive) == engine.nodes:
        return replace(memory, members=tuple(pod.uid for pod in alive))
    return replace(memory, why=why)


def remembered(known: EngineStatus | None) -> Gang:
    """What status remembers of an engine, nothing decided."""
    return Gang(known.members, known.restarts, known.not_before) if known else Gang()


def _breakage(members: tuple[str, ...], alive: tuple[ObservedPod, ...]) -> str:
    """Why the pods no longer form one engine; empty when they do, or are still coming together."""
    restarted = next((pod for pod in alive if pod.restarts or pod.failed), None)
    if restarted is not None:
        return f"a container of {restarted.name} ended"
    here = {pod.uid for pod in alive}
    if here & set(members) and not set(members) <= here:
        return "one of its pods was replaced or deleted"
    return ""


def _in_backoff(memory: Gang, now: datetime) -> bool:
    return memory.not_before is not None and now < memory.not_before


def _restart(memory: Gang, alive: tuple[ObservedPod, ...], why: str, now: datetime) -> Gang:
    forgiven = memory.not_before is None or now > memory.not_before + FORGIVEN_AFTER
    restarts = 1 if forgiven else memory.restarts + 1
    backoff = min(FIRST_BACKOFF * 2 ** min(restarts - 1, 10), LONGEST_BACKOFF)
    return Gang(memory.members, restarts, whole_second(now + backoff), why, alive)
