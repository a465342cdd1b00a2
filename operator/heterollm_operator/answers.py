"""What Prometheus answered, taken apart: rows about all clusters, in the order of clusters.

A pod says itself of which cluster it is. What it says of another namespace than its own is dropped: nobody steers the
clusters of others.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from typing import Any

from heterollm_operator.prometheus import Rows, Unanswered
from heterollm_operator.queries import Query
from heterollm_operator.store import Key

__all__ = ["MINUTES", "Figures", "Minutes", "Place", "read", "read_minutes", "read_own"]

MINUTES = 60
"""Minutes of history."""

Place = tuple[str, ...]
"""Values of a query's labels."""
Figures = Mapping[tuple[str, str], list[tuple[Place, float]]]
"""Rows by namespace and name of the cluster."""
Minutes = Mapping[tuple[str, str], list[tuple[Place, tuple[float, ...]]]]
"""The same with one figure per minute, NaN where there is none."""

_NOBODYS = "", ""
_NAN = (math.nan,) * MINUTES


def read(rows: Rows, query: Query, known: Collection[tuple[str, str]]) -> Figures:
    """The rows that are about known clusters and give a number. Raises Unanswered where it is no vector."""
    labels = query.labels
    only = labels[0] if len(labels) == 1 else None
    found: dict[tuple[str, str], list[tuple[Place, float]]] = {key: [] for key in known}
    isfinite = math.isfinite
    with _shaped():
        # Written out, without calls: it goes through 120,000 rows at every tick of 1,000 clusters.
        for row in rows:
            told = row["metric"]
            get = told.get
            claimed = get("heterollm_namespace")
            namespace = get("namespace", claimed)
            if claimed is not None and claimed != namespace:
                continue
            of = found.get((namespace, get("heterollm_cluster")))
            if of is not None and isfinite(value := float(row["value"][1])):
                place = (get(only, ""),) if only is not None else tuple([get(label, "") for label in labels])
                of.append((place, value))
    return found


def read_own(rows: Rows, query: Query, key: Key) -> Figures:
    """The rows of a cluster's own query: they need not name the cluster, but must not name another."""
    own = {"heterollm_cluster": key.name, "heterollm_namespace": key.namespace}
    found: list[tuple[Place, float]] = []
    with _shaped():
        for row in rows:
            told = row["metric"]
            mine = all(told.get(label, name) == name for label, name in own.items())
            if mine and math.isfinite(value := float(row["value"][1])):
                found.append((tuple([told.get(label, "") for label in query.labels]), value))
    return {key: found}


def read_minutes(rows: Rows, query: Query, known: Collection[tuple[str, str]], start: datetime) -> Minutes:
    """As `read`, of a matrix that begins at `start`."""
    first = start.timestamp()
    found: dict[tuple[str, str], list[tuple[Place, tuple[float, ...]]]] = {}
    with _shaped():
        for row in rows:
            told = row["metric"]
            if (key := _cluster(told)) in known:
                place = tuple([told.get(label, "") for label in query.labels])
                found.setdefault(key, []).append((place, _series(row["values"], first)))
    return found


def _series(values: Any, first: float) -> tuple[float, ...]:
    if len(values) == MINUTES and values[0][0] == first:
        whole = tuple([float(text) for _, text in values])
        if math.isfinite(sum(whole)):
            return whole
    series = list(_NAN)
    for at, text in values:
        minute, value = round((at - first) / 60), float(text)
        if 0 <= minute < MINUTES and math.isfinite(value):
            series[minute] = value
    return tuple(series)


def _cluster(told: Any) -> tuple[str, str]:
    """The cluster a row is about: `namespace` is Prometheus's own word, `heterollm_namespace` the pod's."""
    claimed = told.get("heterollm_namespace")
    namespace = told.get("namespace", claimed)
    if claimed is not None and claimed != namespace:
        return _NOBODYS
    return namespace, told.get("heterollm_cluster")


@contextmanager
def _shaped() -> Iterator[None]:
    try:
        yield
    except (LookupError, TypeError, ValueError, AttributeError) as error:
        raise Unanswered("malformed", f"a row of the answer is none: {error!r}"[:200]) from error
