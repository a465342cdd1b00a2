"""From figures to readings: the signals of each cluster. What was not asked for, or not answered, is absent."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple, get_args

from heterollm_controllers.api.signals import ClusterSignal, PodSignal, Signal, TierSignal
from heterollm_controllers.metrics.readings import History, Readings
from heterollm_controllers.metrics.side_minutes import Outcome, Side, SideMinutes
from heterollm_operator.kube.store import Key
from heterollm_operator.prometheus.queries import HistoryFigure, Name, RawFigure
from heterollm_operator.prometheus.results import Cluster, Failure, Place, Samples, Series

__all__ = ["Answers", "SideSeries", "readings"]

_TOO_MANY = "429"
_FAILURES = frozenset({"500", "502", "503", "504"})
"""Of engines, or for want of any. Others (501, 505) are about the request."""

_KEY_REFUSED = frozenset({"401", "402", "403", "407"})
"""By a service outside of the cluster: the routers' key is wrong, or its account. Other codes that are counted say
that the model or the address is; see filters/external.rs."""

_WITHOUT_FAULTY = (TierSignal.TRIED, TierSignal.FAILED)
"""Rates of which faulty requests are taken off: they fail wherever they are sent, so they say nothing of the tier."""

_OUTCOMES: Mapping[str, Outcome] = {outcome: outcome for outcome in get_args(Outcome)}

_FOLLOW: Mapping[Name, tuple[Signal, ...]] = {
    RawFigure.REQUESTS: (
        TierSignal.OFFERED,
        TierSignal.TRIED,
        TierSignal.FAILED,
        TierSignal.DIVERTED,
        TierSignal.DIVERTED_FAILED,
        TierSignal.ANSWERED,
        TierSignal.REFUSED,
        TierSignal.SPILLED,
        ClusterSignal.UNDECIDED,
    ),
    RawFigure.FAULTY: _WITHOUT_FAULTY,
    RawFigure.FIRST_BYTE: (TierSignal.SLOW,),
    RawFigure.UNANSWERED: (TierSignal.KEY_REFUSED, TierSignal.NOT_FOUND, TierSignal.UNREACHABLE),
}
"""What follows from a figure that is no signal."""


class SideSeries(NamedTuple):
    """What was counted of the sides of a migration, up to a minute."""

    until: datetime
    series: Series


@dataclass(frozen=True)
class Answers:
    """Of one tick, by figure and cluster.

    Attributes:
        figures: of now; from the cluster's own query where it has one, and an empty answer replaces, too.
        minutes: of the last hour, from the last minute in which it was asked for.
        failed: why a figure is not known.
        sides: of clusters that migrate, as they were last answered.
    """

    figures: Mapping[Name, Mapping[Cluster, Samples]]
    minutes: Mapping[Name, Mapping[Cluster, Series]] = field(default_factory=dict)
    failed: Mapping[Name, Mapping[Cluster, Failure]] = field(default_factory=dict)
    sides: Mapping[Cluster, SideSeries] = field(default_factory=dict)


def readings(answers: Answers, slow: Mapping[Key, int], at: datetime, scrape_seconds: float) -> dict[Key, Readings]:
    """What one tick, at `at`, learned of each cluster.

    Args:
        slow: the clusters that are known, with the milliseconds after which a first byte is slow.
    """
    found = {}
    for key, bound in slow.items():
        rows = _Rows(key, answers)
        found[key] = Readings(
            at=at,
            scrape_seconds=scrape_seconds,
            pods=_pods(rows),
            tiers=_tiers(rows, bound),
            cluster=_whole(rows),
            history=_history(key, answers.minutes),
            sides=_sides(answers.sides.get(key)),
            unanswered=_unanswered(rows),
            failure=rows.failure(),
        )
    return found


class _Rows:
    """The rows about one cluster."""

    def __init__(self, key: Key, answers: Answers) -> None:
        self._key = key
        self._figures = answers.figures
        self.failed = {name: keys[key] for name, keys in answers.failed.items() if key in keys}
        """Why a figure is not known."""

    def of(self, name: Name) -> Iterable[tuple[Place, float]]:
        """Of one figure, from the cluster's own query if it has one."""
        return self._figures.get(name, {}).get(self._key, ())

    def follows(self, name: Signal) -> bool:
        """Whether a signal may follow from another figure: the cluster has no query of its own for it."""
        return self._key not in self._figures.get(name, {}) and name not in self.failed

    def failure(self) -> str:
        """Why figures are not known, and which unless it is all of them, for people."""
        texts = {f"the query for {name}: {failure.why}" for name, failure in self.failed.items() if failure.own}
        common: dict[str, list[str]] = defaultdict(list)
        for name, failure in self.failed.items():
            if not failure.own:
                common[failure.why].append(name)
        some = any(self._key in found for found in self._figures.values())
        for why, names in common.items():
            texts.add(f"Prometheus: {why}" + (f" ({', '.join(sorted(names))})" if some else ""))
        return "; ".join(sorted(texts))[:500]


def _unanswered(rows: _Rows) -> frozenset[Signal]:
    found: set[Signal] = set()
    for name in rows.failed:
        if isinstance(name, PodSignal | TierSignal | ClusterSignal):
            found.add(name)
        found.update(signal for signal in _FOLLOW.get(name, ()) if rows.follows(signal))
    return frozenset(found)


