"""Faults on request: which of them the next request meets. Nothing here is active unless ``--sim-fault`` is given."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from enum import Enum

__all__ = ["Fault", "FaultPlan"]


class Fault(Enum):
    """What happens to one request."""

    NONE = "none"
    ERROR = "error"
    """Answered with ``error_status``."""
    HANG = "hang"
    """Never answered."""
    CRASH = "crash"
    """The process dies without an answer, exit code 1."""
    EMPTY = "empty"
    """Answered 200 with no text."""
    QUEUE_FULL = "queue_full"
    """Refused as by a full queue, 503."""


@dataclass(frozen=True)
class FaultPlan:
    """Shares of requests in [0, 1] that meet each fault, the status of errors, and a factor on every time."""

    error_rate: float = 0.0
    hang_rate: float = 0.0
    """At 1 the engine is stuck as a whole: health checks that generate a token fail as well."""
    crash_rate: float = 0.0
    empty_rate: float = 0.0
    queue_full_rate: float = 0.0
    error_status: int = 500
    latency_factor: float = 1.0

    @classmethod
    def parse(cls, text: str) -> FaultPlan:
        """Read a JSON object such as ``{"error_rate": 0.1}``; ``{}`` is a plan without faults."""
        try:
            value = json.loads(text)
        except ValueError as error:
            raise ValueError(f"the fault plan is not JSON: {error}") from None
        if not isinstance(value, dict):
            raise ValueError("the fault plan must be a JSON object")
        return cls.from_mapping(value)

    @classmethod
    def from_mapping(cls, value: Mapping[str, object]) -> FaultPlan:
        """Check names and ranges; raises ValueError with a message for the user."""
        known = {field.name for field in fields(cls)}
        if unknown := sorted(value.keys() - known):
            raise ValueError(f"unknown faults {unknown}; known are {sorted(known)}")
        numbers = {name: _number(name, given) for name, given in value.items()}
        status = numbers.pop("error_status", 500)
        if not 400 <= status <= 599:
            raise ValueError(f"error_status must be 400..599, got {status}")
        for name, number in numbers.items():
            if name.endswith("_rate") and number > 1:
                raise ValueError(f"{name} is a share in [0, 1], got {number}")
        return cls(error_status=int(status), **numbers)

    @property
    def stuck(self) -> bool:
        """Whether the whole engine hangs."""
        return self.hang_rate >= 1

    def pick(self, position: float) -> Fault:
        """The fault of a request that drew ``position`` in [0, 1)."""
        for fault, rate in (
            (Fault.CRASH, self.crash_rate),
            (Fault.HANG, self.hang_rate),
            (Fault.QUEUE_FULL, self.queue_full_rate),
            (Fault.ERROR, self.error_rate),
            (Fault.EMPTY, self.empty_rate),
        ):
            if position < rate:
                return fault
            position -= rate
        return Fault.NONE

    def as_dict(self) -> dict[str, float]:
        """The plan as JSON-ready values."""
        return asdict(self)


def _number(name: str, value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < float("inf"):
        raise ValueError(f"{name} must be a finite number >= 0, got {value!r}")
    return float(value)
