"""A flag given more than once: the last counts, as in SGLang, and the user is told."""

from __future__ import annotations

import pytest

from heterollm_controllers.sglang.flags.arguments import check
from heterollm_controllers.sglang.flags.catalogue import DEFAULT_RELEASE


@pytest.mark.parametrize(
    "args",
    [
        ["--tp-size", "2", "--tp-size", "4"],
        ["--tp-size=2", "--tp-size", "4"],
        ["--tensor-parallel-size", "2", "--tp-size", "4"],
        ["--tp", "2", "--tp-size", "4"],
    ],
)
def test_the_last_counts_whatever_the_spelling(args: list[str]) -> None:
    answer = check([*args, "--pp-size", "2"], DEFAULT_RELEASE)
    assert answer.args == ("--tp-size", "4", "--pp-size", "2")
    assert answer.warnings == ("--tp-size is given 2 times: the last counts, --tp-size 4",)
    assert answer.errors == ()


def test_on_and_off_are_the_same_flag() -> None:
    answer = check(["--dllm-fdfo", "--no-dllm-fdfo"], DEFAULT_RELEASE)
    assert answer.args == ("--no-dllm-fdfo",)
    assert answer.values["--dllm-fdfo"] is False


@pytest.mark.parametrize(
    "args",
    [
        ["--cuda-graph-max-bs", "64", "--cuda-graph-max-bs-decode", "128"],
        ["--cuda-graph-max-bs-decode", "128", "--cuda-graph-max-bs", "64"],
    ],
)
def test_todays_spelling_counts_before_an_old_one(args: list[str]) -> None:
    answer = check(args, DEFAULT_RELEASE)
    assert answer.args == ("--cuda-graph-max-bs-decode", "128")
    assert len(answer.warnings) == 2


def test_a_wrong_one_does_not_count() -> None:
    answer = check(["--tp-size", "2", "--tp-size", "x"], DEFAULT_RELEASE)
    assert answer.args == ("--tp-size", "2")
    assert answer.warnings == ()
    assert len(answer.errors) == 1
