"""What the recording rules make of counters, evaluated by the real Prometheus's promtool."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from heterollm_controllers.cost.prices import dollars_per_1000
from heterollm_controllers.cost.saving import counterfactual, saving
from tests.install.promtool import passed, real

_ROUTERS = 'heterollm_namespace="ns",heterollm_cluster="c"'
_OPERATOR = 'namespace="ns",cluster="c",pod="operator-1"'
_RENAMED = 'namespace="heterollm-system",exported_namespace="ns",cluster="c",pod="operator-1"'
_HOURS = 180
"""Minutes of every series."""
_SMALL, _LARGE = 16.0, 128.0
"""Dollars per hour: 4 GPUs of the small tier and 32 of the large one, at $4."""

Series = dict[str, str]


def grows(per_second: float) -> str:
    return f"0+{60 * per_second}x{_HOURS}"


def operator(labels: str = _OPERATOR) -> Series:
    """What the operator says of two small engines and a large one."""
    said: Series = {}
    for tier, gpus, dollars, rate, engines in (("small", 4, _SMALL, 180, 2), ("large", 32, _LARGE, 18, 1)):
        place = f'{labels},tier="{tier}"'
        said |= {
            f"heterollm_tier_gpus{{{place}}}": f"{gpus}x{_HOURS}",
            f"heterollm_tier_dollars_per_hour{{{place}}}": f"{dollars}x{_HOURS}",
            f"heterollm_tier_engine_dollars_per_hour{{{place}}}": f"{dollars / engines}x{_HOURS}",
            f"heterollm_tier_engine_requests_per_second{{{place}}}": f"{rate}x{_HOURS}",
            f"heterollm_tier_last{{{place}}}": f"{int(tier == 'large')}x{_HOURS}",
            f'heterollm_tier_engines{{{place},kind="serving"}}': f"{engines}x{_HOURS}",
            f'heterollm_tier_engines{{{place},kind="target"}}': f"7x{_HOURS}",
        }
    return said


def routers(small: float = 90, large: float = 10) -> Series:
    """Answers per second, 9 prompt tokens and 1 of the answer each; errors and refusals beside them."""
    counted: Series = {
        f'heterollm_router_requests_total{{{_ROUTERS},heterollm_tier="small",code="429"}}': grows(500),
        f'heterollm_router_requests_total{{{_ROUTERS},heterollm_tier="",code="404"}}': grows(500),
        f'heterollm_router_client_requests_total{{{_ROUTERS},client="team-a",code="200"}}': grows(75),
        f'heterollm_router_client_requests_total{{{_ROUTERS},client="team-b",code="200"}}': grows(25),
        f'heterollm_router_client_requests_total{{{_ROUTERS},client="team-b",code="429"}}': grows(500),
    }
    for tier, rate in (("small", small), ("large", large)):
        place = f'{_ROUTERS},heterollm_tier="{tier}"'
        # Two routers.
        for pod in ("r1", "r2"):
            counted |= {
                f'heterollm_router_requests_total{{{place},pod="{pod}",code="200"}}': grows(rate / 2),
                f'heterollm_router_tokens_total{{{place},pod="{pod}",kind="prompt"}}': grows(4.5 * rate),
                f'heterollm_router_tokens_total{{{place},pod="{pod}",kind="completion"}}': grows(0.5 * rate),
            }
    return counted


def check(where: Path, series: Series, expected: Mapping[str, float | None], within: float = 1e-6) -> None:
    """Three hours on, each expression has one value: this one, or none."""
    tests = []
    for expression, value in expected.items():
        near = f"sum(abs(({expression}) / {value} - 1)) <= bool {within}"
        samples = [{"labels": "{}", "value": 1}] if value is not None else []
        tests.append({"expr": expression if value is None else near, "eval_time": "180m", "exp_samples": samples})
    passed(where, series, promql_expr_test=tests)


@real
@pytest.mark.parametrize("labels", [_OPERATOR, _RENAMED], ids=["honoured", "renamed"])
def test_cost_and_saving(labels: str, tmp_path: Path) -> None:
    place = '{heterollm_namespace="ns", heterollm_cluster="c"}'
    small = '{heterollm_namespace="ns", heterollm_cluster="c", heterollm_tier="small"}'
    large = '{heterollm_namespace="ns", heterollm_cluster="c", heterollm_tier="large"}'
    expected: dict[str, float | None] = {
        f"heterollm:dollars:rate1h{place}": 144 / 3600,
        f"heterollm_tier:dollars:rate1h{large}": _LARGE / 3600,
        f"heterollm:dollars_per_request:rate1h{place}": 144 / 3600 / 100,
        f"heterollm_tier:dollars_per_request:rate1h{small}": _SMALL / 3600 / 90,
        f"heterollm_tier:dollars_per_request:rate1h{large}": _LARGE / 3600 / 10,
        f"heterollm:dollars_per_million_tokens:rate1h{place}": 144 / 3600 / 1000 * 1e6,
        f"heterollm_tier:dollars_per_million_tokens:rate1h{large}": _LARGE / 3600 / 100 * 1e6,
        'heterollm_client:dollars:rate1h{heterollm_namespace="ns", client="team-a"}': 0.75 * 144 / 3600,
        # 105 requests/s at 18 per engine: six engines.
        f"heterollm:counterfactual_engines:rate1h{place}": 6,
        f"heterollm:counterfactual_dollars:rate1h{place}": 6 * _LARGE / 3600,
        f"heterollm:saving:ratio1h{place}": 1 - 144 / (6 * 128),
    }
    check(tmp_path, operator(labels) | routers(), expected)


@real
def test_a_new_leader_changes_nothing(tmp_path: Path) -> None:
    """It takes over within the last hour, two minutes after the former one was last scraped."""
    first = {name: f"{values.split('x')[0]}x150 stale" for name, values in operator().items()}
    then = operator(_OPERATOR.replace("operator-1", "operator-2"))
    second = {name: f"_x152 {values.split('x')[0]}x30" for name, values in then.items()}
    expected = {"heterollm:dollars:rate1h": 144 / 3600, "heterollm:saving:ratio1h": 1 - 144 / (6 * 128)}
    check(tmp_path, first | second | routers(), expected)


@real
def test_two_leaders_for_a_while_cost_once(tmp_path: Path) -> None:
    series = operator() | operator(_OPERATOR.replace("operator-1", "operator-2")) | routers()
    check(tmp_path, series, {"heterollm:dollars:rate1h": 144 / 3600, "sum(heterollm_tier:serving_engines:max)": 3})


@real
def test_a_cluster_of_ten_minutes_costs_what_it_costs_and_does_not_look_cheaper(tmp_path: Path) -> None:
    young = {name: f"_x170 {values}" for name, values in (operator() | routers()).items()}
    expected = {
        "heterollm:dollars:rate1h": 144 / 3600,
        "heterollm_tier:dollars:rate1h{heterollm_tier='large'}": _LARGE / 3600,
    }
    check(tmp_path, young, expected)
    # Its answers are still rising in the mean: what they cost is said too high rather than too low.
    dear = {
        "heterollm:dollars_per_request:rate1h > bool (0.04 / 100)": 1,
        "heterollm:dollars_per_request:rate1h < bool (2 * 0.04 / 100)": 1,
        "heterollm:saving:ratio1h <= bool (1 - 144 / (6 * 128))": 1,
        "heterollm:saving:ratio1h > bool 0.5": 1,
    }
    check(tmp_path, young, dear)


@real
def test_a_tier_that_came_within_the_hour_counts_for_its_time(tmp_path: Path) -> None:
    """Half an hour of the small tier beside an hour of the large one."""
    series = {
        name: f"_x150 {values}" if 'tier="small"' in name else values for name, values in operator().items()
    } | routers()
    check(tmp_path, series, {"heterollm:dollars:rate1h": (128 + 8) / 3600}, within=0.02)


@real
def test_without_a_price_of_one_tier_the_cluster_has_no_dollars(tmp_path: Path) -> None:
    series = operator() | routers()
    del series[f'heterollm_tier_dollars_per_hour{{{_OPERATOR},tier="small"}}']
    expected = {
        "heterollm:dollars:rate1h": None,
        "heterollm:dollars_per_request:rate1h": None,
        "heterollm:saving:ratio1h": None,
        "heterollm_client:dollars:rate1h": None,
        "heterollm_tier:dollars:rate1h": _LARGE / 3600,
        'heterollm_tier:gpus_without_price:max{heterollm_tier="small"}': 4,
    }
    check(tmp_path, series, expected)


@real
def test_answers_of_a_tier_without_gpus_are_not_free(tmp_path: Path) -> None:
    """A service outside of the cluster sends a bill that nobody knows here."""
    outside = {f'heterollm_router_requests_total{{{_ROUTERS},heterollm_tier="outside",code="200"}}': grows(1)}
    expected = {
        "heterollm:dollars:rate1h": None,
        "heterollm:dollars_per_request:rate1h": None,
        "heterollm:saving:ratio1h": None,
        "heterollm_tier:dollars_per_request:rate1h{heterollm_tier='large'}": _LARGE / 3600 / 10,
        "heterollm_tier:answers_without_price:rate1h{heterollm_tier='outside'}": 1,
    }
    check(tmp_path, operator() | routers() | outside, expected)


def service(answers: float, *, last: bool, priced: bool = True, counted: bool = True) -> Series:
    """A service at $2 and $10 per million tokens; its answers have 1,000 tokens of prompts and 200 of their own."""
    operator, router = f'{_OPERATOR},tier="service"', f'{_ROUTERS},heterollm_tier="service"'
    series: Series = {
        f"heterollm_tier_gpus{{{operator}}}": f"0x{_HOURS}",
        f"heterollm_tier_last{{{operator}}}": f"{int(last)}x{_HOURS}",
        f'heterollm_router_requests_total{{{router},code="200"}}': grows(answers),
    }
    for kind, price, tokens in (("prompt", 2, 1000), ("completion", 10, 200)):
        if priced:
            name = f'heterollm_tier_dollars_per_million_tokens{{{operator},kind="{kind}"}}'
            series[name] = f"{price}x{_HOURS}"
        if counted:
            series[f'heterollm_router_tokens_total{{{router},kind="{kind}"}}'] = grows(answers * tokens)
    return series


_BILLED = 0.004
"""Dollars for each answer of the service."""


@real
def test_a_service_costs_what_it_bills_for_tokens(tmp_path: Path) -> None:
    expected: dict[str, float | None] = {
        "heterollm_tier:dollars:rate1h{heterollm_tier='service'}": 5 * _BILLED,
        "heterollm_tier:dollars_per_request:rate1h{heterollm_tier='service'}": _BILLED,
        "heterollm_tier:dollars_per_million_tokens:rate1h{heterollm_tier='service'}": _BILLED / 1200 * 1e6,
        "heterollm:dollars:rate1h": 144 / 3600 + 5 * _BILLED,
        # The last tier is the large one, as ever; it would answer these, too.
        "heterollm:counterfactual_engines:rate1h": 7,
        "heterollm_tier:answers_without_price:rate1h": None,
    }
    check(tmp_path, operator() | routers() | service(5, last=False), expected)


@real
def test_engines_before_a_service_save_what_it_would_bill_for_their_tokens(tmp_path: Path) -> None:
    """The small tier's 90 answers/s have 9 tokens of prompts and 1 of their own each."""
    small = {name: values for name, values in (operator() | routers()).items() if 'tier="large"' not in name}
    paid, otherwise = _SMALL / 3600 + 5 * _BILLED, 90 * (9 * 2 + 10) / 1e6 + 5 * _BILLED
    expected: dict[str, float | None] = {
        "heterollm:dollars:rate1h": paid,
        "heterollm:counterfactual_dollars:rate1h": otherwise,
        "heterollm:saving:ratio1h": 1 - paid / otherwise,
        "heterollm:counterfactual_engines:rate1h": None,
    }
    check(tmp_path, small | service(5, last=True), expected)


