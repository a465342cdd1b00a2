"""How many engines of which revision: what to add and what to drain next, for one tier.

A changed tier is rolled out by surging one engine, waiting until it serves, draining one old engine, and so on. An
engine that serves is drained only when as many as wanted serve without it, so the last healthy one is never lost.
New engines take the lowest free ordinals, so deciding twice on the same, perhaps outdated, view adds nothing twice.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from heterollm_controllers.observation.engines import ObservedEngine

__all__ = ["Step", "next_step"]

_NO_LOAD: Mapping[str, float] = MappingProxyType({})


@dataclass(frozen=True)
class Step:
    """Ordinals of engines to add and engines to drain now; `why` states the metrics, empty when nothing is due."""

    add: tuple[int, ...] = ()
    drain: tuple[ObservedEngine, ...] = ()
    why: str = ""


def next_step(
    desired: int, revision: str, engines: Sequence[ObservedEngine], load: Mapping[str, float] = _NO_LOAD
) -> Step:
    """The next step from the engines there are to `desired` engines of `revision`.

    `load` is what each engine has to do, by its name; of engines that are equal otherwise the least loaded leaves.
    """
    alive = [engine for engine in engines if not engine.leaving]
    current = [engine for engine in alive if engine.revision == revision]
    old = [engine for engine in alive if engine.revision != revision]
    drain = _drainable(desired, current, old, load)
    settled = all(engine.serving for engine in current) and not any(engine.leaving for engine in engines)
    missing = _missing(desired, len(current), len(old), surge=bool(old) and settled)
    if not drain and not missing:
        return Step()
    serving = sum(engine.serving for engine in alive)
    why = f"want {desired}, have {len(current)} current and {len(old)} older engines, {serving} serve"
    return Step(_free_ordinals(engines, missing), tuple(drain), why)


def _missing(desired: int, current: int, old: int, surge: bool) -> int:
    """How many current engines to add; with surge one more than wanted may run."""
    return max(0, min(desired - current, desired + surge - current - old))


def _drainable(
    desired: int, current: list[ObservedEngine], old: list[ObservedEngine], load: Mapping[str, float]
) -> list[ObservedEngine]:
    """Surplus engines, those that do not serve first; a serving one only while enough others serve.

    Once the new revision has proved itself, old engines that serve nobody all make room at once: a tier that never came
    up must not be repaired one start-up after the other.
    """
    proved = bool(current) and all(engine.serving for engine in current)
    idle = sum(not engine.serving for engine in old) if proved else 0
    surplus = max(len(current) + len(old) - desired, idle)
    candidates = sorted([*old, *current], key=lambda engine: _dispensable(engine, engine in current, load))
    waiting: list[ObservedEngine] = []
    if old and current and not proved:
        # Current ones that do not serve yet are no surplus: they are what the others wait for.
        waiting = [engine for engine in candidates if engine in current and not engine.serving]
        candidates = [engine for engine in candidates if engine in old]
    serving = sum(engine.serving for engine in candidates + [e for e in current if e not in candidates])
    chosen: list[ObservedEngine] = []
    for engine in candidates[: max(0, surplus)]:
        if engine.serving and serving - 1 < desired:
            break
        serving -= engine.serving
        chosen.append(engine)
    # But for the others to wait, one of them is enough where more are wanted no longer.
    beyond = len(current) + len(old) - len(chosen) - desired - 1
    return chosen + waiting[: max(0, min(beyond, len(waiting) - 1))]


def _dispensable(
    engine: ObservedEngine, current: bool, load: Mapping[str, float]
) -> tuple[bool, bool, bool, float, int]:
    """Sorts first who can be spared best: who does not serve, is of an older revision, has no node, or little to do."""
    placed = not engine.serving and any(pod.bound for pod in engine.alive)
    return engine.serving, current, placed, load.get(engine.name, 0.0), -engine.ordinal


def _free_ordinals(engines: Sequence[ObservedEngine], count: int) -> tuple[int, ...]:
    taken = {engine.ordinal for engine in engines}
    free = (ordinal for ordinal in range(len(taken) + count) if ordinal not in taken)
    return tuple(ordinal for ordinal, _ in zip(free, range(count), strict=False))
