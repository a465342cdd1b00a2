"""What steering needs to know of a cluster besides its signals: its engines, and how much one of them can do."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from functools import cached_property

__all__ = ["EngineState", "TierState"]


@dataclass(frozen=True)
class EngineState:
    """One engine that is not on its way out."""

    name: str
    pod: str
    """Name of its leader's pod, which its series carry; empty while it has none."""
    serving: bool
    """Requests may be sent to it. A standby engine is ready for them, and gets none."""
    standby: bool = False
    serving_since: datetime | None = None
    unschedulable_since: datetime | None = None
    created: datetime | None = None
    """When the engine was made, whatever has become of its pods since."""


@dataclass(frozen=True)
class TierState:
    """One tier.

    Attributes:
        name: the tier.
        engines: those that are not on their way out, standby ones included.
        leaving: engines on their way out.
        rolling: whether engines of an older revision are being replaced.
        lost: whether it had an engine that served, and has none any more.
        concurrency: requests that one engine runs at once, in number; None when sizing does not know.
        rate: requests per second of one full engine; None when sizing does not know.
        engine_dollars_per_hour: price of one engine; None when nobody knows.
        start_seconds: measured time from an engine's creation to its first readiness; None until one was seen.
        external: whether a service outside of the cluster answers for it, which is always there; it has no engines.
    """

    name: str
    engines: tuple[EngineState, ...]
    leaving: int = 0
    rolling: bool = False
    lost: bool = False
    concurrency: int | None = None
    rate: float | None = None
    engine_dollars_per_hour: float | None = None
    start_seconds: float | None = None
    external: bool = False

    @cached_property
    def serving(self) -> tuple[EngineState, ...]:
        """Engines that get requests."""
        return tuple(engine for engine in self.engines if engine.serving and not engine.standby)

    @property
    def available(self) -> bool:
        """Whether there is somebody to send requests to."""
        return self.external or bool(self.serving)
