"""The PromQL behind figures for people: what `heterollm top` and the status page show and nothing is decided by.

What queries.py keeps to holds here, too: they are for all clusters at once, or for one, and a pod can only spoil what
is shown of its own namespace. Figures of cost are those that the chart's rules record.
"""

from __future__ import annotations

from heterollm_operator.kube.store import Key
from heterollm_operator.prometheus.queries import CLUSTER, TIER, Query, Selection, once, ranks

__all__ = ["COST", "FIRST_BYTE", "RECORDED", "RECORDED_OF_TIERS", "REQUESTS", "WAITING", "hour_queries", "now_queries"]

REQUESTS, WAITING, COST = "requests", "waiting", "cost"
FIRST_BYTE = {"p50": 0.5, "p99": 0.99}
"""Names of the queries, those of quantiles by the quantile."""

RECORDED = {
    "dollars_per_hour": "heterollm:dollars_per_hour:sum",
    "dollars_per_request": "heterollm:dollars_per_request:rate1h",
    "dollars_per_million_tokens": "heterollm:dollars_per_million_tokens:rate1h",
    "hourly_dollars": "heterollm:dollars:rate1h",
    "hourly_dollars_otherwise": "heterollm:counterfactual_dollars:rate1h",
    "engines_otherwise": "heterollm:counterfactual_engines:rate1h",
}
"""What the chart's rules record of clusters, by the field of ClusterFigures."""
RECORDED_OF_TIERS = "heterollm_tier:dollars_per_hour:max"

_WINDOW = "5m"
"""As in the recording rules: long enough for any time between two scrapes."""
_EACH = f"{TIER}, wanted_tier, diverted, code, low_quality, decision, attempts"


def now_queries(namespaces: tuple[str, ...]) -> dict[str, Query]:
    """The figures of all clusters of some namespaces (none: of all), by name."""
    of = Selection(0, 0, namespaces)
    requests = once(f"rate({of.of('heterollm_router_requests_total')}[{_WINDOW}])", _EACH)
    found = {
        REQUESTS: Query(f"sum by ({TIER}, code) ({requests})", ("heterollm_tier", "code")),
        WAITING: Query(_waiting(of), ("heterollm_tier",)),
        COST: Query(_recorded((*RECORDED.values(), RECORDED_OF_TIERS), namespaces), ("__name__", "heterollm_tier")),
    }
    return found | {name: Query(_first_byte(of, share)) for name, share in FIRST_BYTE.items()}


def hour_queries(key: Key) -> dict[str, Query]:
    """The last hour of one cluster, by name."""
    own = f'heterollm_cluster="{key.name}"'
    of = Selection(0, 0, (key.namespace,))
    answers = of.of("heterollm_router_requests_total", own, 'heterollm_tier!=""', 'code=~"2..|3.."')
    tier = ("heterollm_tier",)
    found = {
        REQUESTS: Query(f"sum by ({TIER}) ({once(f'rate({answers}[{_WINDOW}])', _EACH)})", tier),
        WAITING: Query(_waiting(of, own), tier),
        COST: Query(_recorded((RECORDED_OF_TIERS,), (key.namespace,), own), tier),
    }
    return found | {name: Query(_first_byte(of, share, own)) for name, share in FIRST_BYTE.items()}


def _waiting(of: Selection, *own: str) -> str:
    queue = of.of("sglang:num_queue_reqs", 'priority=""', *own)
    return f"sum by ({TIER}) ({ranks(queue, TIER)})"


def _first_byte(of: Selection, share: float, *own: str) -> str:
    rates = f"rate({of.of('heterollm_router_first_byte_milliseconds_bucket', *own)}[{_WINDOW}])"
    return f"histogram_quantile({share}, sum by ({CLUSTER}, le) ({once(rates, f'{TIER}, decision, low_quality, le')}))"


def _recorded(names: tuple[str, ...], namespaces: tuple[str, ...], *own: str) -> str:
    """What rules record has no `namespace`. A series that has one is a pod's own, whatever its name."""
    where = [f'heterollm_namespace=~"{"|".join(namespaces)}"'] if namespaces else []
    matchers = ",".join([f'__name__=~"{"|".join(names)}"', 'namespace=""', *where, *own])
    return f'label_replace({{{matchers}}}, "namespace", "$1", "heterollm_namespace", "(.+)")'
