"""The queries of one tick: in which order they are sent, how long they may take, and whose failure is whose."""

from __future__ import annotations

import asyncio
import logging
from collections import defaultdict
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import partial
from typing import Protocol, TypeVar

from heterollm_controllers.api.signals import ClusterSignal, PodSignal, TierSignal
from heterollm_controllers.api.v1alpha1.cluster import HeteroLLMClusterSpec
from heterollm_operator.kube.store import Key
from heterollm_operator.prometheus import queries
from heterollm_operator.prometheus.client import Rows, Unanswered
from heterollm_operator.prometheus.queries import Name, Query, Replacement, Selection
from heterollm_operator.prometheus.results import (
    Cluster,
    Failure,
    Samples,
    Series,
    read,
    read_minutes,
    read_own,
)
from heterollm_operator.prometheus.tenant_isolation import Group
from heterollm_operator.runtime.clock import Clock
from heterollm_operator.runtime.thread_pool import Threads

__all__ = ["Asker", "Gathered", "Source"]

_log = logging.getLogger(__name__)

_SIDE_BY_SIDE = 4
_ALONE_SECONDS = 1.0
"""For one query of a group under suspicion, or of a cluster's own: whoever is slow keeps others waiting."""
_KEPT_FOR_OWN = 1.0
"""Seconds of a tick that groups under suspicion leave to the clusters' own queries."""
_BY_SERIES = frozenset({"refused", "large", "malformed", "timeout"})
"""Failures that the series of one namespace can cause."""

T = TypeVar("T")


class Source(Protocol):
    """What is needed of Prometheus: calls that block, and raise Unanswered."""

    def ask(self, query: str, seconds: float, take: Callable[[Rows], T]) -> T:
        """What `take` makes of the vector of now."""

    def ask_minutes(self, query: str, start: datetime, end: datetime, seconds: float, take: Callable[[Rows], T]) -> T:
        """What `take` makes of the matrix with a column for every minute."""


@dataclass
class Gathered:
    """What a tick's queries gave.

    Attributes:
        figures: of now, by figure and cluster; a cluster's own query takes the place of the common one.
        minutes: the same of the last minutes.
        minute: the last of them; None when they were not asked for.
        failed: why a figure of a cluster was not answered.
        errors: of common queries.
        blamed: groups of which a query failed for a reason that series can cause.
        answered: groups of which no query failed.
    """

    figures: dict[Name, dict[Cluster, Samples]] = field(default_factory=dict)
    minutes: dict[Name, dict[Cluster, Series]] = field(default_factory=dict)
    failed: dict[Name, dict[Cluster, Failure]] = field(default_factory=dict)
    errors: list[Unanswered] = field(default_factory=list)
    blamed: dict[Group, Unanswered] = field(default_factory=dict)
    answered: set[Group] = field(default_factory=set)
    minute: datetime | None = None

    def fail(self, name: Name, keys: Iterable[Cluster], why: Failure) -> None:
        """Note why a figure of some clusters is not known."""
        self.failed.setdefault(name, {}).update(dict.fromkeys(keys, why))


@dataclass(frozen=True)
class _Share:
    """Some clusters that are asked about together."""

    group: Group
    selection: Selection
    keys: Collection[Key]
    suspected: bool
    end: float


