"""What the queries give, by the real PromQL engine: promtool, where there is one, evaluates them on written series."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from heterollm_controllers.api.signals import ClusterSignal, PodSignal, TierSignal
from heterollm_operator.kube.store import Key
from heterollm_operator.prometheus.queries import (
    HistoryFigure,
    Name,
    RawFigure,
    Selection,
    SideFigure,
    history,
    now,
    replaced,
)
from tests.shell.prometheus_tools import needs, tool

PROMTOOL = tool("promtool")
real = needs("promtool")

SELECTION = Selection(60, 15, (), (1000, 30_000), ("c",))
QUERIES = {**now(SELECTION), **history(SELECTION)}


def engine(name: str, pod: str = "c-small-0-0", **labels: str) -> str:
    """A series of an engine of tier small."""
    return _series(f"sglang:{name}", pod, {"heterollm_tier": "small", **labels})


def router(name: str, pod: str = "r1", **labels: str) -> str:
    """A series of a router."""
    return _series(f"heterollm_router_{name}", pod, labels)


def _series(name: str, pod: str, labels: dict[str, str]) -> str:
    own = {"job": "pods", "instance": f"{pod}:1", "namespace": "ns", "pod": pod}
    return name + _labels({**own, "heterollm_namespace": "ns", "heterollm_cluster": "c", **labels})


def _labels(labels: dict[str, str]) -> str:
    return "{" + ",".join(f'{key}="{value}"' for key, value in labels.items()) + "}"


def pods(**values: float) -> dict[str, float]:
    """Expected rows of engines; - in a pod's name is written _."""
    own = {"namespace": "ns", "heterollm_cluster": "c"}
    return {_labels({**own, "pod": pod.replace("_", "-")}): value for pod, value in values.items()}


def rows(*expected: tuple[dict[str, str], float]) -> dict[str, float]:
    """Expected rows of tiers, or of a cluster."""
    own = {"namespace": "ns", "heterollm_namespace": "ns", "heterollm_cluster": "c"}
    return {_labels({**own, **labels}): value for labels, value in expected}


def check(tmp_path: Path, text: str, series: dict[str, str], expected: dict[str, float], at: str = "5m") -> None:
    """The query gives these rows, at that time of series with a value every 15 seconds."""
    samples = [{"labels": labels, "value": value} for labels, value in expected.items()]
    test: dict[str, Any] = {
        "interval": "15s",
        "input_series": [{"series": name, "values": values} for name, values in series.items()],
        "promql_expr_test": [{"expr": text, "eval_time": at, "exp_samples": samples}],
    }
    path = tmp_path / "test.yaml"
    path.write_text(yaml.safe_dump({"evaluation_interval": "15s", "tests": [test]}))
    assert PROMTOOL is not None
    found = subprocess.run([PROMTOOL, "test", "rules", str(path)], capture_output=True, text=True, check=False)
    assert found.returncode == 0, found.stdout + found.stderr


@real
@pytest.mark.parametrize("name", QUERIES)
def test_every_query_is_valid_and_empty_without_series(tmp_path: Path, name: Name) -> None:
    check(tmp_path, QUERIES[name].text, {}, {})


def test_the_labels_that_are_read_are_asked_for() -> None:
    for name, query in QUERIES.items():
        for label in query.labels:
            assert label in query.text, name


@real
@pytest.mark.parametrize(
    ("name", "metric"), [(PodSignal.QUEUE, "num_queue_reqs"), (PodSignal.RUNNING, "num_running_reqs")]
)
def test_a_request_counts_once_whatever_ranks_and_jobs_tell_of_it(tmp_path: Path, name: Name, metric: str) -> None:
    series = {
        # Attention DP: two groups of two ranks, on two nodes of one engine, which two jobs scrape.
        engine(metric, dp_rank="0", tp_rank="0"): "3x40",
        engine(metric, dp_rank="0", tp_rank="1"): "3x40",
        engine(metric, "c-small-0-1", dp_rank="1", tp_rank="2"): "4x40",
        engine(metric, "c-small-0-1", dp_rank="1", tp_rank="2", job="again"): "4x40",
        # With priorities, the total and its parts.
        engine(metric, "c-small-1-0", priority=""): "7x40",
        engine(metric, "c-small-1-0", priority="1"): "7x40",
    }
    check(tmp_path, QUERIES[name].text, series, pods(c_small_0_0=7, c_small_1_0=7))


