"""Asks Prometheus every few seconds for the figures of all clusters, and tells which clusters to look at for them."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Protocol, TypeVar

from heterollm_controllers.steering.signals import FRESH, ClusterSignal, PodSignal, Readings, TierSignal
from heterollm_controllers.steering.steer import SteeringInput
from heterollm_operator import queries
from heterollm_operator.answers import MINUTES, Figures, Minutes, read, read_minutes, read_own
from heterollm_operator.clock import Clock
from heterollm_operator.metrics import Metrics
from heterollm_operator.prometheus import Rows, Unanswered
from heterollm_operator.queries import Name, Query, Replacement, Selection
from heterollm_operator.readings import Answers, readings
from heterollm_operator.store import Key
from heterollm_operator.threads import Threads

__all__ = ["Poller", "Polling", "Source"]

_log = logging.getLogger(__name__)

_SIDE_BY_SIDE = 4
_DEADLINE = 4.0
_HISTORY_KEPT = timedelta(minutes=3)
"""How long history is handed out whose renewal fails."""
_CHECKS_AT_ONCE = 50
"""Clusters that are checked before others get their turn."""

T = TypeVar("T")


class Source(Protocol):
    """What the poller needs of Prometheus: calls that block, and raise Unanswered."""

    def ask(self, query: str, seconds: float, take: Callable[[Rows], T]) -> T:
        """What `take` makes of the vector of now."""

    def ask_minutes(self, query: str, start: datetime, end: datetime, seconds: float, take: Callable[[Rows], T]) -> T:
        """What `take` makes of the matrix with a column for every minute."""


@dataclass(frozen=True)
class Polling:
    """How figures are asked for.

    Attributes:
        seconds: from the beginning of one tick to that of the next.
        scrape_seconds: how often Prometheus scrapes the pods.
        namespaces: those served; none for all.
        deadline: seconds in which all queries of a tick must be answered.
    """

    seconds: float = 5.0
    scrape_seconds: float = 15.0
    namespaces: tuple[str, ...] = ()
    deadline: float = _DEADLINE


@dataclass
class _Gathered:
    """Of one tick, while its answers come in."""

    common: dict[Name, Figures] = field(default_factory=dict)
    history: dict[Name, Minutes] = field(default_factory=dict)
    replaced: dict[Key, dict[Name, Figures]] = field(default_factory=dict)
    errors: list[Unanswered] = field(default_factory=list)
    failures: dict[Key, str] = field(default_factory=dict)


class Poller:
    """Keeps the readings of the last tick. Ticks never overlap; a tick takes no longer than its deadline."""

    def __init__(
        self,
        source: Source,
        polling: Polling,
        known: Callable[[], Mapping[Key, SteeringInput]],
        due: Callable[[Key, Readings], bool],
        add: Callable[[Key], None],
        metrics: Metrics,
        clock: Clock,
    ) -> None:
        """`known`: the clusters to be steered; `due`: whether a look would change anything; `add`: look at it."""
        self._source = source
        self._polling = polling
        self._known = known
        self._due = due
        self._add = add
        self._metrics = metrics
        self._clock = clock
        self._threads = Threads(_SIDE_BY_SIDE)
        self._latest: Mapping[Key, Readings] = {}
        self._history: Mapping[Name, Minutes] = {}
        self._minute = datetime.min.replace(tzinfo=UTC)
        self._history_of = self._minute
        self._complaint = ""
        self._answered_at = clock.monotonic()

    async def run(self) -> None:
        """Tick for ever."""
        self._answered_at = self._clock.monotonic()
        self._metrics.prometheus_age.set_function(lambda: self._clock.monotonic() - self._answered_at)
        while True:
            started = self._clock.monotonic()
            await self.tick()
            took = self._clock.monotonic() - started
            self._metrics.poll_seconds.observe(took)
            await self._clock.sleep(max(0.0, self._polling.seconds - took))

    def readings(self, key: Key) -> Readings | None:
        """What the last tick learned of a cluster; None for one that it did not know."""
        return self._latest.get(key)

    async def tick(self) -> None:
        """Ask once, and put the clusters into the queue that are to be looked at for it."""
        known = dict(self._known())
        if not known:
            self._latest = {}
            return
        at = self._clock.utc()
        gathered = await self._gather(known, at)
        self._tell(gathered.errors)
        self._keep_history(gathered.history, at)
        answers = Answers(gathered.common, gathered.replaced, _summary(gathered.errors), gathered.failures)
        slow = {key: given.spec.fallback.slow_milliseconds for key, given in known.items()}
        scrape = self._polling.scrape_seconds
        found = await asyncio.to_thread(readings, answers, self._history, slow, at, scrape)
        self._latest = {key: self._best(key, item) for key, item in found.items()}
        await self._check()

    def _best(self, key: Key, found: Readings) -> Readings:
        """A single tick that fails is no outage: what was known before it holds for as long as it is fresh."""
        before = self._latest.get(key)
        holds = before is not None and not before.failure and found.at - before.at <= FRESH
        return before if found.failure and before is not None and holds else found

    async def _check(self) -> None:
        for number, (key, found) in enumerate(self._latest.items()):
            if self._due(key, found):
                self._add(key)
            if number % _CHECKS_AT_ONCE == 0:
                await asyncio.sleep(0)

    async def _gather(self, known: Mapping[Key, SteeringInput], at: datetime) -> _Gathered:
        """Ask everything, side by side. What is not answered by the deadline is not waited for."""
        window = round(Readings(at, self._polling.scrape_seconds).window)
        slow = {given.spec.fallback.slow_milliseconds for given in known.values()}
        scrape = max(1, round(self._polling.scrape_seconds))
        selection = Selection(window, scrape, self._polling.namespaces, slow)
        end = self._clock.monotonic() + self._polling.deadline
        gathered = _Gathered()
        calls = [self._ask_common(name, query, known, end, gathered) for name, query in queries.now(selection).items()]
        own = _own(known, window)
        calls += [self._ask_own(text, users, end, gathered) for text, users in own.items()]
        # Last, as it can wait.
        if (minute := at.replace(second=0, microsecond=0)) != self._minute:
            self._minute = minute
            for name, query in queries.history(selection).items():
                calls.append(self._ask_history(name, query, known, minute, end, gathered))
        await asyncio.gather(*calls)
        return gathered

    async def _ask_common(
        self, name: Name, query: Query, known: Mapping[Key, SteeringInput], end: float, gathered: _Gathered
    ) -> None:
        try:
            gathered.common[name] = await self._call(
                lambda seconds: self._source.ask(query.text, seconds, lambda rows: read(rows, query, known)), end
            )
        except Unanswered as error:
            if not query.optional:
                gathered.errors.append(error)

    async def _ask_history(
        self,
        name: Name,
        query: Query,
        known: Mapping[Key, SteeringInput],
        minute: datetime,
        end: float,
        gathered: _Gathered,
    ) -> None:
        start = minute - timedelta(minutes=MINUTES - 1)
        try:
            gathered.history[name] = await self._call(
                lambda seconds: self._source.ask_minutes(
                    query.text, start, minute, seconds, lambda rows: read_minutes(rows, query, known, start)
                ),
                end,
            )
        except Unanswered as error:
            gathered.errors.append(error)

    async def _ask_own(
        self, text: str, users: list[tuple[Key, Replacement, Query]], end: float, gathered: _Gathered
    ) -> None:
        """Ask what some clusters want asked instead of the common queries; its failure is theirs alone."""

        def take(rows: Rows) -> list[Figures]:
            return [read_own(rows, query, key) for key, _, query in users]

        try:
            found = await self._call(lambda seconds: self._source.ask(text, seconds, take), end)
        except Unanswered as error:
            for key, name, _ in users:
                gathered.replaced.setdefault(key, {})[name] = {}
                gathered.failures[key] = f"the query for {name}: {error}"
            return
        for (key, name, _), figures in zip(users, found, strict=True):
            gathered.replaced.setdefault(key, {})[name] = figures

    async def _call(self, function: Callable[[float], T], end: float) -> T:
        """Call in a thread, with the seconds that are left. Raises Unanswered, and nothing else."""

        def call() -> T:
            left = end - self._clock.monotonic()
            if left <= 0:
                raise Unanswered("timeout", "no answer in time")
            return function(left)

        try:
            async with asyncio.timeout(end - self._clock.monotonic()):
                return await self._threads.call(call)
        except TimeoutError as error:
            raise Unanswered("timeout", "no answer in time") from error
        except Unanswered:
            raise
        except Exception as error:
            # Whatever an answer may contain, the clusters must not go unwatched for it.
            _log.exception("Defect in asking Prometheus")
            raise Unanswered("defect", repr(error)) from error

    def _keep_history(self, found: Mapping[Name, Minutes], at: datetime) -> None:
        if found:
            self._history, self._history_of = found, at
        elif at - self._history_of > _HISTORY_KEPT:
            self._history = {}

    def _tell(self, errors: list[Unanswered]) -> None:
        """Count what failed, and log it once."""
        for reason in {error.reason for error in errors}:
            self._metrics.poll_failures.labels(reason).inc()
        if not errors:
            self._answered_at = self._clock.monotonic()
        complaint = _summary(errors)
        if complaint != self._complaint:
            _log.log(logging.WARNING if complaint else logging.INFO, "%s", complaint or "Prometheus answers again")
        self._complaint = complaint


def _own(known: Mapping[Key, SteeringInput], window: int) -> dict[str, list[tuple[Key, Replacement, Query]]]:
    """The queries that clusters want asked in place of ours, by their text: the same is asked once."""
    found: dict[str, list[tuple[Key, Replacement, Query]]] = {}
    for key, given in known.items():
        for name, text in (given.spec.observability.queries or {}).items():
            signal = _SIGNALS[name]
            query = queries.replaced(signal, text, key, window)
            found.setdefault(query.text, []).append((key, signal, query))
    return found


_SIGNALS: dict[str, Replacement] = {
    signal.value: signal for kind in (PodSignal, TierSignal, ClusterSignal) for signal in kind
}


def _summary(errors: Iterable[Unanswered]) -> str:
    """For people: each thing that went wrong once."""
    return "; ".join(sorted({f"Prometheus: {error}" for error in errors}))[:500]