@real
@pytest.mark.parametrize(("priced", "counted"), [(False, True), (True, False)])
def test_a_service_without_prices_or_tokens_leaves_the_cluster_without_dollars(
    priced: bool, counted: bool, tmp_path: Path
) -> None:
    expected = {
        "heterollm:dollars:rate1h": None,
        "heterollm:saving:ratio1h": None,
        "heterollm_tier:answers_without_price:rate1h{heterollm_tier='service'}": 5,
    }
    check(tmp_path, operator() | routers() | service(5, last=True, priced=priced, counted=counted), expected)


@real
def test_a_tier_that_sleeps_has_no_gpus_and_is_known(tmp_path: Path) -> None:
    """Its last answers were given within the hour; an operator that restarts is away for five minutes."""
    series = operator() | routers()
    for name in [name for name in series if 'tier="small"' in name and ("_gpus" in name or "_per_hour{" in name)]:
        if "engine" not in name:
            series[name] = f"{series[name].split('x')[0]}x150 0x20 _x11"
    expected = {"heterollm:dollars:rate1h > bool (120 / 3600)": 1, "heterollm:dollars_per_request:rate1h > bool 0": 1}
    check(tmp_path, series, expected)


@real
def test_without_a_rate_of_the_last_tier_there_is_no_saving(tmp_path: Path) -> None:
    series = operator() | routers()
    del series[f'heterollm_tier_engine_requests_per_second{{{_OPERATOR},tier="large"}}']
    expected = {
        "heterollm:counterfactual_engines:rate1h": None,
        "heterollm:saving:ratio1h": None,
        'heterollm_tier:capacity:ratio5m{heterollm_tier="large"}': None,
        "heterollm:dollars:rate1h": 144 / 3600,
    }
    check(tmp_path, series, expected)