@real
def test_what_one_scrape_has_caught_is_no_queue(tmp_path: Path) -> None:
    series = {engine("num_queue_reqs"): "4x19 90 5x19", engine("num_queue_reqs", "c-small-1-0"): "0x19 90x20"}
    for at, first, second in (("300s", 4, 0), ("330s", 5, 90)):
        check(tmp_path, QUERIES[PodSignal.QUEUE].text, series, pods(c_small_0_0=first, c_small_1_0=second), at=at)


@real
def test_the_fullest_rank_speaks_for_the_kv_cache(tmp_path: Path) -> None:
    series = {
        engine("token_usage", dp_rank="0"): "0.25x40",
        engine("token_usage", "c-small-0-1", dp_rank="1"): "0.75x40",
    }
    check(tmp_path, QUERIES[PodSignal.KV_USE].text, series, pods(c_small_0_0=0.75))


@real
def test_age_and_the_figures_of_pods_that_have_gone(tmp_path: Path) -> None:
    series = {
        engine("num_queue_reqs"): "1x40",
        engine("num_queue_reqs", "c-small-1-0"): "1x17 stale",
        engine("num_queue_reqs", "c-small-2-0"): "1x19",
    }
    check(tmp_path, QUERIES[PodSignal.AGE].text, series, pods(c_small_0_0=5, c_small_2_0=20), at="305s")
    check(tmp_path, QUERIES[PodSignal.QUEUE].text, series, pods(c_small_0_0=1, c_small_2_0=1), at="305s")


@real
def test_time_to_first_token_is_per_engine_over_all_requests(tmp_path: Path) -> None:
    series = {
        engine("time_to_first_token_seconds_sum", is_streaming="true"): "0+15x40",
        engine("time_to_first_token_seconds_sum", is_streaming="true", job="again"): "0+15x40",
        engine("time_to_first_token_seconds_sum", is_streaming="false"): "0+30x40",
        engine("time_to_first_token_seconds_count", is_streaming="true"): "0+15x40",
        engine("time_to_first_token_seconds_count", is_streaming="false"): "0+30x40",
    }
    check(tmp_path, QUERIES[PodSignal.FIRST_TOKEN_SUM].text, series, pods(c_small_0_0=3))
    check(tmp_path, QUERIES[PodSignal.FIRST_TOKEN_COUNT].text, series, pods(c_small_0_0=3))


@real
def test_gpu_use_is_believed_where_prometheus_says_whose_it_is(tmp_path: Path) -> None:
    gpu = "DCGM_FI_DEV_GPU_UTIL"
    series = {
        engine("num_running_reqs"): "1x40",
        engine("num_running_reqs", "c-small-1-0"): "1x40",
        f'{gpu}{{gpu="0",namespace="ns",pod="c-small-0-0"}}': "40x40",
        f'{gpu}{{gpu="1",namespace="ns",pod="c-small-0-1"}}': "60x40",
        f'{gpu}{{gpu="0",namespace="ns",pod="c-small-1-0"}}': "75x40",
        f'{gpu}{{gpu="0",namespace="ns",pod="somebody-s-0"}}': "99x40",
        # Any pod can say so of any other.
        f'{gpu}{{gpu="0",namespace="mallorys",pod="m",exported_namespace="ns",exported_pod="c-small-0-0"}}': "1x40",
        # A pod that says it were of two clusters spoils nothing.
        _series("sglang:num_running_reqs", "c-small-0-0", {"heterollm_cluster": "another"}): "0x40",
    }
    check(tmp_path, QUERIES[PodSignal.GPU_USE].text, series, pods(c_small_0_0=0.5, c_small_1_0=0.75))


