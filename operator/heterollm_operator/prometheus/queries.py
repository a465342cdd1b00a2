"""The PromQL behind every figure. Each query is for all clusters at once: their number never depends on clusters'.

What all of them keep to:

- A pod counts once, however many jobs scrape it; an engine's requests count once, however many ranks report them.
- Figures of an engine bear the name of its leader's pod, though with attention DP every pod of the engine has some.
- `namespace` and `pod` are what Prometheus itself says of a target, every other label is what the pod says: see
  `answers`. Rows of different namespaces never meet, neither in a sum nor in a match.
- No series can make a query fail, whatever labels it has: two of them must never become one. So series are aggregated
  before a label is written, into a label that aggregation left free, and both sides of a match are aggregated by
  the labels that it matches on.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass
from enum import StrEnum

from heterollm_controllers.api.signals import ClusterSignal, PodSignal, TierSignal
from heterollm_operator.kube.store import Key

__all__ = [
    "HistoryFigure",
    "Name",
    "Query",
    "RawFigure",
    "Replacement",
    "Selection",
    "SideFigure",
    "history",
    "now",
    "replaced",
]


class RawFigure(StrEnum):
    """Figures from which several signals follow."""

    REQUESTS = "requests"
    FAULTY = "faulty"
    FIRST_BYTE = "firstByte"
    UNANSWERED = "unanswered"


class HistoryFigure(StrEnum):
    """Figures of the last hour, by the fields of `History`."""

    RATE = "historyRate"
    CONCURRENCY = "historyConcurrency"
    KV_USE = "historyKvUse"


class SideFigure(StrEnum):
    """Figures of clusters that migrate."""

    SIDES = "sides"


Name = PodSignal | TierSignal | ClusterSignal | RawFigure | HistoryFigure | SideFigure
Replacement = PodSignal | TierSignal | ClusterSignal


@dataclass(frozen=True)
class Query:
    """One query.

    Attributes:
        text: PromQL.
        labels: what is read of its rows, besides the labels that name the cluster.
        optional: what it asks for may not exist, so that its failure is none of Prometheus.
        minutes: of a range query, how many minutes are asked for.
    """

    text: str
    labels: tuple[str, ...] = ()
    optional: bool = False
    minutes: int = 60


@dataclass(frozen=True)
class Selection:
    """Of what the queries are.

    Attributes:
        window: seconds over which rates are taken.
        scrape: seconds between two scrapes.
        namespaces: those asked about; none for all.
        slow: the first byte of a request is slow after that many milliseconds: the bounds in use.
        migrating: names of clusters that migrate, whatever their namespace.
    """

    window: int
    scrape: int
    namespaces: tuple[str, ...] = ()
    slow: Collection[int] = ()
    migrating: tuple[str, ...] = ()

    def of(self, name: str, *matchers: str) -> str:
        """Selector of a metric, of the clusters served."""
        return self.anything(name, 'heterollm_cluster!=""', *matchers)

    def anything(self, name: str, *matchers: str) -> str:
        """Selector of a metric, of the namespaces asked about."""
        own = [f'namespace=~"{"|".join(self.namespaces)}"'] if self.namespaces else []
        return f"{name}{{{','.join([*matchers, *own])}}}"


_OWNER = "namespace, heterollm_cluster"
_ENGINE = f"{_OWNER}, pod"
_CLUSTER = "namespace, heterollm_namespace, heterollm_cluster"
_TIER = f"{_CLUSTER}, heterollm_tier"
_REQUEST = ("wanted_tier", "heterollm_tier", "diverted", "code", "low_quality")
_SIDE = ("wanted_tier", "diverted", "outcome")
_UP = "heterollm_router_envoy_up"
_SIDE_MINUTES = 120
"""Twice as long as totals of a migration stay unwritten: an operator may be away for an hour and loses nothing."""


def now(of: Selection) -> dict[Name, Query]:
    """What is asked at every tick."""
    raw: dict[Name, Query] = {
        RawFigure.REQUESTS: _requests(of),
        RawFigure.FAULTY: _faulty(of),
        RawFigure.FIRST_BYTE: _first_byte(of),
        RawFigure.UNANSWERED: _unanswered(of),
    }
    return {**_pods(of), **_routers(of), **raw}


def history(of: Selection) -> dict[Name, Query]:
    """What is asked once a minute, by range queries with a step of a minute."""
    rate = of.of("heterollm_router_requests_total", 'heterollm_tier!=""', 'code=~"2..|3..|429"')
    running, queue, use = (
        of.of(f"sglang:{name}", 'priority=""') for name in ("num_running_reqs", "num_queue_reqs", "token_usage")
    )
    both = " + ".join(f"sum by ({_TIER}) ({_ranks(gauge, _TIER)})" for gauge in (running, queue))
    each = f"{_TIER}, wanted_tier, diverted, code, low_quality, decision, attempts"
    texts = {
        # Not over a minute where scrapes are rarer: no rate follows from a single sample.
        HistoryFigure.RATE: f"sum by ({_TIER}) ({_once(f'rate({rate}[{max(60, of.window)}s])', each)})",
        # The peak of the sum: engines do not have their peaks at the same time.
        HistoryFigure.CONCURRENCY: f"max_over_time(({both})[1m:{of.scrape}s])",
        HistoryFigure.KV_USE: f"max by ({_TIER}) (max_over_time({use}[{max(60, of.window)}s]))",
    }
    found: dict[Name, Query] = {name: Query(text, ("heterollm_tier",)) for name, text in texts.items()}
    return {**found, SideFigure.SIDES: _sides(of)} if of.migrating else found


def _sides(of: Selection) -> Query:
    """How many requests ended in a minute, exactly: `increase` would estimate, and leave out what comes first.

    The differences of neighbouring minutes add up to what the counter has counted, whatever scrapes were missed. What
    has gone back began anew, and so did what is new on a router that was scraped before: both count from zero. A
    router that was not has counted for who knows how long, and counts from now on.
    """
    counter = of.of("heterollm_router_side_total", f'heterollm_cluster=~"{"|".join(of.migrating)}"')
    known = f"and on (namespace, pod, job, instance) ({of.of(_UP)} offset 1m)"
    grown = f"(({counter} - {counter} offset 1m) >= 0) or ({counter} {known})"
    labels = f"{_CLUSTER}, {', '.join(_SIDE)}"
    return Query(f"sum by ({labels}) ({_once(grown, labels)})", _SIDE, minutes=_SIDE_MINUTES)


def replaced(name: Replacement, text: str, key: Key, window: int) -> Query:
    """A query that a cluster wants asked in place of ours."""
    values = {"namespace": _escaped(key.namespace), "cluster": _escaped(key.name), "window": f"{window}s"}
    filled = re.sub(r"\$(namespace|cluster|window)\b", lambda found: values[found[1]], text)
    return Query(filled, _LABELS[type(name)])


_LABELS: dict[type[StrEnum], tuple[str, ...]] = {
    PodSignal: ("pod",),
    TierSignal: ("heterollm_tier",),
    ClusterSignal: (),
}


def _pods(of: Selection) -> dict[Name, Query]:
    queue, running, use = (
        # With priorities, the total is in the series whose priority is empty.
        of.of(f"sglang:{name}", 'priority=""')
        for name in ("num_queue_reqs", "num_running_reqs", "token_usage")
    )
    seconds, count = (of.of(f"sglang:time_to_first_token_seconds_{part}") for part in ("sum", "count"))
    texts = {
        # What a single scrape has caught is no queue yet.
        PodSignal.QUEUE: f"sum by ({_ENGINE}) ({_ranks(f'min_over_time({queue}[{2 * of.scrape}s])')})",
        PodSignal.RUNNING: f"sum by ({_ENGINE}) ({_ranks(running)})",
        PodSignal.KV_USE: f"max by ({_ENGINE}) ({_led(use)})",
        PodSignal.AGE: f"max by ({_ENGINE}) ({_led(f'time() - timestamp({queue})')})",
        PodSignal.FIRST_TOKEN_SUM: _rate_of_engines(seconds, of.window),
        PodSignal.FIRST_TOKEN_COUNT: _rate_of_engines(count, of.window),
    }
    found: dict[Name, Query] = {name: Query(text, ("pod",)) for name, text in texts.items()}
    return {**found, PodSignal.GPU_USE: Query(_gpu_use(of, running), ("pod",), optional=True)}


def _routers(of: Selection) -> dict[Name, Query]:
    tier = ("heterollm_tier",)
    up = of.of(_UP)
    refused = of.of("heterollm_router_policy_version", 'state="refused"')
    found: dict[Name, Query] = {
        TierSignal.REQUEST_P50: Query(_quantile(0.5, of), tier),
        TierSignal.REQUEST_P95: Query(_quantile(0.95, of), tier),
        TierSignal.REQUEST_P99: Query(_quantile(0.99, of), tier),
        TierSignal.BETWEEN_TOKENS: Query(_between_tokens(of), tier),
        TierSignal.RETRIES: Query(_retries(of), tier),
        TierSignal.EJECTED: Query(_ejected(of), tier),
        ClusterSignal.POLICY_REFUSED: Query(f"max by ({_CLUSTER}) ({refused})"),
        # Of a router that was not scraped for a whole window, or not of late, no series does not mean zero.
        ClusterSignal.ROUTERS: Query(
            f"count by ({_CLUSTER}) (max by ({_CLUSTER}, pod) ({up} == 1 and ({up} offset {of.window}s) == 1"
            f" and time() - timestamp({up}) <= {of.window}))"
        ),
    }
    if of.migrating:
        found[TierSignal.PROMPT_TOKENS] = Query(_tokens(of, "prompt"), tier)
        found[TierSignal.COMPLETION_TOKENS] = Query(_tokens(of, "completion"), tier)
    return found


def _requests(of: Selection) -> Query:
    """By tier wanted and tier that answered, which PromQL cannot compare with each other."""
    labels = ", ".join(_REQUEST)
    rate = _rate_from_zero(of, of.of("heterollm_router_requests_total"))
    return Query(
        f"sum by ({_CLUSTER}, {labels}) ({_once(rate, f'{_CLUSTER}, {labels}, decision, attempts')})", _REQUEST
    )


def _faulty(of: Selection) -> Query:
    """Those of the requests that a tier failed for no fault of its own."""
    rate = _rate_from_zero(of, of.of("heterollm_router_faulty_requests_total"))
    return Query(f"sum by ({_TIER}) ({_once(rate, _TIER)})", ("heterollm_tier",))


def _first_byte(of: Selection) -> Query:
    """By bound. Since Prometheus 3, bounds are written with a fraction.

    What came after an answer of low quality took the time of both: that does not make the tier slow.
    """
    bounds = "|".join(str(bound) for bound in sorted(of.slow))
    name = "heterollm_router_first_byte_milliseconds_bucket"
    buckets = of.of(name, f'le=~"({bounds})([.]0)?|[+]Inf"', 'low_quality!="true"')
    rate = _once(f"rate({buckets}[{of.window}s])", f"{_TIER}, decision, le")
    return Query(f"sum by ({_TIER}, le) ({rate})", ("heterollm_tier", "le"))


def _unanswered(of: Selection) -> Query:
    """Attempts without an answer, and those that a service outside of the cluster refused, by status.

    Reasons are words and codes are numbers, so that none hides another.
    """
    lost = _rate_from_zero(of, of.of("heterollm_router_failed_attempts_total", 'reason=~"connect|reset|timeout"'))
    refused = _rate_from_zero(of, of.of("heterollm_router_external_refusals_total"))
    return Query(
        f"sum by ({_TIER}, reason, code) ({_once(f'({lost}) or ({refused})', f'{_TIER}, reason, code')})",
        ("heterollm_tier", "reason", "code"),
    )


def _quantile(share: float, of: Selection) -> str:
    buckets = of.of("heterollm_router_request_milliseconds_bucket", 'heterollm_tier!=""')
    return f"histogram_quantile({share}, sum by ({_TIER}, le) (rate({buckets}[{of.window}s])))"


def _tokens(of: Selection, kind: str) -> str:
    """By answer, over an hour: what a service bills is about what it billed of late."""
    own = f'heterollm_cluster=~"{"|".join(of.migrating)}"'
    of_kind = of.of("heterollm_router_tokens_total", f'kind="{kind}"', own)
    answered = of.of("heterollm_router_requests_total", 'code=~"2..|3.."', own)
    tokens = _once(f"rate({of_kind}[1h])", _TIER)
    each = f"{_TIER}, wanted_tier, diverted, code, low_quality, decision, attempts"
    answers = _once(f"rate({answered}[1h])", each)
    return f"sum by ({_TIER}) ({tokens}) / sum by ({_TIER}) ({answers})"


def _between_tokens(of: Selection) -> str:
    seconds, count = (
        f"sum by ({_TIER}) (rate({of.of(f'sglang:inter_token_latency_seconds_{part}')}[{of.window}s]))"
        for part in ("sum", "count")
    )
    return f"1000 * {seconds} / {count}"


def _retries(of: Selection) -> str:
    failed, bad = (
        _rate_from_zero(of, of.of(f"heterollm_router_{name}_total")) for name in ("failed_attempts", "bad_answers")
    )
    # Their reasons are other words, so that none hides another.
    return f"sum by ({_TIER}) ({_once(f'({failed}) or ({bad})', f'{_TIER}, reason')})"


def _ejected(of: Selection) -> str:
    active = of.of("envoy_cluster_outlier_detection_ejections_active", 'envoy_cluster_name=~"tier_.+"')
    most = f"max by ({_CLUSTER}, envoy_cluster_name) ({active})"
    return f'max by ({_TIER}) (label_replace({most}, "heterollm_tier", "$1", "envoy_cluster_name", "tier_(.+)"))'


def _gpu_use(of: Selection, running: str) -> str:
    """Of the pods that run engines, where Prometheus itself says of which pod DCGM's figures are."""
    use = _led(of.anything("DCGM_FI_DEV_GPU_UTIL"), "namespace", "avg")
    # One row for each engine, whatever pods may claim: else a single one would fail the query for all.
    engines = f"topk by (namespace, pod) (1, max by ({_ENGINE}) ({_led(running)})) >= bool 0"
    matched = "on (namespace, pod) group_left (heterollm_cluster)"
    return f"avg by (namespace, pod) ({use}) / 100 * {matched} ({engines})"


