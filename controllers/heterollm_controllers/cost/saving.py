"""What is saved, against a counterfactual that is stated: one large tier that answers everything.

It has as many large engines as the requests need at an engine's full rate, with 5 % to spare. It is not the dollars
per token of the large tier there is, times all tokens: a large tier that is half idle would flatter.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

__all__ = [
    "HEADROOM",
    "Demand",
    "at_share",
    "counterfactual",
    "dollars_needed",
    "engines_needed",
    "projected_saving",
    "saving",
]

_HOUR = 3600
HEADROOM = 1.05
"""Capacity that should be there for each request per second that is offered. Also in the chart's recording rules."""


@dataclass(frozen=True)
class Demand:
    """What is asked of one tier.

    Attributes:
        requests_per_second: offered to it.
        engine_rate: requests per second of one full engine; None when nobody knows.
        engine_dollars_per_hour: of one engine; None when no price is known.
        least: engines that it keeps in any case.
        dollars_per_request: what a service outside of the cluster bills; None for engines.
    """

    requests_per_second: float
    engine_rate: float | None
    engine_dollars_per_hour: float | None
    least: int = 0
    dollars_per_request: float | None = None

    @property
    def dollars_per_hour(self) -> float | None:
        """Of the engines that are needed, or of the service; None if a rate or a price is not known."""
        if self.dollars_per_request is not None:
            return self.dollars_per_request * self.requests_per_second * _HOUR
        if not self.engine_rate or self.engine_rate <= 0 or self.engine_dollars_per_hour is None:
            return None
        engines = max(self.least, engines_needed(self.requests_per_second, self.engine_rate))
        return engines * self.engine_dollars_per_hour


def at_share(demands: Sequence[Demand], share: float) -> list[Demand]:
    """What is asked of tiers, the last one at the end, if all but the last get that share (0 to 1) of their requests.

    The last one gets the rest.
    """
    *others, last = demands
    moved = sum(demand.requests_per_second for demand in others) * (1 - share)
    kept = [replace(demand, requests_per_second=demand.requests_per_second * share) for demand in others]
    return [*kept, replace(last, requests_per_second=last.requests_per_second + moved)]


def engines_needed(requests_per_second: float, engine_rate: float) -> int:
    """Engines of that many requests per second each, with room to spare."""
    # Not one more for an error in the last digits of a product.
    return math.ceil(round(requests_per_second * HEADROOM / engine_rate, 9))


def dollars_needed(demands: Iterable[Demand]) -> float | None:
    """Dollars per hour of all tiers; None if a rate or a price is not known."""
    each = [demand.dollars_per_hour for demand in demands]
    known = [dollars for dollars in each if dollars is not None]
    return sum(known) if len(known) == len(each) else None


def counterfactual(
    requests_per_second: float, engine_rate: float | None, engine_dollars_per_hour: float | None
) -> float | None:
    """Dollars per hour if engines of the last tier answered everything; None if their rate or price is not known."""
    return dollars_needed([Demand(requests_per_second, engine_rate, engine_dollars_per_hour)])


def saving(dollars: float | None, otherwise: float | None) -> float | None:
    """The share saved, up to 1, negative for a loss; None when either is not known, or nothing would be paid."""
    return None if dollars is None or otherwise is None or otherwise <= 0 else 1 - dollars / otherwise


def projected_saving(demands: Iterable[Demand], dollars_per_hour_before: float | None) -> float | None:
    """Per cent saved once every tier has just the engines that it needs.

    While traffic moves step by step the bill rises at first: small engines come, and large ones stay. So a step is
    judged by what it leads to.

    Args:
        demands: of each tier at the share of requests that is aimed at; see `at_share`.
        dollars_per_hour_before: the bill to compare with: what was paid before, or `counterfactual`.
    """
    share = saving(dollars_needed(demands), dollars_per_hour_before)
    return None if share is None else 100 * share