def test_rows_of_different_namespaces_never_meet() -> None:
    """Whatever else is dropped on the way: the guards of those who read the rows are not the only ones."""
    for name, query in QUERIES.items():
        groups = re.findall(r"\b(?:by|on) \(([^)]*)\)", query.text)
        assert groups, name
        for labels in groups:
            assert labels.split(", ")[0] == "namespace", f"{name}: {labels}"
        # What is written into a label was aggregated: series that become one make a query fail.
        written = query.text.count("label_replace(")
        assert len(re.findall(r"label_replace\((?:max|avg) by \(", query.text)) == written, name


UP = {router("envoy_up", pod): "1x40" for pod in ("r1", "r2")}
GOOD = {"wanted_tier": "small", "heterollm_tier": "small", "code": "200", "diverted": "false", "low_quality": "false"}


@real
def test_requests_of_all_routers_are_summed_and_each_is_counted_once(tmp_path: Path) -> None:
    more = {"decision": "score", "attempts": "1"}
    series = UP | {
        router("requests_total", **GOOD, **more): "0+15x40",
        router("requests_total", **GOOD, **more, job="again"): "0+15x40",
        router("requests_total", **GOOD, decision="score", attempts="2"): "0+30x40",
        router("requests_total", "r2", **GOOD, **more): "0+45x40",
    }
    check(tmp_path, QUERIES[RawFigure.REQUESTS].text, series, rows((GOOD, 6)))


@real
def test_what_begins_within_the_window_began_at_zero(tmp_path: Path) -> None:
    failed = {**GOOD, "code": "503"}
    series = UP | {
        router("requests_total", **GOOD): "0+15x40",
        # The tier began to fail between the last two scrapes: one sample, which `rate` gives nothing for.
        router("requests_total", **failed): "_x20 120x20",
    }
    check(tmp_path, QUERIES[RawFigure.REQUESTS].text, series, rows((GOOD, 1), (failed, 2)))
    check(tmp_path, QUERIES[RawFigure.REQUESTS].text, series, rows((GOOD, 1), (failed, 0)), at="6m")


@real
def test_a_router_that_was_not_scraped_before_has_counted_for_long(tmp_path: Path) -> None:
    series = {router("envoy_up"): "_x20 1x20", router("requests_total", **GOOD): "_x20 5000000x20"}
    check(tmp_path, QUERIES[RawFigure.REQUESTS].text, series, {})


@real
def test_a_router_that_restarts_counts_from_zero(tmp_path: Path) -> None:
    series = UP | {router("requests_total", **GOOD): "1000+15x19 15+15x20"}
    check(tmp_path, QUERIES[RawFigure.REQUESTS].text, series, rows((GOOD, 1)))


@real
def test_a_request_that_left_its_tier_for_quality_is_told_from_one_that_left_it_failing(tmp_path: Path) -> None:
    left = {**GOOD, "heterollm_tier": "large"}
    moved = {**left, "low_quality": "true"}
    series = UP | {router("requests_total", **left): "0+15x40", router("requests_total", **moved): "0+45x40"}
    check(tmp_path, QUERIES[RawFigure.REQUESTS].text, series, rows((left, 1), (moved, 3)))
    of_large = rows(({"heterollm_tier": "large"}, 4))
    check(tmp_path, QUERIES[HistoryFigure.RATE].text, series, of_large)


@real
def test_first_bytes_after_an_answer_of_low_quality_are_not_counted(tmp_path: Path) -> None:
    at = {"heterollm_tier": "small", "decision": "score"}
    series = {
        router("first_byte_milliseconds_bucket", **at, low_quality="false", le="+Inf"): "0+15x40",
        router("first_byte_milliseconds_bucket", **at, low_quality="true", le="+Inf"): "0+45x40",
    }
    expected = rows(({"heterollm_tier": "small", "le": "+Inf"}, 1))
    check(tmp_path, QUERIES[RawFigure.FIRST_BYTE].text, series, expected)


