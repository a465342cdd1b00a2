"""The performance model: R9's figures, scaling, and the same run for the same seed."""

import random
import statistics
from typing import Any

import pytest

from simulated_engine.config import from_words
from simulated_engine.generation import AnswerSampler, Request
from simulated_engine.performance import PROFILES, LatencyModel

from .conftest import Factory

MODEL = ("--model-path", "m")


@pytest.mark.parametrize("name", ["small", "large"])
def test_times_to_first_token_have_the_profile_s_percentiles(name: str) -> None:
    profile = PROFILES[name]
    model = LatencyModel(profile.ttft_p50, profile.ttft_p99)
    source = random.Random(1)
    cuts = statistics.quantiles((model.draw(source) for _ in range(20_000)), n=100)
    assert cuts[49] == pytest.approx(profile.ttft_p50, rel=0.02)
    assert cuts[98] == pytest.approx(profile.ttft_p99, rel=0.03)


def test_the_reference_tiers_are_the_requirement_s() -> None:
    small, large = PROFILES["small"], PROFILES["large"]
    assert (small.ttft_p50, small.ttft_p99, small.requests_per_second) == (0.025, 0.045, 180)
    assert (large.ttft_p50, large.ttft_p99, large.requests_per_second) == (0.095, 0.150, 18)


def test_the_time_scale_scales_times_and_rate() -> None:
    profile = from_words([*MODEL, "--sim-profile", "large", "--sim-time-scale", "0.5"]).profile
    assert profile.ttft_p50 == pytest.approx(0.0475)
    assert profile.seconds_per_token == pytest.approx(0.0125)
    assert profile.requests_per_second == pytest.approx(36)


def test_single_figures_can_be_replaced() -> None:
    profile = from_words([*MODEL, "--sim-ttft-p50-ms", "50", "--sim-rps", "7", "--max-running-requests", "3"]).profile
    assert profile.ttft_p50 == pytest.approx(0.050)
    # The tail follows the median when it is not given.
    assert profile.ttft_p99 == pytest.approx(0.090)
    assert (profile.requests_per_second, profile.slots) == (7, 3)


def drafts(seed: int) -> list[Any]:
    sampler = AnswerSampler(from_words([*MODEL, "--sim-seed", str(seed)]))
    return [sampler.sample(Request(prompt_tokens=5)) for _ in range(5)]


def test_the_same_seed_gives_the_same_run() -> None:
    assert drafts(3) == drafts(3)
    assert drafts(3) != drafts(4)


def test_one_request_s_options_do_not_change_the_next_answer() -> None:
    config = from_words(MODEL)
    usual, unusual = AnswerSampler(config), AnswerSampler(config)
    usual.sample(Request(prompt_tokens=5))
    unusual.sample(Request(prompt_tokens=500, max_tokens=300, exact_length=True))
    assert usual.sample(Request(prompt_tokens=5)) == unusual.sample(Request(prompt_tokens=5))


async def test_sglang_s_random_seed_counts(engine: Factory) -> None:
    texts = [
        (await (await (await engine("--random-seed", seed)).chat()).json())["choices"][0]["message"]["content"]
        for seed in ("1", "1", "2")
    ]
    assert texts[0] == texts[1] != texts[2]


async def test_an_answer_takes_its_first_token_and_its_tokens(engine: Factory) -> None:
    client = await engine("--sim-ttft-p50-ms", "40", "--sim-ttft-p99-ms", "40", "--sim-tpot-ms", "4")
    await client.chat(max_tokens=11, ignore_eos=True)
    mode = client.engine.counters.modes[False]
    assert mode.time_to_first_token.total == pytest.approx(0.040, abs=0.005)
    assert mode.e2e_latency.total >= 0.080
