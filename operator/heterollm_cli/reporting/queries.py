"""The PromQL of a report: totals of a period, and figures over time, of one cluster.

Counts are differences of neighbouring points, as the operator's own of a migration are: `increase` would estimate, and
miss what a counter had when it first appeared, such as the only failure.
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["OVER_TIME", "TOTALS", "Scope", "over_time", "totals"]

_UP = "heterollm_router_envoy_up"
_ANSWERED = 'code=~"2..|3.."'
_SHORTEST_WINDOW = 60
"""Seconds over which rates over time are taken at least: several scrapes."""
_CLOSE, _SHORT = 15, 6 * 3600
"""Seconds between points from which counts are taken, in periods that are not longer; else a minute: what a router has
counted at the first of them is lost, as nobody knows since when it counts."""
_PEAK_SECONDS = 300
"""Over which the busiest stretch is taken."""
TOTALS = (
    *("minutes", "requests", "sides", "scores", "tokens", "busiest"),
    *("first_byte_p50", "first_byte_p99", "whole_p50", "whole_p99"),
    *("gpu_seconds", "dollars", "engine_dollars", "engine_rate"),
)
OVER_TIME = ("answers", "share", "failed", "first_byte_p99", "dollars")


@dataclass(frozen=True)
class Scope:
    """One cluster, and the seconds until now."""

    namespace: str
    cluster: str
    seconds: int

    def routers(self, name: str, *matchers: str) -> str:
        """Selector of a metric of the routers. `namespace` is what Prometheus says, not a pod."""
        own = (f'namespace="{self.namespace}"', f'heterollm_cluster="{self.cluster}"')
        return f"{name}{{{','.join([*own, *matchers])}}}"

    def operator(self, name: str, over: str = "{}") -> str:
        """The same of the operator's metrics, in whichever label their namespace is; `over` is a function of it."""
        own = f'cluster="{self.cluster}"'
        kept = f'{name}{{{own},namespace="{self.namespace}",exported_namespace=""}}'
        renamed = f'{name}{{{own},exported_namespace="{self.namespace}"}}'
        return f"({over.format(renamed)} or {over.format(kept)})"


def totals(scope: Scope) -> dict[str, str]:
    """By the names of TOTALS: instant queries."""
    period = f"[{scope.seconds}s]"
    offered = scope.routers("heterollm_router_requests_total", 'code=~"2..|3..|429|5.."')
    rate = f"sum by (wanted_tier) ({_once(f'rate({offered}[{_PEAK_SECONDS}s])', _REQUEST)})"
    found = {
        # A value is found for five minutes after its scrape, unless Prometheus knows that the target is gone.
        "minutes": f"count_over_time((min(time() - timestamp({scope.routers(_UP)})) <= 60)[{scope.seconds}s:1m])",
        "requests": _grown(scope, "requests_total", "wanted_tier, heterollm_tier, decision, code, diverted", _REQUEST),
        "sides": _grown(scope, "side_total", _SIDE, _SIDE),
        "scores": _grown(scope, "score_permille_bucket", "le", "le"),
        "tokens": _grown(scope, "tokens_total", "heterollm_tier, kind", "heterollm_tier, kind"),
        "busiest": f"max_over_time(({rate})[{scope.seconds}s:1m])",
        "gpu_seconds": f"sum by (tier) {scope.operator('heterollm_tier_gpu_seconds_total', f'increase({{}}{period})')}",
        "dollars": f"sum by (tier) {scope.operator('heterollm_tier_dollars_total', f'increase({{}}{period})')}",
        "engine_dollars": _latest(scope, "heterollm_tier_engine_dollars_per_hour"),
        "engine_rate": _latest(scope, "heterollm_tier_engine_requests_per_second"),
    }
    for name, metric in (("first_byte", "first_byte_milliseconds"), ("whole", "request_milliseconds")):
        for percent in (50, 99):
            found[f"{name}_p{percent}"] = _quantile(scope, metric, percent, f"increase({{}}{period})")
    return found


def over_time(scope: Scope, step: int) -> dict[str, str]:
    """By the names of OVER_TIME: range queries; `step` seconds are from point to point."""
    window = f"rate({{}}[{max(_SHORTEST_WINDOW, step)}s])"
    answers = scope.routers("heterollm_router_requests_total", _ANSWERED)

    def sides(by: str, *matchers: str) -> str:
        counter = scope.routers("heterollm_router_side_total", *matchers)
        return f"sum by ({by}) ({_once(window.format(counter), _SIDE)})"

    every, failed = sides("diverted"), sides("diverted", 'outcome="failed"')
    return {
        "answers": f"sum by (heterollm_tier) ({_once(window.format(answers), _REQUEST)})",
        "share": f"100 * {sides('wanted_tier', _OWN)} / {sides('wanted_tier')}",
        "failed": f"100 * ({failed} or 0 * {every}) / {every}",
        "first_byte_p99": _quantile(scope, "first_byte_milliseconds", 99, window),
        "dollars": f"max by (tier) {scope.operator('heterollm_tier_dollars_per_hour')}",
    }


_REQUEST = "wanted_tier, heterollm_tier, decision, code, diverted, attempts, low_quality"
_SIDE = "wanted_tier, diverted, outcome"
_OWN = 'diverted="false"'


def _grown(scope: Scope, counter: str, by: str, labels: str) -> str:
    """By how much a counter of the routers has grown. What is new on a router that was scraped before began at zero."""
    series = scope.routers(f"heterollm_router_{counter}")
    step = f"{_CLOSE if scope.seconds <= _SHORT else 60}s"
    known = f"and on (namespace, pod, job, instance) ({scope.routers(_UP)} offset {step})"
    # Without its name, as the difference is: else a series would be two.
    grown = f"((({series} - {series} offset {step}) >= 0) or ({series} * 1 {known}))"
    return f"sum by ({by}) ({_once(f'sum_over_time({grown}[{scope.seconds}s:{step}])', labels)})"


def _quantile(scope: Scope, histogram: str, percent: int, over: str) -> str:
    """Of answers, by the tier that gave them."""
    buckets = over.format(scope.routers(f"heterollm_router_{histogram}_bucket", 'heterollm_tier!=""'))
    once = _once(buckets, "heterollm_tier, decision, low_quality, le")
    return f"histogram_quantile({percent / 100}, sum by (heterollm_tier, le) ({once}))"


def _latest(scope: Scope, gauge: str) -> str:
    return f"max by (tier) {scope.operator(gauge, f'last_over_time({{}}[{scope.seconds}s])')}"


def _once(figures: str, labels: str) -> str:
    """Each pod's figures once, though several jobs may scrape it."""
    return f"max by ({labels}, pod) ({figures})"
