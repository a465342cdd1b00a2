"""What is routed where: the input of every renderer in this package."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["AUTO", "Endpoint", "RoutingPolicy", "TierRoute"]

AUTO = "auto"
"""Value of a request's `model` that asks the router to choose; no tier may have this name."""


@dataclass(frozen=True)
class Endpoint:
    """The leader of one ready engine."""

    pod: str
    """Pod name: stays the same over a restart, so the engine keeps its share of the prefixes."""
    address: str
    """IP address."""
    port: int


@dataclass(frozen=True)
class TierRoute:
    """One tier and the engines that may answer for it."""

    name: str
    model_id: str
    """Name under which the engines serve their model; clients may use it as `model`."""
    endpoints: tuple[Endpoint, ...]
    max_requests: int = 4096
    """Requests in flight (number) from one router to this tier; more are answered 429."""


@dataclass(frozen=True)
class RoutingPolicy:
    """Everything a router of one cluster needs to know."""

    cluster: str
    tiers: tuple[TierRoute, ...]
    """Cheapest first."""
    complexity_threshold: float = 0.7
    """Score in [0, 1] above which an `auto` request goes to the last tier."""
    attempt_idle_limit: float = 600.0
    """Seconds without a byte after which an attempt is given up and retried. An answer that is not streamed has no byte
    before its end, so this must exceed the longest of them."""
