"""The alerts, each on series that raise it and on series that do not, evaluated by the real Prometheus's promtool."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import yaml

from e2e.monitoring.rules import RULE_FILES, rule_groups
from helm.render import render
from tests.install.promtool import passed, real

_ALERTS = {rule["alert"]: rule for group in rule_groups() for rule in group["rules"] if "alert" in rule}

_OPERATOR = 'namespace="ns",cluster="c"'
_RENAMED = 'namespace="heterollm-system",exported_namespace="ns",cluster="c"'
"""The operator's metrics where Prometheus was not told to honour labels."""
_ROUTERS = 'heterollm_namespace="ns",heterollm_cluster="c"'
_OF_ROUTERS = {"heterollm_namespace": "ns", "heterollm_cluster": "c"}

Series = dict[str, str]


@dataclass(frozen=True)
class Case:
    """An alert, and what raises it.

    Attributes:
        fires: series that raise it, and `quiet`: series that are close to it and do not.
        labels: of the alert, severity left out; `says`: its summary.
        at: when, after the series begin; in `quiet` nothing fires at that time either.
    """

    alert: str
    fires: Series
    quiet: Series
    labels: Mapping[str, str]
    says: str
    at: str = "20m"
    name: str = field(default="", compare=False)

    def __str__(self) -> str:
        return f"{self.alert}-{self.name}" if self.name else self.alert


def state(name: str, labels: str, values: str) -> Series:
    return {f'heterollm_cluster_state{{{labels},state="{name}"}}': values}


def answers(rates: Mapping[str, float], tier: str = "large") -> Series:
    """Requests per minute, by code."""
    where = f'{_ROUTERS},heterollm_tier="{tier}"'
    return {
        f'heterollm_router_requests_total{{{where},code="{code}"}}': f"0+{rate}x300" for code, rate in rates.items()
    }


def first_bytes(fast: float, slow: float) -> Series:
    """Requests per minute whose first byte comes within 50 ms, and those that take 250 to 1,000 ms."""
    buckets = {"50": fast, "250": fast, "1000": fast + slow, "+Inf": fast + slow}
    name = "heterollm_router_first_byte_milliseconds_bucket"
    return {f'{name}{{{_ROUTERS},le="{le}"}}': f"0+{rate}x300" for le, rate in buckets.items()}


def capacity(offered: float, engines: int = 2, rate: str = "18", labels: str = _OPERATOR) -> Series:
    """A tier that is asked for so many requests per second, each engine of which can do 18."""
    return {
        f'heterollm_tier_engines{{{labels},tier="large",kind="serving"}}': f"{engines}x300",
        f'heterollm_tier_engine_requests_per_second{{{labels},tier="large"}}': f"{rate}x300",
        **answers({"200": 60 * offered}),
    }


def priced(dollars_per_second: float, requests_per_second: float, labels: str = _OPERATOR) -> Series:
    return {
        f'heterollm_tier_gpus{{{labels},tier="large"}}': "32x300",
        f'heterollm_tier_dollars_per_hour{{{labels},tier="large"}}': f"{3600 * dollars_per_second}x300",
        **answers({"200": 60 * requests_per_second}),
    }


def samples(agree: float, differ: float) -> Series:
    """Sampled requests per minute."""
    rates = {"agree": agree, "differ": differ, "unknown": 50}
    return {
        f'heterollm_samples_total{{{_ROUTERS},kind="pair",verdict="{verdict}"}}': f"0+{rate}x300"
        for verdict, rate in rates.items()
    }


def gpus(percent: int) -> Series:
    return {
        'DCGM_FI_DEV_GPU_UTIL{namespace="ns",pod="c-large-0-0",gpu="0",exported_pod=""}': "0x300",
        'DCGM_FI_DEV_GPU_UTIL{exported_namespace="ns",exported_pod="c-large-0-0",gpu="1"}': f"{percent}x300",
        'sglang:num_running_reqs{namespace="ns",pod="c-large-0-0",heterollm_cluster="c"}': "0x300",
    }


_FAILING = {"200": 30, "503": 3, "429": 5, "400": 300, "0": 300}
_LOST = {
    f'heterollm_router_rejected_total{{{_ROUTERS},reason="{reason}",code="503"}}': f"0+{rate}x300"
    for reason, rate in {"router_overloaded": 2, "no_engine": 300}.items()
}

