"""What a cluster costs, and what its smaller tiers save against a counterfactual that is stated beside it."""

from __future__ import annotations

from grafana_foundation_sdk.models.dashboard import Dashboard

from helm.dashboards.frame import PanelBuilder, of_cluster
from helm.dashboards.panels import Query, figure, lines, note
from helm.dashboards.selectors import OF_RECORDED

__all__ = ["COUNTERFACTUAL", "cost"]

_TIER = "{{heterollm_tier}}"

COUNTERFACTUAL = """\
The **counterfactual** is the last tier alone, answering everything. Of engines:

    engines = ceil(1.05 x all answers per second / what one engine of the last tier does per second)
    dollars = engines x price of one

Each works at its full rate: `engine.measured.requestsPerSecond`, else what sizing estimates, or more if more was seen
for 5 minutes within a day. They follow the mean of the hour and have no spare engines for peaks, as yours do: the
saving is meant to be hard on us. Of a service outside of the cluster: the tokens of all answers, at its prices. It is
absent where nobody knows such an engine's rate, or a price.

Dollars are for GPUs that pods hold, idle or not, and for tokens that services bill. Routers, CPUs, disks and network
are not among them."""


def cost() -> Dashboard:
    """The dashboard."""
    return of_cluster(
        "heterollm-cost",
        "HeteroLLM / Cost and saving",
        "What a cluster costs, and what it saves against its last tier answering everything.",
        [
            ("Now", _now()),
            ("Saving", _saving()),
            ("Cost of an answer", _of_answers()),
            ("GPUs", _gpus()),
        ],
    )


def _recorded(series: str) -> str:
    return f"{series}{{{OF_RECORDED}}}"


def _now() -> list[PanelBuilder]:
    dollars, other = (_recorded(f"heterollm:{name}:rate1h") for name in ("dollars", "counterfactual_dollars"))
    return [
        figure("Cost", "Dollars per hour.", "currencyUSD", _recorded("heterollm:dollars_per_hour:sum")),
        figure(
            "Spent in this time",
            "Dollars in the time that the dashboard shows, where all prices are known, minute by minute.",
            "currencyUSD",
            f"sum_over_time({_recorded('heterollm:dollars_per_hour:sum')}[$__range:1m]) / 60",
        ),
        figure(
            "Per request",
            "Of the last hour, idle engines included. The target is $0.001.",
            "currencyUSD",
            _recorded("heterollm:dollars_per_request:rate1h"),
            steps=[(None, "green"), (0.001, "orange"), (0.002, "red")],
        ),
        figure(
            "Per million tokens",
            "Of the last hour, of prompts and answers together.",
            "currencyUSD",
            _recorded("heterollm:dollars_per_million_tokens:rate1h"),
        ),
        figure(
            "Saved",
            "Share of the counterfactual's dollars, of the last hour. Negative: it would have been cheaper.",
            "percentunit",
            _recorded("heterollm:saving:ratio1h"),
            steps=[(None, "red"), (0, "green")],
        ),
        figure(
            "Saved in this time",
            "Dollars in the time that the dashboard shows, where both are known.",
            "currencyUSD",
            f"60 * sum_over_time(({other} - {dollars})[$__range:1m])",
            steps=[(None, "red"), (0, "green")],
        ),
    ]


def _saving() -> list[PanelBuilder]:
    return [
        lines(
            "Paid, and paid otherwise",
            "Dollars per hour, means of the last hour.",
            "currencyUSD",
            Query(f"3600 * {_recorded('heterollm:dollars:rate1h')}", "this cluster"),
            Query(f"3600 * {_recorded('heterollm:counterfactual_dollars:rate1h')}", "counterfactual"),
        ),
        note("What it is compared with", COUNTERFACTUAL, span=12, height=8),
        lines(
            "Saved",
            "Share of the counterfactual's dollars.",
            "percentunit",
            Query(_recorded("heterollm:saving:ratio1h"), "saved"),
            steps=[(None, "red"), (0, "green")],
        ),
        lines(
            "Engines of the counterfactual",
            "How many of the last tier's engines would answer everything.",
            "none",
            Query(_recorded("heterollm:counterfactual_engines:rate1h"), "engines"),
        ),
    ]


def _of_answers() -> list[PanelBuilder]:
    return [
        lines(
            "Dollars per answer",
            "By tier, of the last hour, idle engines included.",
            "currencyUSD",
            Query(_recorded("heterollm_tier:dollars_per_request:rate1h"), _TIER),
            Query(_recorded("heterollm:dollars_per_request:rate1h"), "all"),
            log=True,
        ),
        lines(
            "Dollars per million tokens",
            "By tier, of the last hour. Streams whose request does not ask for their usage have no tokens here.",
            "currencyUSD",
            Query(_recorded("heterollm_tier:dollars_per_million_tokens:rate1h"), _TIER),
            Query(_recorded("heterollm:dollars_per_million_tokens:rate1h"), "all"),
            log=True,
        ),
        lines(
            "Dollars per hour by client",
            "By API key: the cluster's dollars, shared out by answers. Without keys there is nothing to share.",
            "currencyUSD",
            Query(f"3600 * {_recorded('heterollm_client:dollars:rate1h')}", "{{client}}"),
            stacked=True,
            span=24,
        ),
    ]


def _gpus() -> list[PanelBuilder]:
    return [
        lines(
            "Cost by tier",
            "Dollars per hour, for GPUs or for a service's tokens.",
            "currencyUSD",
            Query(_recorded("heterollm_tier:dollars_per_hour:max"), _TIER),
            stacked=True,
        ),
        lines("GPUs held", "By tier.", "none", Query(_recorded("heterollm_tier:gpus:max"), _TIER), stacked=True),
        lines(
            "GPUs without a price",
            "While there are any, no dollars are known of the cluster: set accelerator.dollarsPerHour.",
            "none",
            Query(f"sum({_recorded('heterollm_tier:gpus_without_price:max')}) or vector(0)", "GPUs"),
        ),
        lines(
            "Price of one engine",
            "Dollars per hour.",
            "currencyUSD",
            Query(_recorded("heterollm_tier:engine_dollars_per_hour:max"), _TIER),
        ),
    ]
