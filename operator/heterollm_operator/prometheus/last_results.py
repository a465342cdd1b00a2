"""What was last answered, for the while in which it may still be used when a query fails."""

from __future__ import annotations

from collections.abc import Mapping, MutableMapping
from datetime import UTC, datetime, timedelta
from typing import Generic, TypeVar

from heterollm_operator.prometheus.queries import Name
from heterollm_operator.prometheus.results import Cluster, Failure

__all__ = ["Held"]

V = TypeVar("V")


class Held(Generic[V]):
    """Answers by figure and cluster."""

    def __init__(self, longest: timedelta) -> None:
        """`longest`: how old an answer may be."""
        self._longest = longest
        self._answers: Mapping[Name, Mapping[Cluster, V]] = {}
        self._at = datetime.min.replace(tzinfo=UTC)
        self._older: dict[tuple[Name, Cluster], datetime] = {}
        """When those were answered that did not come with the last ones."""

    def fill(
        self,
        answers: Mapping[Name, MutableMapping[Cluster, V]],
        failed: Mapping[Name, MutableMapping[Cluster, Failure]],
        at: datetime,
    ) -> None:
        """Put earlier answers in the place of those that failed at `at`, and remember what holds now."""
        older: dict[tuple[Name, Cluster], datetime] = {}
        for name, keys in failed.items():
            if name not in answers:
                continue
            before = self._answers.get(name, {})
            for key in list(keys):
                answered = self._older.get((name, key), self._at)
                if key in before and at - answered <= self._longest:
                    answers[name][key] = before[key]
                    older[name, key] = answered
                    del keys[key]
        self._answers, self._at, self._older = answers, at, older
