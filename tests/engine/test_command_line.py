"""The command line: SGLang's spellings, its own options, and messages for what cannot be."""

import re

import pytest

from simulated_engine.command_line import parse
from simulated_engine.config import from_words

from .conftest import Launcher

MODEL = ("--model-path", "m")


def test_both_forms_switches_and_lists_are_read() -> None:
    options = parse(
        ["--tp-size=4", "--host", "::", "--enable-metrics", "--cuda-graph-bs-decode", "1", "2", "--seed", "-1"]
    )
    assert options.as_given() == {
        "tp_size": "4",
        "host": "::",
        "enable_metrics": True,
        "cuda_graph_bs_decode": ["1", "2"],
        "seed": "-1",
    }


@pytest.mark.parametrize("name", ["--tp", "-tp", "--tensor-parallel-size", "--tp-size"])
def test_sglang_s_second_spellings(name: str) -> None:
    assert parse([name, "8"]).integer("tp_size", 1) == 8


def test_the_last_of_repeated_options_wins() -> None:
    assert parse(["--port", "1", "--port", "2"]).integer("port", 0) == 2


def test_the_name_served_is_the_model_s_unless_given() -> None:
    assert from_words(MODEL).identity.model == "m"
    assert from_words([*MODEL, "--served-model-name", "n"]).identity.model == "n"


def test_tier_and_engine_come_from_the_metric_labels() -> None:
    labels = ("--extra-metric-labels", '{"heterollm_tier": "large", "engine": "demo-large-1"}')
    identity = from_words([*MODEL, *labels]).identity
    assert (identity.tier, identity.engine) == ("large", "demo-large-1")
    assert from_words([*MODEL, *labels, "--sim-tier", "x"]).identity.tier == "x"


def test_keys_are_not_shown() -> None:
    config = from_words([*MODEL, "--api-key", "k1", "--admin-api-key=k2"])
    assert config.launch_command == "--model-path m --api-key *** --admin-api-key=***"
    assert "k1" not in repr(config)


@pytest.mark.parametrize(
    ("words", "part"),
    [
        (["stray"], "unexpected argument 'stray'"),
        ([], "--model-path is required"),
        ([*MODEL, "--port", "x"], "--port takes a whole number"),
        ([*MODEL, "--port"], "--port takes one value, got 0"),
        ([*MODEL, "--max-running-requests", "0"], "--max-running-requests must be at least 1"),
        ([*MODEL, "--sim-rps", "inf"], "--sim-rps must be a finite number"),
        ([*MODEL, "--sim-profile", "huge"], "--sim-profile must be one of"),
        ([*MODEL, "--extra-metric-labels", "[]"], "JSON object"),
        ([*MODEL, "--nnodes", "2", "--node-rank", "2"], "--node-rank 2 must be below"),
        ([*MODEL, "--nnodes", "2", "--tp-size", "3"], "divisible by --nnodes"),
        ([*MODEL, "--nnodes", "2", "--tp-size", "2"], "--dist-init-addr HOST:PORT is required"),
        ([*MODEL, "--sim-ttft-p50-ms", "9", "--sim-ttft-p99-ms", "8"], "is above"),
    ],
)
def test_what_cannot_be_is_explained(words: list[str], part: str) -> None:
    with pytest.raises(ValueError, match=re.escape(part)):
        from_words(words)


async def test_a_wrong_option_ends_the_process_with_2(launch: Launcher) -> None:
    assert await (await launch("--sim-profile", "huge")).exit_code() == 2


async def test_the_environment_gives_defaults(launch: Launcher, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SIMULATED_ENGINE_ARGS", "--api-key 'from the environment'")
    engine = await launch()
    await engine.until("/ready", 200)
    assert await engine.status("/v1/models") == 401
