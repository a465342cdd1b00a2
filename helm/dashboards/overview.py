"""The fleet: which clusters there are, which need somebody, and what they cost."""

from __future__ import annotations

from grafana_foundation_sdk.models.dashboard import Dashboard

from helm.dashboards.frame import PanelBuilder, of_fleet
from helm.dashboards.panels import Query, figure, lines, rows, states
from helm.dashboards.selectors import IN_NAMESPACES, by_routers_labels
from helm.dashboards.words import LEVELS, numbered

__all__ = ["overview"]

_BY = "heterollm_namespace, heterollm_cluster"
_EACH = "{{heterollm_namespace}}/{{heterollm_cluster}}"


def overview() -> Dashboard:
    """The dashboard."""
    return of_fleet(
        "heterollm-fleet",
        "HeteroLLM / Fleet",
        "All clusters: which need somebody, what they answer, what they cost.",
        [("Now", _now()), ("Clusters", _clusters()), ("Over time", _courses())],
    )


def _recorded(series: str) -> str:
    return f"{series}{{{IN_NAMESPACES}}}"


def _one(series: str) -> str:
    return f"max by ({_BY}) ({_recorded(series)})"


def _state(name: str) -> str:
    return by_routers_labels("heterollm_cluster_state", f'state="{name}"')


def _now() -> list[PanelBuilder]:
    firing = f'count(ALERTS{{alertname=~"HeteroLLM.+", alertstate="firing", {IN_NAMESPACES}}}'
    operators = by_routers_labels("ALERTS", 'alertname=~"HeteroLLM.+", alertstate="firing", heterollm_namespace=""')
    saved = "heterollm:counterfactual_dollars:rate1h"
    paid = f"{_recorded('heterollm:dollars:rate1h')} and {_recorded(saved)}"
    return [
        figure(
            "Clusters",
            "Clusters whose routers are scraped.",
            "none",
            'count(group by (namespace, heterollm_cluster) (heterollm_router_envoy_up{namespace=~"$namespace"}))',
        ),
        figure("Answers", "Of all clusters.", "reqps", f"sum({_recorded('heterollm:answers:rate5m')})"),
        figure(
            "Alerts that fire",
            "Of these clusters. What to do is in the page on troubleshooting.",
            "none",
            f"{firing} or {operators}) or vector(0)",
            steps=[(None, "green"), (1, "red")],
        ),
        figure("GPUs held", "By pods that have a node.", "none", f"sum({_recorded('heterollm_tier:gpus:max')})"),
        figure(
            "Cost",
            "Dollars per hour for GPUs held and for tokens of services, where all prices are known.",
            "currencyUSD",
            f"sum({_recorded('heterollm:dollars_per_hour:sum')})",
        ),
        figure(
            "Saved",
            "Dollars per hour of the last hour, where the counterfactual is known: the last tier answers"
            " everything, by engines at their full rate with 5 % to spare or by its service.",
            "currencyUSD",
            f"3600 * (sum({_recorded(saved)}) - sum({paid}))",
            steps=[(None, "red"), (0, "green")],
        ),
    ]


def _clusters() -> list[PanelBuilder]:
    level = numbered([_state(word) for word, _ in LEVELS.values()], _BY)
    engines = "heterollm_tier_engines"
    serving, target = (f"sum by ({_BY}) ({by_routers_labels(engines, f'kind={kind}')})" for kind in _KINDS)
    # By their labels only: rows are joined by all they have, their name included.
    columns = {
        "Answers per second": (_one("heterollm:answers:rate5m"), "reqps"),
        "Answered": (_one("heterollm:answered:ratio5m"), "percentunit"),
        "First byte, median": (_one("heterollm:first_byte_milliseconds:p50_5m"), "ms"),
        "First byte, 99th percentile": (_one("heterollm:first_byte_milliseconds:p99_5m"), "ms"),
        "Engines serving": (serving, "none"),
        "Engines wanted": (target, "none"),
        "Dollars per hour": (_one("heterollm:dollars_per_hour:sum"), "currencyUSD"),
        "Saved": (_one("heterollm:saving:ratio1h"), "percentunit"),
    }
    return [
        states("Fallback", "The level in force in each cluster.", LEVELS, Query(level, _EACH)),
        rows("All clusters", "As of now. A cell is empty where nobody knows.", columns, hidden=["Time"]),
    ]


_KINDS = ('"serving"', '"target"')


def _courses() -> list[PanelBuilder]:
    missed = f"count by ({_BY}) ({_recorded('heterollm:target_met:bool')} == 0) or 0 * max by ({_BY})"
    return [
        lines("Answers", "Per second.", "reqps", Query(_recorded("heterollm:answers:rate5m"), _EACH), stacked=True),
        lines(
            "Answered",
            "Share of requests: 429 and 5xx are not, what clients got wrong does not count. The target is 95 %.",
            "percentunit",
            Query(_recorded("heterollm:answered:ratio5m"), _EACH),
            steps=[(None, "red"), (0.95, "green")],
        ),
        lines(
            "First byte, 99th percentile",
            "The target is 200 ms.",
            "ms",
            Query(_recorded("heterollm:first_byte_milliseconds:p99_5m"), _EACH),
            steps=[(None, "green"), (200, "orange"), (500, "red")],
        ),
        lines(
            "Targets missed",
            "Of those that can be judged; the dashboard of the cluster says which.",
            "none",
            Query(f"{missed} ({_recorded('heterollm:target_met:bool')})", _EACH),
        ),
        lines(
            "GPUs held",
            "By tier.",
            "none",
            Query(_recorded("heterollm_tier:gpus:max"), f"{_EACH} {{{{heterollm_tier}}}}"),
            stacked=True,
        ),
        lines(
            "Cost",
            "Dollars per hour.",
            "currencyUSD",
            Query(_recorded("heterollm:dollars_per_hour:sum"), _EACH),
            stacked=True,
        ),
    ]
