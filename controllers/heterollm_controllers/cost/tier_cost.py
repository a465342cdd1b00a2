"""What a tier costs now: the GPUs that its engines hold, and their price."""

from __future__ import annotations

from dataclasses import dataclass

from heterollm_controllers.observation.engines import ObservedEngine

__all__ = ["TierCost", "gpus_held"]


@dataclass(frozen=True)
class TierCost:
    """One tier.

    Attributes:
        tier: its name.
        gpus: that its engines hold, whatever they do; None where nobody can tell any more, so that it counts as before.
        dollars_per_hour: for these; None when the price of some is not known.
        engine_dollars_per_hour: of one engine as the tier would get it now; None when the price is not known, or the
            spec no longer has the tier.
        engine_rate: requests per second of one full engine, measured or estimated; None when nobody knows.
        last: whether it is the last tier.
        token_prices: of a service outside of the cluster, dollars per million tokens of prompts and of answers; None
            for engines, and where nobody told.
    """

    tier: str
    gpus: int | None
    dollars_per_hour: float | None
    engine_dollars_per_hour: float | None = None
    engine_rate: float | None = None
    last: bool = False
    token_prices: tuple[float, float] | None = None


def gpus_held(engine: ObservedEngine, gpus: int) -> int:
    """How many of its GPUs an engine holds: those of its pods that have a node, until they have ended.

    So one that loads, waits on standby or drains costs as much as one that serves, and one without a node nothing.

    Args:
        gpus: of all its pods together.
    """
    pods = sum(pod.bound and not pod.failed for pod in engine.pods)
    return round(gpus * min(pods, engine.nodes) / engine.nodes)
