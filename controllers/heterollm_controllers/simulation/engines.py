"""Engines of one tier that answer requests. Those with the same load are reckoned with once, as a group."""

from __future__ import annotations

from dataclasses import dataclass, field

from heterollm_controllers.simulation.engine_model import EngineModel

__all__ = ["FirstTokens", "Group", "merged"]

_ALIKE = 0.02
"""Groups are one again when their loads differ by less than this share of the concurrency."""
_LEFT = 0.01
"""Requests in an engine below which there is none, once no more come: real ones end."""


@dataclass
class FirstTokens:
    """Counters of one engine, from its start: requests that got a first token, and the seconds until then."""

    seconds: float = 0.0
    count: float = 0.0


@dataclass
class Group:
    """Engines with the same number of requests in each.

    Attributes:
        pods: of the engines.
        in_flight: requests in each, running and waiting.
        finished: requests per second that each finished last.
        counters: of each engine.
        scraped: what Prometheus has of the counters: (second, seconds to first tokens, count), oldest first.
    """

    pods: list[str]
    in_flight: float = 0.0
    finished: float = 0.0
    counters: FirstTokens = field(default_factory=FirstTokens)
    scraped: list[tuple[float, float, float]] = field(default_factory=list)

    @property
    def total(self) -> float:
        """Requests in all of them."""
        return self.in_flight * len(self.pods)

    def step(self, model: EngineModel, arrivals: float, slower: float, seconds: float = 1.0) -> float:
        """Let some seconds pass; requests that all of them finished in that time.

        Args:
            arrivals: requests that come to each.
        """
        present = self.in_flight + arrivals
        finished = model.finished(present, slower, seconds) if present > 0 else 0.0
        if arrivals <= 0 and present - finished < _LEFT:
            finished = present
        self.finished = finished / seconds
        self.in_flight = present - finished
        if arrivals > 0:
            delay = model.first_token_delay(self.in_flight, self.finished, slower)
            self.counters.seconds += arrivals * (delay + model.first_token_mean * slower)
            self.counters.count += arrivals
        return finished * len(self.pods)


def merged(groups: list[Group], model: EngineModel) -> list[Group]:
    """The groups, those with the same load as one. Nothing is lost: the new load is their mean."""
    if len(groups) < 2:
        return groups
    first, *others = groups
    kept = [first]
    for group in others:
        twin = next((one for one in kept if _alike(one, group, model)), None)
        if twin is None:
            kept.append(group)
            continue
        twin.in_flight = (twin.total + group.total) / (len(twin.pods) + len(group.pods))
        twin.pods = twin.pods + group.pods
    return kept


def _alike(one: Group, other: Group, model: EngineModel) -> bool:
    return abs(one.in_flight - other.in_flight) <= _ALIKE * model.concurrency