@real
def test_engines_that_did_more_than_they_were_said_to_make_the_saving_smaller(tmp_path: Path) -> None:
    """30 a second from one engine of 18: 190 x 1.05 / 30 is seven engines."""
    check(tmp_path, operator() | routers(160, 30), {"heterollm:counterfactual_engines:rate1h": 7})


@real
def test_engines_that_are_half_idle_are_not_slow(tmp_path: Path) -> None:
    expected = {"heterollm:counterfactual_engines:rate1h": 6, "heterollm:saving:ratio1h": 1 - 144 / (6 * 128)}
    check(tmp_path, operator() | routers(99, 1), expected)


@real
def test_a_cluster_that_nobody_asks_costs_dollars_and_has_no_price_per_request(tmp_path: Path) -> None:
    expected = {
        "heterollm:dollars:rate1h": 144 / 3600,
        "heterollm:dollars_per_request:rate1h": None,
        "heterollm:dollars_per_million_tokens:rate1h": None,
        "heterollm:saving:ratio1h": None,
    }
    check(tmp_path, operator() | routers(0, 0), expected)


@real
@pytest.mark.parametrize(("small", "large"), [(0.5, 0.1), (33, 1.2), (84, 1.7), (171, 9)])
def test_the_rules_reckon_as_simulations_and_gates_do(small: float, large: float, tmp_path: Path) -> None:
    otherwise = counterfactual(small + large, 18, _LARGE)
    saved = saving(_SMALL + _LARGE, otherwise)
    assert otherwise is not None
    assert saved is not None
    each = dollars_per_1000(_SMALL + _LARGE, small + large)
    assert each is not None
    expected: dict[str, float | None] = {
        "3600 * heterollm:counterfactual_dollars:rate1h": otherwise,
        "heterollm:saving:ratio1h": saved,
        "1000 * heterollm:dollars_per_request:rate1h": each,
    }
    check(tmp_path, operator() | routers(small, large), expected)