def _pods(rows: _Rows) -> dict[str, dict[PodSignal, float]]:
    found: dict[str, dict[PodSignal, float]] = {}
    for signal in PodSignal:
        for (pod,), value in rows.of(signal):
            if pod:
                found.setdefault(pod, {})[signal] = value
    return found


def _whole(rows: _Rows) -> dict[ClusterSignal, float]:
    found = {signal: value for signal in ClusterSignal for _, value in rows.of(signal)}
    if rows.follows(ClusterSignal.UNDECIDED):
        requests = rows.of(RawFigure.REQUESTS)
        lost = [rate for (wanted, _, _, code, _), rate in requests if not wanted and _let_through(code)]
        if lost:
            found[ClusterSignal.UNDECIDED] = sum(lost)
    return found


def _let_through(code: str) -> bool:
    """Whether a request without a tier was one that none could be chosen for.

    What the router refuses at once has no tier either: bad requests (4xx), and all when its memory is full (503).
    """
    return code[:1] in ("2", "3") or code == "500"


def _tiers(rows: _Rows, slow: int) -> dict[str, dict[TierSignal, float]]:
    found: dict[str, dict[TierSignal, float]] = defaultdict(dict)
    for follow in (_requests(rows), _slow(rows, slow), _unanswered_attempts(rows)):
        for tier, signal, rate in follow:
            if rows.follows(signal):
                found[tier][signal] = found[tier].get(signal, 0.0) + rate
    _take_off_faulty(rows, found)
    for signal in TierSignal:
        for (tier,), value in rows.of(signal):
            found[tier][signal] = value
    found.pop("", None)
    return dict(found)


def _take_off_faulty(rows: _Rows, found: Mapping[str, dict[TierSignal, float]]) -> None:
    unknown = RawFigure.FAULTY in rows.failed
    for signal in filter(rows.follows, _WITHOUT_FAULTY):
        for (tier,), rate in rows.of(RawFigure.FAULTY):
            if signal in found.get(tier, ()):
                # Never below zero: they are known a little later than counted.
                found[tier][signal] = max(found[tier][signal] - rate, 0.0)
        for figures in found.values() if unknown else ():
            figures.pop(signal, None)


def _requests(rows: _Rows) -> Iterable[tuple[str, TierSignal, float]]:
    for (wanted, answering, diverted, code, low_quality), rate in rows.of(RawFigure.REQUESTS):
        answered = code[:1] in ("2", "3")
        yield wanted, TierSignal.OFFERED, rate
        if answered:
            yield answering, TierSignal.ANSWERED, rate
        if code == _TOO_MANY:
            yield answering, TierSignal.REFUSED, rate
        if answered and wanted != answering:
            yield wanted, TierSignal.SPILLED, rate
        # What clients got wrong (4xx) or gave up (0) says nothing of the tier, nor does what it was not to answer.
        lost = code in _FAILURES
        if not (answered or lost):
            continue
        # A tier that answered has not failed, though another was asked after it for a better answer.
        own, other = low_quality != "true" and wanted == answering, low_quality != "true" and wanted != answering
        if diverted == "true":
            yield wanted, TierSignal.DIVERTED, rate
            yield wanted, TierSignal.DIVERTED_FAILED, rate if lost or own else 0.0
        elif diverted == "false":
            yield wanted, TierSignal.TRIED, rate
            yield wanted, TierSignal.FAILED, rate if lost or other else 0.0


def _slow(rows: _Rows, bound: int) -> Iterable[tuple[str, TierSignal, float]]:
    counts: dict[str, dict[str, float]] = defaultdict(dict)
    for (tier, edge), rate in rows.of(RawFigure.FIRST_BYTE):
        counts[tier][edge.removesuffix(".0")] = rate
    for tier, edges in counts.items():
        if (every := edges.get("+Inf")) is not None and (fast := edges.get(str(bound))) is not None:
            yield tier, TierSignal.SLOW, max(every - fast, 0.0)


def _unanswered_attempts(rows: _Rows) -> Iterable[tuple[str, TierSignal, float]]:
    for (tier, _, code), rate in rows.of(RawFigure.UNANSWERED):
        if not code:
            yield tier, TierSignal.UNREACHABLE, rate
        else:
            yield tier, TierSignal.KEY_REFUSED if code in _KEY_REFUSED else TierSignal.NOT_FOUND, rate


def _history(key: Key, answers: Mapping[Name, Mapping[Cluster, Series]]) -> dict[str, History]:
    tiers: dict[str, dict[Name, tuple[float, ...]]] = defaultdict(dict)
    for name, figures in answers.items():
        for (tier,), series in figures.get(key, ()):
            tiers[tier][name] = series
    return {
        tier: History(
            rate=found.get(HistoryFigure.RATE, ()),
            concurrency=found.get(HistoryFigure.CONCURRENCY, ()),
            kv_use=found.get(HistoryFigure.KV_USE, ()),
        )
        for tier, found in tiers.items()
        if tier
    }


def _sides(found: SideSeries | None) -> SideMinutes:
    if found is None:
        return SideMinutes()
    counts = {
        Side(tier, diverted == "true", _OUTCOMES[outcome]): series
        for (tier, diverted, outcome), series in found.series
        if outcome in _OUTCOMES and diverted in ("true", "false")
    }
    return SideMinutes(found.until, counts)
