"""What Prometheus knows of a cluster for people to see. What nobody knows is None, never zero."""

from __future__ import annotations

from collections.abc import Mapping

from heterollm_controllers.api.schema import Time, WireType

__all__ = ["Chart", "ClusterFigures", "Series", "TierFigures"]


class TierFigures(WireType):
    """Figures of one tier.

    Attributes:
        answers_per_second: requests that it answered, of the last five minutes.
        waiting: requests that wait in its engines.
        dollars_per_hour: for the GPUs that it holds now.
    """

    answers_per_second: float | None = None
    waiting: float | None = None
    dollars_per_hour: float | None = None


class ClusterFigures(WireType):
    """Figures of one cluster.

    Attributes:
        requests_per_second: all that ended, of the last five minutes.
        failed_share: of these, what was answered with 5xx (0 to 1).
        refused_share: of these, what found no room (429).
        first_byte_p50_ms: milliseconds to the first byte, the median of the last five minutes.
        first_byte_p99_ms: its 99th percentile.
        dollars_per_hour: for the GPUs that all tiers hold now.
        dollars_per_request: mean of the last hour, idle engines included.
        dollars_per_million_tokens: likewise.
        hourly_dollars: dollars per hour, mean of the last hour.
        hourly_dollars_otherwise: what the counterfactual would have cost in that hour.
        engines_otherwise: engines of the last tier in the counterfactual.
        tiers: by the tier's name.
    """

    requests_per_second: float | None = None
    failed_share: float | None = None
    refused_share: float | None = None
    first_byte_p50_ms: float | None = None
    first_byte_p99_ms: float | None = None
    dollars_per_hour: float | None = None
    dollars_per_request: float | None = None
    dollars_per_million_tokens: float | None = None
    hourly_dollars: float | None = None
    hourly_dollars_otherwise: float | None = None
    engines_otherwise: float | None = None
    tiers: Mapping[str, TierFigures] = {}


class Series(WireType):
    """One line of a chart, with a value for every minute; None where there is none."""

    label: str
    values: tuple[float | None, ...]


class Chart(WireType):
    """The last hour of something, minute by minute.

    Attributes:
        unit: of the values, to be written behind one; empty for a number of things.
        start: the first minute.
    """

    title: str
    unit: str
    start: Time
    series: tuple[Series, ...]
