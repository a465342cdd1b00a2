"""One cluster: its traffic by tier, latency, engines, level of the fallback and targets, with its decisions marked."""

from __future__ import annotations

from grafana_foundation_sdk.models.dashboard import Dashboard

from helm.dashboards.frame import PanelBuilder, of_cluster
from helm.dashboards.panels import Query, figure, lines, note, states
from helm.dashboards.selectors import OF_PODS, OF_RECORDED, of_operator
from helm.dashboards.words import LEVELS, MET, numbered

__all__ = ["cluster", "level"]

_TIER = "{{heterollm_tier}}"
_ANSWERED = f'{OF_PODS}, code=~"2..|3.."'


def cluster() -> Dashboard:
    """The dashboard."""
    return of_cluster(
        "heterollm-cluster",
        "HeteroLLM / Cluster",
        "One cluster. The marks are its decisions: each is in status.decisions, with the figures it was made from.",
        [
            ("Now", _now()),
            ("Traffic", _traffic()),
            ("Latency", _latency()),
            ("Engines", _engines()),
            ("Fallback and targets", _fallback()),
            ("Consistency", _consistency()),
        ],
    )


def level() -> str:
    """The level of the fallback in force, as a number of LEVELS."""
    return numbered([of_operator("heterollm_cluster_state", f'state="{word}"') for word, _ in LEVELS.values()], "")


def _rate(metric: str, matchers: str = OF_PODS) -> str:
    return f"rate({metric}{{{matchers}}}[$__rate_interval])"


def _recorded(series: str) -> str:
    return f"{series}{{{OF_RECORDED}}}"


def _now() -> list[PanelBuilder]:
    return [
        figure("Fallback", "The level in force.", "none", level(), words=LEVELS),
        figure("Answers", "Per second.", "reqps", _recorded("heterollm:answers:rate5m")),
        figure(
            "Answered",
            "Share of requests: 429 and 5xx are not, what clients got wrong does not count. The target is 95 %.",
            "percentunit",
            _recorded("heterollm:answered:ratio5m"),
            steps=[(None, "red"), (0.9, "orange"), (0.95, "green")],
        ),
        figure(
            "First byte, median",
            "The target is 50 ms.",
            "ms",
            _recorded("heterollm:first_byte_milliseconds:p50_5m"),
            steps=[(None, "green"), (50, "orange"), (100, "red")],
        ),
        figure(
            "First byte, 99th percentile",
            "The target is 200 ms.",
            "ms",
            _recorded("heterollm:first_byte_milliseconds:p99_5m"),
            steps=[(None, "green"), (200, "orange"), (500, "red")],
        ),
        figure(
            "Capacity",
            "Of the tier that has least: what its engines can do, per request asked of it. The target is 1.05.",
            "none",
            f"min({_recorded('heterollm_tier:capacity:ratio5m')})",
            steps=[(None, "red"), (1.05, "green")],
        ),
    ]


def _traffic() -> list[PanelBuilder]:
    requests = "heterollm_router_requests_total"
    diverted = _rate(requests, f'{OF_PODS}, diverted="true"')
    share = f"sum by (wanted_tier) ({diverted})"
    asked = f"sum by (wanted_tier) ({_rate(requests)})"
    return [
        lines(
            "Wanted",
            "Requests per second by the tier that was to answer them: by their score, or by name. Without a tier: none"
            " could be chosen.",
            "reqps",
            Query(asked, "{{wanted_tier}}"),
            stacked=True,
        ),
        lines(
            "Answered by",
            "Answers per second by the tier that gave them.",
            "reqps",
            Query(f"sum by (heterollm_tier) ({_rate(requests, _ANSWERED)})", _TIER),
            stacked=True,
        ),
        lines(
            "Answers by HTTP status",
            "Per second; 0: the client has gone.",
            "reqps",
            Query(f"sum by (code) ({_rate(requests)})", "{{code}}"),
            stacked=True,
        ),
        lines(
            "Sent to the last tier",
            "Share of the requests wanted of a tier that the last one was to answer in its place: by the fallback"
            " or a migration.",
            "percentunit",
            Query(f"({share} or 0 * {asked}) / ({asked} > 0)", "{{wanted_tier}}"),
        ),
        lines(
            "Attempts that failed",
            "Per second; each was tried again if there was an attempt left.",
            "reqps",
            Query(
                f"sum by (heterollm_tier, reason) ({_rate('heterollm_router_failed_attempts_total')})",
                "{{heterollm_tier}}: {{reason}}",
            ),
        ),
        lines(
            "Tokens",
            "Per second, as engines report them.",
            "none",
            Query(
                f"sum by (heterollm_tier, kind) ({_rate('heterollm_router_tokens_total')})",
                "{{heterollm_tier}}: {{kind}}",
            ),
        ),
    ]


def _quantile(share: str, metric: str) -> str:
    buckets = _rate(f"heterollm_router_{metric}_bucket", OF_PODS + ', heterollm_tier!=""')
    return f"histogram_quantile({share}, sum by (heterollm_tier, le) ({buckets}))"


def _mean_of_engines(metric: str) -> str:
    seconds, count = (f"sum by (heterollm_tier) ({_rate(f'sglang:{metric}_{part}')})" for part in ("sum", "count"))
    return f"{seconds} / ({count} > 0)"


