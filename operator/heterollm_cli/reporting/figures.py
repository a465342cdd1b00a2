"""What Prometheus has said of a period, as numbers; what it does not know is absent or NaN."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

__all__ = ["Figures", "Flow", "Lines", "Side", "figures_of", "lines_of"]

Row = Mapping[str, Any]
"""An element of a vector or a matrix."""


@dataclass(frozen=True)
class Flow:
    """Requests that went one way: the tier that was wanted and the one that answered, or should have."""

    wanted: str
    tier: str
    decision: str
    code: int
    diverted: bool
    count: float

    @property
    def answered(self) -> bool:
        """Whether the client got an answer."""
        return 200 <= self.code < 400

    @property
    def failed(self) -> bool:
        """Whether nobody answered: none that were refused or wrong."""
        return self.code in (500, 502, 503, 504)


@dataclass(frozen=True)
class Side:
    """Requests for one tier that it was to answer, or the last tier in its place."""

    wanted: str
    diverted: bool
    outcome: str
    count: float


@dataclass(frozen=True)
class Figures:
    """Totals of a period. By tier unless said otherwise; times in milliseconds, rates per second.

    Attributes:
        minutes: of the period, those of which something is known.
        scores: (score up to 1, requests that scored as much or less), rising.
        tokens: by tier, and by `prompt` and `completion`.
        busiest: requests meant for the tier in the busiest 5 minutes.
        engine_dollars: per hour, of one engine.
    """

    minutes: float = 0.0
    flows: Sequence[Flow] = ()
    sides: Sequence[Side] = ()
    scores: Sequence[tuple[float, float]] = ()
    tokens: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    busiest: Mapping[str, float] = field(default_factory=dict)
    first_byte_p50: Mapping[str, float] = field(default_factory=dict)
    first_byte_p99: Mapping[str, float] = field(default_factory=dict)
    whole_p50: Mapping[str, float] = field(default_factory=dict)
    whole_p99: Mapping[str, float] = field(default_factory=dict)
    gpu_seconds: Mapping[str, float] = field(default_factory=dict)
    dollars: Mapping[str, float] = field(default_factory=dict)
    engine_dollars: Mapping[str, float] = field(default_factory=dict)
    engine_rate: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Lines:
    """Lines of one kind, by label; NaN where nothing is known."""

    lines: Mapping[str, Sequence[float]]


def figures_of(answers: Mapping[str, Sequence[Row]]) -> Figures:
    """From the rows of the queries of TOTALS, by name. A query that was not answered may be absent."""

    def rows(name: str) -> list[tuple[Mapping[str, str], float]]:
        found = [(row["metric"], float(row["value"][1])) for row in answers.get(name, ())]
        return [(labels, value) for labels, value in found if math.isfinite(value)]

    def by(label: str, name: str) -> dict[str, float]:
        found: dict[str, float] = {}
        for labels, value in rows(name):
            found[labels.get(label, "")] = found.get(labels.get(label, ""), 0.0) + value
        return found

    scores = sorted((float(labels["le"]) / 1000, value) for labels, value in rows("scores") if labels["le"] != "+Inf")
    return Figures(
        minutes=sum(value for _, value in rows("minutes")),
        flows=[_flow(labels, value) for labels, value in rows("requests") if value > 0],
        sides=[
            Side(labels.get("wanted_tier", ""), labels.get("diverted") == "true", labels.get("outcome", ""), value)
            for labels, value in rows("sides")
        ],
        scores=[(score, count) for score, count in scores if score <= 1],
        tokens=_tokens(rows("tokens")),
        busiest=by("wanted_tier", "busiest"),
        **{name: by("heterollm_tier", name) for name in _OF_ROUTERS},
        **{name: by("tier", name) for name in _OF_OPERATOR},
    )


_OF_ROUTERS = ("first_byte_p50", "first_byte_p99", "whole_p50", "whole_p99")
_OF_OPERATOR = ("gpu_seconds", "dollars", "engine_dollars", "engine_rate")


def _tokens(rows: Iterable[tuple[Mapping[str, str], float]]) -> dict[str, dict[str, float]]:
    found: dict[str, dict[str, float]] = {}
    for labels, value in rows:
        found.setdefault(labels.get("heterollm_tier", ""), {})[labels.get("kind", "")] = value
    return found


def _flow(labels: Mapping[str, str], count: float) -> Flow:
    code = labels.get("code", "")
    return Flow(
        wanted=labels.get("wanted_tier", ""),
        tier=labels.get("heterollm_tier", ""),
        decision=labels.get("decision", ""),
        code=int(code) if code.isdecimal() else 0,
        diverted=labels.get("diverted") == "true",
        count=count,
    )


def lines_of(rows: Sequence[Row], label: str, times: Sequence[float]) -> Lines:
    """From the rows of a range query, at these times (seconds since 1970)."""
    lines: dict[str, Sequence[float]] = {}
    for row in rows:
        points = {round(float(time)): float(value) for time, value in row["values"]}
        lines[row["metric"].get(label, "")] = [points.get(round(time), math.nan) for time in times]
    return Lines(lines)