CASES = [
    *(
        Case(
            "HeteroLLMPureLarge",
            state("PureLarge", labels, "0x10 1x300"),
            state("PureLarge", labels, "0x300") | state("Escalated", labels, "1x300"),
            {"namespace": "ns", "cluster": "c"}
            if labels is _OPERATOR
            else {"namespace": "heterollm-system", "exported_namespace": "ns", "cluster": "c"},
            "Level 3 of the fallback: all requests of ns/c go to its last tier.",
            name=name,
        )
        for name, labels in {"honoured": _OPERATOR, "renamed": _RENAMED}.items()
    ),
    Case(
        "HeteroLLMEscalated",
        state("Escalated", _OPERATOR, "1x300"),
        state("Escalated", _OPERATOR, "1x10 0x300") | state("PureLarge", _OPERATOR, "1x300"),
        {"namespace": "ns", "cluster": "c"},
        "Level 2 of the fallback: a tier of ns/c rests, its requests go to the last one as far as that has room.",
    ),
    Case(
        "HeteroLLMFirstByteSlow",
        first_bytes(9, 10),
        first_bytes(11, 10),
        _OF_ROUTERS,
        "Half of the requests of ns/c wait longer than 288 ms for the first byte.",
    ),
    Case(
        "HeteroLLMFirstByteVerySlow",
        first_bytes(95, 5),
        first_bytes(99.8, 0.2),
        _OF_ROUTERS,
        "One in a hundred requests of ns/c waits longer than 850 ms for the first byte.",
    ),
    Case(
        "HeteroLLMRequestsFail",
        answers(_FAILING) | _LOST,
        answers({**_FAILING, "503": 1, "429": 0}) | _LOST,
        _OF_ROUTERS,
        "Only 75% of the requests to ns/c are answered.",
    ),
    *(
        Case(
            "HeteroLLMCapacityLow",
            capacity(35, labels=labels),
            capacity(34, labels=labels),
            {**_OF_ROUTERS, "heterollm_tier": "large"},
            "The engines of tier large of ns/c can do 102.9% of what is asked of them: less than 5 % to spare.",
            name=name,
        )
        for name, labels in {"honoured": _OPERATOR, "renamed": _RENAMED}.items()
    ),
    *(
        Case(
            "HeteroLLMCostHigh",
            priced(0.05, 20, labels),
            priced(0.05, 26, labels),
            _OF_ROUTERS,
            "A request to ns/c costs $0.0025, idle engines included.",
            at="110m",
            name=name,
        )
        for name, labels in {"honoured": _OPERATOR, "renamed": _RENAMED}.items()
    ),
    Case(
        "HeteroLLMConsistencyLow",
        samples(7, 3),
        samples(8.1, 1.9),
        _OF_ROUTERS,
        "The tiers of ns/c agree on 70% of the requests sampled.",
        at="60m",
    ),
    Case(
        "HeteroLLMGpusIdle",
        gpus(49),
        gpus(51),
        {"namespace": "ns", "heterollm_cluster": "c"},
        "The GPUs of ns/c work 49 % of the time.",
        at="40m",
    ),
    Case(
        "HeteroLLMPolicyRefused",
        {f'heterollm_router_policy_version{{{_ROUTERS},pod="r",state="refused"}}': "7x300"},
        {
            f'heterollm_router_policy_version{{{_ROUTERS},pod="r",state="refused"}}': "0x300",
            f'heterollm_router_policy_version{{{_ROUTERS},pod="r",state="applied"}}': "7x300",
        },
        _OF_ROUTERS,
        "A router of ns/c does not take version 7 of the policy and serves by an older one.",
    ),
    Case(
        "HeteroLLMSignalsMissing",
        {f'heterollm_signals_missing{{{_OPERATOR},tier="small",signal="queue"}}': "2x300"},
        # A restart of an engine is no reason: it is there again within five minutes.
        {f'heterollm_signals_missing{{{_OPERATOR},tier="small",signal="queue"}}': "_x16 2x300"},
        {"namespace": "ns", "cluster": "c", "signal": "queue"},
        "ns/c is steered without the figure queue.",
    ),
    Case(
        "HeteroLLMPrometheusSilent",
        {'heterollm_prometheus_age_seconds{pod="operator-1"}': "120x300"},
        {
            'heterollm_prometheus_age_seconds{pod="operator-1"}': "59x300",
            'heterollm_prometheus_age_seconds{pod="operator-2"}': "NaN " * 30,
        },
        {"pod": "operator-1"},
        "Prometheus has not answered the operator for 2m 0s: nothing scales and nothing falls back.",
    ),
]


