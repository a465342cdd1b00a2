"""One tick of steering: signals, then scaling of each tier, then the fallback. Same input, same decisions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from heterollm_controllers.status_v1alpha1 import Decision, FallbackStatus, ScalingStatus
from heterollm_controllers.steering.facts import TierFacts
from heterollm_controllers.steering.signals import Readings
from heterollm_controllers.v1alpha1 import HeteroLLMClusterSpec

__all__ = ["Memory", "Steering", "SteeringInput", "steer"]


@dataclass(frozen=True)
class Memory:
    """What status remembers of earlier ticks: all the state there is."""

    scaling: Mapping[str, ScalingStatus] = field(default_factory=dict)
    """By the tier's name."""
    fallback: FallbackStatus | None = None


@dataclass(frozen=True)
class SteeringInput:
    """What a look steered by, besides the figures: with newer ones, `steer` tells whether another look is due."""

    spec: HeteroLLMClusterSpec
    tiers: tuple[TierFacts, ...]
    memory: Memory
    """As recorded by that look."""


@dataclass(frozen=True)
class Steering:
    """What holds after a tick.

    Attributes:
        memory: what to record before any effect. It differs from the former one only by decisions.
        decisions: what was decided now, with the figures, for the journal.
        missing: what keeps the cluster from being steered, for people; empty when all figures are there.
        deadline: when to decide again even if no figure changes; None when nothing is waited for.
    """

    memory: Memory
    decisions: tuple[Decision, ...] = ()
    missing: str = ""
    deadline: datetime | None = None


def steer(
    spec: HeteroLLMClusterSpec,
    tiers: Sequence[TierFacts],
    memory: Memory,
    readings: Readings | None,
    now: datetime,
) -> Steering:
    """Decide.

    Args:
        tiers: facts of the tiers of the spec that run, cheapest first.
        readings: of the last tick; None when no Prometheus is configured or none was read yet.
    """
    raise NotImplementedError