def _latency() -> list[PanelBuilder]:
    quantiles = (("0.5", "median"), ("0.99", "99th percentile"))
    stages = _rate("heterollm_router_stage_microseconds_bucket")
    return [
        lines(
            "First byte",
            "From the arrival of a request to the first byte of its answer, retries included.",
            "ms",
            *(Query(_quantile(share, "first_byte_milliseconds"), f"{_TIER} {word}") for share, word in quantiles),
        ),
        lines(
            "Whole answer",
            "To the last byte.",
            "ms",
            *(Query(_quantile(share, "request_milliseconds"), f"{_TIER} {word}") for share, word in quantiles),
        ),
        lines(
            "First token of engines",
            "Seconds from an engine's receipt of a request to its first token, on average: waiting and prefill.",
            "s",
            Query(_mean_of_engines("time_to_first_token_seconds"), _TIER),
        ),
        lines(
            "From token to token",
            "On average.",
            "s",
            Query(_mean_of_engines("inter_token_latency_seconds"), _TIER),
        ),
        lines(
            "Where the time goes",
            "Median of one request in ten: routing to the first byte towards the engine, engine to its first byte,"
            " return from its last byte to the client's.",
            "µs",
            Query(f"histogram_quantile(0.5, sum by (stage, le) ({stages}))", "{{stage}}"),
            log=True,
            span=24,
        ),
    ]


def _engines() -> list[PanelBuilder]:
    best = _recorded("heterollm_tier:engine_requests_per_second:best1d")
    offered = _rate("heterollm_router_requests_total", f'{OF_PODS}, code=~"2..|3..|429|5..", heterollm_tier!=""')
    return [
        lines(
            "Engines",
            "Those a tier should have, and those that serve.",
            "none",
            Query(f"max by (tier, kind) ({of_operator('heterollm_tier_engines')})", "{{tier}}: {{kind}}"),
        ),
        lines(
            "Requests that wait",
            "In engines. By default a tier grows at 100.",
            "none",
            Query(_requests_in_engines("num_queue_reqs"), _TIER),
        ),
        lines(
            "Requests in work",
            "In engines.",
            "none",
            Query(_requests_in_engines("num_running_reqs"), _TIER),
        ),
        lines(
            "Use of the KV cache",
            "Of the fullest engine of a tier.",
            "percentunit",
            Query(f"max by (heterollm_tier) ({_gauge('token_usage')})", _TIER),
        ),
        lines(
            "Capacity against offered",
            "Requests per second that the serving engines of a tier can do at their full rate (measured, estimated"
            " or seen), and those asked of it. A tier of which nobody knows the rate has no capacity here.",
            "reqps",
            Query(f"{_recorded('heterollm_tier:serving_engines:max')} * {best}", f"{_TIER}: capacity"),
            Query(f"sum by (heterollm_tier) ({offered})", f"{_TIER}: offered"),
        ),
        lines(
            "Capacity per request offered",
            "The target is 1.05 of every tier.",
            "none",
            Query(_recorded("heterollm_tier:capacity:ratio5m"), _TIER),
            steps=[(None, "red"), (1.05, "green")],
            log=True,
        ),
        lines("GPUs held", "By pods that have a node.", "none", Query(_recorded("heterollm_tier:gpus:max"), _TIER)),
        lines(
            "GPU use",
            "Share of time in which GPUs work, where NVIDIA's DCGM exporter is scraped. The target is 70 %.",
            "percentunit",
            Query(_recorded("heterollm:gpu_use:avg"), "GPUs"),
            steps=[(None, "red"), (0.5, "orange"), (0.7, "green")],
        ),
    ]


def _gauge(name: str) -> str:
    # With priorities, the total is in the series whose priority is empty.
    return f'sglang:{name}{{{OF_PODS}, priority=""}}'


def _requests_in_engines(name: str) -> str:
    # Ranks of one data-parallel rank all tell the same requests.
    return f"sum by (heterollm_tier) (max by (heterollm_tier, pod, dp_rank) ({_gauge(name)}))"


def _fallback() -> list[PanelBuilder]:
    active = f'envoy_cluster_outlier_detection_ejections_active{{{OF_PODS}, envoy_cluster_name=~"tier_.+"}}'
    ejected = f'label_replace({active}, "heterollm_tier", "$1", "envoy_cluster_name", "tier_(.+)")'
    # Envoy shows it only once it has ejected one.
    none = f"0 * max by (heterollm_tier) ({_recorded('heterollm_tier:serving_engines:max')})"
    missing = of_operator("heterollm_signals_missing")
    return [
        states("Fallback", "The level in force.", LEVELS, Query(level(), "level")),
        states(
            "Targets",
            "Whether each is met; what cannot be judged is left out.",
            MET,
            Query(_recorded("heterollm:target_met:bool"), "{{target}}"),
        ),
        lines(
            "Engines ejected",
            "By the router that sees most, as they failed too often; they come back by themselves.",
            "none",
            Query(f"max by (heterollm_tier) ({ejected}) or {none}", _TIER),
            span=8,
        ),
        lines(
            "Signals that are missing",
            "Decisions that need them leave things as they are. Which: heterollm_signals_missing.",
            "none",
            Query(f"count({missing}) or vector(0)", "missing"),
            span=8,
        ),
        lines(
            "Policy",
            "Version in force, by router. All should be at the same.",
            "none",
            Query(
                f'max by (pod) (heterollm_router_policy_version{{{OF_PODS}, state="applied"}})',
                "{{pod}}",
            ),
            span=8,
        ),
    ]


def _consistency() -> list[PanelBuilder]:
    return [
        lines(
            "Consistency",
            "Share of sampled requests on which tiers agree, over 6 hours and of at least 100. The target is 90 %.",
            "percentunit",
            Query(_recorded("heterollm:consistency:ratio6h"), "agree"),
            steps=[(None, "red"), (0.8, "orange"), (0.9, "green")],
            span=16,
        ),
        note(
            "On consistency",
            "How often the tiers give answers that agree, on requests that are sampled and answered by both."
            "\n\nNo release samples requests yet, so this panel stays empty; its rule is there.",
            span=8,
            height=8,
        ),
    ]