def _rate_of_engines(counter: str, window: int) -> str:
    rate = _led(f"rate({counter}[{window}s])", f"{_OWNER}, is_streaming")
    # Of each pod once; a request has one series per way of streaming.
    return f"sum by ({_ENGINE}) ({rate})"


def _rate_from_zero(of: Selection, counter: str) -> str:
    """Rate of a router's counter. Envoy shows a counter once it is used: what is new began at zero.

    Without this, a tier that begins to fail would have no failures until its second scrape. It is not so of routers
    that were not scraped before.
    """
    new = f"({counter} unless {counter} offset {of.window}s) / {of.window}"
    # Of the very target: an instance may be called like one of another namespace.
    known = f"and on (namespace, pod, job, instance) ({of.of(_UP)} offset {of.window}s)"
    return f"({new} {known}) or rate({counter}[{of.window}s])"


def _once(figures: str, labels: str) -> str:
    """Each pod's figures once, though several jobs may scrape it."""
    return f"max by ({labels}, pod) ({figures})"


def _ranks(gauge: str, labels: str = _OWNER) -> str:
    """A count of requests: ranks of one data-parallel rank all tell the same ones."""
    return _led(gauge, f"{labels}, dp_rank")


def _led(figures: str, labels: str = _OWNER, how: str = "max") -> str:
    """The figures of each engine by these labels, with the name of its leader's pod as `pod`."""
    leaders = f'label_replace({how} by ({labels}, pod) ({figures}), "leader", "${{1}}-0", "pod", "(.+)-[0-9]+")'
    return f'label_replace({how} by ({labels}, leader) ({leaders}), "pod", "$1", "leader", "(.+)")'


def _escaped(name: str) -> str:
    """For a string in quotes."""
    return re.sub(r"([\\\"'])", r"\\\1", name)