class Asker:
    """Sends queries, a few side by side. Ordinary groups go first, then those under suspicion, then own queries."""

    def __init__(self, source: Source, clock: Clock) -> None:
        self._source = source
        self._clock = clock
        self._threads = Threads(_SIDE_BY_SIDE)

    async def ask(
        self,
        specs: Mapping[Key, HeteroLLMClusterSpec],
        selection: Selection,
        groups: Sequence[Group],
        suspects: Collection[Group],
        minute: datetime | None,
        deadline: float,
    ) -> Gathered:
        """Ask everything. What is not answered within `deadline` seconds is not waited for.

        Args:
            minute: the last one of the history to ask for; None to ask for none.
        """
        end = self._clock.monotonic() + deadline
        gathered = Gathered(answered=set(groups), minute=minute)
        for suspected in (False, True):
            calls: list[Awaitable[None]] = []
            for group in groups:
                if (group in suspects) is suspected:
                    share = _share(group, specs, selection, suspected, end)
                    calls += self._common(share, minute, gathered)
            await asyncio.gather(*calls)
        own = _own(specs, selection.window)
        await asyncio.gather(*(self._ask_own(text, users, end, gathered) for text, users in own.items()))
        return gathered

    def _common(self, share: _Share, minute: datetime | None, gathered: Gathered) -> list[Awaitable[None]]:
        calls: list[Awaitable[None]] = []
        for name, query in queries.now(share.selection).items():
            take = partial(read, query=query, known=share.keys)
            ask = partial(self._source.ask, query.text, take=take)
            calls.append(self._ask(name, query, share, ask, gathered.figures, gathered))
        if minute is not None:
            # Last, as it can wait.
            for name, query in queries.history(share.selection).items():
                start = minute - timedelta(minutes=query.minutes - 1)
                of_minutes = partial(read_minutes, query=query, known=share.keys, start=start)
                ask_all = partial(self._source.ask_minutes, query.text, start, minute, take=of_minutes)
                calls.append(self._ask(name, query, share, ask_all, gathered.minutes, gathered))
        return calls

    async def _ask(
        self,
        name: Name,
        query: Query,
        share: _Share,
        ask: Callable[..., Mapping[Cluster, T]],
        answers: dict[Name, dict[Cluster, T]],
        gathered: Gathered,
    ) -> None:
        """Ask a common query for some clusters."""
        found = answers.setdefault(name, {})
        try:
            if len(share.group) > 1 and share.suspected and share.group in gathered.blamed:
                # It will be asked in halves; until then it has cost enough.
                raise gathered.blamed[share.group]
            found.update(await self._call(lambda seconds: ask(seconds=seconds), share.end, alone=share.suspected))
        except Unanswered as error:
            if query.optional:
                return
            gathered.errors.append(error)
            gathered.answered.discard(share.group)
            if error.reason in _BY_SERIES and error.asked:
                gathered.blamed[share.group] = error
            gathered.fail(name, share.keys, Failure(str(error)))

    async def _ask_own(
        self, text: str, users: list[tuple[Key, Replacement, Query]], end: float, gathered: Gathered
    ) -> None:
        """Ask what some clusters want asked instead of the common queries; its failure is theirs alone."""

        def take(rows: Rows) -> list[dict[Cluster, Samples]]:
            return [read_own(rows, query, key) for key, _, query in users]

        try:
            found = await self._call(lambda seconds: self._source.ask(text, seconds, take), end, alone=True)
        except Unanswered as error:
            for key, name, _ in users:
                gathered.figures.setdefault(name, {}).pop(key, None)
                gathered.fail(name, [key], Failure(str(error), own=True))
            return
        for (key, name, _), figures in zip(users, found, strict=True):
            gathered.figures.setdefault(name, {}).update(figures)
            gathered.failed.get(name, {}).pop(key, None)

    async def _call(self, function: Callable[[float], T], end: float, *, alone: bool) -> T:
        """Call in a thread, with the seconds that are left. Raises Unanswered, and nothing else."""
        asked = False

        def call() -> T:
            nonlocal asked
            left = end - self._clock.monotonic()
            if left <= 0:
                raise Unanswered("timeout", "no answer in time", asked=False)
            asked = True
            return function(min(left, _ALONE_SECONDS) if alone else left)

        try:
            async with asyncio.timeout(end - self._clock.monotonic()):
                return await self._threads.call(call)
        except TimeoutError as error:
            raise Unanswered("timeout", "no answer in time", asked=asked) from error
        except Unanswered:
            raise
        except Exception as error:
            # Whatever an answer may contain, the clusters must not go unwatched for it.
            _log.exception("Defect in asking Prometheus")
            raise Unanswered("defect", repr(error)) from error


def _share(group: Group, specs: Collection[Key], selection: Selection, suspected: bool, end: float) -> _Share:
    """What the queries for a group are of; those of the group of everything name no more than the selection does."""
    if not group:
        return _Share(group, selection, specs, suspected, end)
    named = replace(selection, namespaces=tuple(sorted(group)))
    keys = [key for key in specs if key.namespace in group]
    return _Share(group, named, keys, suspected, end - _KEPT_FOR_OWN if suspected else end)


def _own(specs: Mapping[Key, HeteroLLMClusterSpec], window: int) -> dict[str, list[tuple[Key, Replacement, Query]]]:
    """The queries that clusters want asked in place of ours, by their text: the same is asked once.

    Namespaces take turns: one with many slow queries must not keep those of the others from being asked.
    """
    texts: dict[str, list[tuple[Key, Replacement, Query]]] = {}
    turns: dict[str, int] = {}
    asked: dict[str, int] = defaultdict(int)
    for key, spec in specs.items():
        for name, text in (spec.observability.queries or {}).items():
            query = queries.replaced(_SIGNALS[name], text, key, window)
            if query.text not in texts:
                turns[query.text] = asked[key.namespace]
                asked[key.namespace] += 1
            texts.setdefault(query.text, []).append((key, _SIGNALS[name], query))
    return dict(sorted(texts.items(), key=lambda item: turns[item[0]]))


_SIGNALS: dict[str, Replacement] = {
    signal.value: signal for kind in (PodSignal, TierSignal, ClusterSignal) for signal in kind
}
