"""What Prometheus answered, taken apart: rows about all clusters, in the order of clusters.

A pod says itself of which cluster it is, and Prometheus in which namespace it is. What it says of another namespace
than its own is dropped, as is what has no namespace: nobody steers the clusters of others. A value that no figure can
have is dropped, too: they are counts, shares and seconds, and no value may fail the arithmetic of whoever reads it.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any, NamedTuple

from heterollm_operator.kube.store import Key
from heterollm_operator.prometheus.client import Rows, Unanswered
from heterollm_operator.prometheus.queries import Query

__all__ = ["Cluster", "Failure", "Place", "Samples", "Series", "read", "read_minutes", "read_own"]

Place = tuple[str, ...]
"""Values of a query's labels."""
Samples = list[tuple[Place, float]]
"""The rows of one cluster."""
Series = list[tuple[Place, tuple[float, ...]]]
"""The same with one figure per minute, NaN where there is none."""
Cluster = tuple[str, str]
"""Its namespace and name."""


class Failure(NamedTuple):
    """Why a figure of a cluster is not known; `own`: by the fault of the cluster's own query."""

    why: str
    own: bool = False


_NOBODYS = "", ""
_MOST = 1e15
"""Above any figure, and far from where sums and products of floats end."""


def read(rows: Rows, query: Query, known: Collection[Cluster]) -> dict[Cluster, Samples]:
    """The rows that are about known clusters and give a number. Raises Unanswered where it is no vector."""
    labels = query.labels
    only = labels[0] if len(labels) == 1 else None
    found: dict[Cluster, Samples] = {key: [] for key in known}
    with _shaped():
        # Written out, without calls: it goes through 120,000 rows at every tick of 1,000 clusters.
        for row in rows:
            metric = row["metric"]
            get = metric.get
            namespace = get("namespace")
            if get("heterollm_namespace", namespace) != namespace:
                continue
            of = found.get((namespace, get("heterollm_cluster")))
            if of is None or ("histogram" in row and "value" not in row):
                continue
            if 0 <= (value := float(row["value"][1])) <= _MOST:
                place = (get(only, ""),) if only is not None else tuple([get(label, "") for label in labels])
                of.append((place, value))
    return found


def read_own(rows: Rows, query: Query, key: Key) -> dict[Cluster, Samples]:
    """The rows of a cluster's own query: they need not name the cluster, but must not name another."""
    own = {"heterollm_cluster": key.name, "heterollm_namespace": key.namespace}
    found: Samples = []
    with _shaped():
        for row in rows:
            metric = row["metric"]
            mine = all(metric.get(label, name) == name for label, name in own.items())
            if mine and "value" in row and 0 <= (value := float(row["value"][1])) <= _MOST:
                found.append((tuple([metric.get(label, "") for label in query.labels]), value))
    return {key: found}


def read_minutes(rows: Rows, query: Query, known: Collection[Cluster], start: datetime) -> dict[Cluster, Series]:
    """As `read`, of a matrix that begins at `start`."""
    first = start.timestamp()
    found: dict[Cluster, Series] = {key: [] for key in known}
    with _shaped():
        for row in rows:
            metric = row["metric"]
            of = found.get(_cluster(metric))
            if of is not None and ("values" in row or "histograms" not in row):
                place = tuple([metric.get(label, "") for label in query.labels])
                of.append((place, _series(row["values"], first, query.minutes)))
    return found


def _series(values: Any, first: float, minutes: int) -> tuple[float, ...]:
    if len(values) == minutes and values[0][0] == first:
        whole = tuple([float(text) for _, text in values])
        # A NaN makes a sum of NaN.
        if min(whole) >= 0 and max(whole) <= _MOST and not math.isnan(sum(whole)):
            return whole
    series = [math.nan] * minutes
    for at, text in values:
        minute, value = round((at - first) / 60), float(text)
        if 0 <= minute < minutes and 0 <= value <= _MOST:
            series[minute] = value
    return tuple(series)


def _cluster(metric: Any) -> Cluster:
    """The cluster a row is about: `namespace` is Prometheus's own word, `heterollm_namespace` the pod's."""
    namespace = metric.get("namespace")
    if metric.get("heterollm_namespace", namespace) != namespace:
        return _NOBODYS
    return namespace, metric.get("heterollm_cluster")


@contextmanager
def _shaped() -> Iterator[None]:
    try:
        yield
    except (LookupError, TypeError, ValueError, AttributeError) as error:
        raise Unanswered("malformed", f"a row of the answer is none: {error!r}"[:200]) from error