@real
def test_attempts_that_services_refuse_are_told_from_those_that_nobody_answers(tmp_path: Path) -> None:
    far = {"heterollm_tier": "far"}
    series = UP | {
        router("external_refusals_total", **far, code="401"): "0+15x40",
        router("external_refusals_total", "r2", **far, code="401"): "_x20 120x20",
        router("external_refusals_total", **far, code="404"): "0+30x40",
        router("failed_attempts_total", **far, reason="connect"): "0+45x40",
        router("failed_attempts_total", **far, reason="error"): "0+60x40",
    }
    expected = rows(({**far, "code": "401"}, 3), ({**far, "code": "404"}, 2), ({**far, "reason": "connect"}, 3))
    check(tmp_path, QUERIES[RawFigure.UNANSWERED].text, series, expected)


@real
def test_faulty_requests_of_all_routers_are_summed_and_begin_at_zero(tmp_path: Path) -> None:
    at = {"heterollm_tier": "small"}
    series = UP | {
        router("faulty_requests_total", **at): "0+15x40",
        router("faulty_requests_total", **at, job="again"): "0+15x40",
        router("faulty_requests_total", "r2", **at): "_x20 120x20",
    }
    check(tmp_path, QUERIES[RawFigure.FAULTY].text, series, rows((at, 3)))


@real
def test_first_bytes_by_the_bounds_in_use(tmp_path: Path) -> None:
    at = {"heterollm_tier": "small", "decision": "score"}
    series = {
        router("first_byte_milliseconds_bucket", **at, le="500"): "0+3x40",
        router("first_byte_milliseconds_bucket", **at, le="1000"): "0+15x40",
        router("first_byte_milliseconds_bucket", **at, le="30000.0"): "0+30x40",
        router("first_byte_milliseconds_bucket", **at, le="+Inf"): "0+45x40",
    }
    expected = rows(
        ({"heterollm_tier": "small", "le": "1000"}, 1),
        ({"heterollm_tier": "small", "le": "30000.0"}, 2),
        ({"heterollm_tier": "small", "le": "+Inf"}, 3),
    )
    check(tmp_path, QUERIES[RawFigure.FIRST_BYTE].text, series, expected)


@real
def test_latencies(tmp_path: Path) -> None:
    at = {"heterollm_tier": "small"}
    series = {
        router("request_milliseconds_bucket", **at, le="100"): "0+15x40",
        router("request_milliseconds_bucket", **at, le="200"): "0+30x40",
        router("request_milliseconds_bucket", **at, le="+Inf"): "0+30x40",
        engine("inter_token_latency_seconds_sum"): "0+3x40",
        engine("inter_token_latency_seconds_count"): "0+150x40",
    }
    check(tmp_path, QUERIES[TierSignal.REQUEST_P50].text, series, rows((at, 100)))
    check(tmp_path, QUERIES[TierSignal.REQUEST_P99].text, series, rows((at, 198)))
    check(tmp_path, QUERIES[TierSignal.BETWEEN_TOKENS].text, series, rows((at, 20)))


@real
def test_tokens_by_answer_of_the_last_hour(tmp_path: Path) -> None:
    """Of two routers, one of them scraped by two jobs; what was refused has none."""
    at = {"heterollm_tier": "small"}
    series = UP | {
        router("requests_total", **at, code="200"): "0+15x40",
        router("requests_total", **at, code="200", job="again"): "0+15x40",
        router("requests_total", "r2", **at, code="200"): "0+45x40",
        router("requests_total", **at, code="429"): "0+900x40",
        router("tokens_total", **at, kind="prompt"): "0+6000x40",
        router("tokens_total", **at, kind="prompt", job="again"): "0+6000x40",
        router("tokens_total", "r2", **at, kind="prompt"): "0+6000x40",
        router("tokens_total", **at, kind="completion"): "0+150x40",
        router("tokens_total", "other", **at, kind="completion", heterollm_cluster="other"): "0+150x40",
    }
    for signal, tokens in ((TierSignal.PROMPT_TOKENS, 200), (TierSignal.COMPLETION_TOKENS, 2.5)):
        check(tmp_path, f"round({QUERIES[signal].text}, 0.01)", series, rows((at, tokens)))


