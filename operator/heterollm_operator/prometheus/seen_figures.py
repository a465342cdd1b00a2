"""Figures for people, as Prometheus has them: asked when somebody looks, and at no other time."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TypeVar

from heterollm_controllers.view.figures import Chart, ClusterFigures, Series, TierFigures
from heterollm_operator.kube.store import Key
from heterollm_operator.prometheus.client import Prometheus, Rows, Unanswered
from heterollm_operator.prometheus.queries import Query
from heterollm_operator.prometheus.results import Cluster, Samples, read, read_minutes
from heterollm_operator.prometheus.results import Series as MinuteSeries
from heterollm_operator.prometheus.seen_queries import (
    COST,
    FIRST_BYTE,
    RECORDED,
    RECORDED_OF_TIERS,
    REQUESTS,
    WAITING,
    hour_queries,
    now_queries,
)

__all__ = ["Seen", "figures_now", "last_hour"]

_SECONDS = 4.0
"""The time all queries of a view have together."""
_MINUTES = 60

T = TypeVar("T")
Found = dict[str, T]


@dataclass(frozen=True)
class Seen:
    """What is known, and why the rest is not; empty when all is."""

    figures: Mapping[Cluster, ClusterFigures]
    charts: tuple[Chart, ...] = ()
    problem: str = ""


def figures_now(source: Prometheus, namespaces: tuple[str, ...], known: Collection[Cluster]) -> Seen:
    """The figures of clusters of these namespaces (none: of all). Blocks for some seconds at most."""

    def ask(query: Query, seconds: float) -> dict[Cluster, Samples]:
        return source.ask(query.text, seconds, lambda rows: read(rows, query, known))

    found, problem = _all(now_queries(namespaces), ask)
    return Seen({key: _figures({name: rows[key] for name, rows in found.items()}) for key in known}, (), problem)


def last_hour(source: Prometheus, key: Key, now: datetime) -> Seen:
    """Figures and charts of one cluster. Blocks for some seconds at most."""
    seen = figures_now(source, (key.namespace,), [key])
    if seen.problem:
        return seen
    start = now.replace(second=0, microsecond=0) - timedelta(minutes=_MINUTES - 1)

    def ask(query: Query, seconds: float) -> MinuteSeries:
        def take(rows: Rows) -> MinuteSeries:
            return read_minutes(rows, query, [key], start)[key]

        return source.ask_minutes(query.text, start, start + timedelta(minutes=_MINUTES - 1), seconds, take)

    found, problem = _all(hour_queries(key), ask)
    return Seen(seen.figures, _charts(found, start), problem)


def _all(queries: Mapping[str, Query], ask: Callable[[Query, float], T]) -> tuple[Found[T], str]:
    """What each query gives, and why one gave nothing: after the first failure no other is asked."""
    found: Found[T] = {}
    end = time.monotonic() + _SECONDS
    for name, query in queries.items():
        try:
            left = end - time.monotonic()
            if left <= 0:
                raise Unanswered("timeout", "no answer in time")
            found[name] = ask(query, left)
        except Unanswered as error:
            return found, str(error)
    return found, ""


def _figures(found: Found[Samples]) -> ClusterFigures:
    cost = {(name, tier): value for (name, tier), value in found.get(COST, ())}
    recorded = {field: cost.get((name, "")) for field, name in RECORDED.items()}
    # Dollars per second are recorded.
    hourly = {
        field: value if value is None else 3600 * value
        for field, value in recorded.items()
        if field.startswith("hourly")
    }
    return ClusterFigures(
        **_requests(found.get(REQUESTS, [])),
        first_byte_p50_ms=_only(found.get("p50", [])),
        first_byte_p99_ms=_only(found.get("p99", [])),
        **recorded | hourly,
        tiers=_tiers(found, cost),
    )


def _requests(rows: Samples) -> dict[str, float]:
    total = sum(value for _, value in rows)
    if not rows:
        return {}
    if not total:
        return {"requests_per_second": 0.0}
    failed = sum(value for (_, code), value in rows if code.startswith("5"))
    refused = sum(value for (_, code), value in rows if code == "429")
    return {"requests_per_second": total, "failed_share": failed / total, "refused_share": refused / total}


def _tiers(found: Found[Samples], cost: Mapping[tuple[str, str], float]) -> dict[str, TierFigures]:
    answers: dict[str, float] = {}
    for (tier, code), value in found.get(REQUESTS, ()):
        if code.startswith(("2", "3")):
            answers[tier] = answers.get(tier, 0.0) + value
    waiting = {tier: value for (tier,), value in found.get(WAITING, ())}
    prices = {tier: value for (name, tier), value in cost.items() if name == RECORDED_OF_TIERS}
    return {
        tier: TierFigures(
            answers_per_second=answers.get(tier), waiting=waiting.get(tier), dollars_per_hour=prices.get(tier)
        )
        for tier in sorted({*answers, *waiting, *prices} - {""})
    }


def _only(rows: Samples) -> float | None:
    return rows[0][1] if rows else None


def _charts(found: Found[MinuteSeries], start: datetime) -> tuple[Chart, ...]:
    quantiles = [Series(label=name, values=_known(values)) for name in FIRST_BYTE for _, values in found.get(name, ())]
    charts = (
        Chart(title="Answers", unit="/s", start=start, series=_by_tier(found.get(REQUESTS, []))),
        Chart(title="Waiting requests", unit="", start=start, series=_by_tier(found.get(WAITING, []))),
        Chart(title="Time to first byte", unit="ms", start=start, series=tuple(quantiles)),
        Chart(title="Cost", unit="$/h", start=start, series=_by_tier(found.get(COST, []))),
    )
    return tuple(chart for chart in charts if any(any(v is not None for v in s.values) for s in chart.series))


def _by_tier(rows: MinuteSeries) -> tuple[Series, ...]:
    return tuple(Series(label=tier, values=_known(values)) for (tier,), values in sorted(rows))


def _known(values: tuple[float, ...]) -> tuple[float | None, ...]:
    return tuple(None if math.isnan(value) else value for value in values)