def test_every_alert_has_a_case() -> None:
    assert {case.alert for case in CASES} == _ALERTS.keys()


@real
@pytest.mark.parametrize("case", CASES, ids=str)
def test_it_fires(case: Case, tmp_path: Path) -> None:
    rule = _ALERTS[case.alert]
    annotations = {
        **{name: text.replace("{{ $labels.cluster }}", "c") for name, text in rule["annotations"].items()},
        "summary": case.says,
    }
    alert = {"exp_labels": {**case.labels, **rule["labels"]}, "exp_annotations": annotations}
    wanted = {"eval_time": case.at, "alertname": case.alert, "exp_alerts": [alert]}
    passed(tmp_path, case.fires, alert_rule_test=[wanted])


@real
@pytest.mark.parametrize("case", CASES, ids=str)
def test_it_does_not_fire(case: Case, tmp_path: Path) -> None:
    wanted = {"eval_time": case.at, "alertname": case.alert, "exp_alerts": []}
    passed(tmp_path, case.quiet, alert_rule_test=[wanted])


def _silent(series: Series) -> Series:
    """The same, long after everything stopped."""
    return {name: f"{values.split()[0].rsplit('x', 1)[0]}x1" for name, values in series.items()}


@real
@pytest.mark.parametrize("case", CASES, ids=str)
def test_nothing_fires_for_a_cluster_that_has_gone(case: Case, tmp_path: Path) -> None:
    # Consistency looks back for six hours, cost for one.
    later = "8h" if case.alert == "HeteroLLMConsistencyLow" else "3h"
    wanted = {"eval_time": later, "alertname": case.alert, "exp_alerts": []}
    passed(tmp_path, _silent(case.fires), alert_rule_test=[wanted])


@real
@pytest.mark.parametrize(
    "series",
    [
        pytest.param(capacity(35, rate="_"), id="a rate that nobody knows is no low capacity"),
        pytest.param(capacity(0), id="nor is a tier that nobody asks"),
        pytest.param(priced(0.05, 0), id="without answers there is no price for one"),
        pytest.param(
            priced(0.05, 20) | {f'heterollm_tier_gpus{{{_OPERATOR},tier="small"}}': "8x300"},
            id="a sum that lacks a tier's dollars is none",
        ),
        pytest.param(samples(0.1, 0.2), id="few samples say nothing"),
    ],
)
def test_what_is_not_known_raises_nothing(series: Series, tmp_path: Path) -> None:
    new = ("HeteroLLMCapacityLow", "HeteroLLMCostHigh", "HeteroLLMConsistencyLow")
    wanted = [{"eval_time": "110m", "alertname": name, "exp_alerts": []} for name in new]
    passed(tmp_path, series, alert_rule_test=wanted)


@real
def test_an_estimate_that_engines_exceed_is_corrected_by_what_they_do(tmp_path: Path) -> None:
    """Two engines of 18 a second that did 25 each for an hour have room at 40."""
    done = "0+3000x60 180000+2400x180"
    grown = capacity(0) | {f'heterollm_router_requests_total{{{_ROUTERS},heterollm_tier="large",code="200"}}': done}
    quiet = {"eval_time": "120m", "alertname": "HeteroLLMCapacityLow", "exp_alerts": []}
    passed(tmp_path, grown, alert_rule_test=[quiet])


def test_a_metric_is_reckoned_alike_where_it_is_recorded_and_where_it_raises_an_alert() -> None:
    recorded = {rule["record"]: rule["expr"] for group in rule_groups() for rule in group["rules"] if "record" in rule}
    for alert, record in {
        "HeteroLLMFirstByteSlow": "heterollm:first_byte_milliseconds:p50_5m",
        "HeteroLLMFirstByteVerySlow": "heterollm:first_byte_milliseconds:p99_5m",
        "HeteroLLMRequestsFail": "heterollm:answered:ratio5m",
    }.items():
        assert _words(_ALERTS[alert]["expr"]).startswith(_words(recorded[record])), alert


def _words(expression: str) -> str:
    return "".join(expression.split())


def test_the_chart_carries_the_rule_files() -> None:
    values = {"metrics": {"prometheusRule": {"create": "always"}}}
    (rule,) = [item.manifest for item in render(values) if item.manifest["kind"] == "PrometheusRule"]
    assert rule["spec"] == {"groups": rule_groups()}
    names = [group["name"] for group in rule_groups()]
    assert len(names) == len(set(names)) >= len(RULE_FILES)
    assert all(yaml.safe_load(path.read_text()) for path in RULE_FILES)