@real
def test_retries_are_failed_attempts_and_bad_answers(tmp_path: Path) -> None:
    at = {"heterollm_tier": "small"}
    series = UP | {
        router("failed_attempts_total", **at, reason="error"): "0+15x40",
        router("failed_attempts_total", "r2", **at, reason="reset"): "_x20 60x20",
        router("bad_answers_total", **at, reason="empty"): "0+30x40",
    }
    check(tmp_path, QUERIES[TierSignal.RETRIES].text, series, rows((at, 4)))


@real
def test_ejected_engines_of_the_router_that_sees_most(tmp_path: Path) -> None:
    name = "envoy_cluster_outlier_detection_ejections_active"
    series = {
        _series(name, "r1", {"envoy_cluster_name": "tier_small"}): "1x40",
        _series(name, "r2", {"envoy_cluster_name": "tier_small"}): "2x40",
        _series(name, "r2", {"envoy_cluster_name": "agent"}): "9x40",
    }
    check(tmp_path, QUERIES[TierSignal.EJECTED].text, series, rows(({"heterollm_tier": "small"}, 2)))


@real
def test_routers_that_were_seen_for_a_whole_window(tmp_path: Path) -> None:
    series = {
        **UP,
        router("envoy_up", "r2", job="again"): "1x40",
        router("envoy_up", "new"): "_x17 1x20",
        router("envoy_up", "broken"): "1x17 0x20",
        router("envoy_up", "gone"): "1x17 stale",
    }
    check(tmp_path, QUERIES[ClusterSignal.ROUTERS].text, series, rows(({}, 2)))


@real
def test_a_policy_that_one_router_refuses(tmp_path: Path) -> None:
    series = {
        router("policy_version", state="refused"): "0x40",
        router("policy_version", "r2", state="refused"): "17x40",
        router("policy_version", "r2", state="applied"): "99x40",
    }
    check(tmp_path, QUERIES[ClusterSignal.POLICY_REFUSED].text, series, rows(({}, 17)))


@real
def test_history(tmp_path: Path) -> None:
    at = {"heterollm_tier": "small"}
    series = {
        router("requests_total", **GOOD, decision="score"): "0+15x40",
        router("requests_total", **GOOD, decision="model"): "0+15x40",
        router("requests_total", **{**GOOD, "code": "429"}): "0+30x40",
        router("requests_total", **{**GOOD, "code": "503"}): "0+900x40",
        router("requests_total", **{**GOOD, "wanted_tier": "large"}): "0+15x40",
        # Two engines whose peaks, 8 and 6, are at different times of the minute.
        engine("num_running_reqs"): "1x17 8 1x20",
        engine("num_queue_reqs"): "0x40",
        engine("num_running_reqs", "c-small-1-0"): "2x18 5 2x20",
        engine("num_queue_reqs", "c-small-1-0"): "0x18 1 0x20",
        engine("token_usage"): "0.1x17 0.9 0.1x20",
    }
    check(tmp_path, QUERIES[HistoryFigure.RATE].text, series, rows((at, 5)))
    check(tmp_path, QUERIES[HistoryFigure.CONCURRENCY].text, series, rows((at, 10)))
    check(tmp_path, QUERIES[HistoryFigure.KV_USE].text, series, rows((at, 0.9)))


SIDE = {"wanted_tier": "small", "diverted": "false", "outcome": "failed"}
SIDES = QUERIES[SideFigure.SIDES].text


