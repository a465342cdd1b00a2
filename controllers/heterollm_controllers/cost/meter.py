"""What the GPUs of a tier have come to: seconds and dollars, integrated over time between two observations."""

from __future__ import annotations

from dataclasses import dataclass, replace

from heterollm_controllers.cost.prices import dollars

__all__ = ["Meter"]


@dataclass(frozen=True)
class Meter:
    """Two counters, and the rate at which they grow.

    Attributes:
        at: up to when they count, in seconds of a clock that never goes back.
        gpus: that the tier holds since then.
        dollars_per_hour: for all of them; None when no price is known.
        gpu_seconds: GPUs times seconds, so far.
        dollars: so far; None as long as no price is known. It begins at zero when there is one.
    """

    at: float
    gpus: int = 0
    dollars_per_hour: float | None = None
    gpu_seconds: float = 0.0
    dollars: float | None = None

    def read(self, now: float) -> Meter:
        """The counters as of now, which is exact as long as nothing has changed since the last observation."""
        seconds = max(0.0, now - self.at)
        spent = dollars(seconds, self.dollars_per_hour)
        total = None if spent is None else (self.dollars or 0.0) + spent
        return replace(self, at=max(now, self.at), gpu_seconds=self.gpu_seconds + self.gpus * seconds, dollars=total)

    def observe(self, now: float, gpus: int, dollars_per_hour: float | None) -> Meter:
        """Count up to now at the former rate, and from now on at this one."""
        so_far = self.read(now)
        total = None if dollars_per_hour is None else so_far.dollars or 0.0
        return replace(so_far, gpus=gpus, dollars_per_hour=dollars_per_hour, dollars=total)
