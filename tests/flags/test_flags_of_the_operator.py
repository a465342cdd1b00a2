"""Flags that the operator sets itself are refused, with the reason and what to use instead."""

from __future__ import annotations

import pytest

from heterollm_controllers.sglang.flags.arguments import check
from heterollm_controllers.sglang.flags.catalogue import catalogue, releases
from heterollm_controllers.sglang.flags.owned import OWNED

SPELLINGS = [
    ["--port", "8080"],
    ["--port=8080"],
    ["--por", "8080"],
    ["--host", "0.0.0.0"],
    ["--nnodes", "2"],
    ["--node-rank", "0"],
    ["--dist-init-addr", "a:1"],
    ["--nccl-init-addr", "a:1"],
    ["--config", "server.yaml"],
    ["--smg-grpc-mode"],
    ["--grpc-mode"],
    ["--ssl-certfile", "a.pem"],
    ["--ssl-keyfile", "a.pem"],
]


@pytest.mark.parametrize("release", releases())
@pytest.mark.parametrize("args", SPELLINGS, ids=" ".join)
def test_refused_in_every_spelling(args: list[str], release: str) -> None:
    answer = check([*args, "--tp-size", "2"], release)
    assert len(answer.errors) == 1
    assert " belongs to the operator: " in answer.errors[0]
    assert answer.args == ("--tp-size", "2")


def test_the_message_says_what_to_use() -> None:
    assert check(["--nccl-init-addr", "a:1"], "0.5.23").errors == (
        "--nccl-init-addr belongs to the operator: the operator lays the ranks of an engine over its pods: use"
        " engine.gpus and engine.nodes",
    )


@pytest.mark.parametrize("release", releases())
def test_they_are_flags_of_every_release(release: str) -> None:
    assert OWNED.keys() <= catalogue(release).flags.keys()


@pytest.mark.parametrize(
    "args",
    [
        ["--tp-size", "4"],
        ["--model-path", "/models/x"],
        ["--enable-metrics"],
        ["--served-model-name", "x"],
        ["--api-key", "$(API_KEY)"],
        ["--mem-fraction-static", "0.7"],
        ["--grpc-port", "50051"],
    ],
    ids=" ".join,
)
def test_all_others_are_the_users_to_give(args: list[str]) -> None:
    answer = check(args, "0.5.23")
    assert (list(answer.args), answer.warnings, answer.errors) == (args, (), ())


@pytest.mark.parametrize(
    "args",
    [
        ["--sim-time-scale", "0.2"],
        ["--sim-fault={}"],
        ["--sim-flag"],
        ["--sim-a", "x", "y"],
        ["--sim-a", "1", "--sim-a"],
    ],
    ids=" ".join,
)
def test_flags_of_the_simulated_engine_pass_unread(args: list[str]) -> None:
    answer = check(["--tp-size", "2", *args], "0.5.23")
    assert (list(answer.args), answer.warnings, answer.errors) == (["--tp-size", "2", *args], (), ())
    assert answer.values.keys() == {"--tp-size"}