@real
def test_clusters_do_not_mix(tmp_path: Path) -> None:
    series = operator() | routers()
    other = {
        name.replace('namespace="ns"', 'namespace="other"'): values
        for name, values in (operator() | routers(45, 5)).items()
    }
    expected: dict[str, float | None] = {
        'heterollm:dollars_per_request:rate1h{heterollm_namespace="ns"}': 144 / 3600 / 100,
        'heterollm:dollars_per_request:rate1h{heterollm_namespace="other"}': 144 / 3600 / 50,
        'heterollm:counterfactual_engines:rate1h{heterollm_namespace="other"}': 3,
    }
    check(tmp_path, series | other, expected)


_MET, _MISSED = 2, 1


def targets(**expected: int | None) -> dict[str, float | None]:
    """Of each, whether it is met; one is added, so that none is zero."""
    return {f'heterollm:target_met:bool{{target="{target}"}} + 1': met for target, met in expected.items()}


def first_bytes(le_250: float) -> Series:
    """All first bytes within 1,000 ms, this share of them within 25 and the same within 250."""
    name = "heterollm_router_first_byte_milliseconds_bucket"
    buckets = {"25": le_250, "250": le_250, "1000": 1.0, "+Inf": 1.0}
    return {f'{name}{{{_ROUTERS},le="{le}"}}': grows(100 * share) for le, share in buckets.items()}


def sampled(agree: int) -> Series:
    """Of each hundred samples, in ten minutes."""
    rates = {"agree": agree, "differ": 100 - agree}
    return {
        f'heterollm_samples_total{{{_ROUTERS},verdict="{verdict}"}}': grows(rate / 600)
        for verdict, rate in rates.items()
    }


def busy(percent: int) -> Series:
    return {
        'DCGM_FI_DEV_GPU_UTIL{exported_namespace="ns",exported_pod="c-large-0-0",gpu="1"}': f"{percent}x{_HOURS}",
        'sglang:num_running_reqs{namespace="ns",pod="c-large-0-0",heterollm_cluster="c"}': f"1x{_HOURS}",
    }


_TARGETS = (
    *("first_byte_p50", "first_byte_p99", "capacity", "answered"),
    *("consistency", "dollars_per_request", "gpu_use"),
)


@real
def test_targets_that_are_met(tmp_path: Path) -> None:
    answers = {name: values for name, values in routers().items() if 'code="429"' not in name}
    series = operator() | answers | first_bytes(0.999) | sampled(91) | busy(71)
    check(tmp_path, series, targets(**dict.fromkeys(_TARGETS, _MET)))


@real
def test_targets_that_are_missed(tmp_path: Path) -> None:
    """Five of six requests find no room; a tenth of the answers makes them ten times as dear."""
    series = operator() | routers(9, 1) | first_bytes(0.4) | sampled(89) | busy(69)
    check(tmp_path, series, targets(**dict.fromkeys(_TARGETS, _MISSED)))


@real
def test_what_is_not_measured_meets_and_misses_no_target(tmp_path: Path) -> None:
    names = ("first_byte_p50", "consistency", "gpu_use")
    check(tmp_path, operator() | routers(), targets(**dict.fromkeys(names, None)))