@real
def test_each_request_of_a_side_counts_exactly_once(tmp_path: Path) -> None:
    series = UP | {
        # One at a time, between the scrapes of two minutes too, where an estimated increase sees none.
        router("side_total", **SIDE): "0x15 1x3 2x20",
        router("side_total", **SIDE, job="again"): "0x15 1x3 2x20",
        router("side_total", "r2", **SIDE): "7x40",
    }
    at = {"4m": 1.0, "5m": 1.0, "6m": 0.0}
    for time, expected in at.items():
        check(tmp_path, SIDES, series, rows((SIDE, expected)), at=time)


@real
def test_the_first_failure_of_a_side_counts_and_so_do_those_after_a_restart(tmp_path: Path) -> None:
    series = UP | {
        router("side_total", **SIDE): "_x18 3x20",
        router("side_total", "r1", **{**SIDE, "outcome": "ok"}): ("1000+15x18 5+0x20"),
    }
    check(tmp_path, SIDES, series, rows((SIDE, 3), ({**SIDE, "outcome": "ok"}, 5)))


@real
def test_a_router_that_nobody_scraped_before_counts_from_now_on(tmp_path: Path) -> None:
    series = {router("envoy_up"): "_x18 1x20", router("side_total", **SIDE): "_x18 5000+2x20"}
    check(tmp_path, SIDES, series, {})
    check(tmp_path, SIDES, series, rows((SIDE, 8)), at="6m")


@real
def test_a_gap_of_prometheus_takes_nothing_away(tmp_path: Path) -> None:
    series = {router("envoy_up"): "1x10 _x9 1x20", router("side_total", **SIDE): "0+1x10 _x9 20+1x20"}
    counted = {"2m": 4.0, "3m": 2.0, "4m": 0.0, "5m": 10.0, "6m": 4.0}
    for time, expected in counted.items():
        check(tmp_path, SIDES, series, rows((SIDE, expected)), at=time)
    assert sum(counted.values()) == 24 - 4, "all that were counted from the first to the sixth minute"


def test_sides_are_asked_of_clusters_that_migrate_alone() -> None:
    assert SideFigure.SIDES not in history(Selection(60, 15))
    assert 'heterollm_cluster=~"a|b"' in history(Selection(60, 15, migrating=("a", "b")))[SideFigure.SIDES].text


@real
def test_other_namespaces_than_those_served_are_not_read(tmp_path: Path) -> None:
    series = {engine("num_queue_reqs"): "1x40"}
    query = now(Selection(60, 15, ("a", "b"), (30_000,)))[PodSignal.QUEUE].text
    check(tmp_path, query, series, {})
    check(tmp_path, now(Selection(60, 15, ("a", "ns"), (30_000,)))[PodSignal.QUEUE].text, series, pods(c_small_0_0=1))


@real
def test_a_namespace_is_what_prometheus_says_it_is(tmp_path: Path) -> None:
    said = _series("sglang:num_queue_reqs", "c-small-0-0", {"heterollm_namespace": "ns", "namespace": "mallorys"})
    text = now(Selection(60, 15, ("ns",), (30_000,)))[PodSignal.QUEUE].text
    check(tmp_path, text, {said: "9x40"}, {})


def test_a_clusters_own_query_is_filled_in() -> None:
    text = 'sum(rate(x{ns="$namespace",c=~"$cluster"}[$window])) / label_replace(y, "a", "$1$windows", "b", "")'
    query = replaced(PodSignal.QUEUE, text, Key("ns", "c"), 60)
    assert query.text == 'sum(rate(x{ns="ns",c=~"c"}[60s])) / label_replace(y, "a", "$1$windows", "b", "")'
    assert query.labels == ("pod",)


def test_names_cannot_leave_their_quotes() -> None:
    query = replaced(ClusterSignal.ROUTERS, "x{c=\"$cluster\",d='$namespace'}", Key("n's", 'a\\"b'), 60)
    assert query.text == "x{c=\"a\\\\\\\"b\",d='n\\'s'}"
